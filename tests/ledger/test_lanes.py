"""Lanes: where a command is carried out, what a batch gives back, and that many lanes book what one would."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from sqlalchemy import select

from gateway.domain.command import Command
from gateway.domain.entry import EntryKind
from gateway.domain.ids import bucket_of, member_id
from gateway.domain.lanes import Misrouted, lane_of
from gateway.domain.outcome import Reason, Refusal
from gateway.domain.receipt import Answer, Result
from gateway.edge.receipts import decode_receipt, encode_receipt
from gateway.ledger.audit import audit
from gateway.ledger.audit_receipts import ReceiptForm
from gateway.ledger.batch import run_batch
from gateway.ledger.lane_map import change_lanes
from gateway.storage.engine import writing
from gateway.storage.tables import debts, entries, heads, lots, members, positions, refusals, totals, windows
from tests.given import GivenNetwork, at, month
from tests.ledger.books import NOON, Books
from tests.ledger.busy import BusyBooks
from tests.ledger.days import MEMBERS, Day

RECEIPTS = ReceiptForm(encode_receipt, decode_receipt)


@pytest.fixture
def two_lanes(tmp_path: Path) -> Books:
    """Books of two lanes, with the members of `names` enrolled; it is 5 June 2026, noon."""
    books = Books(month(tmp_path / "net", lanes=2), now_ms=at("2026-06-01", "09:00"))
    books.enrol(*names(books))
    books.now_ms = NOON
    return books


def names(books: Books) -> tuple[str, str, str]:
    """Two members of lane 0, and one of lane 1."""
    found: dict[int, list[str]] = {0: [], 1: []}
    for number in range(100):
        enrolment = books.enrolment(f"m{number}", "alpha")
        found[lane_of(bucket_of(member_id(enrolment.partner_id, enrolment.idempotency_key)), 2)].append(f"m{number}")
    return found[0][0], found[0][1], found[1][0]


def in_lanes(books: Books, lanes: Sequence[int], *commands: Command) -> list[Result | Misrouted]:
    """One batch, in these lanes alone."""
    return run_batch(books.connection, commands, lanes=lanes, now_ms=books.now_ms, settings=books.settings)


def keyed(command: Command, like: Command) -> Command:
    """The command under the key of another one."""
    return replace(command, idempotency_key=like.idempotency_key)


def lanes_of(results: Sequence[Result | Misrouted]) -> list[tuple[int, ...]]:
    """Where each belongs; nowhere else if it was carried out."""
    return [result.lanes if isinstance(result, Misrouted) else () for result in results]


def assert_proved(network: GivenNetwork, *, full: bool = True, receipts: ReceiptForm | None = None) -> None:
    """By the audit."""
    report = audit(network.engine, full=full, now_ms=NOON, receipts=receipts)

    assert [str(failure) for failure in report.failures] == []


def test_a_member_of_another_lane_is_given_back_without_any_effect(two_lanes: Books) -> None:
    """The lane says where it belongs, and how many there are."""
    here, _, there = names(two_lanes)
    before = two_lanes.contents()
    results = in_lanes(
        two_lanes, (0,), two_lanes.issue(there, "10.00"), two_lanes.redeem(there, 1), two_lanes.transfer(there, here, 1)
    )

    assert results == [Misrouted((1,), 2), Misrouted((1,), 2), Misrouted((1,), 2)]
    assert two_lanes.contents() == before


def test_an_enrolment_belongs_to_the_lane_of_the_member_that_it_makes(two_lanes: Books) -> None:
    """Anybody can tell from its key."""
    enrolment = two_lanes.enrolment("new", "alpha")
    lane = lane_of(bucket_of(member_id("alpha", "enrol-new")), 2)

    assert in_lanes(two_lanes, (1 - lane,), enrolment) == [Misrouted((lane,), 2)]
    assert lanes_of(in_lanes(two_lanes, (lane,), enrolment)) == [()]


def test_a_reversal_belongs_to_the_lane_of_its_originals_member(two_lanes: Books) -> None:
    """Whoever asks for it."""
    _, _, there = names(two_lanes)
    issue = two_lanes.issue(there, "10.00")
    two_lanes.book(issue)

    assert in_lanes(two_lanes, (0,), two_lanes.reverse(issue)) == [Misrouted((1,), 2)]


def test_a_transfer_between_lanes_needs_both(two_lanes: Books) -> None:
    """Each side stands in its own lane, under one commit."""
    here, _, there = names(two_lanes)
    two_lanes.book(two_lanes.issue(here, "100.00"))
    transfer = two_lanes.transfer(here, there, 20)

    assert [in_lanes(two_lanes, (lane,), transfer) for lane in (0, 1)] == [[Misrouted((0, 1), 2)]] * 2
    assert lanes_of(in_lanes(two_lanes, (0, 1), transfer)) == [()]
    booked = select(entries.c.kind, entries.c.lane).where(entries.c.kind.in_((EntryKind.TRANSFER_OUT, EntryKind.TRANSFER_IN)))
    assert sorted(map(tuple, two_lanes.rows(booked))) == [(EntryKind.TRANSFER_OUT, 0), (EntryKind.TRANSFER_IN, 1)]
    assert (two_lanes.balance(here), two_lanes.balance(there)) == ((30, 0), (20, 0))
    assert_proved(two_lanes.network)


def test_both_heads_of_a_transfer_have_the_later_of_their_times(two_lanes: Books) -> None:
    """A lane's time never runs back, and both sides have one time."""
    here, _, there = names(two_lanes)
    two_lanes.book(two_lanes.issue(here, "100.00"))
    two_lanes.now_ms += 5_000
    two_lanes.book(two_lanes.issue(there, "1.00"))
    two_lanes.now_ms -= 4_000
    two_lanes.book(two_lanes.transfer(here, there, 20))

    assert [row.last_commit_ms for row in two_lanes.rows(select(heads))] == [NOON + 5_000] * 2


