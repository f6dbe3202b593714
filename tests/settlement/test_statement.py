"""Statements: what they say, and that they say it in the same bytes."""

import hashlib
import json
from datetime import date

from gateway.domain.entry import PostingKind
from gateway.domain.network import SettlementModel
from gateway.domain.statement import LINES_HEADER, StatementLine, line_text
from gateway.domain.terms import RateCard
from gateway.domain.units import MICROS
from gateway.domain.window import LaneRange, Window, WindowState
from gateway.network_terms import DEFAULT_TERMS
from settlement.netting import NetPosition
from settlement.obligation import Obligation, Total
from settlement.pricing import Prices
from settlement.statement import (
    ControlTotals,
    Event,
    StatementParts,
    make_line,
    make_statement,
    readers,
    statement_text,
)

CARD = RateCard("bravo", 1, date(2026, 6, 1), {}, 0, MICROS, 900_000, "EUR")
MODEL = SettlementModel.AT_REDEMPTION
PRICES = Prices({("bravo", 1): CARD}, DEFAULT_TERMS, "EUR")
RANGES = LaneRange(0, 11, 20, b"", 0, b""), LaneRange(1, 5, 4, b"", 0, b"")
WINDOW = Window(3, WindowState.CLOSED, "2026-06-30", 1, b"", 2, RANGES)


def event(kind: PostingKind = PostingKind.REDEEM, issuer_id: str = "alpha") -> Event:
    """600 points at bravo's till."""
    return Event(12, "e-redeemed", "2026-06-05", kind, issuer_id, "bravo", 1, 600, "e-issued", b"receipt")


def line(number: int = 1, kind: PostingKind = PostingKind.REDEEM) -> StatementLine:
    """The redeemer's line of it."""
    return make_line(event(kind), MODEL, PRICES, line_number=number, own_entry_id="e-redeemed", receipt_sha256=bytes(32))


def parts(control: ControlTotals, previous_sha256: bytes | None = None) -> StatementParts:
    """A statement with one line."""
    return StatementParts(
        audience="coalition.example:test",
        model=MODEL,
        partner_id="bravo",
        window=WINDOW,
        previous_sha256=previous_sha256,
        cards=[CARD],
        prices=PRICES,
        obligations=[Obligation("alpha", "bravo", "redemption", 1, "EUR", 600, 540 * MICROS, 540)],
        positions=[NetPosition("EUR", "bravo", 540)],
        movements=[Total("alpha", "bravo", 1, PostingKind.REDEEM, 600)],
        control=control,
    )


def test_an_issuer_reads_its_own_issue_entry_and_a_redeemer_its_own_redemption() -> None:
    """Neither is told the other's entry."""
    assert list(readers(event())) == [("bravo", "e-redeemed"), ("alpha", "e-issued")]


def test_own_points_make_one_line() -> None:
    """The redeemer's, since it is recomputed from its receipts."""
    assert list(readers(event(issuer_id="bravo"))) == [("bravo", "e-redeemed")]


def test_restored_points_are_owed_the_other_way_round() -> None:
    """With a positive number of points."""
    made = line(kind=PostingKind.RESTORE)

    assert (made.kind, made.payer_id, made.payee_id, made.points, made.amount_micros) == (
        "restoration",
        "bravo",
        "alpha",
        600,
        540 * MICROS,
    )


def test_the_control_hash_is_the_hash_of_the_file_of_events() -> None:
    """So that any tool can check a published file."""
    lines = [line(1), line(2, PostingKind.RESTORE)]
    control = ControlTotals()
    for made in lines:
        control.add(made)

    assert control.sha256() == hashlib.sha256((LINES_HEADER + "".join(map(line_text, lines))).encode()).digest()
    assert (control.lines, control.points, control.amount_micros) == (2, 1_200, 1_080 * MICROS)


def test_a_line_is_eleven_fields_that_need_no_quotes() -> None:
    """In the order of the header."""
    assert line_text(line()) == f"1,redemption,alpha,bravo,600,540000000,EUR,2026-06-05,1,e-redeemed,{'00' * 32}\n"


def test_the_same_parts_give_the_same_bytes() -> None:
    """A statement is a function of entries and rate cards."""
    assert make_statement(parts(ControlTotals())) == make_statement(parts(ControlTotals()))


def test_a_statement_names_the_one_before_by_its_hash() -> None:
    """A statement that is withheld shows in the next."""
    first = make_statement(parts(ControlTotals()))
    second = make_statement(parts(ControlTotals(), previous_sha256=first.sha256))

    assert json.loads(first.statement)["previous_sha256"] == ""
    assert json.loads(second.statement)["previous_sha256"] == first.sha256.hex()


def test_a_statement_for_people_says_what_is_owed_and_received() -> None:
    """With ranges of entries, an empty lane included."""
    made = make_statement(parts(ControlTotals()))

    text = statement_text(made.statement, made.sha256)

    assert "lane 0: 11 to 20, lane 1: none" in text
    assert "Net: you receive 5.40 EUR." in text
    assert made.sha256.hex() in text
