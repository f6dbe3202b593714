"""A shop whose till is one of the examples: onboarded by its own file, selling to a gateway over TLS."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.terminal import system_clock
from tests.e2e.commands import Ran, done, run_command
from tests.e2e.processes import END_S_MAX, GatewayProcess
from tests.examples.toolchains import EXAMPLES, Built
from tests.given import AUDIENCE, GivenNetwork

PARTNER = "acme"
KEY_ID = f"{PARTNER}/till-1/2026a"
OPERATORS = {name: ("--operator", name, "--key") for name in ("ada", "bob")}


class RunningTill:
    """`sell` as a process: a line in, a line out."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def ask(self, line: str) -> None:
        """Sends a line, and does not wait."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        """The next answer."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the till has ended"
        answer: dict[str, Any] = json.loads(line)
        return answer

    def say(self, line: str) -> dict[str, Any]:
        """A line, and the answer to it."""
        self.ask(line)
        return self.hear()


@dataclass
class Shop:
    """The machine on which the till stands: `folder` has its key, its profile and its receipts."""

    built: Built
    network: GivenNetwork
    folder: Path

    @property
    def receipts(self) -> Path:
        """Where the till keeps what it was given."""
        return self.folder / "receipts.jsonl"

    def operate(self, operator: str, *words: str | Path) -> Ran:
        """A command that an operator signs, now."""
        self.network.now_ms = system_clock()
        return done(run_command(self.network, *words, *OPERATORS[operator], self.network.folder / f"{operator}.pem"))

    def apply(self) -> Path:
        """Makes a key, and the signed application; its name is one that ASCII cannot spell."""
        draft = json.loads((EXAMPLES / "application.json").read_text("utf-8"))
        draft |= {"audience": AUDIENCE, "partner_id": PARTNER, "legal_name": 'Café "Zur Möwe" 🐦 GmbH'}
        del draft["vat_id"]
        (self.folder / "application.json").write_text(json.dumps(draft), "utf-8")
        self.built.done(self.folder, "keygen", "till.pem")
        self.built.done(self.folder, "apply", "application.json", "till.pem", KEY_ID, "acme.toml")
        return self.folder / "acme.toml"

    def join(self) -> None:
        """One operator proposes, another one approves."""
        self.operate("ada", "partners", "onboard", self.apply())
        self.operate("bob", "operators", "approve", "--all")

    def open(self, gateway: GatewayProcess, *, clock_offset_ms: int = 0) -> Path:
        """Writes a profile for this gateway; `clock_offset_ms`: how wrong the till takes its machine's clock to be."""
        profile = {
            "target": gateway.address,
            "audience": AUDIENCE,
            "key_id": KEY_ID,
            "key_file": "till.pem",
            "ca_file": str(gateway.ca_file),
            "clock_offset_ms": clock_offset_ms,
        }
        file = self.folder / "till.json"
        file.write_text(json.dumps(profile), "utf-8")
        return file

    @contextmanager
    def selling(self, gateway: GatewayProcess, *, clock_offset_ms: int = 0) -> Iterator[RunningTill]:
        """The till, from its first line to its last; it must end well."""
        words = self.built.command("sell", self.open(gateway, clock_offset_ms=clock_offset_ms), self.receipts)
        with (self.folder / "till.log").open("w") as log:
            process = subprocess.Popen(
                words, cwd=self.folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, encoding="utf-8"
            )
        try:
            yield RunningTill(process)
            assert process.stdin is not None
            process.stdin.close()
            assert process.wait(END_S_MAX) == 0, (self.folder / "till.log").read_text("utf-8")
        finally:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                assert stream is not None
                stream.close()