def test_a_transfer_that_is_refused_is_remembered_in_the_givers_lane(two_lanes: Books) -> None:
    """Both heads are held, one of them counts."""
    here, _, there = names(two_lanes)
    in_lanes(two_lanes, (0, 1), two_lanes.transfer(there, here, 20))

    assert [row.lane for row in two_lanes.rows(select(refusals))] == [1]
    assert_proved(two_lanes.network)


def test_known_answers_are_given_by_any_lane(two_lanes: Books) -> None:
    """So are remembered refusals, and keys that booked something else."""
    here, _, there = names(two_lanes)
    issue, vain = two_lanes.issue(there, "10.00"), two_lanes.redeem(there, 1_000)
    first = two_lanes.run(issue, vain)
    again = in_lanes(two_lanes, (0,), issue, vain, keyed(two_lanes.issue(here, "1.00"), issue))

    assert [result.receipt for result in again if isinstance(result, Answer)] == [
        one.receipt for one in first if isinstance(one, Answer)
    ]
    assert again[2] == Refusal(Reason.IDEMPOTENCY_KEY_REUSED)


def test_a_member_that_nobody_knows_is_refused_in_whatever_lane(two_lanes: Books) -> None:
    """There is no lane that would know better."""
    here, _, _ = names(two_lanes)
    unknown = (two_lanes.issue("nobody", "1.00"), two_lanes.transfer(here, "nobody", 1))

    assert [in_lanes(two_lanes, (lane,), *unknown) for lane in (0, 1)] == [
        [Refusal(Reason.MEMBER_NOT_FOUND), Refusal(Reason.MEMBER_NOT_FOUND, {"field": "target"})]
    ] * 2


@dataclass(frozen=True)
class Gift:
    """A transfer that is given back, and between whom."""

    books: Books
    transfer: Command
    giver: str
    receiver: str


@pytest.mark.parametrize(
    "behind",
    [
        lambda gift: gift.books.redeem(gift.giver, 5),
        lambda gift: gift.books.issue(gift.receiver, "1.00"),
        lambda gift: gift.books.reverse(gift.transfer),
        lambda gift: gift.transfer,
        lambda gift: keyed(gift.books.issue(gift.giver, "1.00"), gift.transfer),
    ],
    ids=["the giver", "the receiver", "its reversal", "the same again", "another one of its key"],
)
def test_nothing_overtakes_what_is_given_back(two_lanes: Books, behind: Callable[[Gift], Command]) -> None:
    """What has to do with its members, its entry or its key follows it."""
    here, other, there = names(two_lanes)
    two_lanes.book(two_lanes.issue(here, "100.00"))
    gift = Gift(two_lanes, two_lanes.transfer(here, there, 20), here, there)
    results = in_lanes(two_lanes, (0,), gift.transfer, behind(gift), two_lanes.issue(other, "1.00"))

    assert lanes_of(results) == [(0, 1), (0, 1), ()]


def test_nobody_buys_before_an_enrolment_that_is_given_back(two_lanes: Books) -> None:
    """The card would not be known yet."""
    enrolment = two_lanes.enrolment("new", "alpha")
    lane = lane_of(bucket_of(member_id("alpha", "enrol-new")), 2)

    assert lanes_of(in_lanes(two_lanes, (1 - lane,), enrolment, two_lanes.issue("new", "1.00"))) == [(lane,), (lane,)]


def test_a_lane_that_is_not_in_force_books_nothing(two_lanes: Books) -> None:
    """It belonged to an earlier map, or never began."""
    here, _, _ = names(two_lanes)
    commands = (two_lanes.issue(here, "1.00"), two_lanes.issue("nobody", "1.00"))

    assert in_lanes(two_lanes, (7,), *commands) == [Misrouted((0,), 2)] * 2


