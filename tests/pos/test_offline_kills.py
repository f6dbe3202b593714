"""A till that is killed with SIGKILL at every step of queueing and catching up: nothing is lost, doubled, or said twice."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.edge.events import entry_of_event
from gateway.edge.receipts import decode_receipt, encode_receipt
from gateway.ledger.audit import audit
from gateway.ledger.audit_receipts import ReceiptForm
from partners.pos.offline_queue import KEPT, QUEUED, SENT, SIGNED, OfflineQueue
from partners.pos.profile import Profile
from partners.pos.till import Till
from tests.edge.running import RunningGateway
from tests.given import AUDIENCE, KEY_SUFFIX, GivenNetwork, create_network
from tests.patience import patience_s
from tests.pos.coalition import onboarded
from tests.pos.outages import CARD, sale
from tests.shared import ROOT

SALES = 40


@pytest.fixture
def network(tmp_path: Path) -> GivenNetwork:
    """With acme, whose key lies in till.pem."""
    network = create_network(tmp_path / "net")
    onboarded(network, "acme", "1", "1.00", tmp_path / "till.pem")
    network.now_ms += 86_400_000
    return network


def profile_at(folder: Path, address: str) -> Profile:
    """Of acme's till, in a file and as it is read from there."""
    path = folder / "pos.toml"
    profile = Profile(address, AUDIENCE, f"acme/{KEY_SUFFIX}", Path("till.pem"), is_plaintext=True)
    path.write_text(profile.to_toml(), "utf-8")
    return Profile.load(path)


def live(folder: Path, step: str, nth: int, *what: str) -> int:
    """One life of the till; answers how it ended: 0, or minus the signal."""
    command = [
        sys.executable,
        "-m",
        "tests.pos.dying_till",
        str(folder / "pos.toml"),
        str(folder / "queue"),
        step,
        str(nth),
        *what,
    ]
    return subprocess.run(command, cwd=ROOT, check=False, timeout=patience_s(120)).returncode


@pytest.mark.parametrize(("step", "nth"), [(SIGNED, 1), (SIGNED, 7), (QUEUED, 1), (QUEUED, 7)])
def test_a_till_killed_while_it_queues_loses_no_sale_and_no_counter(
    step: str, nth: int, network: GivenNetwork, tmp_path: Path
) -> None:
    """What was on the disk is there; whoever sells on finds each key once."""
    profile = profile_at(tmp_path, "127.0.0.1:9")
    killed = live(tmp_path, step, nth, "append", str(network.now_ms), str(SALES))
    with_queue = OfflineQueue.open(tmp_path / "queue", profile)
    found = with_queue.waiting()
    again = live(tmp_path, "never", 1, "append", str(network.now_ms), str(SALES))
    kept = with_queue.events()

    assert (killed, again) == (-signal.SIGKILL, 0)
    assert found == (nth if step == QUEUED else nth - 1)
    assert [one.idempotency_key for one in kept] == [sale(number).idempotency_key for number in range(SALES)]
    assert [one.event.counter for one in kept] == list(range(1, SALES + 1))
    assert [one.event.previous_hash for one in kept[1:]] == [one.event_hash for one in kept[:-1]]


@pytest.mark.parametrize("step", [SENT, KEPT])
def test_a_till_killed_while_it_catches_up_books_each_sale_once(step: str, network: GivenNetwork, tmp_path: Path) -> None:
    """Killed after the gateway booked, before the till knew; and after it knew. More is sold in between."""
    with RunningGateway(network) as gateway:
        profile = profile_at(tmp_path, gateway.address)
        queue = OfflineQueue.open(tmp_path / "queue", profile)
        with Till.open(profile) as till:
            till.enrol("CARD-1", key="enrol-1")
            live(tmp_path, "never", 1, "append", str(network.now_ms), str(SALES))
            killed = live(tmp_path, step, 1, "drain")
            waiting = queue.waiting()
            live(tmp_path, "never", 1, "append", str(network.now_ms), str(2 * SALES))
            ended = live(tmp_path, "never", 1, "drain")
            receipts = {one.idempotency_key: one.answer for one in queue.events()}
            balance = till.balance(CARD).balance_points
            online = till.book(sale(0, cents=100))
    report = audit(
        network.engine,
        full=True,
        now_ms=network.now_ms,
        receipts=ReceiptForm(encode_receipt, decode_receipt, entry_of_event),
    )

    assert (killed, ended) == (-signal.SIGKILL, 0)
    assert waiting == (SALES if step == SENT else 0)
    assert balance == 2 * SALES
    assert queue.waiting() == 0
    assert online.is_replayed
    first = receipts[sale(0).idempotency_key]
    assert first is not None
    assert online.signed_receipt.SerializeToString() == first.signed_receipt
    assert (report.failures, report.events) == ((), 2 * SALES)


def test_a_queue_that_nobody_kills_needs_no_second_life(network: GivenNetwork, tmp_path: Path) -> None:
    """Else the lives above would prove nothing: one that is never killed ends with 0 and has queued all."""
    profile = profile_at(tmp_path, "127.0.0.1:9")
    ended = live(tmp_path, "never", 1, "append", str(network.now_ms), "3")

    assert ended == 0
    assert OfflineQueue.open(tmp_path / "queue", profile).waiting() == 3
