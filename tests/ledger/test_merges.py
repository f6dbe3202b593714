"""Two members become one: points, debts and identifiers go on, old ids lead on, what comes back later follows; both engines."""

from pathlib import Path

import pytest
from sqlalchemy import select

from gateway.domain.entry import EntryKind
from gateway.domain.identifiers import IDENTIFIERS_MAX, IdentifierKind
from gateway.domain.ids import bucket_of
from gateway.domain.lanes import lane_of
from gateway.domain.outcome import Reason
from gateway.domain.receipt import Answer
from gateway.domain.terms import DebtPolicy
from gateway.network_terms import TermsChange
from gateway.storage.tables import entries, lots, member_identifiers, members
from tests.given import at, month
from tests.ledger.books import NOON, Books, audited
from tests.ledger.test_members import named


@pytest.fixture(params=[1, 2], ids=["one lane", "two lanes"])
def merging(request: pytest.FixtureRequest, tmp_path: Path, network_url: str | None) -> Books:
    """Books with ann and ben; in two lanes they live in different ones."""
    network = month(tmp_path / "net", lanes=request.param, url=network_url)
    books = Books(network, now_ms=at("2026-06-01", "09:00"))
    books.enrol("ann", "ben")
    books.now_ms = NOON
    return books


def rows_of(books: Books, name: str) -> tuple[int, int]:
    """Open points and debt in the account that was enrolled as `name`, whatever it leads to."""
    found = select(members.c.open_points, members.c.debt_points).where(members.c.member_id == books.id_of(name).member_id)
    (row,) = books.rows(found)
    return row.open_points, row.debt_points


def lots_of(books: Books, name: str) -> list[tuple[str, int, int, str]]:
    """Issuer, open points, price and expiry of the account's lots, in their order."""
    found = select(lots.c.issuer_id, lots.c.open_points, lots.c.price_micros, lots.c.expires_on)
    mine = found.where(lots.c.member_id == books.id_of(name).member_id, lots.c.open_points > 0)
    return [tuple(row) for row in books.rows(mine.order_by(lots.c.expires_on, lots.c.arrival))]


def test_points_of_both_are_the_points_of_one(merging: Books) -> None:
    """100 and 200 make 300 (odoo #171706); lots keep issuer, price, expiry and order."""
    merging.run(merging.issue("ann", "100.00", partner="bravo"), merging.issue("ann", "60.00"))
    merging.run(merging.issue("ben", "200.00", partner="bravo"))
    before = [*lots_of(merging, "ben"), *lots_of(merging, "ann")]

    merging.book(merging.merge("ann", "ben"))

    assert rows_of(merging, "ann") == (0, 0)
    assert rows_of(merging, "ben") == (330, 0)
    assert lots_of(merging, "ben") == before
    assert audited(merging) == ()


def test_the_old_id_and_the_old_card_lead_to_the_new_member(merging: Books) -> None:
    """For every later call; the receipt names the new one."""
    merging.run(merging.issue("ann", "100.00"), merging.merge("ann", "ben"))

    by_id = merging.book(named(merging.issue("ann", "20.00"), merging.id_of("ann")))
    by_card = merging.book(merging.redeem("ann", 15))

    assert {by_id.member_id, by_card.member_id} == {merging.id_of("ben").member_id}
    assert by_card.balance_points == 45
    assert audited(merging) == ()


def test_a_merge_that_is_sent_again_is_answered_again(merging: Books) -> None:
    """And one with another key is told that they are one."""
    merging.book(merging.issue("ann", "100.00"))
    merge = merging.merge(merging.id_of("ann"), merging.id_of("ben"))
    first = merging.run(merge)[0]

    again = merging.run(merge)[0]

    assert isinstance(first, Answer)
    assert isinstance(again, Answer)
    assert (again.receipt, again.is_replayed) == (first.receipt, True)
    assert merging.refused(merging.merge(merging.id_of("ann"), merging.id_of("ben"))) is Reason.MEMBER_MERGED
    assert merging.refused(merging.merge(merging.id_of("ben"), merging.id_of("ann"))) is Reason.MEMBER_MERGED
    assert merging.refused(merging.merge("ben", merging.id_of("ben"))) is Reason.MEMBER_MERGED
    assert rows_of(merging, "ben") == (50, 0)


def test_a_chain_of_merges_leads_to_its_end(merging: Books) -> None:
    """From a to b, from b to c: all three are c."""
    merging.enrol("cay")
    merging.run(merging.issue("ann", "20.00"), merging.issue("ben", "40.00"), merging.issue("cay", "60.00"))
    merging.book(merging.merge("ann", "ben"))

    merging.book(merging.merge("ben", "cay"))

    assert rows_of(merging, "cay") == (60, 0)
    asked = [named(merging.issue("ann", "2.00"), merging.id_of(name)) for name in ("ann", "ben", "cay")]
    assert {merging.book(command).member_id for command in asked} == {merging.id_of("cay").member_id}
    assert merging.refused(merging.merge(merging.id_of("cay"), merging.id_of("ann"))) is Reason.MEMBER_MERGED
    assert audited(merging) == ()


