"""What holds for every test: how properties draw their examples, and a header that says how to draw them again."""

import os
import platform
import sqlite3

import pytest
from hypothesis import settings

from tests.shared import SHARED

# No deadline: a test that waits on a clock fails on a busy machine. The blob in a failure's message replays it.
settings.register_profile("suite", deadline=None, print_blob=True, derandomize=True)
settings.register_profile("search", deadline=None, print_blob=True, max_examples=2_000)
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "suite")
settings.load_profile(PROFILE)


def pytest_report_header() -> list[str]:
    """The facts that a failure's reader needs first."""
    shared = "found beside the checkout" if SHARED.is_dir() else "missing: the tests that need it are skipped, with the reason"
    return [
        f"python {platform.python_version()}, sqlite {sqlite3.sqlite_version}, {os.cpu_count()} cores",
        f"hypothesis profile: {PROFILE} (HYPOTHESIS_PROFILE=search draws new examples, and many)",
        f"../shared: {shared}",
    ]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests come first, so that no core waits for the last of them."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
