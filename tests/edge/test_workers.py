"""`tallystick serve --workers N`: several processes on one port, as whoever runs them has it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import cast

import grpc
import pytest

from gateway.domain.errors import InvalidValue
from gateway.domain.signing import RequestHeader
from gateway.listen import shared_port
from gateway.terminal import system_clock
from partners.pos.receipts import ReceiptKeys
from partners.pos.requests import GET_NETWORK
from tallystick.v1 import network_pb2
from tests.edge.running import Caller, RunningGateway, bare_call
from tests.edge.test_receipt_key import proved, rotate
from tests.edge.test_serve import READY_S_MAX, read_when_there, serve
from tests.given import GivenNetwork, create_network
from tests.patience import patience_s

CALL_S_MAX = 20


@pytest.fixture
def postgres_network(tmp_path: Path, postgres_url: str) -> GivenNetwork:
    """A network of today on PostgreSQL, for processes that read the machine's clock."""
    network = create_network(tmp_path / "net", url=postgres_url)
    network.now_ms = system_clock() - 60_000
    network.onboard("acme", {"EUR": "1"})
    network.engine.dispose()
    return network


class Crew:
    """A running supervisor and its workers."""

    def __init__(self, network: GivenNetwork, process: "subprocess.Popen[str]", address: str) -> None:
        self.network = network
        self.process = process
        self.address = address

    def pids(self) -> set[int]:
        """The workers that live now."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text("ascii")
        return {int(pid) for pid in children.split()}

    def channel(self) -> grpc.Channel:
        """A connection of its own, to whichever worker the system chooses."""
        return grpc.insecure_channel(self.address, options=[("grpc.use_local_subchannel_pool", 1)])

    def answers(self) -> str:
        """What a new connection is told: the network's audience."""
        return str(self.published().audience)

    def published(self) -> network_pb2.GetNetworkResponse:
        """What some worker tells of the network now."""
        with self.channel() as channel:
            answer = bare_call(channel, GET_NETWORK.path)(b"", timeout=patience_s(CALL_S_MAX), wait_for_ready=True)
        return network_pb2.GetNetworkResponse.FromString(answer)

    def listeners(self) -> int:
        """How many sockets listen on the port."""
        port = f":{int(self.address.rpartition(':')[2]):04X}"
        tables = [Path("/proc/net", name).read_text("ascii").splitlines()[1:] for name in ("tcp", "tcp6")]
        rows = [line.split() for table in tables for line in table]
        return sum(row[1].endswith(port) and row[3] == "0A" for row in rows)

    def wait_for_workers(self, count: int, *, without: int = 0) -> None:
        """Until so many listen, and none of them is `without`."""
        give_up_at = time.monotonic() + patience_s(READY_S_MAX)
        # In this order: whoever is gone listens no more.
        while without in self.pids() or self.listeners() != count:
            assert time.monotonic() < give_up_at, (self.listeners(), self.pids())
            time.sleep(0.02)

    def end(self, number: int = signal.SIGTERM) -> tuple[str, str, int]:
        """Standard output, the log, and the exit code."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=patience_s(READY_S_MAX))
        return out, err, self.process.returncode


class Till(Caller):
    """acme's, on a connection of its own, by the machine's clock."""

    def __init__(self, running: Crew, channel: grpc.Channel) -> None:
        super().__init__(cast("RunningGateway", running), "acme", running.network.keys["acme"], channel=channel)

    def header(self) -> RequestHeader:
        """A header of now."""
        return replace(super().header(), created=f"{system_clock():013d}")

    def booked_by(self, member_id: str, key: str) -> str:
        """Issues a point; answers the id of the key that signed the receipt, which verifies."""
        signed = self.issue(member_id, 100, key).receipt
        network = cast("Crew", self.gateway).published()
        ReceiptKeys(network.audience, network.receipt_keys).verify(signed)
        return str(signed.key_id)


@contextmanager
def crew(network: GivenNetwork, *options: str, workers: int = 2) -> Iterator[Crew]:
    """Workers on a port of loopback."""
    ready = network.folder / "ready"
    words = ("--plaintext", "--listen", "127.0.0.1:0", "--ready-file", str(ready), "--workers", str(workers), *options)
    with serve(network, *words) as process:
        try:
            yield Crew(network, process, read_when_there(ready, process).strip())
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits to be noticed does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii", errors="replace").rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def notices(log: str, event: str) -> list[dict[str, int]]:
    """The supervisor's lines of that kind."""
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    return [line for line in lines if line.get("event") == event]


