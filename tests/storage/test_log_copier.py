"""Copying SQLite's log back beside the commits: all of it, and without ever being needed."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, text

from gateway.storage.engine import CHECKPOINT_PAGES, open_engine, writing, writing_on
from gateway.storage.log_copier import COPY_EVERY, LATE_PAGES, LogCopier, copied_beside


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """A file with one table."""
    engine = open_engine(f"sqlite:///{tmp_path / 'books.db'}")
    with writing(engine) as connection:
        connection.execute(text("CREATE TABLE notes (note TEXT)"))
    yield engine
    engine.dispose()


def pages_when_it_is_copied(connection: Connection) -> int:
    """What the log may hold before a commit of this connection copies it back."""
    pages: int = connection.exec_driver_sql("PRAGMA wal_autocheckpoint").scalar_one()
    return pages


def write(connection: Connection, count: int) -> None:
    """So many commits."""
    for number in range(count):
        with writing_on(connection):
            connection.execute(text("INSERT INTO notes VALUES (:note)"), {"note": f"{number}" * 1_000})


def in_the_file_alone(tmp_path: Path) -> int:
    """Rows that are there without the log."""
    alone = tmp_path / "alone.db"
    alone.write_bytes((tmp_path / "books.db").read_bytes())
    engine = open_engine(f"sqlite:///{alone}")
    with engine.connect() as connection:
        count: int = connection.execute(text("SELECT count(*) FROM notes")).scalar_one()
    engine.dispose()
    return count


def test_what_was_committed_stands_in_the_file_once_the_copier_is_closed(engine: Engine, tmp_path: Path) -> None:
    """The connection itself has copied nothing."""
    copier = LogCopier(engine)
    with engine.connect() as connection:
        copier.take_over(connection)
        write(connection, 20)
        copier.wrote(COPY_EVERY)
        copier.close()

        assert in_the_file_alone(tmp_path) == 20


def test_a_connection_that_is_taken_over_copies_late_and_one_that_is_given_back_as_ever(engine: Engine) -> None:
    """A copier that cannot keep up does not let the log grow for ever."""
    copier = LogCopier(engine)
    with engine.connect() as connection:
        connection.rollback()
        before = pages_when_it_is_copied(connection)
        copier.take_over(connection)
        meanwhile = pages_when_it_is_copied(connection)
        copier.give_back(connection)
        afterwards = pages_when_it_is_copied(connection)
    copier.close()

    assert (before, meanwhile, afterwards) == (CHECKPOINT_PAGES, LATE_PAGES, CHECKPOINT_PAGES)


def test_a_reader_that_looks_at_an_old_state_is_not_disturbed(engine: Engine, tmp_path: Path) -> None:
    """What it needs of the log stays; the rest is copied when it has gone."""
    with engine.connect() as writer, engine.connect() as reader:
        write(writer, 1)
        seen = reader.execute(text("SELECT count(*) FROM notes")).scalar_one()
        write(writer, 5)
        copier = LogCopier(engine)
        copier.close()
        still_seen = reader.execute(text("SELECT count(*) FROM notes")).scalar_one()
        reader.rollback()
        LogCopier(engine).close()

    assert (seen, still_seen, in_the_file_alone(tmp_path)) == (1, 1, 6)


def test_what_a_job_commits_is_copied_beside_it(engine: Engine, tmp_path: Path) -> None:
    """Also if the job fails: the connection goes on as before."""
    with engine.connect() as connection:
        with suppress(LookupError), copied_beside(connection) as wrote:
            write(connection, 20)
            wrote(20)
            meanwhile = pages_when_it_is_copied(connection)
            connection.rollback()
            raise LookupError
        afterwards = pages_when_it_is_copied(connection)

    assert in_the_file_alone(tmp_path) == 20
    assert (meanwhile, afterwards) == (LATE_PAGES, CHECKPOINT_PAGES)
