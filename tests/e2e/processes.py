"""`tallystick` as its users have it: processes of their own. Waits for what a process says, never for a time to pass."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from gateway.dev_ca import make_certificates, write_certificates
from gateway.terminal import system_clock
from tests.given import GivenNetwork, create_network
from tests.patience import patience_s

COMMAND = str(Path(sys.executable).with_name("tallystick"))
END_S_MAX = 60
_POLL_S = 0.005


# What `tallystick` runs, after a line on standard input: importing takes longer than serving does to begin.
_STANDBY = "import sys, uvloop, gateway.app; from gateway.cli import main; sys.stdin.readline(); main(sys.argv[1:])"


@dataclass
class GatewayProcess:
    """A gateway with TLS that can be killed, and started again on the same port."""

    folder: Path
    address: str = "127.0.0.1:0"
    name: str = "gateway"  # of its files, where several serve one network
    starts: int = 0
    process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)
    standby: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    @property
    def ca_file(self) -> Path:
        """Whom its callers trust."""
        return self.folder / "tls" / "ca.pem"

    def log(self) -> str:
        """All that it wrote so far, over all starts."""
        return (self.folder / f"{self.name}.log").read_text("utf-8")

    def start(self) -> None:
        """Returns when it listens."""
        ready = self.folder / f"{self.name}.ready"
        ready.unlink(missing_ok=True)
        self.process, self.standby = self.standby or self._spawn(), None
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.close()
        give_up_at = time.monotonic() + patience_s(END_S_MAX)
        while not ready.exists():
            assert self.process.poll() is None, self.log()[-2_000:]
            assert time.monotonic() < give_up_at, "the gateway does not listen"
            time.sleep(_POLL_S)
        self.address = ready.read_text("utf-8").strip()
        self.starts += 1

    def prepare(self) -> None:
        """Has the next gateway ready, so that a start after a kill takes no time; it touches nothing before."""
        self.standby = self.standby or self._spawn()

    def close(self) -> None:
        """Ends what still runs."""
        if self.standby is not None:
            self.standby.kill()
            self.standby.communicate()
        if self.process is not None and self.process.poll() is None:
            self.terminate()
            self.wait()

    def _spawn(self) -> "subprocess.Popen[bytes]":
        ready, config = self.folder / f"{self.name}.ready", self.folder / "tallystick.toml"
        words = ("--config", str(config), "serve", "--listen", self.address, "--ready-file", str(ready))
        with (self.folder / f"{self.name}.log").open("ab") as log:
            return subprocess.Popen([sys.executable, "-c", _STANDBY, *words], stdin=subprocess.PIPE, stdout=log, stderr=log)

    def pids(self) -> list[int]:
        """Its own, and that of the process that keeps the books of a SQLite file."""
        assert self.process is not None
        pid = self.process.pid
        children = [Path(task, "children").read_text("ascii").split() for task in Path(f"/proc/{pid}/task").iterdir()]
        return [pid, *(int(child) for found in children for child in found)]

    def kill(self) -> None:
        """As a power cut would: SIGKILL."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(patience_s(END_S_MAX))

    def terminate(self) -> None:
        """Tells it to stop; returns at once."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        """Its exit code."""
        assert self.process is not None
        return self.process.wait(patience_s(END_S_MAX))


@contextmanager
def gateway_process(folder: Path, name: str = "gateway") -> Iterator[GatewayProcess]:
    """A running one; told to stop at the end if it still runs."""
    gateway = GatewayProcess(folder, name=name)
    try:
        gateway.start()
        yield gateway
    finally:
        gateway.close()


def live_network(folder: Path, *partner_ids: str, url: str | None = None) -> GivenNetwork:
    """A network of today, with TLS, for processes that read the machine's clock; a point a euro, worth a cent.

    With `url` it lives there, and has four lanes.
    """
    network = create_network(folder, expiry="after 90 days", lanes=1 if url is None else 4, url=url)
    network.now_ms = system_clock() - 60_000
    for partner_id in partner_ids:
        network.onboard(partner_id, {"EUR": "1"})
    write_certificates(folder / "tls", make_certificates(network.now_ms))
    return network


def run_process(folder: Path, *words: str | Path, refused: bool = False, seconds_max: int = END_S_MAX) -> str:
    """Runs `tallystick` in a folder and answers what it printed; `refused`: with exit code 1, on standard error."""
    ended = subprocess.run(
        [COMMAND, *map(str, words)],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if not name.startswith("TALLYSTICK_")},
        capture_output=True,
        text=True,
        timeout=patience_s(seconds_max),
        check=False,
    )
    assert ended.returncode == int(refused), f"{words}: {ended.stdout}{ended.stderr}"
    return ended.stderr if refused else ended.stdout