@pytest.mark.postgres
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_workers_share_one_port_and_drain_together(postgres_network: GivenNetwork, number: int) -> None:
    """The port is chosen once, the address is told when all listen, and the exit code is 0."""
    with crew(postgres_network, workers=3) as running:
        assert running.listeners() == 3
        workers = running.pids()
        assert {running.answers() for _ in range(5)} == {"coalition.example:test"}
        out, err, code = running.end(number)

    assert (code, len(workers), err.count("draining\n")) == (0, 3, 3)
    assert out.endswith(f" on {running.address} without TLS, 3 workers\n")
    assert not [pid for pid in workers if is_alive(pid)]


@pytest.mark.postgres
def test_a_worker_that_dies_is_started_anew_and_the_others_go_on(postgres_network: GivenNetwork) -> None:
    """With a line in the log that says how it ended and when the next one comes."""
    with crew(postgres_network) as running:
        victim = min(running.pids())
        os.kill(victim, signal.SIGKILL)
        assert running.answers() == "coalition.example:test"
        running.wait_for_workers(2, without=victim)
        _, err, code = running.end()

    (ended,) = notices(err, "worker ended")
    assert (ended["pid"], ended["exit_code"], ended["again_in_ms"]) == (victim, -signal.SIGKILL, 500)
    assert code == 0


@pytest.mark.postgres
def test_whoever_dies_at_once_is_started_ever_more_seldom(postgres_network: GivenNetwork) -> None:
    """So that a fault of the database is no storm of starting processes."""
    with crew(postgres_network) as running:
        before = running.pids()
        victim = min(before)
        for _ in range(2):
            os.kill(victim, signal.SIGKILL)
            running.wait_for_workers(2, without=victim)
            (victim,) = running.pids() - before
        _, err, _ = running.end()

    assert [line["again_in_ms"] for line in notices(err, "worker ended")] == [500, 1_000]


@pytest.mark.postgres
def test_a_new_receipt_key_is_known_to_all_workers_before_one_signs_with_it(postgres_network: GivenNetwork) -> None:
    """Each receipt verifies at once by what some worker tells; the audit proves all of them."""
    network = postgres_network
    with (network.folder / "tallystick.toml").open("a", encoding="utf-8") as file:
        file.write("directory_refresh_ms = 100\n")
    signed_by: list[str] = []
    with crew(network) as running, ExitStack() as channels:
        tills = [Till(running, channels.enter_context(running.channel())) for _ in range(6)]
        member_id = tills[0].enrol("WORKERS-1")
        give_up_at = time.monotonic() + patience_s(READY_S_MAX)
        for number in count():
            if number == 12:
                network.now_ms = system_clock()
                rotate(network)
            signed_by.append(tills[number % len(tills)].booked_by(member_id, f"sale-{number}"))
            if signed_by[-len(tills) :] == ["r2"] * len(tills):
                break
            assert time.monotonic() < give_up_at
        again = tills[1].issue(member_id, 100, "sale-0")
        assert running.end()[2] == 0

    assert (again.replayed, again.receipt.key_id) == (True, "r1")
    assert signed_by[:12] == ["r1"] * 12
    network.now_ms = system_clock()
    assert proved(network).is_proved
    network.engine.dispose()


