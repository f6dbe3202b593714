"""Routes: what is guessed, what is learned, and what is remembered for how long."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.domain.command import Enrol, MemberRef, Redeem, Reverse, Transfer
from gateway.domain.ids import bucket_of, entry_id, member_id
from gateway.domain.lanes import Misrouted, lane_of
from gateway.domain.outcome import Reason, Refusal
from gateway.domain.receipt import Answer, Result
from gateway.ledger.routes import REMEMBERED_MAX, Routes
from tests.ledger.lanes import LANES, names_by_lane

CALLER: dict[str, Any] = {"partner_id": "alpha", "key_id": "alpha/till-1/1"}


def booked(*lanes: int) -> Answer:
    """An answer that a batch gives to what it has booked there."""
    return Answer(b"receipt", "r1", lanes=lanes)


NAMES = [names[0] for names in names_by_lane(1)]  # of members, by their lane


def by_id(name: str) -> MemberRef:
    """The member that `enrol` makes."""
    return MemberRef(member_id=member_id("alpha", f"enrol-{name}"))


def by_card(card: str) -> MemberRef:
    """Whoever has the card."""
    return MemberRef(card_hash=card)


def enrol(name: str, card: str = "") -> Enrol:
    """A new member."""
    return Enrol(**CALLER, idempotency_key=f"enrol-{name}", card_hash=card or name)


def redeem(member: MemberRef, key: str = "key") -> Redeem:
    """Any command about a member."""
    return Redeem(**CALLER, idempotency_key=key, member=member, points=1)


def transfer(source: MemberRef, target: MemberRef) -> Transfer:
    """From a member to another."""
    return Transfer(**CALLER, idempotency_key="gift", source=source, target=target, points=1)


def reverse(key: str) -> Reverse:
    """Of what another key booked."""
    return Reverse(**CALLER, idempotency_key=f"back-{key}", original_entry_id=entry_id("alpha", key))


@pytest.fixture
def routes() -> Routes:
    """Knows the number of lanes, and nothing else."""
    known = Routes()
    known.learn(redeem(by_id(NAMES[0])), Misrouted((0,), LANES))
    return known


def test_new_routes_lead_everything_to_the_first_lane() -> None:
    """It is always there, and says where to go."""
    commands = (redeem(by_id(NAMES[3])), enrol(NAMES[2]), transfer(by_id(NAMES[1]), by_card("card")), reverse("key"))

    assert [Routes().guess(command, {}) for command in commands] == [(0,)] * 4


@pytest.mark.parametrize("lane", range(LANES))
def test_ids_say_their_lane(routes: Routes, lane: int) -> None:
    """Of a member, and of one that is yet to be made."""
    assert routes.guess(redeem(by_id(NAMES[lane])), {}) == (lane,)
    assert routes.guess(enrol(NAMES[lane], "card"), {}) == (lane,)


def test_a_transfer_takes_the_lanes_of_both_in_ascending_order(routes: Routes) -> None:
    """One, where both live in it."""
    assert routes.guess(transfer(by_id(NAMES[3]), by_id(NAMES[1])), {}) == (1, 3)
    assert routes.guess(transfer(by_id(NAMES[2]), by_id(NAMES[2])), {}) == (2,)


@pytest.mark.parametrize("lane", range(LANES))
def test_what_was_given_back_is_found_from_then_on(routes: Routes, lane: int) -> None:
    """By its card or its original, whatever command names them next."""
    routes.learn(redeem(by_card("card")), Misrouted((lane,), LANES))
    routes.learn(reverse("sale"), Misrouted((lane,), LANES))

    assert routes.guess(redeem(by_card("card"), "other"), {}) == (lane,)
    assert routes.guess(replace(reverse("sale"), idempotency_key="other"), {}) == (lane,)


def test_what_was_answered_leads_its_card_and_not_its_reversal(routes: Routes) -> None:
    """Few entries are reversed: to remember each of them would cost all the others more than a second trip of those few."""
    routes.answered(redeem(by_card("card"), "sale"), booked(3))

    assert routes.guess(redeem(by_card("card")), {}) == (3,)
    assert routes.unknown([redeem(by_card("card")), reverse("sale")]) == [entry_id("alpha", "sale")]


def test_what_a_call_is_about_leads_to_where_that_call_booked_it(routes: Routes) -> None:
    """Else the reversal would be overtaken by what follows it."""
    routes.answered(redeem(by_card("card"), "sale"), booked(3), awaited={entry_id("alpha", "sale")})

    assert routes.guess(reverse("sale"), {}) == (3,)


@pytest.mark.parametrize(
    "result",
    [
        Refusal(Reason.MEMBER_NOT_FOUND),
        Refusal(Reason.CARD_ALREADY_ENROLLED),
        replace(booked(3), is_replayed=True),
        replace(booked(3), refusal=Refusal(Reason.INSUFFICIENT_POINTS)),
    ],
    ids=["nobody has it", "somebody else has it", "answered before", "refused"],
)
def test_only_what_is_booked_teaches_where_a_card_is(routes: Routes, result: Result) -> None:
    """All else may be said by a lane in which the card's member does not live."""
    routes.answered(redeem(by_card("card")), result)

    assert routes.unknown([redeem(by_card("card"))]) == ["card"]


