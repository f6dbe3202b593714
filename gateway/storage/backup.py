"""SQLite databases as files: copied while they are written to, put in place whole, and set aside rather than overwritten.

Knows nothing of what is in them. PostgreSQL has tools of its own for this.
"""

import os
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import Connection

from gateway.domain.errors import InvalidValue
from gateway.storage.engine import on_driver
from gateway.storage.errors import StoreUnavailable

Progress = Callable[[int, int], None]
"""progress(done, total), in pages."""

_PAGES_PER_STEP = 4_096
_COMPANIONS = ("-wal", "-shm", "-journal")


@contextmanager
def whole_file(path: Path, *, make_room: Callable[[], object] | None = None) -> Iterator[Path]:
    """The name under which to make a file: it gets its own, and is on the disk, when all went well; else it disappears.

    Mode 0600. Raises InvalidValue where there is one of that name, or what an older database of that name left behind,
    unless `make_room`, called at the end, has moved it away.
    """
    if make_room is None:
        check_free(path)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        yield partial
        _to_disk(partial)
        if make_room is not None:
            make_room()
        check_free(path)
        partial.rename(path)
        _to_disk(path.parent)
    finally:
        for file in (partial, *_companions(partial)):
            file.unlink(missing_ok=True)


def check_free(path: Path) -> None:
    """Raises InvalidValue unless a database can get this name."""
    if not path.parent.is_dir():
        raise InvalidValue(f"{path.parent} is no folder")
    for file in (path, *_companions(path)):
        if file.exists():
            raise InvalidValue(f"{file} exists and is not overwritten: name another file")


def back_up(connection: Connection, path: Path, *, progress: Progress) -> None:
    """Copies the state that the transaction sees, page by page, into an empty file. Writers go on meanwhile."""
    with closing(sqlite3.connect(path)) as target:
        with on_driver(connection, "BACKUP") as source:
            # The state is fixed by the first read; without it each page that others write would begin the copy anew.
            source.execute("SELECT count(*) FROM sqlite_master").fetchone()
            _copy_pages(source, target, progress)
        _check_pages(target, path)
        # One file, that can be read where nothing can be written.
        target.execute("PRAGMA journal_mode=DELETE")


def take_out(source: Path, path: Path, *, progress: Progress) -> None:
    """Copies the database of a backup into an empty file. Raises InvalidValue where there is none."""
    if not source.is_file():
        raise InvalidValue(f"no backup at {source}")
    try:
        of_backup = sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)
        with closing(of_backup), closing(sqlite3.connect(path)) as target:
            _copy_pages(of_backup, target, progress)
            _check_pages(target, source)
    except sqlite3.DatabaseError as error:
        raise InvalidValue(f"{source}: {error}: not a backup, or a damaged one") from None


def set_aside(path: Path, suffix: str) -> Path | None:
    """Gives a database another name, with its log; answers it. None where there is none. Nobody may be at work in it."""
    target = path.with_name(f"{path.name}.{suffix}")
    check_free(target)
    is_there = path.exists()
    # Its own file first: from here on until another one is in its place there is no database, and nobody takes half a one.
    for ending in ("", "-wal", "-journal"):
        file = Path(f"{path}{ending}")
        if file.exists():
            file.rename(f"{target}{ending}")
    Path(f"{path}-shm").unlink(missing_ok=True)
    _to_disk(path.parent)
    return target if is_there else None


def _copy_pages(source: sqlite3.Connection, target: sqlite3.Connection, progress: Progress) -> None:
    def told(_status: int, remaining: int, total: int) -> None:
        progress(total - remaining, total)

    try:
        source.backup(target, pages=_PAGES_PER_STEP, progress=told)
    except sqlite3.OperationalError as error:  # such as a full disk
        raise StoreUnavailable(str(error)) from None


def _check_pages(connection: sqlite3.Connection, named: Path) -> None:
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise InvalidValue(f"{named}: the pages are damaged: {found}")


def _companions(path: Path) -> list[Path]:
    return [Path(f"{path}{ending}") for ending in _COMPANIONS]


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
