"""The roll-forward of days that nobody planned adds up, and says what a plain script finds in the raw rows."""

import csv
import io
import random
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from threading import Event, Thread

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from gateway.domain.command import Command
from gateway.domain.terms import DebtPolicy, ExpiryRule
from gateway.ledger.audit_roll import roll_forward as audited_roll_forward
from gateway.network_terms import TermsChange
from gateway.storage import audit_sums
from gateway.storage.directory import load_terms
from gateway.storage.engine import reading
from settlement.attribution import attribution_lines
from settlement.liability import Movements, prove, roll_forward
from settlement.liability_reading import Ends, Placing, ends_of_day, open_points_at, read_movements
from settlement.store import cards_of
from tests.given import ZONE, GivenNetwork, at, month
from tests.ledger.busy import BusyBooks
from tests.ledger.days import MEMBERS, Day
from tests.settlement.naive_liability import Key, Raw, columns, follow, load_raw

DAYS = [f"2026-06-{day:02}" for day in range(3, 21)]


class FullDay(Day):
    """A day on which members may turn out to be one."""

    def __init__(self, books: BusyBooks, numbers: random.Random) -> None:
        super().__init__(books, numbers)
        self._wishes = (*self._wishes, self.merge) if numbers.random() < 0.7 else self._wishes

    def merge(self) -> Command | None:
        """Not often: afterwards two cards have one purse."""
        source, target = self.numbers.sample(MEMBERS, 2)
        return self.books.merge(source, target) if self.numbers.random() < 0.15 else None


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> dict[int, GivenNetwork]:
    """By number of lanes: points that soon expire, debts at first and cash later; only to be copied."""
    made = {}
    for lanes in (1, 4):
        network = month(tmp_path_factory.mktemp("month") / "net", lanes=lanes)
        network.network_terms("2026-06-05", TermsChange(expiry_rule=ExpiryRule(after_days=5)))
        network.network_terms("2026-06-16", TermsChange(debt_policy=DebtPolicy.WITHHOLD_CASH))
        network.engine.dispose()
        made[lanes] = network
    return made


def play(network: GivenNetwork, numbers: random.Random) -> None:
    """Some batches a day; the night comes, or is late."""
    books = BusyBooks(network)
    books.now_ms = at("2026-06-02")
    books.enrol(*MEMBERS)
    day = FullDay(books, numbers)
    for today in DAYS:
        books.now_ms = at(today)
        for _ in range(numbers.randint(0, 4)):
            books.run(*day.batch())
        if numbers.random() < 0.3:
            books.expire(today)
    books.connection.close()


def period(engine: Engine, first: str, last: str, *, entries_per_read: int) -> tuple[Movements, Movements, Ends]:
    """What moved before the first of two dates, and from it to the last; and where that is."""
    with reading(engine) as connection:
        cards = cards_of(load_terms(connection))
    placing, begin = Placing(), ends_of_day(engine, ZONE, date.fromordinal(date.fromisoformat(first).toordinal() - 1))
    ends = ends_of_day(engine, ZONE, date.fromisoformat(last))
    before = read_movements(engine, placing, cards, ends=begin, entries_per_read=entries_per_read)
    within = read_movements(engine, placing, cards, after=begin, ends=ends, entries_per_read=entries_per_read)
    return before, within, ends


def check_period(engine: Engine, raw: Raw, first: str, last: str, *, per_read: int) -> None:
    """Opening, each column, closing and values of each line, against the plain script."""
    before, within, ends = period(engine, first, last, entries_per_read=per_read)
    prove(before, within, open_points_at(engine, ends, lots_per_read=per_read))
    opening = follow(raw.booked(ZONE, "", _before(first))).sums(raw)
    closing = follow(raw.booked(ZONE, "", last)).sums(raw)
    moved = columns(raw, raw.booked(ZONE, first, last))
    lines = roll_forward(before, within)
    found: dict[Key, tuple[object, ...]] = {}
    for line in lines:
        shown = {name: points for name, points in line.columns.items() if points}
        key = (line.issuer_id, line.expiry_month, line.currency)
        found[key] = ((line.opening_points, line.opening_value_micros), shown, (line.closing_points, line.closing_value_micros))
    keys = {*opening, *closing, *moved}
    assert found == {key: (opening.get(key, (0, 0)), moved.get(key, {}), closing.get(key, (0, 0))) for key in keys}
    for line in lines:
        c = line.columns
        change = c["issued"] - c["reversed"] - c["redeemed"] + c["restored"] - c["expired"] + c["substituted"]
        assert line.opening_points + change == line.closing_points
        assert c["transferred_in"] == c["transferred_out"]