def test_a_merge_within_one_batch_is_seen_by_what_follows(merging: Books) -> None:
    """The second command sees the first."""
    merging.book(merging.issue("ann", "100.00"))

    merging.run(merging.merge("ann", "ben"), merging.redeem("ben", 30), merging.redeem("ann", 5))

    assert rows_of(merging, "ben") == (15, 0)
    assert audited(merging) == ()


@pytest.mark.parametrize(("source", "target"), [("ann", "ben"), ("ben", "ann")])
def test_nobody_has_debt_and_points_after_a_merge(merging: Books, source: str, target: str) -> None:
    """The joined points pay, whichever of the two owes."""
    bought = merging.issue("ann", "100.00")
    merging.run(bought, merging.redeem("ann", 40), merging.reverse(bought))
    merging.book(merging.issue("ben", "70.00", partner="bravo"))
    assert (rows_of(merging, "ann"), rows_of(merging, "ben")) == ((0, 40), (70, 0))

    merging.book(merging.merge(source, target))

    assert rows_of(merging, target) == (30, 0)
    assert rows_of(merging, source) == (0, 0)
    assert audited(merging) == ()


def test_debts_of_both_are_the_debts_of_one(merging: Books) -> None:
    """And the next issue pays them, oldest in the account first."""
    for name, redeemed in (("ann", 30), ("ben", 20)):
        bought = merging.issue(name, "100.00")
        merging.run(bought, merging.redeem(name, redeemed), merging.reverse(bought))

    merging.book(merging.merge("ann", "ben"))

    assert rows_of(merging, "ben") == (0, 50)
    assert merging.book(merging.issue("ann", "120.00")).balance_points == 10
    assert audited(merging) == ()


def test_goods_of_before_the_merge_come_back(merging: Books) -> None:
    """The points are taken from the member that goes on; n parts take what one whole takes."""
    bought = merging.issue("ann", "100.00")
    merging.run(bought, merging.merge("ann", "ben"))
    merging.book(merging.issue("ben", "30.00", partner="bravo"))

    merging.book(merging.reverse(bought, amount="30.00"))
    assert rows_of(merging, "ben") == (65, 0)
    merging.book(merging.reverse(bought))

    assert rows_of(merging, "ben") == (30, 0)
    assert rows_of(merging, "ann") == (0, 0)
    assert merging.refused(merging.reverse(bought)) is Reason.ALREADY_REVERSED
    assert audited(merging) == ()


def test_what_is_missing_after_a_merge_becomes_a_debt_of_the_new_member(merging: Books) -> None:
    """The old account owes nothing."""
    bought = merging.issue("ann", "100.00")
    merging.run(bought, merging.merge("ann", "ben"), merging.redeem("ben", 45))

    merging.book(merging.reverse(bought))

    assert (rows_of(merging, "ann"), rows_of(merging, "ben")) == ((0, 0), (0, 45))
    assert audited(merging) == ()


def test_without_debts_the_new_members_points_go_before_cash_is_withheld(merging: Books) -> None:
    """Only what nobody has is kept back from the refund."""
    merging.network.network_terms("2026-06-04", TermsChange(debt_policy=DebtPolicy.WITHHOLD_CASH))
    bought = merging.issue("ann", "100.00")
    merging.run(bought, merging.merge("ann", "ben"), merging.redeem("ben", 45))

    receipt = merging.book(merging.reverse(bought))

    assert receipt.withheld == ("EUR", 45)
    assert (rows_of(merging, "ann"), rows_of(merging, "ben")) == ((0, 0), (0, 0))
    assert audited(merging) == ()


def test_a_redemption_of_before_the_merge_is_undone_for_the_new_member(merging: Books) -> None:
    """Points go back to their lots, and from there on; they pay the new member's debt first."""
    paid, bought = merging.redeem("ann", 40), merging.issue("ben", "50.00")
    merging.run(merging.issue("ann", "100.00"), paid, merging.merge("ann", "ben"))
    merging.run(bought, merging.redeem("ben", 35), merging.reverse(bought))
    assert rows_of(merging, "ben") == (0, 25)

    merging.book(merging.reverse(paid, points=30))
    assert rows_of(merging, "ben") == (5, 0)
    merging.book(merging.reverse(paid))

    assert (rows_of(merging, "ann"), rows_of(merging, "ben")) == ((0, 0), (15, 0))
    assert audited(merging) == ()


def test_a_checkout_of_before_the_merge_is_refunded(merging: Books) -> None:
    """Both legs, and what they leave goes on."""
    merging.book(merging.issue("ann", "1000.00"))
    basket = merging.checkout("ann", "100.00", points=100)
    merging.run(basket, merging.merge("ann", "ben"))
    before = rows_of(merging, "ben")

    merging.book(merging.refund(basket))

    assert before == (449, 0)
    assert (rows_of(merging, "ann"), rows_of(merging, "ben")) == ((0, 0), (500, 0))
    assert audited(merging) == ()


