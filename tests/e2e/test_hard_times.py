"""A clock that is off, a database that somebody else holds: the till gets over both, and the books take no harm."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from partners.pos import requests
from partners.pos.attempts import RetryPolicy
from partners.pos.errors import NoAnswer
from partners.pos.requests import ISSUE
from partners.pos.till import Till
from tests.e2e.commands import done, run_command
from tests.e2e.tills import open_till, signer_of, two_partners
from tests.edge.running import Caller, RunningGateway, issue_request, refusal
from tests.given import AUDIENCE, GivenNetwork

HOUR_MS = 3_600_000
LOCK_WAIT_MS = 60
CARD = requests.card("4000-0001")
TEN_EURO = requests.amount("10.00 EUR")

_HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def network(tmp_path: Path) -> Iterator[GivenNetwork]:
    """Of acme and globex."""
    made = two_partners(tmp_path / "net")
    yield made
    made.engine.dispose()


@contextmanager
def somebody_else_writing(network: GivenNetwork) -> Iterator[None]:
    """Another process that holds the write lock of the file."""
    words = [sys.executable, "-c", _HOLDER, str(network.folder / "books.db")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield
        process.communicate("\n")


@pytest.mark.parametrize("off_ms", [-HOUR_MS, HOUR_MS], ids=["slow", "fast"])
def test_a_till_whose_clock_is_off_signs_by_the_gateways(network: GivenNetwork, off_ms: int) -> None:
    """It asks for the time before its first call."""
    with RunningGateway(network) as gateway:
        channel = grpc.insecure_channel(gateway.address)
        with Till(channel, signer_of(network, "acme"), audience=AUDIENCE, now=lambda: network.now_ms + off_ms) as till:
            booked = till.enrol("4000-0001", key="enrol")

    assert booked.receipt.booked_at_ms == network.now_ms
    assert till.counts.retries == 0


@pytest.mark.parametrize("jump_ms", [-HOUR_MS, HOUR_MS], ids=["back", "ahead"])
def test_a_till_whose_clock_jumps_is_corrected_by_the_refusal(network: GivenNetwork, jump_ms: int) -> None:
    """One call is refused, tells the time, and is signed anew; the next ones pass at once."""
    off_ms = 0
    with RunningGateway(network) as gateway:
        channel = grpc.insecure_channel(gateway.address)
        with Till(channel, signer_of(network, "acme"), audience=AUDIENCE, now=lambda: network.now_ms + off_ms) as till:
            till.enrol("4000-0001", key="enrol")
            off_ms = jump_ms
            booked = [till.issue(CARD, TEN_EURO, key=f"basket-{number}") for number in range(3)]

    assert till.counts.retries == 1
    assert [one.balance_points for one in booked] == [10, 20, 30]
    assert {one.receipt.occurred_at_ms for one in booked} == {network.now_ms}, "the books go by the gateway's clock"


def test_a_store_that_is_held_too_long_is_unavailable_and_recovers(network: GivenNetwork) -> None:
    """UNAVAILABLE with RetryInfo; reading goes on; nothing was written, and the same key books once it is free."""
    with RunningGateway(network, lock_wait_ms_max=LOCK_WAIT_MS) as gateway:
        caller = Caller(gateway, "acme", network.keys["acme"])
        member = caller.enrol("4000-0001")
        with somebody_else_writing(network):
            seen = refusal(lambda: caller.issue(member, 1_000, "basket"))
            again = refusal(lambda: caller.call(ISSUE, issue_request(member, 1_000, "basket")))
            balance = caller.balance(member)
        answer = caller.issue(member, 1_000, "basket")

    assert (seen.code, seen.reason) == (grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE")
    assert seen.retry_ms is not None
    assert seen.retry_ms > 0
    assert "lock" not in seen.text
    assert again == seen
    assert balance == 0
    assert not answer.replayed
    assert "books proved" in done(run_command(network, "audit", "--full")).out


def test_a_till_outlasts_a_store_that_is_held_for_a_while(network: GivenNetwork) -> None:
    """It waits as long as it is told, asks again with the same key, and the customer has the points once."""
    waits_ms: list[int] = []
    holder = sqlite3.connect(network.folder / "books.db", isolation_level=None)

    def wait(seconds: float) -> None:
        waits_ms.append(round(seconds * 1_000))
        if len(waits_ms) == 2:
            holder.rollback()

    with RunningGateway(network, lock_wait_ms_max=LOCK_WAIT_MS) as gateway, open_till(network, "acme", gateway.address) as till:
        till.enrol("4000-0001", key="enrol")
        patient = Till(
            grpc.insecure_channel(gateway.address),
            signer_of(network, "acme"),
            audience=AUDIENCE,
            now=network.clock,
            sleep=wait,
            policy=RetryPolicy(first_delay_ms=1),
        )
        holder.execute("BEGIN IMMEDIATE")
        booked = patient.issue(CARD, TEN_EURO, key="basket")
        patient.close()
    holder.close()

    assert booked.balance_points == 10
    assert not booked.is_replayed
    assert len(waits_ms) == 2
    assert min(waits_ms) >= 100, "never sooner than the gateway asks"


def test_a_till_that_gives_up_on_a_held_store_may_ask_again_later(network: GivenNetwork) -> None:
    """The outcome is unknown to it, and the same key settles it."""
    with RunningGateway(network, lock_wait_ms_max=LOCK_WAIT_MS) as gateway, open_till(network, "acme", gateway.address) as till:
        till.enrol("4000-0001", key="enrol")
        with somebody_else_writing(network), pytest.raises(NoAnswer):
            till.issue(CARD, TEN_EURO, key="basket")
        booked = till.issue(CARD, TEN_EURO, key="basket")

    assert (booked.balance_points, booked.is_replayed) == (10, False)
