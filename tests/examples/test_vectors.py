"""The examples judge the vectors that partners get; their signing and verifying is what they sell with."""

import json
from pathlib import Path

import pytest

from tests.examples.toolchains import Built
from tests.vectors.make_vectors import FOLDER

pytestmark = pytest.mark.slow

FILES = ("requests.json", "proofs.json", "receipts.json")


def expected(folder: Path) -> list[str]:
    """The lines that a right till prints."""
    return [
        f"{name} {vector['name']} {vector['expected']}"
        for name in FILES
        for vector in json.loads((folder / name).read_text("ascii"))["vectors"]
    ]


def test_an_example_judges_every_vector_as_its_file_says(built: Built, tmp_path: Path) -> None:
    """Valid ones, and each way of being wrong by its name."""
    said = built.done(tmp_path, "vectors", FOLDER)

    assert said.splitlines() == expected(FOLDER)


def test_an_example_finds_a_vector_whose_file_is_wrong(built: Built, tmp_path: Path) -> None:
    """It judges by itself, and does not read the verdict from the file."""
    for name in FILES:
        content = json.loads((FOLDER / name).read_text("ascii"))
        content["vectors"][0]["expected"] = "SIGNATURE_INVALID"
        (tmp_path / name).write_text(json.dumps(content), "ascii")
    ended = built.ended(tmp_path, "vectors", tmp_path)

    assert (ended.returncode, ended.stdout.splitlines()) == (1, expected(FOLDER))
