"""Books that are kept in a process of their own: as if they were not, whatever happens to either process."""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from sqlalchemy import delete

from gateway.storage.engine import writing
from gateway.storage.tables import heads
from tests.e2e.processes import gateway_process, live_network
from tests.edge.running import Caller, RunningGateway, receipt_of, refusal
from tests.given import GivenNetwork
from tests.patience import patience_s

WAIT_S_MAX = 20
NAPS_FOR_A_LOCK = 20


@pytest.fixture
def apart(network: GivenNetwork) -> Iterator[Caller]:
    """A till of acme's at a gateway that keeps its books apart."""
    with RunningGateway(network, keeps_books_apart=True) as running:
        yield Caller(running, "acme", network.keys["acme"])


def books_process(caller: Caller) -> int:
    """The other process."""
    process_id = caller.gateway.app.books_process_id
    assert process_id is not None
    return process_id


def naps(process_id: int) -> int:
    """How often the process went to sleep so far; while it waits for a lock, it does nothing else."""
    status = Path(f"/proc/{process_id}/status").read_text("ascii")
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("voluntary_ctxt_switches")))


def is_gone(process_id: int) -> bool:
    """Whether the process ends in time, by itself."""
    give_up_at = time.monotonic() + patience_s(WAIT_S_MAX)
    while time.monotonic() < give_up_at:
        if not Path(f"/proc/{process_id}").exists():
            return True
        time.sleep(0.01)
    return False


def test_what_is_booked_there_is_booked_at_the_gateways_time_and_repeats_byte_for_byte(apart: Caller) -> None:
    """Another process is no other ledger."""
    member_id = apart.enrol("APART-1")
    first = apart.issue(member_id, 500, "apart-1")
    again = apart.issue(member_id, 500, "apart-1")

    assert receipt_of(first).booked_at_ms == apart.gateway.network.now_ms
    assert (again.receipt, again.replayed) == (first.receipt, True)
    assert apart.balance(member_id) == 5


def test_a_process_that_was_killed_between_batches_is_started_anew_and_nobody_notices(apart: Caller) -> None:
    """It holds nothing that the database does not."""
    member_id = apart.enrol("KILLED-1")
    killed = books_process(apart)
    os.kill(killed, signal.SIGKILL)
    os.waitid(os.P_PID, killed, os.WEXITED | os.WNOWAIT)

    assert receipt_of(apart.issue(member_id, 500, "killed-1")).points == 5
    assert books_process(apart) != killed


def test_a_batch_whose_process_is_killed_is_answered_to_come_again_and_the_same_key_finds_out(
    apart: Caller, network: GivenNetwork
) -> None:
    """Killed while it waits for SQLite's lock, so in the middle of a batch: UNAVAILABLE; the repeat is booked, once."""
    member_id = apart.enrol("MIDWAY-1")
    process_id = books_process(apart)
    with ThreadPoolExecutor(1) as threads:
        with writing(network.engine):
            before = naps(process_id)
            call = threads.submit(refusal, lambda: apart.issue(member_id, 500, "midway-1"))
            while naps(process_id) < before + NAPS_FOR_A_LOCK:
                time.sleep(0.005)
            os.kill(process_id, signal.SIGKILL)
        seen = call.result(patience_s(WAIT_S_MAX))

    assert (seen.code, seen.reason) == (grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE")
    assert seen.retry_ms
    assert receipt_of(apart.issue(member_id, 500, "midway-1")).points == 5
    assert apart.balance(member_id) == 5


def test_a_bug_there_is_logged_here_and_told_to_nobody(apart: Caller, network: GivenNetwork) -> None:
    """Its traceback crosses the pipe, under the id that the caller gets."""
    member_id = apart.enrol("BUG-1")
    with writing(network.engine) as connection:
        connection.execute(delete(heads))

    seen = refusal(lambda: apart.issue(member_id, 500, "bug-1"))

    assert seen.reason == "INTERNAL"
    logged = next(line for line in apart.gateway.log if seen.facts["error_id"] in line)
    assert "lock_heads" in logged


def test_it_never_outlives_its_gateway(tmp_path: Path) -> None:
    """Not after a kill -9, which no program hears; and not after an end in order."""
    folder = live_network(tmp_path / "net", "acme").folder
    with gateway_process(folder) as gateway:
        for end in (gateway.kill, gateway.terminate):
            assert gateway.process is not None
            tasks = Path(f"/proc/{gateway.process.pid}/task").glob("*/children")
            (child,) = [int(child) for task in tasks for child in task.read_text("ascii").split()]
            assert b"gateway.apart" in Path(f"/proc/{child}/cmdline").read_bytes()
            end()
            assert is_gone(child)
            gateway.wait()
            if end == gateway.kill:
                gateway.start()
