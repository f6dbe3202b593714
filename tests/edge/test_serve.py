"""`tallystick serve` as its user has it: a process of its own, a line when it is ready, a clean end."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import grpc
import pytest
from sqlalchemy import select, update

from gateway.dev_ca import make_certificates, write_certificates
from gateway.domain.errors import InvalidValue
from gateway.ledger.clock_check import AHEAD_MS_MAX, check_clock
from gateway.storage.engine import reading, writing
from gateway.storage.tables import heads
from gateway.terminal import system_clock
from partners.pos.requests import GET_NETWORK
from tallystick.v1 import network_pb2
from tests.edge.running import bare_call
from tests.given import GivenNetwork
from tests.patience import patience_s

READY_S_MAX = 60


def serve(network: GivenNetwork, *options: str) -> "subprocess.Popen[str]":
    """Starts the gateway."""
    config = str(network.folder / "tallystick.toml")
    program = "import sys; from gateway.cli import main; main(sys.argv[1:])"
    return subprocess.Popen(
        [sys.executable, "-c", program, "--config", config, "serve", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def read_when_there(path: Path, process: "subprocess.Popen[str]") -> str:
    """The content of a file that a process will write whole."""
    give_up_at = time.monotonic() + patience_s(READY_S_MAX)
    while time.monotonic() < give_up_at:
        if path.exists():
            return path.read_text("utf-8")
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        time.sleep(0.02)
    raise TimeoutError(path)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_listens_and_drains_when_told_to_stop(network: GivenNetwork, tmp_path: Path, number: int) -> None:
    """One line on standard output, the address in a file for scripts, exit code 0."""
    ready = tmp_path / "ready"
    with serve(network, "--plaintext", "--listen", "127.0.0.1:0", "--ready-file", str(ready)) as process:
        address = read_when_there(ready, process).strip()
        with grpc.insecure_channel(address) as channel:
            answer = bare_call(channel, GET_NETWORK.path)(b"", timeout=patience_s(10))
        process.send_signal(number)
        out, err = process.communicate(timeout=patience_s(READY_S_MAX))

    assert network_pb2.GetNetworkResponse.FromString(answer).audience == "coalition.example:test"
    assert out == f"serving sqlite:///{network.folder.resolve() / 'books.db'} on {address} without TLS\n"
    assert "draining\n" in err
    assert '"method":"/tallystick.v1.NetworkService/GetNetwork"' in err
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--plaintext", "--listen", "0.0.0.0:0"], "without TLS the gateway listens on loopback alone"),
        (["--listen", "127.0.0.1:0"], "server.pem: No such file or directory"),
        (["--plaintext", "--listen", "nonsense"], "must be host:port"),
        (["--plaintext", "--listen", "127.0.0.1:65536"], "must be host:port"),
        (["--plaintext", "--listen", "127.0.0.1:0", "--ready-file", "/nowhere/ready"], "No such file or directory"),
    ],
)
def test_what_it_cannot_serve_it_refuses_with_a_sentence(network: GivenNetwork, options: list[str], sentence: str) -> None:
    """Exit code 1, no traceback."""
    with serve(network, *options) as process:
        out, err = process.communicate(timeout=patience_s(READY_S_MAX))

    assert (process.returncode, out) == (1, "")
    assert sentence in err
    assert "Traceback" not in err


def test_a_database_without_tables_is_refused_with_a_sentence(network: GivenNetwork) -> None:
    """It says which command makes them."""
    for file in network.folder.glob("books.db*"):
        file.unlink()
    with serve(network, "--plaintext", "--listen", "127.0.0.1:0") as process:
        _, err = process.communicate(timeout=patience_s(READY_S_MAX))

    assert process.returncode == 1
    assert "run 'tallystick network create'" in err


def test_one_gateway_serves_a_sqlite_file_and_commands_work_beside_it(network: GivenNetwork, tmp_path: Path) -> None:
    """Two would wait for each other's lock. The kernel gives the lock back, also after kill -9."""
    ready = tmp_path / "ready"
    with serve(network, "--plaintext", "--listen", "127.0.0.1:0", "--ready-file", str(ready)) as first:
        read_when_there(ready, first)
        with serve(network, "--plaintext", "--listen", "127.0.0.1:0") as second:
            _, err = second.communicate(timeout=patience_s(READY_S_MAX))
        shown = subprocess.run(
            [sys.executable, "-m", "gateway", "--config", str(network.folder / "tallystick.toml"), "network", "show"],
            capture_output=True,
            text=True,
            check=False,
        )
        first.kill()
    ready.unlink()
    with serve(network, "--plaintext", "--listen", "127.0.0.1:0", "--ready-file", str(ready)) as third:
        assert read_when_there(ready, third)
        third.send_signal(signal.SIGTERM)
        third.communicate(timeout=patience_s(READY_S_MAX))

    assert second.returncode == 1
    assert f"another gateway (process {first.pid}) serves {network.folder.resolve() / 'books.db'}" in err
    assert (shown.returncode, third.returncode) == (0, 0)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644])
def test_a_tls_key_that_everybody_can_read_is_warned_of(network: GivenNetwork, tmp_path: Path, mode: int) -> None:
    """In one line; it serves all the same."""
    write_certificates(network.folder / "tls", make_certificates(network.now_ms))
    key, ready = network.folder / "tls" / "server.key", tmp_path / "ready"
    key.chmod(mode)
    with serve(network, "--listen", "127.0.0.1:0", "--ready-file", str(ready)) as process:
        read_when_there(ready, process)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=patience_s(READY_S_MAX))

    warning = f"warning: everybody on this machine can read {key.resolve()}: chmod 600\n"
    assert err.count(warning) == int(mode == 0o644)
    assert process.returncode == 0


def test_books_that_end_in_the_future_are_not_served(network: GivenNetwork) -> None:
    """A commit ahead of time would hold on to all that come after it."""
    with writing(network.engine) as connection:
        connection.execute(update(heads).values(last_commit_ms=system_clock() + 10 * 60_000))
    with serve(network, "--plaintext", "--listen", "127.0.0.1:0") as process:
        _, err = process.communicate(timeout=patience_s(READY_S_MAX))

    assert process.returncode == 1
    assert "mend the clock" in err


@pytest.mark.parametrize(("ahead_ms", "is_refused"), [(-1, False), (0, False), (AHEAD_MS_MAX, False), (AHEAD_MS_MAX + 1, True)])
def test_a_clock_may_be_behind_the_books_by_a_little(network: GivenNetwork, ahead_ms: int, *, is_refused: bool) -> None:
    """Machines differ by seconds; five minutes are a fault."""
    with reading(network.engine) as connection:
        last_commit_ms = connection.execute(select(heads.c.last_commit_ms)).scalar_one()
        try:
            check_clock(connection, last_commit_ms - ahead_ms)
        except InvalidValue:
            assert is_refused
        else:
            assert not is_refused
