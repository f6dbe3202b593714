"""A shell for tests: command lines run in the process, as `tallystick` would run them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gateway.cli import main
from tests.given import GivenNetwork


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command line answered."""

    code: int
    out: str
    err: str


@dataclass
class Shell:
    """Runs command lines against a network, at the network's time."""

    network: GivenNetwork
    read: Callable[[], tuple[str, str]]

    def run(self, *words: str | Path) -> Ran:
        """Runs `tallystick` with these words."""
        code = 0
        try:
            main(["--config", str(self.network.folder / "tallystick.toml"), *map(str, words)], clock=self.network.clock)
        except SystemExit as leaving:
            code = leaving.code if isinstance(leaving.code, int) else 0
        out, err = self.read()
        return Ran(code, out, err)

    def ada(self, *words: str | Path) -> Ran:
        """The same, signed by the first operator."""
        return self.run(*words, "--operator", "ada", "--key", self.network.folder / "ada.pem")

    def bob(self, *words: str | Path) -> Ran:
        """The same, signed by the second operator."""
        return self.run(*words, "--operator", "bob", "--key", self.network.folder / "bob.pem")

    def file(self, name: str, text: str) -> Path:
        """A file with this text, beside the network."""
        path = self.network.folder / name
        path.write_text(text, "utf-8")
        return path