def test_two_lanes_teach_nothing_about_one_name(routes: Routes) -> None:
    """Nobody knows which of the two cards lives in which."""
    gift = transfer(by_card("giver"), by_card("taker"))
    before = routes.guess(redeem(by_card("giver")), {})
    routes.learn(gift, Misrouted((1, 3), LANES))
    routes.answered(gift, booked(1, 3))

    assert routes.guess(redeem(by_card("giver")), {}) == before
    assert routes.unknown([gift]) == ["giver", "taker"]


def test_another_number_of_lanes_makes_what_was_known_worthless(routes: Routes) -> None:
    """But for what the same answer says."""
    routes.answered(redeem(by_card("old")), booked(3))
    routes.learn(redeem(by_card("card")), Misrouted((1,), 2))

    assert routes.lanes == 2
    assert routes.unknown([redeem(by_card("old")), redeem(by_card("card"))]) == ["old"]
    assert [routes.guess(redeem(by_id(name)), {}) for name in NAMES] == [(0,), (1,), (0,), (1,)]


def test_buckets_that_were_looked_up_become_lanes(routes: Routes) -> None:
    """By the map in force."""
    bucket = bucket_of(member_id("alpha", f"enrol-{NAMES[2]}"))
    routes.found({"card": bucket})

    assert routes.guess(redeem(by_card("card")), {}) == (lane_of(bucket, LANES),) == (2,)
    assert routes.unknown([redeem(by_card("card")), redeem(by_card("nobody"))]) == ["nobody"]


def test_what_a_caller_sent_before_leads_what_follows_it(routes: Routes) -> None:
    """Within one call: a new card, and the entry of an issue that is not booked yet."""
    near: dict[str, int] = {}
    made = enrol(NAMES[3], "card")
    sale = redeem(by_card("card"), "sale")
    for command in (made, sale):
        assert routes.follow(command, routes.guess(command, near), near)

    assert routes.guess(sale, near) == (3,)
    assert routes.guess(reverse("sale"), near) == (3,)


def test_what_names_the_same_but_goes_elsewhere_must_wait(routes: Routes) -> None:
    """Of one card or one key: the second of them does not set out beside the first."""
    near: dict[str, int] = {}
    assert routes.follow(enrol(NAMES[1], "card"), (1,), near)
    before = dict(near)

    assert not routes.follow(enrol(NAMES[2], "card"), (2,), near)
    assert not routes.follow(replace(redeem(by_id(NAMES[2])), idempotency_key=f"enrol-{NAMES[1]}"), (2,), near)
    assert near == before
    assert routes.follow(enrol(NAMES[1], "card"), (1,), near)


def test_no_more_is_remembered_than_a_limit_and_the_oldest_goes_first(routes: Routes) -> None:
    """A gateway that runs for years must not grow."""
    routes.found({f"card-{number}": 0 for number in range(REMEMBERED_MAX)})
    assert routes.unknown([redeem(by_card("card-0"))]) == []
    routes.answered(redeem(by_card("card")), booked(1))

    assert routes.unknown([redeem(by_card(f"card-{number}")) for number in range(3)]) == ["card-0"]
    assert routes.guess(redeem(by_card("card")), {}) == (1,)
