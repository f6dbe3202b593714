"""Lots: which are usable, and which are taken first."""

import pytest

from gateway.domain.lot import Debt, Lot, MemberAccount, in_order


def _lot(name: str, *, expires_on: str = "2027-06-30", arrival: int = 0, open_points: int = 10) -> Lot:
    return Lot(
        lot_id=name,
        member_id="m1",
        bucket=7,
        issuer_id="acme",
        price_micros=1_100_000,
        currency="EUR",
        rate_card_version=1,
        business_date="2026-06-01",
        expires_on=expires_on,
        arrival=arrival,
        points=10,
        open_points=open_points,
        expired_points=0,
        origin_entry_id=name,
    )


def _account(*lots: Lot, debts: list[Debt] | None = None) -> MemberAccount:
    return MemberAccount(
        member_id="m1",
        bucket=7,
        enrolled_by="acme",
        open_points=30,
        debt_points=40,
        next_arrival=5,
        entries=3,
        lots={lot.lot_id: lot for lot in lots},
        debts=debts or [],
    )


def _debt(name: str, *, arrival: int, open_points: int) -> Debt:
    return Debt(
        entry_id=name,
        ordinal=0,
        member_id="m1",
        bucket=7,
        issuer_id="acme",
        rate_card_version=1,
        cause_lot_id="l",
        arrival=arrival,
        points=10,
        open_points=open_points,
    )


def test_lots_are_taken_by_expiry_then_arrival() -> None:
    """Whatever the order in which they are stored."""
    lots = [
        _lot("late, first", expires_on="2028-01-31", arrival=0),
        _lot("soon, third", expires_on="2026-12-31", arrival=2),
        _lot("soon, second", expires_on="2026-12-31", arrival=1),
    ]

    assert [lot.lot_id for lot in in_order(lots)] == ["soon, second", "soon, third", "late, first"]


@pytest.mark.parametrize(("network_date", "is_overdue"), [("2026-06-19", False), ("2026-06-20", False), ("2026-06-21", True)])
def test_a_lot_is_usable_through_its_expiry_date(network_date: str, is_overdue: bool) -> None:  # noqa: FBT001 - the table's last column
    """The day before, the day itself, the day after."""
    assert _lot("l", expires_on="2026-06-20").is_overdue(network_date) is is_overdue


def test_overdue_and_empty_lots_are_not_usable() -> None:
    """Also before the expiry job has met the overdue one."""
    account = _account(_lot("overdue", expires_on="2026-06-20"), _lot("empty", open_points=0), _lot("good"))

    assert [lot.lot_id for lot in account.usable_lots("2026-06-21")] == ["good"]


def test_debts_are_paid_oldest_first() -> None:
    """Paid ones stay behind for the audit, and are passed over."""
    debts = [
        _debt("second", arrival=4, open_points=1),
        _debt("paid", arrival=1, open_points=0),
        _debt("first", arrival=3, open_points=2),
    ]

    assert [debt.entry_id for debt in _account(debts=debts).open_debts()] == ["first", "second"]


def test_a_balance_is_open_lots_less_debt() -> None:
    """And so may be negative."""
    assert _account().balance_points == -10


def test_arrivals_are_numbered_without_gaps() -> None:
    """The order in the account is the order of numbering."""
    account = _account()

    assert [account.take_arrival(), account.take_arrival(), account.next_arrival] == [5, 6, 7]