def test_overdue_points_stay_where_they_are_and_expire_there(merging: Books) -> None:
    """They can be used by nobody, and pay no debt."""
    merging.now_ms = at("2026-06-01")
    merging.book(merging.issue("ann", "100.00"))  # expires on 20 June
    merging.now_ms = at("2026-06-21", "08:00")

    merging.book(merging.merge("ann", "ben"))

    assert (rows_of(merging, "ann"), rows_of(merging, "ben")) == ((50, 0), (0, 0))
    assert merging.expire("2026-06-21") == 50
    assert audited(merging) == ()


def test_identifiers_of_both_are_those_of_one(merging: Books) -> None:
    """Up to how many a member may have."""
    merging.run(*(merging.add("ann", IdentifierKind.QR, f"qr-{number}") for number in range(IDENTIFIERS_MAX - 2)))
    merging.book(merging.add("ben", IdentifierKind.PHONE, "phone-1"))
    assert merging.refused(merging.merge("ann", "ben")) is Reason.BALANCE_LIMIT
    merging.book(merging.remove("ann", "qr-0"))

    merging.book(merging.merge("ann", "ben"))

    found = select(member_identifiers.c.identifier_hash).where(member_identifiers.c.member_id == merging.id_of("ben").member_id)
    assert len(merging.rows(found)) == IDENTIFIERS_MAX
    merging.book(merging.remove("ben", "ann"))
    assert audited(merging) == ()


def test_an_erased_member_takes_its_old_ids_along(merging: Books) -> None:
    """All that led to it leads nowhere."""
    merging.run(merging.issue("ann", "100.00"), merging.merge("ann", "ben"), merging.erase("ben"))

    asked = [named(merging.issue("ann", "2.00"), merging.id_of(name)) for name in ("ann", "ben")]

    assert {merging.refused(command) for command in asked} == {Reason.MEMBER_ERASED}
    assert merging.rows(select(member_identifiers)) == []
    assert audited(merging) == ()


def test_a_paused_member_and_one_with_holds_go_nowhere(merging: Books) -> None:
    """Until they are resumed, and no till is about to take what it has set aside."""
    merging.run(merging.issue("ann", "100.00"), merging.pause("ann"))
    merge = merging.merge("ann", "ben")
    assert merging.refused(merge) is Reason.SPENDING_PAUSED
    hold = merging.place("ann", 10)
    merging.run(merging.resume("ann"), hold)
    assert merging.refused(merge) is Reason.MEMBER_HAS_HOLDS

    merging.book(merging.void(hold))

    assert merging.book(merge).balance_points == 0
    assert rows_of(merging, "ben") == (50, 0)
    assert audited(merging) == ()


def test_a_hold_that_ended_before_the_merge_is_the_new_members_and_over(merging: Books) -> None:
    """A till that asks for it once more hears that it is over, not that there is none."""
    hold = merging.place("ann", 20)
    basket = merging.checkout("ann", "100.00", partner="bravo", hold=hold)
    merging.run(merging.issue("ann", "100.00"), hold, basket, merging.merge("ann", "ben"))

    again = merging.checkout("ben", "100.00", partner="bravo", hold=hold)

    assert merging.refused(again) is Reason.HOLD_NOT_OPEN
    assert merging.refused(merging.checkout("ben", "100.00", partner="alpha", hold=hold)) is Reason.HOLD_NOT_FOUND


def test_holds_of_the_new_member_that_are_over_end_before_goods_of_before_come_back(merging: Books) -> None:
    """Cash is kept back for what the member lacks, not for what a till had set aside and left."""
    merging.network.network_terms("2026-06-04", TermsChange(debt_policy=DebtPolicy.WITHHOLD_CASH))
    bought = merging.issue("ann", "100.00")
    merging.run(bought, merging.merge("ann", "ben"), merging.place("ben", 50, ttl_s=60))
    merging.now_ms += 60_000

    receipt = merging.book(merging.reverse(bought))

    assert receipt.withheld is None
    assert (rows_of(merging, "ann"), rows_of(merging, "ben")) == ((0, 0), (0, 0))
    assert audited(merging) == ()


def test_each_side_of_a_merge_stands_in_its_own_lane(merging: Books) -> None:
    """As both sides of a transfer."""
    merging.run(merging.issue("ann", "100.00"), merging.merge("ann", "ben"))

    found = merging.rows(select(entries.c.kind, entries.c.lane, entries.c.member_id).where(entries.c.kind.in_(_MERGES)))

    number = max(row.lane for row in merging.rows(select(entries.c.lane))) + 1
    ids = {EntryKind.MERGE_OUT: merging.id_of("ann").member_id or "", EntryKind.MERGE_IN: merging.id_of("ben").member_id or ""}
    assert sorted(map(tuple, found)) == sorted((k, lane_of(bucket_of(i), number), i) for k, i in ids.items())


_MERGES = (EntryKind.MERGE_OUT, EntryKind.MERGE_IN)


def test_a_refund_of_before_the_merge_speaks_the_new_members_language(merging: Books) -> None:
    """Though it is booked at the old account."""
    basket = merging.checkout("ann", "100.00")
    merging.run(basket, merging.confirm("ann", "fr"), merging.confirm("ben", "de"), merging.merge("ann", "ben"))

    assert merging.book(merging.refund(basket)).language == "de"
    assert audited(merging) == ()
