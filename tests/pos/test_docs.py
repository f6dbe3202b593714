"""The Python that the documentation shows is run, as it stands."""

import contextlib
import io
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```python\n(from partners\.pos.*?)^```", re.DOTALL | re.MULTILINE)


def tills_in(name: str) -> list[str]:
    """Blocks of a page that are a till."""
    return _BLOCK.findall((ROOT / name).read_text("utf-8"))


@pytest.mark.usefixtures("profile")
def test_the_till_of_the_documentation_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder with a profile, against a gateway that gives a point a euro, worth a cent."""
    monkeypatch.chdir(tmp_path)
    (program,) = tills_in("docs/calls.md")
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(program, "calls.md", "exec"), {})

    sold, paid, left = printed.getvalue().splitlines()
    assert sold.startswith("42 points, balance 42, entry e")
    assert (paid, left) == ("42 points pay 42 cents", "balance -10")
    assert len(program.splitlines()) <= 20


def test_the_readme_shows_the_same_till() -> None:
    """So that it, too, is run."""
    assert tills_in("README.md") == tills_in("docs/calls.md")
