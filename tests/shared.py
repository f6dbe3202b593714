"""Material that stands beside a checkout, in `../shared`, and not in the repository: real baskets, the oracle, vectors."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"


def shared_path(name: str) -> Path:
    """The file or folder of that name in `../shared`. Skips the test, with the reason, where it is missing."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"needs ../shared/{name}, which is not beside this checkout")
    return path
