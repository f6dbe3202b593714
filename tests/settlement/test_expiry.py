"""Expiry as a job of its own: killed and run again, twice at once, beside traffic; each lot expires once, on both engines."""

import signal
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread

import pytest
from sqlalchemy import Connection, Engine, func, select

from gateway.domain.command import Enrol
from gateway.domain.entry import EntryKind, PostingKind
from gateway.ledger.audit import audit
from gateway.ledger.pace import Pace
from gateway.storage.engine import reading
from gateway.storage.tables import entries, lots, postings
from settlement.nightly import expire_overdue
from tests.given import at, month
from tests.patience import patience_s
from tests.settlement.given import Shop, card_hash, issue, network_engine
from tests.settlement.night import finish, start

OVERDUE, OVERDUE_AT = "2026-06-21", "2026-06-21T00:00:10+02:00"
AT_MS = at(OVERDUE, "00:00:10")
LOTS = 2_000
MEMBERS = ("m1", "m2", "m3")


class Interrupted(Exception):
    """Somebody has ended the job."""


class EndsAfter(Pace):
    """Ends the job after so many writes, where a kill would: between two transactions."""

    def rest(self, connection: Connection) -> None:
        """Raises, in time."""
        super().rest(connection)
        if self.writes == 3:
            raise Interrupted


@pytest.fixture
def folder(tmp_path: Path, network_url: str | None) -> Path:
    """A network with many lots, all of which are overdue after the same day."""
    return with_lots(tmp_path / "net", network_url)


def with_lots(folder: Path, url: str | None) -> Path:
    """Makes such a network."""
    network = month(folder, url=url)
    shop = Shop(network.engine)
    enrolments = [
        Enrol(partner_id="alpha", key_id="alpha/till-1/1", idempotency_key=name, card_hash=card_hash(name)) for name in MEMBERS
    ]
    shop.book_all(enrolments, now_ms=at("2026-06-01", "08:00"))
    for first in range(0, LOTS, 500):
        numbers = range(first, first + 500)
        shop.book_all([issue(f"e{n}", "alpha", MEMBERS[n % 3], 2_00) for n in numbers], now_ms=at("2026-06-01"))
    network.engine.dispose()
    return network.folder


def expired(engine: Engine) -> tuple[int, int, int]:
    """Postings that let points expire, how many different lots that were, and how many overdue lots are left."""
    overdue = select(func.count()).where(lots.c.open_points > 0, lots.c.expires_on < OVERDUE)
    booked = select(postings.c.lot_id).where(postings.c.kind == PostingKind.EXPIRE.value)
    with reading(engine) as connection:
        rows = connection.execute(booked).scalars().all()
        return len(rows), len(set(rows)), connection.execute(overdue).scalar_one()


def together_at(engine: Engine) -> list[tuple[int, str, int]]:
    """Sequence and id of entries that let points expire, and how many lots each has."""
    expiring = entries.c.kind == EntryKind.EXPIRE.value
    counted = select(entries.c.sequence, entries.c.entry_id, func.count()).join(
        postings, postings.c.entry_id == entries.c.entry_id
    )
    by_entry = counted.where(expiring).group_by(entries.c.sequence, entries.c.entry_id).order_by(entries.c.sequence)
    with reading(engine) as connection:
        return [(sequence, entry_id, count) for sequence, entry_id, count in connection.execute(by_entry)]


def test_a_job_that_was_ended_goes_on_when_it_is_run_again(folder: Path) -> None:
    """What has expired stays expired, and nothing expires twice."""
    engine = network_engine(folder)
    with pytest.raises(Interrupted):
        expire_overdue(engine, at_ms=AT_MS, pace=EndsAfter())
    before, _, left = expired(engine)

    expire_overdue(engine, at_ms=AT_MS)
    again = expire_overdue(engine, at_ms=AT_MS)

    booked, different, rest = expired(engine)
    assert 0 < before < booked
    assert (booked, rest, again) == (before + left, 0, 0)
    assert booked == different
    assert audit(engine, full=True, now_ms=AT_MS).failures == ()
    engine.dispose()


def test_entries_do_not_depend_on_where_a_run_was_ended(tmp_path: Path, new_network_url: Callable[[], str | None]) -> None:
    """The lots of a member go together, fifty to an entry; ended and run again, the same entries stand in the same places."""
    ended, undisturbed = (network_engine(with_lots(tmp_path / name, new_network_url())) for name in ("ended", "undisturbed"))
    with pytest.raises(Interrupted):
        expire_overdue(ended, at_ms=AT_MS, pace=EndsAfter(rows=70))
    first = together_at(ended)
    expire_overdue(ended, at_ms=AT_MS)
    expire_overdue(undisturbed, at_ms=AT_MS)

    found = together_at(undisturbed)
    assert 0 < len(first) < len(found)
    assert together_at(ended) == found
    assert sorted(count for _, _, count in found) == [16, 17, 17] + [50] * 39
    ended.dispose()
    undisturbed.dispose()


@pytest.mark.parametrize("new_network_url", ["sqlite"], indirect=True)
def test_a_killed_command_is_completed_by_the_next_one(folder: Path) -> None:
    """SIGKILL in the middle of it."""
    engine = network_engine(folder)
    process = start(folder, "settlement", "expire", "--at", OVERDUE_AT)
    while not expired(engine)[0]:
        assert process.poll() is None, "it ended before anybody could kill it"
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=patience_s(120))

    code, said, errors = finish(folder, "settlement", "expire", "--at", OVERDUE_AT)

    booked, different, rest = expired(engine)
    assert (code, rest) == (0, 0), errors
    assert "points expired" in said
    assert booked == different
    assert audit(engine, full=True, now_ms=AT_MS).failures == ()
    engine.dispose()


def test_two_jobs_at_once_share_the_work(folder: Path) -> None:
    """Whoever comes second finds nothing left of a lot."""
    engines = [network_engine(folder) for _ in range(2)]
    points: list[int] = []
    threads = [Thread(target=lambda engine=engine: points.append(expire_overdue(engine, at_ms=AT_MS))) for engine in engines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    booked, different, rest = expired(engines[0])
    with reading(engines[0]) as connection:
        taken = select(func.sum(-entries.c.points)).where(entries.c.kind == EntryKind.EXPIRE.value)
        whole = connection.execute(taken).scalar_one()
    assert (booked == different, rest, sum(points)) == (True, 0, int(whole))
    for engine in engines:
        engine.dispose()


def test_points_expire_beside_traffic(folder: Path) -> None:
    """Both get on, and the books prove both."""
    engines = [network_engine(folder) for _ in range(2)]
    shop, done = Shop(engines[0]), Event()

    def sell() -> None:
        while not done.is_set():
            shop.book(issue(f"beside-{shop.booked}", "bravo", "m1", 10_00), now_ms=AT_MS)

    selling = Thread(target=sell)
    selling.start()
    expire_overdue(engines[1], at_ms=AT_MS)
    done.set()
    selling.join()

    assert shop.booked > 1
    assert expired(engines[0]) == (LOTS, LOTS, 0)
    assert audit(engines[0], full=True, now_ms=AT_MS).failures == ()
    for engine in engines:
        engine.dispose()
