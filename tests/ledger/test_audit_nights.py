"""The audit beside a night that is half done, of instructions whose sums are right, and of chains whose end was cut off."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from gateway.domain.chain import genesis_hash
from gateway.domain.errors import BooksBroken
from gateway.edge.receipts import decode_receipt, encode_receipt
from gateway.ledger.audit import AuditReport, audit
from gateway.ledger.audit_receipts import ReceiptForm
from gateway.storage.engine import reading, writing
from settlement.instruction import Instruction, instruct
from settlement.netting import Payment, through_operator
from settlement.nightly import Night, run_night
from settlement.sealing import open_sealer
from settlement.store import load_positions, save_instructions
from tests.given import AUDIENCE, GivenNetwork, at, keys_dir
from tests.ledger.books import Books
from tests.ledger.busy import BusyBooks

NIGHT_MS = at("2026-06-05", "23:59:59")


class _Killed(Exception):
    """Ends a night."""


@pytest.fixture
def books(month_template: GivenNetwork, tmp_path: Path, network_url: str | None) -> Iterator[Books]:
    """Alpha's points at bravo and charlie, and a refusal: alpha owes 4 to the one and 30 to the other."""
    opened = BusyBooks(month_template.copy(tmp_path / "net", url=network_url))
    opened.enrol("ann")
    opened.do("2026-06-05", opened.issue("ann", "100.00"), opened.redeem("ann", 5))
    opened.run(opened.redeem("ann", 500))
    opened.do("2026-06-05", opened.redeem("ann", 30, partner="charlie"))
    yield opened
    opened.connection.close()
    opened.network.engine.dispose()


def _night(engine: Engine, folder: Path, *, killed_after: str = "") -> None:
    def after_step(step: str) -> None:
        if step == killed_after:
            raise _Killed

    night = Night(
        engine=engine,
        out_dir=folder,
        sealer=open_sealer(engine, keys_dir(engine)),
        at_ms=NIGHT_MS,
        clock=lambda: NIGHT_MS,
        progress=lambda _text: None,
        after_step=after_step,
    )
    run_night(night)


def _audit(engine: Engine, *, full: bool) -> AuditReport:
    return audit(engine, full=full, now_ms=NIGHT_MS, receipts=ReceiptForm(encode_receipt, decode_receipt))


def test_an_audit_in_the_middle_of_a_night_leaves_its_window_to_the_next_one(books: Books, tmp_path: Path) -> None:
    """Else the night's own audit would pass over what the night made."""
    engine = books.network.engine
    with pytest.raises(_Killed):
        _night(engine, tmp_path / "out", killed_after="close")
    _audit(engine, full=False)
    with pytest.raises(_Killed):
        _night(engine, tmp_path / "out", killed_after="publish")
    with writing(engine) as connection:
        connection.execute(text("UPDATE obligations SET amount = amount + 1"))

    with pytest.raises(BooksBroken, match="obligation alpha/bravo"):
        _night(engine, tmp_path / "out")


def test_the_mark_of_an_audit_stays_at_a_window_that_is_only_closed(books: Books, tmp_path: Path) -> None:
    """And moves on once it is published and proven."""
    engine = books.network.engine
    with pytest.raises(_Killed):
        _night(engine, tmp_path / "out", killed_after="close")
    _audit(engine, full=False)
    with reading(engine) as connection:
        during = connection.execute(text("SELECT window_id FROM proofs")).scalar_one()
    _night(engine, tmp_path / "out")

    with reading(engine) as connection:
        after = connection.execute(text("SELECT window_id FROM proofs")).scalar_one()
    assert (during, after) == (1, 2)


def _add(engine: Engine, instructions: list[Instruction]) -> None:
    with writing(engine) as connection:
        connection.execute(
            text(
                "INSERT INTO instructions (instruction_id, window_id, form, currency, debtor_id, creditor_id, amount)"
                " VALUES (:instruction_id, :window_id, :form, :currency, :debtor_id, :creditor_id, :amount)"
            ),
            [{name: getattr(one, name) for name in Instruction.__slots__} for one in instructions],
        )


def test_instructions_in_both_forms_are_found(books: Books, tmp_path: Path) -> None:
    """Each would settle the window; both together pay it twice."""
    engine = books.network.engine
    _night(engine, tmp_path / "out")
    with reading(engine) as connection:
        payments = through_operator(load_positions(connection, 1))
    _add(engine, instruct(audience=AUDIENCE, window_id=1, form="through-operator", payments=payments))

    assert "forms beside each other" in str(_audit(engine, full=True).failures)


def test_money_that_goes_round_in_a_circle_is_found(books: Books, tmp_path: Path) -> None:
    """Alpha pays bravo 7 too much, which comes back by way of charlie: every party's sum is right."""
    engine = books.network.engine
    _night(engine, tmp_path / "out")
    payments = [
        Payment("EUR", "alpha", "bravo", 11),
        Payment("EUR", "alpha", "charlie", 30),
        Payment("EUR", "bravo", "charlie", 7),
        Payment("EUR", "charlie", "alpha", 7),
    ]
    with writing(engine) as connection:
        made = instruct(audience=AUDIENCE, window_id=1, form="partner-to-partner", payments=payments)
        save_instructions(connection, 1, made)

    assert "paid by one that receives" in str(_audit(engine, full=True).failures)


@pytest.mark.parametrize("full", [False, True])
def test_refusals_that_an_audit_has_seen_cannot_vanish(books: Books, *, full: bool) -> None:
    """The head rewound with them, so that the chain that is left holds."""
    engine = books.network.engine
    assert _audit(engine, full=True).refusals == 1
    with writing(engine) as connection:
        connection.execute(text("DELETE FROM refusals"))
        connection.execute(
            text("UPDATE heads SET refusals = 0, refusals_hash = :genesis"), {"genesis": genesis_hash(AUDIENCE, 0)}
        )

    assert "hash of the refusal last proven" in str(_audit(engine, full=full).failures)