@pytest.mark.postgres
def test_told_to_stop_before_it_listens_it_ends_cleanly(postgres_network: GivenNetwork) -> None:
    """No worker is left behind."""
    with serve(postgres_network, "--plaintext", "--listen", "127.0.0.1:0", "--workers", "2") as process:
        give_up_at = time.monotonic() + patience_s(READY_S_MAX)
        while not (workers := Crew(postgres_network, process, "").pids()):
            assert time.monotonic() < give_up_at
            time.sleep(0.005)
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=patience_s(READY_S_MAX))

    assert (process.returncode, out) == (0, "")
    assert not [pid for pid in workers if is_alive(pid)]


@pytest.mark.postgres
@pytest.mark.slow
def test_a_worker_that_does_not_end_is_killed_and_the_exit_code_says_so(postgres_network: GivenNetwork) -> None:
    """A stopped process drains nothing."""
    with (postgres_network.folder / "tallystick.toml").open("a", encoding="utf-8") as file:
        file.write("drain_ms_max = 100\n")
    with crew(postgres_network) as running:
        stuck = min(running.pids())
        os.kill(stuck, signal.SIGSTOP)
        _, err, code = running.end()

    assert code == 1
    assert [line["pid"] for line in notices(err, "killed")] == [stuck]


@pytest.mark.postgres
def test_no_worker_outlives_a_supervisor_that_was_killed(postgres_network: GivenNetwork) -> None:
    """Else the next one would find its port taken."""
    with crew(postgres_network) as running:
        workers = running.pids()
        running.process.kill()
        running.process.communicate(timeout=patience_s(READY_S_MAX))
        give_up_at = time.monotonic() + patience_s(READY_S_MAX)
        while any(is_alive(pid) for pid in workers):
            assert time.monotonic() < give_up_at
            time.sleep(0.02)

    assert running.listeners() == 0


@pytest.mark.postgres
def test_a_second_crew_on_the_port_is_refused(postgres_network: GivenNetwork) -> None:
    """Else they would share its calls at random."""
    with crew(postgres_network) as running:
        with serve(postgres_network, "--plaintext", "--listen", running.address, "--workers", "2") as second:
            _, err = second.communicate(timeout=patience_s(READY_S_MAX))
        assert running.end()[2] == 0

    assert second.returncode == 1
    assert f"{running.address}: cannot listen there; is another gateway running?" in err


@pytest.mark.postgres
def test_what_a_worker_refuses_is_said_once(postgres_network: GivenNetwork) -> None:
    """The first worker tries; the others are not even started."""
    with serve(postgres_network, "--workers", "2", "--listen", "127.0.0.1:0") as process:
        _, err = process.communicate(timeout=patience_s(READY_S_MAX))

    assert process.returncode == 1
    assert err.count("server.pem: No such file or directory") == 1
    assert "worker 1 did not start" in err


def test_sqlite_refuses_several_workers_and_says_why(network: GivenNetwork) -> None:
    """Exit code 1, before anything is started."""
    with serve(network, "--workers", "2", "--plaintext", "--listen", "127.0.0.1:0") as process:
        _, err = process.communicate(timeout=patience_s(READY_S_MAX))

    assert process.returncode == 1
    assert "a SQLite file, which takes one writer at a time" in err


def test_the_supervisor_never_loads_grpc() -> None:
    """It starts processes, and grpc must not be there when one does."""
    modules = "sys, gateway.cli, gateway.cli_serve, gateway.workers, gateway.listen, gateway.serve_lock"
    program = f"import {modules}\nprint('grpc' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert told.stdout == "False\n"


def test_a_port_that_somebody_listens_on_is_not_shared() -> None:
    """Not even if that somebody would share it."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        listen = f"127.0.0.1:{other.getsockname()[1]}"

        with pytest.raises(InvalidValue, match="cannot listen there"), shared_port(listen):
            pass
