"""Reads what the gateway saw of a till under conformance, from this network's books or from those where it rehearsed."""

from pathlib import Path

from sqlalchemy import Connection

from gateway.config import load_config
from gateway.domain.entry import EntryKind
from gateway.domain.errors import DecisionRefused
from gateway.storage.conformance import load_events, load_run
from gateway.storage.directory import load_network
from gateway.storage.engine import open_existing, reading
from gateway.storage.failures import KEPT_MAX, load_signature_failures
from gateway.storage.journal import load_answer
from gateway.storage.migrate import check_version
from partners.conformance import Finding, Record, judge
from tallystick.v1 import types_pb2

Judged = tuple[str, int, list[Finding]]
"""The network's audience, when the run began (unix milliseconds), and what was found."""


def judge_partner(connection: Connection, partner_id: str) -> Judged:
    """Judges the partner's last run. Raises DecisionRefused with NOT_STARTED if there never was one."""
    run = load_run(connection, partner_id)
    if run is None:
        raise DecisionRefused("NOT_STARTED", f"no conformance run of {partner_id}: 'tallystick partners conformance start'")
    failures = load_signature_failures(connection, partner_id, limit=KEPT_MAX)

    def kinds_of(entry_id: str) -> frozenset[EntryKind]:
        answer = load_answer(connection, entry_id, partner_id)
        if answer is None or answer.refusal is not None:
            return frozenset()
        receipt = types_pb2.Receipt.FromString(answer.receipt)
        return frozenset(EntryKind(kind) for kind in (receipt.kind, *(leg.kind for leg in receipt.legs)))

    record = Record(
        started_at_ms=run.started_at_ms,
        events=load_events(connection, partner_id),
        failures=[failure for failure in failures if failure.at_ms >= run.started_at_ms],
        kinds_of=kinds_of,
    )
    return load_network(connection).audience, run.started_at_ms, judge(record)


def judge_elsewhere(config_file: Path, partner_id: str) -> Judged:
    """The same, in the network of another configuration file. Raises InvalidValue or StoreError where there is none."""
    engine = open_existing(load_config(config_file, {}).database_url)
    try:
        with reading(engine) as connection:
            check_version(connection)
            return judge_partner(connection, partner_id)
    finally:
        engine.dispose()
