"""TillService by both tills, against the gateway itself: one declaration, the same answers."""

import asyncio
from collections.abc import Iterator

import pytest

from partners.pos import AsyncTill, PosError, Refused, Till, amount, basket_line, card, returned_line
from partners.pos import requests_till as ask
from tallystick.v1 import types_pb2
from tests.pos.coalition import Coalition, running_coalition

TOTAL = amount("42.50 EUR")


@pytest.fixture(scope="module")
def coalition(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Coalition]:
    """One shop: a point a euro, a cent a point."""
    with running_coalition(tmp_path_factory.mktemp("coalition"), {"acme": ("1", "1.00")}) as running:
        yield running


@pytest.fixture
def till(coalition: Coalition) -> Iterator[Till]:
    """Of the shop's."""
    with Till.open(coalition.profiles["acme"]) as opened:
        yield opened


def member_with_points(till: Till, number: str) -> types_pb2.MemberRef:
    """A new member with 600 points."""
    till.enrol(number, key=f"{number}-enrol")
    till.checkout(card(number), amount("600.00 EUR"), key=f"{number}-first")
    return card(number)


def test_points_and_money_pay_in_two_calls(till: Till) -> None:
    """The hold is captured in part; one receipt covers what was redeemed and what was issued."""
    alice = member_with_points(till, "ALICE-1")
    hold = till.place_hold(alice, 500, key="alice-hold", ttl_s=60)
    sale = till.checkout(alice, TOTAL, hold_id=hold.entry_id, captured_points=400, key="alice-sale")

    assert (hold.points, hold.receipt.standing.held_points) == (0, 500)
    assert (sale.points, sale.receipt.to_pay.minor_units, sale.receipt.standing.held_points) == (-400 + 38, 3850, 0)


def test_an_answer_has_lines_for_the_paper_receipt_and_says_what_the_cashier_should_know(till: Till) -> None:
    """In the language that is asked for; nothing of it where a call has none."""
    lena = member_with_points(till, "LENA-1")
    hold = till.place_hold(lena, 500, key="lena-hold", language="fr")
    sale = till.checkout(lena, TOTAL, hold_id=hold.entry_id, captured_points=400, key="lena-sale", language="de")
    issued = till.issue(lena, amount("1.00 EUR"), key="lena-more")

    assert hold.receipt_lines[0] == "Réservé: 5,00 EUR"
    assert sale.receipt_lines[:3] == ("Punkte bezahlt: 400", "Punkte erhalten: 38", "Mit Punkten: 4,00 EUR")
    assert sale.warnings == ("HOLD_CAPTURED_IN_PART",)
    assert (issued.receipt_lines, issued.warnings) == ((), ())


def test_points_pay_at_once(till: Till) -> None:
    """So many, or up to an amount; a quote said what is possible."""
    bob = member_with_points(till, "BOB-1")
    quote = till.quote(bob, TOTAL, eligible=amount("20.00 EUR"))
    sale = till.checkout(bob, TOTAL, points=amount("5.00 EUR"), eligible=amount("20.00 EUR"), key="bob-sale")

    assert (quote.points_to_issue, quote.points_max) == (20, 600)
    assert sale.points == -500 + 15


def test_lines_come_back_one_by_one(till: Till) -> None:
    """Part of one, then all that is left."""
    carol = member_with_points(till, "CAROL-1")
    lines = [basket_line("1", amount("30.00 EUR")), basket_line("2", amount("12.50 EUR"), earns_nothing=True)]
    sale = till.checkout(carol, TOTAL, lines=lines, key="carol-sale")
    first = till.refund(checkout_id=sale.entry_id, part=[returned_line("1", amount("10.00 EUR"))], key="carol-back-1")
    rest = till.refund(checkout_key="carol-sale", key="carol-back-2")

    assert [one.points for one in (sale, first, rest)] == [30, -10, -20]
    assert [one.receipt.to_pay.minor_units for one in (first, rest)] == [1000, 3250]


def test_a_refund_may_arrive_before_its_sale(till: Till) -> None:
    """It is parked, and completed when the sale comes."""
    dan = member_with_points(till, "DAN-1")
    parked = till.refund(checkout_key="dan-sale", part=amount("2.50 EUR"), who=dan, key="dan-back")
    till.checkout(dan, TOTAL, key="dan-sale")

    assert parked.receipt.kind == types_pb2.ENTRY_KIND_PARK_REFUND
    assert till.balance(dan).balance_points == 600 + 40


def test_checkouts_go_by_batch_but_holds_do_not(till: Till) -> None:
    """A hold is for somebody who waits."""
    eve = member_with_points(till, "EVE-1")
    sale = ask.checkout(eve, TOTAL, key="eve-sale")
    booked = till.submit_batch([sale, ask.refund(checkout_key="eve-sale", key="eve-back")])

    assert [one.points for one in booked if not isinstance(one, Refused)] == [42, -42]
    with pytest.raises(PosError, match="PlaceHold does not go by batch"):
        till.submit_batch([ask.place_hold(eve, 1, key="eve-hold")])


def test_the_asynchronous_till_has_the_same_calls(till: Till, coalition: Coalition) -> None:
    """Name for name; and they do the same."""
    frank = member_with_points(till, "FRANK-1")

    async def shop() -> tuple[int, int, int, str]:
        async with AsyncTill.open(coalition.profiles["acme"]) as other:
            quote = await other.quote(frank, TOTAL)
            await other.place_hold(frank, 100, key="frank-hold")
            released = await other.void_hold(hold_key="frank-hold", key="frank-void")
            sale = await other.checkout(frank, TOTAL, key="frank-sale")
            with pytest.raises(Refused) as refused:
                await other.refund(checkout_key="frank-sale", part=amount("50.00 EUR"), key="frank-back")
            return quote.points_to_issue, released.points, sale.points, refused.value.reason

    names = [{name for name in dir(kind) if not name.startswith("_")} for kind in (Till, AsyncTill)]
    assert names[0] == names[1]
    assert asyncio.run(shop()) == (42, 0, 42, "REFUND_EXCEEDS_REST")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: ask.void_hold(key="k"), "name the hold in one way"),
        (lambda: ask.void_hold(key="k", hold_id="e", hold_key="h"), "name the hold in one way"),
        (lambda: ask.refund(key="k"), "name the checkout in one way"),
        (lambda: ask.checkout(card("ALICE-1"), TOTAL, key="k", points=1, hold_key="h"), "say in one way what points pay"),
        (lambda: ask.checkout(card("ALICE-1"), TOTAL, key="k", eligible=amount("1.00 USD")), "in the unit of the total, EUR"),
    ],
)
def test_what_contradicts_itself_is_not_sent(make: object, said: str) -> None:
    """Each is a mistake of the program's, and is told where it is made."""
    assert callable(make)
    with pytest.raises(PosError, match=said):
        make()
