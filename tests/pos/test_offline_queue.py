"""The offline queue against real books: what it keeps, in which order it catches up, and when it says no."""

import asyncio
import shutil
import sqlite3
from pathlib import Path

import pytest

from gateway.storage.engine import writing
from gateway.storage.terminals import load_terminal
from partners.pos import requests
from partners.pos.answers import Booked
from partners.pos.channel import Signer
from partners.pos.errors import NoAnswer, NotOffline, QueueDiverged, QueueError, QueueFull, Refused
from partners.pos.offline_queue import Drained, OfflineQueue
from tests.e2e.tills import open_async_till, open_till, two_partners
from tests.edge.running import RunningGateway
from tests.given import AUDIENCE
from tests.pos.outages import CARD, Outage, sale


@pytest.fixture
def outage(tmp_path: Path) -> Outage:
    """Of a network with two partners."""
    return Outage(two_partners(tmp_path / "net"), tmp_path / "till-1.queue")


def test_what_was_queued_is_booked_when_the_gateway_is_back(outage: Outage) -> None:
    """Oldest first: the member is enrolled before it gets points."""
    queue = outage.queue()
    queue.append(requests.enrol("CARD-1", key="enrol-1"))
    queue.append(sale(1))
    queue.append(requests.reverse(key="back-1", original_key="sale-0001", part=requests.amount("4.00 EUR")))
    with outage.back() as till:
        drained = queue.drain(till, each=outage.note)
        balance = till.balance(CARD).balance_points

    assert drained == Drained(booked=3, refused=0, warned=0, waiting=0)
    assert balance == 6
    assert [one.outcome.points for one in outage.happened.values() if isinstance(one.outcome, Booked)] == [0, 10, -4]


def test_events_keep_the_time_at_which_they_happened(outage: Outage) -> None:
    """A day later they are booked by their own day."""
    queue = outage.queue()
    queued = queue.append(requests.enrol("CARD-1", key="enrol-1")), queue.append(sale(1))
    outage.network.now_ms += 86_400_000
    with outage.back() as till:
        queue.drain(till, each=outage.note)
    booked = outage.happened[2].outcome

    assert isinstance(booked, Booked)
    assert (booked.receipt.occurred_at_ms, booked.receipt.business_date) == (queued[1].occurred_at_ms, "2026-06-01")
    assert booked.receipt.booked_at_ms == outage.network.now_ms


def test_a_drain_answers_what_the_books_refuse_and_goes_on(outage: Outage) -> None:
    """With its receipt; the answers stay in the file."""
    queue = outage.queue()
    queue.append(sale(1))
    queue.append(requests.enrol("CARD-1", key="enrol-1"))
    queue.append(sale(2))
    with outage.back() as till:
        drained = queue.drain(till, each=outage.note)
    refused = outage.happened[1].outcome
    kept = [one.answer for one in outage.queue().events()]

    assert drained == Drained(booked=2, refused=1, warned=0, waiting=0)
    assert isinstance(refused, Refused)
    assert refused.facts.receipt is not None
    assert [answer.outcome for answer in kept if answer] == ["MEMBER_NOT_FOUND", "BOOKED", "BOOKED"]
    assert all(answer.signed_receipt for answer in kept if answer)


def test_without_a_gateway_everything_waits(outage: Outage) -> None:
    """And nothing is lost by trying."""
    queue = outage.queue()
    queue.append(sale(1))
    with open_till(outage.network, "acme", "127.0.0.1:9") as till, pytest.raises(NoAnswer):
        queue.drain(till)

    assert queue.waiting() == 1


def test_the_same_key_is_queued_once(outage: Outage) -> None:
    """A till that died before it noted the event tries again; other content under the key is a fault."""
    queue = outage.queue()
    first, again = queue.append(sale(1)), queue.append(sale(1))

    assert (first.is_new, again.is_new, again.counter) == (True, False, first.counter)
    assert queue.waiting() == 1
    with pytest.raises(QueueError, match="another command"):
        queue.append(sale(1, cents=500))


def test_a_full_queue_takes_nothing_more_until_it_is_drained(outage: Outage) -> None:
    """N - 1, n and n + 1; answered events do not count."""
    queue = outage.queue(queue_max=2)
    queue.append(requests.enrol("CARD-1", key="enrol-1"))
    queue.append(sale(1))
    with pytest.raises(QueueFull, match="2 events wait"):
        queue.append(sale(2))
    with outage.back() as till:
        queue.drain(till)

    assert queue.append(sale(2)).counter == 3


