"""The audit: what it proves, what it says of books that somebody touched, and where it goes on."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from gateway.edge.receipts import decode_receipt, encode_receipt
from gateway.ledger.audit import AuditReport, audit
from gateway.ledger.audit_receipts import ReceiptForm
from gateway.storage.engine import reading, writing
from gateway.storage.proofs import load_proofs
from tests.e2e.commands import run_command
from tests.given import GivenNetwork, create_network
from tests.ledger.busy import LAST_NOON, BusyBooks, busy_network

RECEIPTS = ReceiptForm(encode_receipt, decode_receipt)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> GivenNetwork:
    """The busy network; only to be copied."""
    return busy_network(tmp_path_factory.mktemp("busy") / "net")


@pytest.fixture
def network(template: GivenNetwork, tmp_path: Path, network_url: str | None) -> Iterator[GivenNetwork]:
    """A copy that a test may spoil."""
    copied = template.copy(tmp_path / "net", url=network_url)
    yield copied
    copied.engine.dispose()


_LIFTS = """
SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname)
FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype IN ('c', 'p')"""


def _audit(engine: Engine, *, full: bool = True) -> AuditReport:
    return audit(engine, full=full, now_ms=LAST_NOON, receipts=RECEIPTS)


def _spoil(engine: Engine, *statements: str) -> None:
    """Changes rows behind the back of every constraint."""
    with writing(engine) as connection:
        if engine.dialect.name == "sqlite":
            connection.execute(text("PRAGMA ignore_check_constraints=ON"))
        else:
            for lift in connection.execute(text(_LIFTS)).scalars().all():
                connection.execute(text(lift))
        for statement in statements:
            connection.execute(text(statement))


def _rows(engine: Engine, table: str) -> int:
    with reading(engine) as connection:
        return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())


def _said(report: AuditReport) -> str:
    return "\n".join(map(str, report.failures))


def test_untouched_books_are_proved(network: GivenNetwork) -> None:
    """Everything that can happen in them has happened."""
    report = _audit(network.engine)

    assert _said(report) == ""
    assert report.entries == _rows(network.engine, "entries") > 0
    assert (report.members, report.windows, report.refusals) == (10, 4, 2)


def test_the_roll_forward_ends_in_what_is_open(network: GivenNetwork) -> None:
    """Issued less reversed less redeemed, with what was restored, less what expired."""
    whole = _audit(network.engine).whole

    assert whole.issued - whole.reversed - whole.redeemed + whole.restored - whole.expired == whole.open - whole.debt
    assert whole.substituted == 0


def test_books_without_entries_are_proved(tmp_path: Path, network_url: str | None) -> None:
    """A network on its first day."""
    report = _audit(create_network(tmp_path / "net", url=network_url).engine)

    assert (_said(report), report.entries) == ("", 0)


def test_a_second_audit_proves_only_what_came_since(network: GivenNetwork) -> None:
    """What came since the last night, then nothing, then one entry, whose receipt carries on the balance."""
    first, second = _audit(network.engine, full=False), _audit(network.engine, full=False)
    books = BusyBooks(network)
    books.do("2026-07-05", replace(books.issue("ann", "12.00"), idempotency_key="later"))
    third = _audit(network.engine, full=False)

    assert [one.proven_entries for one in (first, second, third)] == [7, 0, 1]
    assert _said(third) == ""


def test_a_failed_audit_moves_no_mark(network: GivenNetwork) -> None:
    """Else the next one would pass over the failure."""
    with reading(network.engine) as connection:
        last = max(proof.sequence for proof in load_proofs(connection).values()) + 1
    _spoil(network.engine, f"UPDATE entries SET points = points + 1 WHERE sequence = {last}")
    assert not _audit(network.engine, full=False).is_proved

    with reading(network.engine) as connection:
        assert all(proof.sequence < last for proof in load_proofs(connection).values())
    assert not _audit(network.engine, full=False).is_proved


def test_a_second_audit_finds_a_lot_that_was_changed_since(network: GivenNetwork) -> None:
    """The sums over lots are always anew."""
    _audit(network.engine, full=False)
    _spoil(network.engine, "UPDATE lots SET open_points = open_points - 1 WHERE open_points > 5")

    assert "roll-forward" in _said(_audit(network.engine, full=False))


def test_an_entry_that_was_changed_is_named(network: GivenNetwork) -> None:
    """With its lane and sequence, what it must say, and what it says."""
    _spoil(network.engine, "UPDATE entries SET amount = amount + 1 WHERE sequence = 3")
    said = _said(_audit(network.engine))

    assert "(lane 0, sequence 3): hash: expected" in said
    assert "receipt's amount: expected 120001, found 120000" in said


def test_an_approver_that_was_changed_by_hand_is_found(network: GivenNetwork) -> None:
    """Two operators decided, or nobody did."""
    _spoil(network.engine, "UPDATE decisions SET approver_id = 'cyd' WHERE kind = 'net-debit-cap' AND state = 'APPLIED'")

    assert "signatures: expected two hands that hold" in _said(_audit(network.engine))


def test_an_approval_by_the_proposer_is_found(network: GivenNetwork) -> None:
    """Also where its row was made to look like two hands."""
    _spoil(
        network.engine,
        "UPDATE decisions SET approver_id = proposer_id, approval_signature = proposal_signature WHERE kind = 'net-debit-cap'",
    )

    assert "two operators are needed" in _said(_audit(network.engine))


def test_a_price_that_was_changed_by_hand_is_found(network: GivenNetwork) -> None:
    """The decisions say what the directory must hold."""
    _spoil(network.engine, "UPDATE partners SET net_debit_cap = 99 WHERE partner_id = 'alpha'")

    assert "partners alpha: row: expected" in _said(_audit(network.engine))


UNREADABLE = [
    "UPDATE entries SET kind = 99 WHERE sequence = 5",
    "UPDATE postings SET kind = 0",
    "UPDATE entries SET points = 'many' WHERE sequence = 7",
    "UPDATE entries SET business_date = 'some day' WHERE sequence = 7",
    "UPDATE lots SET expires_on = '' WHERE arrival = 1",
    "UPDATE lots SET lot_id = 'x' WHERE arrival = 2",
    "UPDATE outcomes SET receipt = x'ff00ff'",
    "UPDATE outcomes SET receipt = 'no bytes'",
    "UPDATE refusals SET reason = 9999",
    "UPDATE windows SET state = 'LOST' WHERE window_id = 2",
    "UPDATE windows SET window_id = 77 WHERE window_id = 2",
    "DELETE FROM windows",
    "DELETE FROM heads",
    "DELETE FROM lots",
    "DELETE FROM members",
    "DELETE FROM networks",
    "DELETE FROM rate_cards",
    "DELETE FROM decisions",
    "UPDATE decisions SET document = x'00' WHERE kind = 'offer'",
    "UPDATE decisions SET kind = 'nothing' WHERE kind = 'offer'",
    "UPDATE partners SET time_zone = 'Mars/Base'",
    "UPDATE rate_cards SET effective_from = 'soon'",
    "UPDATE statements SET statement = x'7b7d'",
    "UPDATE statements SET statement = x'00'",
    "UPDATE obligations SET rate_card_version = 99",
    "UPDATE positions SET currency = 'XYZ'",
    "UPDATE totals SET kind = 99 WHERE kind = 2",
    "UPDATE window_ranges SET last_sequence = 1000000",
    "UPDATE heads SET last_sequence = 1000",
    "UPDATE networks SET audience = 'another.example:test'",
    "UPDATE networks SET time_zone = 'Pacific/Auckland'",
    "UPDATE networks SET lanes = 2",
    "UPDATE member_identifiers SET member_id = (SELECT min(member_id) FROM members)",
    "DELETE FROM member_identifiers WHERE identifier_hash = 'ann'",
]
# The audit's code is the same on both engines; what differs are the types that a column can hold.
ON_POSTGRESQL_TOO = [
    "UPDATE entries SET kind = 99 WHERE sequence = 5",
    "UPDATE windows SET state = 'LOST' WHERE window_id = 2",
    "DELETE FROM heads",
    "DELETE FROM networks",
    "DELETE FROM decisions",
    "UPDATE partners SET time_zone = 'Mars/Base'",
    "UPDATE positions SET currency = 'XYZ'",
    "UPDATE window_ranges SET last_sequence = 1000000",
]
SPOILS = [("sqlite", statement) for statement in UNREADABLE] + [
    pytest.param("postgresql", statement, marks=pytest.mark.postgres) for statement in ON_POSTGRESQL_TOO
]


@pytest.mark.parametrize(("new_network_url", "statement"), SPOILS, indirect=["new_network_url"])
def test_books_that_cannot_be_read_fail_by_name(network: GivenNetwork, statement: str) -> None:
    """No traceback, whatever stands in a row."""
    _spoil(network.engine, statement)
    report = _audit(network.engine)

    assert report.failures
    assert len(report.failures) <= 20


def test_the_command_prints_figures(network: GivenNetwork) -> None:
    """For people, on standard output."""
    ran = run_command(network, "audit", "--full")
    entries = _rows(network.engine, "entries")

    assert ran.code == 0
    assert ran.out.startswith(f"books proved: {entries} entries ({entries} of them now), 10 members")


def test_the_command_names_the_failures_and_exits_with_1(network: GivenNetwork) -> None:
    """One line each, up to the limit."""
    _spoil(network.engine, "UPDATE members SET entries = entries + 1")
    ran = run_command(network, "audit", "--failures-max", "3")

    assert ran.code == 1
    assert [": entries: expected " in line for line in ran.out.splitlines()] == [True] * 3
    assert "the books are not proved: 3 failures" in ran.err
