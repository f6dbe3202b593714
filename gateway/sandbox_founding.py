"""Makes a sandbox: a network, two operators and the table's partners, by the commands that a user has. Whole or not at all.

Refuses every folder and every network that was not made as a sandbox.
"""

import contextlib
import io
import secrets
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import tomli_w
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.cli import tallystick
from gateway.config import FILE_NAME, Config, load_config
from gateway.domain.errors import InvalidValue
from gateway.domain.limits import LIMIT_NAMES, NO_LIMITS
from gateway.domain.terms import date_at
from gateway.key_file import new_key, save_secret
from gateway.sandbox import (
    AUDIENCE,
    AUDIENCE_END,
    CURRENCY,
    EXPIRY,
    PARTNERS,
    TIME_ZONE,
    PartnerCase,
    published_key,
)
from gateway.storage.directory import load_network
from gateway.storage.engine import open_existing, reading
from gateway.storage.migrate import check_version

MARK = ".tallystick-sandbox"
ADA, BOB = "ada", "bob"
_NAMES = {ADA: "Ada Fisher", BOB: "Bob Miller"}


def open_sandbox(folder: Path, *, clock: Callable[[], int]) -> Config:
    """The configuration of the sandbox in the folder, which is made if there is nothing.

    Raises InvalidValue for whatever is no sandbox, StoreError where its books cannot be read.
    """
    if not folder.exists():
        _make(folder, clock)
    if not (folder / MARK).is_file():
        raise InvalidValue(f"{folder} exists, and was not made as a sandbox: name another folder")
    config = load_config(folder / "net" / FILE_NAME, {})  # whatever the environment says of databases is meant for others
    engine = open_existing(config.database_url)
    try:
        with reading(engine) as connection:
            check_version(connection)
            audience = load_network(connection).audience
    finally:
        engine.dispose()
    if not audience.endswith(AUDIENCE_END):
        raise InvalidValue(f"{config.database_name}: {audience} is no sandbox: its audience would end in {AUDIENCE_END}")
    return config


def write_profiles(folder: Path, address: str, *, clock: Callable[[], int]) -> dict[str, Path]:
    """A profile of each published partner, for the address where the sandbox listens now; by partner."""
    written = {}
    for one in PARTNERS:
        if one.is_published:
            file = written[one.partner_id] = folder / "partners" / f"{one.partner_id}.toml"
            file.unlink(missing_ok=True)
            words = ["--target", address, "--audience", AUDIENCE, "--key-id", one.key_id]
            words += ["--key-file", str(file.with_suffix(".pem")), "--ca", str(folder / "net" / "tls" / "ca.pem")]
            _run(folder, clock, "pos", "profile", *words, "--out", str(file))
    return written


def _make(folder: Path, clock: Callable[[], int]) -> None:
    unfinished = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    try:
        for name in ("operators", "partners", "applications"):
            (unfinished / name).mkdir(parents=True)
        _found(unfinished, clock)
        (unfinished / MARK).touch()
        unfinished.replace(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _found(folder: Path, clock: Callable[[], int]) -> None:
    def run(*words: str) -> None:
        _run(folder, clock, *words)

    def both(*words: str) -> None:
        run(*words, *_acting(folder, ADA))
        run("operators", "approve", "--all", *_acting(folder, BOB))

    terms = ("--currency", CURRENCY, "--time-zone", TIME_ZONE, "--expiry", EXPIRY)
    run("network", "create", str(folder / "net"), "--audience", AUDIENCE, *terms)
    run("network", "dev-certificates")
    for operator_id, name in _NAMES.items():
        key_file = str(folder / "operators" / f"{operator_id}.pem")
        run("operators", "keygen", "--out", key_file)
        run("operators", "add", operator_id, "--name", name, "--key", key_file)
    today = date_at(clock(), ZoneInfo(TIME_ZONE))
    for one in PARTNERS:
        run("pos", "apply", *_application(folder, one, today))
    both("partners", "onboard", str(folder / "applications"))
    for one in PARTNERS:
        if one.cap is not None:
            both("partners", "cap", "set", one.partner_id, one.cap)
        if one.limits != NO_LIMITS:
            said = [word for name in LIMIT_NAMES for word in (f"--{name.replace('_', '-')}", str(getattr(one.limits, name)))]
            both("partners", "limits", "propose", one.partner_id, "--effective-from", today.isoformat(), *said)
        if one.is_suspended:
            run("partners", "suspend", one.partner_id, *_acting(folder, ADA))


def _application(folder: Path, one: PartnerCase, today: date) -> list[str]:
    """Writes the partner's key and its draft; the words that make an application of them."""
    key_file, draft = folder / "partners" / f"{one.partner_id}.pem", folder / "partners" / f"{one.partner_id}.draft"
    save_secret(_published_pem(one.partner_id) if one.is_published else new_key()[1], key_file)
    content = {
        "audience": AUDIENCE,
        "partner_id": one.partner_id,
        "legal_name": f"{one.partner_id.title()} Sandbox GmbH",
        "address": "Marktplatz 1, 10115 Berlin, DE",
        "vat_id": "DE123456789",
        "iban": "DE89370400440532013000",
        "currency": CURRENCY,
        "time_zone": TIME_ZONE,
        "roles": ["charity"] if one.is_charity else ["issuer", "redeemer"],
        "units": [] if one.is_charity else [CURRENCY],
        "contact": f"points@{one.partner_id}.example",
        "rate_card": {
            "effective_from": today.isoformat(),
            "issue_price": "0.00" if one.is_charity else "1.00",
            "face_value": one.face_value,
            "reimbursement_rate": "0.90",
            "issue_rates": {} if one.is_charity else {CURRENCY: one.issue_rate},
        },
    }
    draft.write_text(tomli_w.dumps(content), "utf-8")
    out = folder / "applications" / f"{one.partner_id}.toml"
    return [str(draft), "--key-file", str(key_file), "--key-id", one.key_id, "--out", str(out)]


def _published_pem(partner_id: str) -> bytes:
    return published_key(partner_id).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _acting(folder: Path, operator_id: str) -> tuple[str, ...]:
    return "--operator", operator_id, "--key", str(folder / "operators" / f"{operator_id}.pem")


def _run(folder: Path, clock: Callable[[], int], *words: str) -> None:
    """A command line, in this process and without its output. Raises what it refuses with."""
    with contextlib.redirect_stdout(io.StringIO()):
        config = str(folder / "net" / FILE_NAME)
        tallystick.main(args=["--config", config, *words], prog_name="tallystick", standalone_mode=False, obj=clock)