@pytest.mark.parametrize(
    "command",
    [requests.redeem(CARD, 5, key="r"), requests.transfer(CARD, requests.card("CARD-2"), 5, key="t")],
    ids=["redeem", "transfer"],
)
def test_what_needs_the_gateways_word_is_not_queued(command: requests.Booking, outage: Outage) -> None:
    """The cashier hears it at once."""
    with pytest.raises(NotOffline, match="needs the gateway's word"):
        outage.queue().append(command)


def test_a_clock_that_is_set_back_does_not_break_the_chain(outage: Outage) -> None:
    """The event gets the time of the one before it."""
    queue = outage.queue()
    first = queue.append(requests.enrol("CARD-1", key="enrol-1"))
    outage.network.now_ms -= 60_000
    second = queue.append(sale(1))
    outage.network.now_ms += 60_000
    with outage.back() as till:
        drained = queue.drain(till)

    assert second.occurred_at_ms == first.occurred_at_ms
    assert drained.booked == 2


def test_a_long_outage_is_caught_up_in_calls_of_500(outage: Outage) -> None:
    """And the file keeps the newest answers alone."""
    queue = outage.queue(kept_max=100)
    queue.append(requests.enrol("CARD-1", key="enrol-1"))
    for number in range(500):
        queue.append(sale(number, cents=100))
    with outage.back() as till:
        drained = queue.drain(till, each=outage.note)
        balance = till.balance(CARD).balance_points
    kept = queue.events(limit=2_000)

    assert (drained.booked, balance, len(outage.happened)) == (501, 500, 501)
    assert [one.event.counter for one in kept] == list(range(402, 502))
    assert queue.append(sale(2_000)).counter == 502


def test_large_commands_go_in_calls_that_the_gateway_takes(outage: Outage) -> None:
    """500 of them would be more than 256 KiB."""
    queue = outage.queue()
    queue.append(requests.enrol("CARD-1", key="enrol-1"))
    for number in range(450):
        key = f"{number:04}" + "k" * 60
        queue.append(requests.issue(CARD, requests.amount("1.00 EUR"), key=key, receipt_number="\N{EURO SIGN}" * 64))
    with outage.back() as till:
        assert queue.drain(till).booked == 451


def test_a_queue_drains_over_grpc_aio_as_well(outage: Outage) -> None:
    """With the same answers."""
    queue = outage.queue()
    queue.append(requests.enrol("CARD-1", key="enrol-1"))
    queue.append(sale(1))

    async def catch_up(address: str) -> Drained:
        async with open_async_till(outage.network, "acme", address) as till:
            return await queue.drain_async(till, each=outage.note)

    with RunningGateway(outage.network) as gateway:
        assert asyncio.run(catch_up(gateway.address)).booked == 2
    assert sorted(outage.happened) == [1, 2]


def test_a_file_of_another_terminal_is_refused(outage: Outage) -> None:
    """Or of another network: their chains must not mix."""
    outage.queue().close()
    key = outage.network.keys["acme"]
    with pytest.raises(QueueError, match="is the queue of terminal 'acme/till-1', not of 'acme/till-2'"):
        OfflineQueue(outage.path, Signer("acme/till-2/1", key.sign), audience=AUDIENCE)
    with pytest.raises(QueueError, match="queue of audience"):
        OfflineQueue(outage.path, Signer("acme/till-1/1", key.sign), audience="coalition.example:prod")


def test_a_disk_that_cannot_be_written_is_named(outage: Outage, tmp_path: Path) -> None:
    """No folder, no database, a file that may only be read."""
    with pytest.raises(QueueError, match="No such file or directory; nothing can be queued there"):
        outage.queue(tmp_path / "nowhere" / "queue")
    other = tmp_path / "other"
    other.write_bytes(b"this is no database, but long enough to look like one" * 100)
    with pytest.raises(QueueError, match="file is not a database; nothing was changed in it"):
        outage.queue(other)


def test_a_full_disk_queues_nothing_and_says_so(outage: Outage) -> None:
    """The chain goes on where it was, once there is room."""
    queue = outage.queue()
    queue.append(sale(1))
    large = requests.issue(CARD, requests.amount("1.00 EUR"), key="sale-0002", receipt_number="x" * 8_000)
    connection: sqlite3.Connection = queue._file._connection  # noqa: SLF001 - SQLite's own way to fill a disk
    connection.execute("PRAGMA max_page_count = 1")
    with pytest.raises(QueueError, match="disk is full; nothing was changed"):
        queue.append(large)
    connection.execute("PRAGMA max_page_count = 100000")

    assert queue.waiting() == 1
    assert queue.append(large).counter == 2


