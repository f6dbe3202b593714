"""Any limits and any day at the tills: what the ledger lets through against a model that only counts."""

import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from gateway.domain.command import AmountAsked, Command
from gateway.domain.limits import Limits, Room, room_for_redemption
from gateway.domain.outcome import Refusal
from gateway.domain.receipt import Answer
from gateway.domain.spending import points_asked
from gateway.domain.terms import RateCard, parse_date
from gateway.ledger.audit import audit
from gateway.network_terms import TermsChange
from tests.given import GivenNetwork, at, month
from tests.ledger.books import NOON, Books

_PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
CARD = RateCard("bravo", 1, parse_date("2026-06-01"), {}, 0, 1_300_000, 0, "EUR")  # a point pays 1.3 cents

LIMITS = st.builds(
    Limits,
    minimum_points=st.integers(0, 40),
    multiple_points=st.integers(0, 12),
    entry_points_max=st.sampled_from((0, 60, 200)),
    member_day_redeemed_max=st.integers(0, 300),
    terminal_day_redeemed_max=st.integers(0, 400),
)


@given(LIMITS, LIMITS, st.integers(0, 500), st.integers(1, 600))
def test_up_to_a_value_is_what_trying_every_number_of_points_finds(network: Limits, own: Limits, usable: int, value: int) -> None:
    """The most points that a redemption of exactly so many would allow, and no more than the value takes."""
    room = room_for_redemption(network, own)
    asked = AmountAsked("EUR", value)
    takes = -(-value * 1_000_000 // CARD.face_value_micros)
    allowed = [n for n in range(1, takes + 1) if not isinstance(points_asked(usable, n, None, CARD, room), Refusal)]
    found = points_asked(usable, None, asked, CARD, room)

    if allowed:
        assert found == (allowed[-1], min(value, allowed[-1] * CARD.face_value_micros // 1_000_000))
    else:
        assert isinstance(found, Refusal)


@given(LIMITS, LIMITS, st.integers(1, 500))
def test_what_passes_both_passes_each(network: Limits, own: Limits, points: int) -> None:
    """The stricter one holds: refused together if and only if one of the two would refuse alone."""
    rooms = [room_for_redemption(one, Limits()) for one in (network, own)]

    assert (room_for_redemption(network, own).refuses(points) is None) == all(room.refuses(points) is None for room in rooms)
    assert isinstance(rooms[0], Room)


@dataclass(frozen=True)
class Wish:
    """What a till wants next; numbers pick members, terminals and holds, whatever there is by then."""

    what: str
    member: int
    terminal: int
    points: int
    hold: int
    hours: int


WISHES = st.lists(
    st.builds(
        Wish,
        what=st.sampled_from(("redeem", "checkout", "place", "place", "capture", "void", "refund")),
        member=st.integers(0, 1),
        terminal=st.integers(1, 2),
        points=st.integers(1, 80),
        hold=st.integers(0, 5),
        hours=st.sampled_from((0, 0, 0, 1, 14)),
    ),
    min_size=5,
    max_size=30,
)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> GivenNetwork:
    """The oracle's month, where a member redeems at most 100 a day and a terminal of bravo's at most 150."""
    network = month(tmp_path_factory.mktemp("limits") / "net")
    network.now_ms = at("2026-06-03")
    network.network_terms("2026-06-03", TermsChange(limits=Limits(member_day_redeemed_max=100)))
    network.limits("bravo", "2026-06-03", terminal_day_redeemed_max=150)
    network.engine.dispose()
    return network


@settings(max_examples=15, deadline=None, phases=_PHASES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wishes=WISHES)
def test_a_day_never_sees_more_than_its_limits_and_nothing_less_is_refused(template: GivenNetwork, wishes: list[Wish]) -> None:
    """A redemption is let through if and only if the model has room for it; what is let go makes room again."""
    folder = Path(tempfile.mkdtemp(prefix="tallystick-limits-"))
    books = Books(template.copy(folder / "net"), now_ms=at("2026-06-04"))
    try:
        _try(books, wishes)
        assert audit(books.network.engine, full=True, now_ms=books.now_ms).failures == ()
    finally:
        books.connection.close()
        books.network.engine.dispose()
        shutil.rmtree(folder)


@dataclass
class _Model:
    """Points by day: of members, and of terminals."""

    used: dict[tuple[str, str], int]

    def fits(self, keys: list[tuple[str, str]], points: int) -> bool:
        limits = (100, 150)
        return all(self.used.get(key, 0) + points <= most for key, most in zip(keys, limits, strict=True))

    def add(self, keys: list[tuple[str, str]], points: int) -> None:
        for key in keys:
            self.used[key] = self.used.get(key, 0) + points


def _try(books: Books, wishes: list[Wish]) -> None:
    names, model = ("ann", "ben"), _Model({})
    books.enrol(*names)
    for name in names:
        books.book(books.issue(name, "5000.00", partner="bravo"))
    books.now_ms = NOON
    holds: list[tuple[Command, list[tuple[str, str]], int, str]] = []
    sales: list[Command] = []
    for wish in wishes:
        books.now_ms += wish.hours * 3_600_000
        day = _day(books.now_ms)
        name, key_id = names[wish.member], f"bravo/till-{wish.terminal}/1"
        keys = [(name, day), (key_id, day)]
        if wish.what in ("redeem", "checkout", "place"):
            command = _asked(books, wish, name)
            answer = books.run(replace(command, key_id=key_id))[0]
            is_booked = isinstance(answer, Answer) and answer.refusal is None
            assert is_booked == model.fits(keys, wish.points), (wish, model.used)
            if is_booked:
                model.add(keys, wish.points)
                if wish.what == "place":
                    holds.append((command, keys, wish.points, name))
                elif wish.what == "checkout":
                    sales.append(command)
        elif wish.what == "refund" and sales:
            books.book(books.refund(sales.pop()))
        elif holds and wish.what in ("capture", "void"):
            hold, its_keys, points, owner = holds.pop(wish.hold % len(holds))
            taken = min(points, wish.points) if wish.what == "capture" else 0
            ended = books.checkout(owner, "99.00", partner="bravo", hold=hold, points=taken) if taken else books.void(hold)
            books.book(ended)
            model.add(its_keys, taken - points)


def _asked(books: Books, wish: Wish, name: str) -> Command:
    if wish.what == "redeem":
        return books.redeem(name, wish.points)
    if wish.what == "checkout":
        return books.checkout(name, "99.00", partner="bravo", points=wish.points)
    return books.place(name, wish.points, ttl_s=7 * 86_400)


def _day(now_ms: int) -> str:
    return next(f"2026-06-{number:02d}" for number in range(30, 0, -1) if now_ms >= at(f"2026-06-{number:02d}", "00:00"))