def check_whole(engine: Engine, raw: Raw) -> None:
    """The audit's sums by issuer, from the running totals, are the report's; the list attributes what was redeemed."""
    _, within, ends = period(engine, "2026-06-01", "2026-07-31", entries_per_read=7)
    with reading(engine) as connection:
        audited = audited_roll_forward(audit_sums.total_rows(connection))
    sums: dict[str, Counter[str]] = {issuer: Counter() for issuer in audited}
    for line in roll_forward(Movements(), within):
        sums[line.issuer_id].update(line.columns)
    for issuer, row in audited.items():
        expected = (row.issued, row.reversed, row.redeemed, row.restored, row.expired, row.substituted)
        names = ("issued", "reversed", "redeemed", "restored", "expired", "substituted")
        assert tuple(sums[issuer][name] for name in names) == expected, issuer
    taken: Counter[str] = Counter()
    for one in (one for some in raw.postings.values() for one in some if one.kind in (2, 3)):
        taken[one.lot_id] += one.points if one.kind == 2 else -one.points
    listed: Counter[str] = Counter()
    content = b"".join(attribution_lines(engine, after={}, ends=ends, entries_per_read=7)).decode()
    for row_ in csv.DictReader(io.StringIO(content)):
        listed[row_["lot_id"]] += int(row_["points"])
        assert row_["issue_entry_id"] == raw.lots[row_["lot_id"]].origin_entry_id
        assert raw.postings[row_["issue_entry_id"]][0].kind == 1
    assert +listed == +taken
    assert -listed == -taken


@pytest.mark.slow
@settings(max_examples=8, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(seed=st.integers(0, 2**32))
def test_any_history_rolls_forward_as_the_raw_rows_say(
    template: dict[int, GivenNetwork], tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    """Merges, gifts, debts, parked refunds, expiry undone and restored points; any period of them, read in pieces of any size."""
    numbers = random.Random(seed)
    folder = Path(shutil.copytree(template[1].folder, tmp_path_factory.mktemp("days") / "net"))
    network = replace(template[1], folder=folder)
    play(network, numbers)
    raw = load_raw(network.engine)
    for _ in range(3):
        first, last = sorted(numbers.sample(DAYS, 2))
        check_period(network.engine, raw, first, last, per_read=numbers.choice((1, 3, 50, 2_000)))
    check_whole(network.engine, raw)
    network.engine.dispose()
    shutil.rmtree(folder)


@pytest.mark.parametrize("new_network_url", ["postgresql"], indirect=True)
@pytest.mark.slow
@pytest.mark.postgres
def test_many_lanes_roll_forward_as_the_raw_rows_say(
    template: dict[int, GivenNetwork], tmp_path: Path, new_network_url: Callable[[], str | None]
) -> None:
    """Four lanes of PostgreSQL: gifts and merges go from one to another."""
    for seed in (1, 2):
        numbers = random.Random(seed)
        network = template[4].copy(tmp_path / f"net-{seed}", url=new_network_url())
        play(network, numbers)
        raw = load_raw(network.engine)
        assert len({entry.lane for entry in raw.entries}) > 1
        for first, last in (("2026-06-03", "2026-06-20"), ("2026-06-08", "2026-06-12")):
            check_period(network.engine, raw, first, last, per_read=5)
        check_whole(network.engine, raw)
        network.engine.dispose()


@pytest.mark.slow
def test_every_way_in_which_points_move_was_played(template: dict[int, GivenNetwork], tmp_path: Path) -> None:
    """Else the property above would prove less than it says."""
    kinds: set[int] = set()
    for seed in range(6):
        network = template[1].copy(tmp_path / f"net-{seed}")
        play(network, random.Random(seed))
        kinds |= {one.kind for some in load_raw(network.engine).postings.values() for one in some}
        network.engine.dispose()

    assert kinds == set(range(1, 16))


def test_what_is_open_at_a_place_is_exact_beside_traffic(
    month_template: GivenNetwork, tmp_path: Path, network_url: str | None
) -> None:
    """Lot by lot, while others are bought and redeemed: the place that was asked for does not move."""
    network = month_template.copy(tmp_path / "net", url=network_url)
    books = BusyBooks(network)
    books.enrol("ann", "ben")
    for number in range(30):
        books.do("2026-06-05", books.issue("ann" if number % 2 else "ben", "50.00", partner="bravo"))
    books.do("2026-06-05", books.redeem("ann", 40), books.redeem("ben", 30, partner="charlie"))
    ends, done = ends_of_day(network.engine, ZONE, date(2026, 6, 5)), Event()
    expected = follow(load_raw(network.engine).up_to(dict(ends)))

    def sell() -> None:
        while not done.is_set():
            books.do("2026-06-06", books.issue("ben", "20.00", partner="bravo"), books.redeem("ben", 1))

    selling = Thread(target=sell)
    selling.start()
    found = [open_points_at(network.engine, ends, lots_per_read=2) for _ in range(5)]
    done.set()
    selling.join()
    raw = load_raw(network.engine)
    books.connection.close()
    network.engine.dispose()

    sums: Counter[Key] = Counter()
    for place, points in found[0].items():
        sums[place.group] += points
    assert {key: points for key, points in sums.items() if points} == {
        key: points for key, (points, _) in expected.sums(raw).items()
    }
    assert all(+one == +found[0] for one in found)


def _before(day: str) -> str:
    return date.fromordinal(date.fromisoformat(day).toordinal() - 1).isoformat()