def test_lots_of_all_lanes_expire(two_lanes: Books) -> None:
    """Each in its own lane."""
    here, _, there = names(two_lanes)
    two_lanes.now_ms = at("2026-06-01", "10:00")
    two_lanes.book(two_lanes.issue(here, "10.00"))
    two_lanes.book(two_lanes.issue(there, "20.00"))

    assert two_lanes.expire("2026-06-21") == 15
    booked = select(entries.c.lane).where(entries.c.kind == EntryKind.EXPIRE)
    assert sorted(row.lane for row in two_lanes.rows(booked)) == [0, 1]
    assert_proved(two_lanes.network)


@pytest.mark.parametrize("seed", range(3))
def test_many_lanes_book_what_one_would(tmp_path: Path, seed: int) -> None:
    """The same days: the same answers, balances, lots and sums; and all books are proved."""
    days = {lanes: _days(tmp_path / f"{lanes}", lanes, seed) for lanes in (1, 2, 4, 7)}

    assert [day for lanes, day in days.items() if day != days[1]] == []


def _days(folder: Path, lanes: int, seed: int) -> list[object]:
    numbers = random.Random(seed)
    network = month(folder / "net", lanes=lanes)
    books = BusyBooks(network)
    books.now_ms = at("2026-06-02")
    books.enrol(*MEMBERS)
    day = Day(books, numbers)
    said = []
    for date in ("2026-06-03", "2026-06-10", "2026-06-21"):
        books.now_ms = at(date)
        for _ in range(4):
            said += [_without_place(result) for result in books.run(*day.batch())]
        books.night(date)
    assert_proved(network, receipts=RECEIPTS)
    sums = [
        _summed(books, select(totals.c.window_id, totals.c.issuer_id, totals.c.counterparty_id, totals.c.kind, totals.c.points)),
        _summed(books, select(positions.c.partner_id, positions.c.open_value_micros)),
        _summed(books, select(positions.c.partner_id, positions.c.net_debit_micros)),
    ]
    rows = [sorted(map(tuple, books.rows(select(table)))) for table in (members, lots, debts)]
    books.connection.close()
    network.engine.dispose()
    return [said, sums, rows]


def _without_place(result: Result) -> object:
    if isinstance(result, Refusal):
        return result
    receipt = decode_receipt(result.receipt)
    legs = tuple(replace(leg, lane=0, sequence=0, entry_hash=b"") for leg in receipt.legs)
    return replace(receipt, lane=0, sequence=0, entry_hash=b"", legs=legs)


def _summed(books: Books, query: object) -> dict[object, int]:
    found: Counter[object] = Counter()
    for *key, value in books.rows(query):
        found[tuple(key)] += value
    return {key: value for key, value in found.items() if value}


@pytest.mark.parametrize(("before", "after"), [(1, 4), (4, 2), (2, 7)])
def test_the_map_changes_at_a_cut_off(tmp_path: Path, before: int, after: int) -> None:
    """More lanes or fewer: what was booked stays where it is, what comes goes by the new map, and all of it is proved."""
    network = month(tmp_path / "net", lanes=before)
    books = Books(network, now_ms=at("2026-06-01", "09:00"))
    people = [f"m{number}" for number in range(12)]
    books.enrol(*people)
    for one in people:
        books.book(books.issue(one, "10.00"))
    assert_proved(network, full=False)
    with writing(network.engine) as connection:
        closed = change_lanes(connection, after, at_ms=books.now_ms)
    for one in people:
        books.book(books.redeem(one, 3))

    assert (closed.lanes, [row.lanes for row in books.rows(select(windows))]) == (before, [before, after])
    by_window = books.rows(select(entries.c.window_id, entries.c.bucket, entries.c.lane))
    assert all(row.lane == row.bucket % (before if row.window_id == 1 else after) for row in by_window)
    assert_proved(network, full=False)
    assert_proved(network)


def test_lanes_that_come_back_go_on_where_they_were(tmp_path: Path) -> None:
    """Their sequences and chains have no gap."""
    network = month(tmp_path / "net", lanes=4)
    books = Books(network, now_ms=at("2026-06-01", "09:00"))
    people = [f"m{number}" for number in range(12)]
    books.enrol(*people)
    for lanes in (2, 4):
        with writing(network.engine) as connection:
            change_lanes(connection, lanes, at_ms=books.now_ms)
        for one in people:
            books.book(books.issue(one, "10.00"))

    assert {row.lane for row in books.rows(select(entries.c.lane).where(entries.c.window_id == 2))} == {0, 1}
    assert len(books.rows(select(heads))) == 4
    assert_proved(network)
