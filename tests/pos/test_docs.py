"""What the documentation shows is run, as it stands: the Python, and the messages of the guide."""

import contextlib
import io
import re
from pathlib import Path

import pytest

from tests.pos.coalition import running_coalition
from tests.pos.guide import BLOCK, PAGE, filled, run
from tests.shared import ROOT

_BLOCK = re.compile(r"^```python\n(from partners\.pos.*?)^```", re.DOTALL | re.MULTILINE)


def tills_in(name: str) -> list[str]:
    """Blocks of a page that are a till."""
    return _BLOCK.findall((ROOT / name).read_text("utf-8"))


def test_the_till_of_the_documentation_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder with a profile, against a gateway that gives a point a euro, worth a cent."""
    monkeypatch.chdir(tmp_path)
    (program,) = tills_in("docs/pos-guide.md")
    with running_coalition(tmp_path, {"acme": ("1", "1.00")}) as coalition:
        Path("pos.toml").write_text(coalition.profiles["acme"].to_toml(), "utf-8")
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(program, "pos-guide.md", "exec"), {})

    assert printed.getvalue().splitlines() == [
        "up to 600 points can pay",
        "-463 points, 3750 cents to pay",
        "1765 cents back, balance 354",
    ]
    assert len(program.splitlines()) <= 20


def test_the_readme_shows_the_same_till() -> None:
    """So that it, too, is run."""
    assert tills_in("README.md") == tills_in("docs/pos-guide.md")


def test_the_messages_of_the_guide_are_those_of_a_real_run(tmp_path: Path) -> None:
    """`make guide` writes them again."""
    page = PAGE.read_text("utf-8")
    blocks = run(tmp_path / "net")

    assert page == filled(page, blocks)
    assert len({name for _, name, _, _ in BLOCK.findall(page)}) == page.count("<!-- run: ") > 10
