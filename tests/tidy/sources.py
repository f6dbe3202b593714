"""The project's own Python files, parsed; generated ones left out."""

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import PurePosixPath

from tests.shared import ROOT

PROGRAMS = ("gateway", "partners", "settlement")
FROZEN = "gateway/storage/migrations/versions/*"
"""Records of the past, made by machine."""
MADE = {"__pycache__", "bin", "node_modules", "obj", "target"}
"""Folders of what was made or fetched."""


@dataclass(frozen=True, slots=True)
class Source:
    """One file: its path from the root, its text, its tree."""

    path: PurePosixPath
    text: str
    tree: ast.Module

    def is_in(self, *patterns: str) -> bool:
        """Whether the path fits one of the patterns; `**` at the end means the whole folder."""
        return any(
            self.path.is_relative_to(pattern[:-3]) if pattern.endswith("/**") else self.path.match(pattern)
            for pattern in patterns
        )


@cache
def sources() -> tuple[Source, ...]:
    """Programs, tests and bench."""
    found = []
    for folder in (*PROGRAMS, "tests", "bench"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            text = file.read_text("utf-8")
            found.append(Source(PurePosixPath(file.relative_to(ROOT).as_posix()), text, ast.parse(text)))
    return tuple(found)


@cache
def programs() -> tuple[Source, ...]:
    """The programs alone."""
    return tuple(source for source in sources() if source.path.parts[0] in PROGRAMS)


@cache
def texts() -> dict[str, str]:
    """Every text of the project by its path: the root's files and its folders, without what was installed, made or cached."""
    files = [file for file in ROOT.iterdir() if file.is_file()]
    for folder in (*PROGRAMS, "tests", "bench", "docs", "protos", "deploy", "examples", ".ci"):
        files += [file for file in (ROOT / folder).rglob("*") if file.is_file() and not MADE & set(file.parts)]
    found = {}
    for file in sorted(files):
        try:
            found[file.relative_to(ROOT).as_posix()] = file.read_text("utf-8")
        except UnicodeDecodeError:
            continue
    return found