def test_an_old_copy_of_the_file_says_so_and_sends_nothing(outage: Outage, tmp_path: Path) -> None:
    """It ends before what the gateway has, whether or not something was queued since."""
    queue = outage.queue()
    queue.append(requests.enrol("CARD-1", key="enrol-1"))
    copy = _copy(outage, tmp_path)
    for number in range(3):
        queue.append(sale(number))
    with outage.back() as till:
        queue.drain(till)
        restored = outage.queue(copy)
        restored.append(sale(7))
        with pytest.raises(QueueDiverged, match="the gateway has acme/till-1 up to 4: the file is an old copy"):
            restored.drain(till)

        assert restored.waiting() == 2
        assert till.balance(CARD).balance_points == 30
    assert not _is_frozen(outage)


def test_a_restored_copy_that_went_on_by_itself_says_so_and_sends_nothing(outage: Outage, tmp_path: Path) -> None:
    """It has as many events as the gateway, or more, but others."""
    queue = outage.queue()
    queue.append(requests.enrol("CARD-1", key="enrol-1"))
    copy = _copy(outage, tmp_path)
    queue.append(sale(1))
    with outage.back() as till:
        queue.drain(till)
        restored = outage.queue(copy)
        for number in range(5, 8):
            restored.append(sale(number))
        with pytest.raises(QueueDiverged, match=r"event 2 of .* is not the one that the gateway has"):
            restored.drain(till)
    assert not _is_frozen(outage)


def test_a_new_file_goes_on_behind_what_the_gateway_has(outage: Outage, tmp_path: Path) -> None:
    """The till's disk was replaced, and nothing was queued since: the chain continues."""
    queue = outage.queue()
    queue.append(requests.enrol("CARD-1", key="enrol-1"))
    with outage.back() as till:
        queue.drain(till)
        fresh = outage.queue(tmp_path / "new.queue")
        fresh.drain(till)
        queued = fresh.append(sale(1))

        assert queued.counter == 2
        assert fresh.drain(till).booked == 1


def test_a_gateway_that_was_restored_from_a_backup_gets_its_events_again(outage: Outage, tmp_path: Path) -> None:
    """The answers that its books lost are asked for anew; the same keys, so the same sales."""
    queue = outage.queue()
    queue.append(requests.enrol("CARD-1", key="enrol-1"))
    with outage.back() as till:
        queue.drain(till)
    outage.network.engine.dispose()
    backup = outage.network.copy(tmp_path / "backup")
    queue.append(sale(1))
    queue.append(sale(2))
    with outage.back() as till:
        queue.drain(till, each=outage.note)
    restored = Outage(backup, outage.path)
    with restored.back() as till:
        drained = queue.drain(till)

        assert drained.booked == 2
        assert till.balance(CARD).balance_points == 20


def test_what_a_restored_gateway_needs_must_still_be_in_the_file(outage: Outage, tmp_path: Path) -> None:
    """Else the till says so, instead of leaving a gap."""
    queue = outage.queue(kept_max=1)
    outage.network.engine.dispose()
    backup = outage.network.copy(tmp_path / "backup")
    queue.append(requests.enrol("CARD-1", key="enrol-1"))
    queue.append(sale(1))
    with outage.back() as till:
        queue.drain(till)
    with Outage(backup, outage.path).back() as till, pytest.raises(QueueDiverged, match="restored from a backup"):
        queue.drain(till)


def _copy(outage: Outage, tmp_path: Path) -> Path:
    """As a backup of the till's disk would have it."""
    with sqlite3.connect(outage.path) as source:
        source.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return Path(shutil.copy(outage.path, tmp_path / "copy.queue"))


def _is_frozen(outage: Outage) -> bool:
    with writing(outage.network.engine) as connection:
        terminal = load_terminal(connection, "acme/till-1")
    assert terminal is not None
    return terminal.is_frozen


def test_a_sale_whose_answer_was_lost_may_be_queued_and_gets_the_first_receipt(outage: Outage) -> None:
    """The same command under the same key: booked once, by whichever came first."""
    queue = outage.queue()
    with outage.back() as till:
        till.enrol("CARD-1", key="enrol-1")
        first = till.book(sale(1))
        queue.append(sale(1))
        queue.drain(till, each=outage.note)
        balance = till.balance(CARD).balance_points
    queued = outage.happened[1].outcome

    assert isinstance(queued, Booked)
    assert (queued.is_replayed, queued.signed_receipt, balance) == (True, first.signed_receipt, 10)
