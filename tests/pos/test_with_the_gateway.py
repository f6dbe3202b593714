"""The till and the replay against the gateway itself: TLS, real books, and a clock months away from the till's."""

from collections.abc import Iterator

import pytest

from gateway.domain.units import Rate
from partners.pos.answers import Booked
from partners.pos.errors import Refused
from partners.pos.replay import WHOLE, Job, Replay
from partners.pos.replay_plan import Columns, Naming, Rule, Stores
from partners.pos.requests import amount, card, issue, redeem
from partners.pos.till import Till
from tests.pos.coalition import Coalition, running_coalition
from tests.pos.naive import balances
from tests.pos.test_replay import SAMPLE

# Points a euro, and cents a point, of each partner; the naive script is told the same.
TERMS = {"books": ("2", "1.10"), "fuel": ("1", "0.90"), "grocer": ("1/2", "1.00")}
NAIVE_TERMS = {"books": (2, 1, 1_100_000), "fuel": (1, 1, 900_000), "grocer": (1, 2, 1_000_000)}
ALICE = card("ALICE-1")


@pytest.fixture(scope="module")
def coalition(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Coalition]:
    """Three partners."""
    with running_coalition(tmp_path_factory.mktemp("coalition"), TERMS) as running:
        yield running


@pytest.fixture
def till(coalition: Coalition) -> Iterator[Till]:
    """Of the bookshop, with Alice as a member."""
    with Till.open(coalition.profiles["books"]) as opened:
        opened.enrol("ALICE-1", key="enrol-alice")
        yield opened


def test_a_sale_and_its_return_are_proven(till: Till) -> None:
    """The receipt says what the gateway booked, and by which lots."""
    carol = card("CAROL-1")
    till.enrol("CAROL-1", key="enrol-carol")
    sale = till.issue(carol, amount("42.50 EUR"), key="sale-1", receipt_number="0001")
    paid = till.redeem(carol, amount("0.55 EUR"), key="redeem-1")
    back = till.reverse(key="return-1", original_key="sale-1", part=amount("10.00 EUR"))

    assert [one.points for one in (sale, paid, back)] == [85, -50, -20]
    assert (paid.receipt.amount.minor_units, paid.receipt.lots[0].issuer_id) == (55, "books")
    assert till.get_entry(key="sale-1").signed_receipt == sale.signed_receipt
    assert till.issue(carol, amount("42.50 EUR"), key="sale-1", receipt_number="0001").is_replayed


def test_a_refusal_of_the_gateway_is_signed(till: Till) -> None:
    """And is the same when the till asks again."""
    receipts = set()
    for _ in range(2):
        with pytest.raises(Refused, match="INSUFFICIENT_POINTS") as caught:
            till.redeem(ALICE, 1_000_000, key="redeem-too-much")
        assert caught.value.facts.signed_receipt is not None
        receipts.add(caught.value.facts.signed_receipt.receipt)

    assert len(receipts) == 1


def test_what_is_wrong_with_a_field_is_told(till: Till) -> None:
    """BadRequest comes through."""
    with pytest.raises(Refused, match="INVALID_FIELDS") as caught:
        till.redeem(ALICE, -1, key="redeem-negative")

    assert [path for path, _ in caught.value.facts.field_violations] == ["points"]


def test_a_batch_is_answered_command_by_command(till: Till) -> None:
    """One signature, two receipts."""
    booked, refused = till.submit_batch(
        [issue(ALICE, amount("5.00 EUR"), key="batch-1"), redeem(ALICE, 1_000_000, key="batch-2")]
    )

    assert isinstance(booked, Booked)
    assert isinstance(refused, Refused)
    assert refused.facts.receipt is not None


def test_another_partners_entry_is_not_found(till: Till, coalition: Coalition) -> None:
    """Whether it exists is nobody else's business."""
    sale = till.issue(ALICE, amount("5.00 EUR"), key="sale-of-books")

    with Till.open(coalition.profiles["fuel"]) as other, pytest.raises(Refused, match="ENTRY_NOT_FOUND"):
        other.get_entry(entry_id=sale.entry_id)


@pytest.mark.slow
def test_real_baskets_end_in_the_balances_of_a_naive_script(coalition: Coalition) -> None:
    """Three partners with rates of their own, two processes: every household, to the point; and again, without effect."""
    job = Job(
        file=SAMPLE,
        profiles=coalition.profiles,
        stores=Stores(tuple(sorted(TERMS)), anchor="grocer"),
        rule=Rule(Rate(1, 5), Rate(4, 25), 7),
        unit="EUR",
        columns=Columns(),
        naming=Naming(),
    )
    with SAMPLE.open() as lines:
        expected = balances(lines, NAIVE_TERMS, anchor="grocer")
    for is_again in (False, True):
        with Replay(job, 2) as running:
            for _ in running.play(WHOLE):
                pass
            summary = running.finish()

        assert {one.household_id: one.balance_points for one in summary.closings} == expected
        assert (summary.untied, summary.totals.refused) == ([], {})
        assert (summary.totals.counts["booked before"] > 0) == is_again
