"""From a line of a statement to the entries behind it, and to the signed requests behind those."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Connection, update

from gateway.console import Context
from gateway.domain.errors import BooksBroken, InvalidValue
from gateway.domain.ids import entry_id
from gateway.storage.engine import reading, writing
from gateway.storage.statements import load_statement, load_statement_lines, load_statement_partners
from gateway.storage.tables import entries, outcomes
from gateway.storage.tables_settlement import statement_lines
from settlement.cli import settlement
from settlement.explaining import events_of, find_event, find_summary
from tests.given import GivenNetwork, at
from tests.settlement.given import network_engine
from tests.settlement.night import run

Command = Callable[..., Result]


@pytest.fixture
def folder(closed_nights: GivenNetwork, tmp_path: Path) -> Path:
    """Two nights."""
    return closed_nights.copy(tmp_path / "net").folder


@pytest.fixture
def command(folder: Path) -> Command:
    """Runs `tallystick settlement …`."""

    def invoke(*words: str) -> Result:
        context = Context(folder / "tallystick.toml", lambda: at("2026-07-02"))
        return CliRunner().invoke(settlement, words, obj=context, env={"COLUMNS": "300"})

    return invoke


def line_names(connection: Connection, partner_id: str) -> dict[tuple[str, str], str]:
    """What a partner's statement calls its lines, by payer and payee."""
    found = load_statement(connection, 1, partner_id)
    assert found is not None
    return {(one["payer_id"], one["payee_id"]): one["line_id"] for one in json.loads(found.statement)["obligations"]}


def test_both_sides_call_a_line_by_the_same_name(folder: Path) -> None:
    """So that they can talk about it."""
    with reading(network_engine(folder)) as connection:
        alpha, bravo = (line_names(connection, partner_id) for partner_id in ("alpha", "bravo"))

    assert alpha["alpha", "bravo"] == bravo["alpha", "bravo"]
    assert len({*alpha.values(), *bravo.values()}) == len({**alpha, **bravo})


def test_every_line_of_every_statement_comes_to_the_events_behind_it(folder: Path) -> None:
    """Own lines and turned ones as well."""
    with reading(network_engine(folder)) as connection:
        names = {
            name for partner_id in load_statement_partners(connection, 1) for name in line_names(connection, partner_id).values()
        }
        explained = {name: list(events_of(connection, find_summary(connection, name))) for name in names}

    assert all(explained.values())


def test_a_line_leads_to_the_redemption_and_what_came_back_of_it(folder: Path) -> None:
    """Alpha's 600 points at bravo, less 200: step 4 and step 9."""
    with reading(network_engine(folder)) as connection:
        name = line_names(connection, "bravo")["alpha", "bravo"]
        events = list(events_of(connection, find_summary(connection, name)))

    assert [(one.requests[-1].entry_id, one.line.points) for one in events] == [
        (entry_id("bravo", "4"), 600),
        (entry_id("bravo", "9"), 200),
    ]


def test_every_event_leads_to_the_request_and_the_receipt_that_answered_it(
    copy_month: Callable[[str], Path], tmp_path: Path
) -> None:
    """Of every partner's statement, on both engines; an issuer's leads to its own issue, too."""
    engine = network_engine(copy_month("net"))
    run(engine, tmp_path / "out")
    with reading(engine) as connection:
        for partner_id in load_statement_partners(connection, 1):
            for line in load_statement_lines(connection, 1, partner_id, after=0, limit=100):
                event = find_event(connection, f"1/{partner_id}/{line.line_number}")
                booked, last = event.requests[0], event.requests[-1]
                receipt = connection.execute(outcomes.select().where(outcomes.c.entry_id == last.entry_id)).one().receipt

                assert booked.entry_id == line.own_entry_id
                assert booked.partner_id == partner_id
                assert last.receipt_sha256 == line.receipt_sha256 == hashlib.sha256(receipt).digest()
                assert last.key_id.split("/")[0] == last.partner_id


def test_the_command_shows_fingerprint_key_and_receipt(command: Command) -> None:
    """Of an event in full, of a line short."""
    one = command("explain", "1/alpha/1")
    name = one.output and next(word for word in command("statement", "1", "bravo").output.split() if word.startswith("1-"))
    line = command("explain", str(name))

    assert (one.exit_code, line.exit_code) == (0, 0), one.output + line.output
    assert all(part in one.output for part in ("fingerprint", "bravo/till-1/1", "receipt", "alpha/till-1/1", "idempotency key"))
    assert "events come to what the line says" in line.output


def test_a_limit_shows_less_and_sums_all(command: Command) -> None:
    """What is not shown is counted."""
    name = next(word for word in command("statement", "1", "bravo").output.split() if word.startswith("1-"))

    assert "1 are not shown" in command("explain", name, "--limit", "1").output


@pytest.mark.parametrize(
    "name", ["", "x", "1-nobody", "1/alpha", "1/alpha/x", "1/alpha/999", "1/nobody/1", "9/alpha/1", "1x/a/1"]
)
def test_what_no_statement_names_is_refused(command: Command, name: str) -> None:
    """With a word on how lines are called."""
    result = command("explain", name)

    assert isinstance(result.exception, InvalidValue) or result.exit_code == 1


def test_a_receipt_that_was_changed_is_noticed(folder: Path) -> None:
    """The statement has the hash of the one that was given."""
    engine = network_engine(folder)
    with writing(engine) as connection:
        connection.execute(update(outcomes).where(outcomes.c.entry_id == entry_id("bravo", "4")).values(receipt=b"another"))

    with reading(engine) as connection, pytest.raises(BooksBroken, match="receipt"):
        find_event(connection, "1/bravo/1")


def test_an_event_that_was_changed_is_noticed(folder: Path) -> None:
    """The line no longer comes to the events behind it."""
    engine = network_engine(folder)
    with writing(engine) as connection:
        name = line_names(connection, "bravo")["alpha", "bravo"]
        connection.execute(
            update(statement_lines)
            .where(statement_lines.c.partner_id == "bravo", statement_lines.c.line_number == 1)
            .values(points=statement_lines.c.points + 1)
        )

    with reading(engine) as connection, pytest.raises(BooksBroken, match="come to"):
        list(events_of(connection, find_summary(connection, name)))


def test_an_entry_that_is_gone_is_noticed(folder: Path) -> None:
    """A statement's entries are never removed."""
    engine = network_engine(folder)
    with writing(engine) as connection:
        connection.execute(entries.delete().where(entries.c.entry_id == entry_id("bravo", "4")))

    with reading(engine) as connection, pytest.raises(BooksBroken, match="missing"):
        find_event(connection, "1/bravo/1")
