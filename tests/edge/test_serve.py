"""`tallystick serve` as its user has it: a process of its own, a line when it is ready, a clean end."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import grpc
import pytest

from partners.pos.requests import GET_NETWORK
from tallystick.v1 import network_pb2
from tests.edge.running import bare_call
from tests.given import GivenNetwork

READY_S_MAX = 30


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
    give_up_at = time.monotonic() + READY_S_MAX
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
            answer = bare_call(channel, GET_NETWORK.path)(b"", timeout=10)
        process.send_signal(number)
        out, err = process.communicate(timeout=READY_S_MAX)

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
        out, err = process.communicate(timeout=READY_S_MAX)

    assert (process.returncode, out) == (1, "")
    assert sentence in err
    assert "Traceback" not in err


def test_a_database_without_tables_is_refused_with_a_sentence(network: GivenNetwork) -> None:
    """It says which command makes them."""
    for file in network.folder.glob("books.db*"):
        file.unlink()
    with serve(network, "--plaintext", "--listen", "127.0.0.1:0") as process:
        _, err = process.communicate(timeout=READY_S_MAX)

    assert process.returncode == 1
    assert "run 'tallystick network create'" in err
