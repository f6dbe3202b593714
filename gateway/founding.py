"""Founds a network: its database, keys and configuration, in a folder that appears whole or not at all."""

import json
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, insert, select

from gateway.config import FILE_NAME, parse_url
from gateway.domain.errors import InvalidValue
from gateway.domain.network import SettlementModel
from gateway.domain.terms import NetworkTerms
from gateway.key_file import new_key, receipt_key_file, save_secret
from gateway.network_terms import insert_network_terms
from gateway.storage.engine import open_engine, writing
from gateway.storage.migrate import create_schema
from gateway.storage.tables_directory import networks, receipt_keys
from gateway.storage.windows import insert_head, insert_open_window

IDENTIFIER_KEY = "identifier.key"
_BOOKS = "sqlite:///books.db"
_RECEIPT_KEY_ID = "r1"
_FIRST_WINDOW = 1
_LANES_AT_FIRST = {"sqlite": 1, "postgresql": 4}  # SQLite lets one batch write at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkPlan:
    """What a new network is to be. `database_url` None: a SQLite file in its folder. `lanes` None: as many as suit the engine."""

    audience: str
    currency: str
    time_zone: str
    settlement_model: SettlementModel
    terms: NetworkTerms
    database_url: str | None = None
    lanes: int | None = None


def found_network(folder: Path, plan: NetworkPlan, *, now_ms: int) -> None:
    """Makes the network. Raises InvalidValue if the folder holds anything, or the database a network already."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InvalidValue(f"{folder} exists and is not an empty folder: name a new one; a network is never overwritten")
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    try:
        unfinished.mkdir(mode=0o700)  # books, statements, and maybe a password: for nobody else
        _build(unfinished, plan, now_ms)
        unfinished.replace(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _build(folder: Path, plan: NetworkPlan, now_ms: int) -> None:
    keys = folder / "keys"
    keys.mkdir(mode=0o700)
    receipt_key, pem = new_key()
    save_secret(pem, receipt_key_file(keys, _RECEIPT_KEY_ID))
    save_secret(secrets.token_bytes(32), keys / IDENTIFIER_KEY)
    configuration = _CONFIGURATION.format(url=json.dumps(plan.database_url or _BOOKS), audience=plan.audience)
    (folder / FILE_NAME).write_text(configuration, "utf-8")
    url = parse_url(plan.database_url or _BOOKS)
    if plan.database_url is None:
        url = url.set(database=str(folder / str(url.database)))
    engine = open_engine(url.render_as_string(hide_password=False))
    try:
        create_schema(engine)
        with writing(engine) as connection:
            _fill(connection, plan, receipt_key.public_bytes(), now_ms)
    finally:
        engine.dispose()


def _fill(connection: Connection, plan: NetworkPlan, receipt_public_key: bytes, now_ms: int) -> None:
    if connection.execute(select(networks.c.audience)).scalar() is not None:
        raise InvalidValue("the database holds a network already: name an empty one with --database-url")
    lanes = plan.lanes or _LANES_AT_FIRST[connection.dialect.name]
    connection.execute(
        insert(networks).values(
            network_id=1,
            audience=plan.audience,
            currency=plan.currency,
            time_zone=plan.time_zone,
            settlement_model=plan.settlement_model.value,
            lanes=lanes,
            created_at_ms=now_ms,
            directory_version=1,
        )
    )
    insert_network_terms(connection, plan.terms, "")
    connection.execute(
        insert(receipt_keys).values(
            key_id=_RECEIPT_KEY_ID, public_key=receipt_public_key, valid_from_ms=now_ms, valid_until_ms=None
        )
    )
    insert_open_window(connection, _FIRST_WINDOW, lanes=lanes, rules_version=0, at_ms=now_ms, made_by="founding")
    for lane in range(lanes):
        insert_head(connection, plan.audience, lane, lanes=lanes, window_id=_FIRST_WINDOW, at_ms=now_ms)


_CONFIGURATION = """\
# Configuration of the network {audience}. Paths are relative to this file.
# What the network is (audience, currency, terms) stands in its database: see 'tallystick network show'.

[database]
# SQLite is one file and one gateway process, with nothing to install. $TALLYSTICK_DATABASE_URL overrides it.
url = {url}

[network]
# The keys that sign receipts, and the key that card numbers are hashed with. Back them up; let nobody read them.
keys_dir = "keys"

[settlement]
# Where the night writes statements, instructions and its report.
statements_dir = "statements"

[gateway]
listen = "127.0.0.1:7443"
# 'tallystick network dev-certificates' makes these for tests; a real network has its own.
tls_certificate = "tls/server.pem"
tls_private_key = "tls/server.key"
# Where Prometheus asks (docs/watching.md). Not for everybody: it tells what partners owe, and asks for no password.
# metrics_listen = "127.0.0.1:9464"
# Limits, each with its default. Uncomment what you change.
# queue_max = 10000                # commands waiting; beyond it the answer is QUEUE_FULL
# batch_max = 500                  # commands in one database transaction
# partner_calls_per_s_max = 5000   # beyond it RATE_LIMITED
# auth_failures_per_s_max = 50     # bad signatures of one address; beyond it AUTH_FAILURES_LIMITED
# deadline_ms_max = 30000
# body_timeout_ms = 5000           # how long a call may take to send its message
# lock_wait_ms_max = 10000         # while another process writes to the same SQLite file; beyond it STORE_UNAVAILABLE
# directory_refresh_ms = 1000      # how soon a revoked key is refused
# drain_ms_max = 10000             # how long a stopping gateway finishes what it has begun
"""
