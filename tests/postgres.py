"""A real PostgreSQL server of the tests' own, started in half a second: no Docker, no service, nothing left behind.

    with PostgresServer() as server:
        url = server.new_database()        migrated, without a network; `is_empty=True`: without tables
        server.give_back(url)              for the next one who asks, if only rows were written
        server.stop(kill=True)             SIGKILL to every process of it, as when the machine's power goes
        server.start()                     the same data, the same URLs

Most tests ask for the fixtures of tests/conftest.py instead, which share one server a test process. Its programs come
from $PGBIN, else `pg_config --bindir`, else the distribution's folder. As root it runs as an unprivileged user.
"""

import contextlib
import functools
import itertools
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import Pool, event
from sqlalchemy.engine import make_url

from gateway.storage.engine import open_engine
from gateway.storage.migrate import create_schema
from tests.patience import patience_s

ENGINES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]
"""To parametrise a fixture by."""

START_S_MAX = 60
USER = "tallystick"
MISSING = "no PostgreSQL programs: install the distribution's postgresql, or name their folder by PGBIN"
# Nothing here must outlive the machine; what must outlive a killed process does without fsync, too.
SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "100",
    "dynamic_shared_memory_type": "mmap",  # in its folder: what lies in /dev/shm stays there when the server is killed
}
_TEMPLATE = "tallystick_template"
# Waits for the end of whoever started the server, however it comes; then ends the server, if it is still that one.
_GUARD = """\
read -r _
pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null) && grep -qsa "$1" "/proc/$pid/cmdline" && kill -QUIT "$pid" && sleep 1
rm -rf "$1"
"""
# Making a database costs a quarter of a second of processor time, emptying one a tenth of that.
_EMPTY = """\
DO $$
DECLARE one regclass;
BEGIN
  SET LOCAL session_replication_role = replica;
  FOR one IN SELECT oid FROM pg_class
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname <> 'alembic_version'
  LOOP
    IF pg_relation_size(one) > 65536 THEN EXECUTE format('TRUNCATE %s CASCADE', one);
    ELSIF pg_relation_size(one) > 0 THEN EXECUTE format('DELETE FROM %s', one);
    END IF;
  END LOOP;
END $$
"""
# Whatever is defined in a database, and its settings: each row of a catalogue says which transaction wrote it.
_CATALOGUES = (
    "class",
    "attribute",
    "attrdef",
    "constraint",
    "index",
    "trigger",
    "proc",
    "rewrite",
    "type",
    "extension",
    "db_role_setting",
)
_OBJECTS = (*(f"pg_{name}" for name in _CATALOGUES), "alembic_version")
_SHAPE = " UNION ALL ".join(f"SELECT '{name}', count(*), max(xmin::text::bigint) FROM {name}" for name in _OBJECTS)
_UNPRIVILEGED = ("postgres", "nobody")
_sessions: "defaultdict[str, list[psycopg.Connection[object]]]" = defaultdict(list)


@functools.cache
def find_programs() -> Path | None:
    """The folder with PostgreSQL's programs; None where there is none."""
    candidates = [Path(os.environ["PGBIN"])] if os.environ.get("PGBIN") else []
    if (pg_config := shutil.which("pg_config")) is not None:
        found = subprocess.run([pg_config, "--bindir"], capture_output=True, text=True, check=False)
        candidates.append(Path(found.stdout.strip()))
    candidates += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: path.parent.name.zfill(4), reverse=True)
    return next((path for path in candidates if all((path / name).is_file() for name in ("initdb", "postgres"))), None)


def describe() -> str:
    """For the header of a test run: which server there is, or loudly that there is none."""
    programs = find_programs()
    if programs is None:
        return f"PostgreSQL: NONE. ALL TESTS ON POSTGRESQL ARE SKIPPED: {MISSING}"
    version = subprocess.run([programs / "postgres", "--version"], capture_output=True, text=True, check=True)
    return f"{version.stdout.strip()} in {programs}"


class PostgresServer:
    """A server with a data folder of its own. Listens on a socket in it and, with `is_on_tcp`, on a port of 127.0.0.1."""

    def __init__(self, settings: Mapping[str, str] | None = None, *, is_on_tcp: bool = False) -> None:
        """Makes the data and starts. `settings` override those of postgresql.conf and of `SETTINGS`."""
        programs = find_programs()
        if programs is None:
            raise FileNotFoundError(MISSING)
        self.programs = programs
        # A socket's path may have a hundred letters, so not below pytest's folders.
        self.folder = Path(tempfile.mkdtemp(prefix="tallystick-pg-", dir="/tmp"))
        self.port = _free_port() if is_on_tcp else 5432
        self.settings = {**SETTINGS, **(settings or {})}
        self._is_on_tcp = is_on_tcp
        self._user = next(name for name in _UNPRIVILEGED if _user_id(name) is not None) if os.geteuid() == 0 else None
        self._numbers = itertools.count(1)
        self._shapes: dict[str, object] = {}
        self._given_back: list[str] = []
        self._prefix = f"t{os.getpid()}_{secrets.token_hex(2)}"
        self._postmaster: subprocess.Popen[bytes] | None = None
        self._guard = subprocess.Popen(
            ["sh", "-c", _GUARD, "sh", str(self.folder)], stdin=subprocess.PIPE, cwd="/", start_new_session=True
        )
        if self._user is not None:
            shutil.chown(self.folder, self._user)
        self._run("initdb", "--no-sync", f"--username={USER}", "--auth=trust", "--encoding=UTF8", "--locale=C", self._data)
        self.start()

    def __enter__(self) -> Self:
        """It runs already."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /) -> None:
        """Leaves nothing behind."""
        self.close()

    def url(self, database: str) -> str:
        """The URL of one of its databases."""
        host = "127.0.0.1" if self._is_on_tcp else ""
        query = "" if self._is_on_tcp else f"?host={self.folder}"
        return f"postgresql://{USER}@{host}{f':{self.port}' if host else ''}/{database}{query}"

    def new_database(self, *, is_empty: bool = False, like: str | None = None) -> str:
        """The URL of a new database with the newest schema; `is_empty`: without; `like`: a copy of one that nobody uses."""
        is_migrated = not is_empty and like is None
        if is_migrated and self._given_back:
            return self._given_back.pop()
        name = f"{self._prefix}_{next(self._numbers)}"
        template = "template0" if is_empty else _name(like) if like is not None else self._migrated
        self.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))
        if is_migrated:
            with self.connect(name) as connection:
                self._shapes[name] = connection.execute(_SHAPE).fetchall()
        return self.url(name)

    def give_back(self, url: str) -> None:
        """Empties a database of `new_database` for the next one who asks; drops it if more than rows was changed."""
        name = _name(url)
        _close_sessions(name)
        self.cut_connections(url)
        with self.connect(name) as connection:
            is_as_it_was = connection.execute(_SHAPE).fetchall() == self._shapes.pop(name)
            if is_as_it_was:
                connection.execute(_EMPTY)
                self._shapes[name] = connection.execute(_SHAPE).fetchall()
        if is_as_it_was:
            self._given_back.append(url)
        else:
            self.drop_database(url)

    def drop_database(self, url: str) -> None:
        """Drops a database, and cuts whoever is connected to it; what this process left open is closed."""
        _close_sessions(_name(url))
        self.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(_name(url))))

    def execute(self, statement: sql.SQL | sql.Composed, *values: str) -> None:
        """Runs one statement as the server's owner, outside of any transaction."""
        with self.connect() as connection:
            connection.execute(statement, values)

    def connect(self, database: str = "postgres") -> psycopg.Connection[tuple[object, ...]]:
        """The owner's connection to one of its databases, each statement a transaction."""
        host = "127.0.0.1" if self._is_on_tcp else str(self.folder)
        return psycopg.connect(host=host, port=self.port, user=USER, dbname=database, autocommit=True)

    def cut_connections(self, url: str) -> None:
        """Ends the sessions of everybody in a database, as a failing network or an operator would."""
        statement = sql.SQL("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s")
        self.execute(statement, _name(url))

    def start(self) -> None:
        """Starts, and answers when it takes connections; after a kill, that is when it has recovered."""
        assert self._postmaster is None, "it runs"
        options = [f"-c{name}={value}" for name, value in self.settings.items()]
        listen = "127.0.0.1" if self._is_on_tcp else ""
        where = ["-D", str(self._data), "-k", str(self.folder), "-p", str(self.port), "-h", listen]
        with (self.folder / "log").open("ab") as log:
            self._postmaster = subprocess.Popen(
                [*self._as_user, self.programs / "postgres", *where, *options],
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        _wait_until(self._is_ready, "it takes no connections", self.log)

    def stop(self, *, kill: bool = False) -> None:
        """Stops: cuts connections, rolls back what is open. `kill`: SIGKILL to all its processes at once."""
        postmaster, self._postmaster = self._postmaster, None
        if postmaster is None:
            return
        if not kill:
            postmaster.send_signal(signal.SIGINT)
            postmaster.wait(patience_s(START_S_MAX))
            return
        postmaster.send_signal(signal.SIGSTOP)  # so that it starts no other while we look
        children = _children(postmaster.pid)
        for pid in (postmaster.pid, *children):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        postmaster.wait(patience_s(START_S_MAX))
        _wait_until(lambda: not any(_is_alive(pid) for pid in children), "its processes live on", self.log)

    def close(self) -> None:
        """Stops for good and removes the data."""
        for database in [name for name in _sessions if name.startswith(self._prefix)]:
            _close_sessions(database)
        self.stop(kill=True)
        self._guard.communicate()  # nothing is left for it but the folder

    def log(self) -> str:
        """What the server said."""
        return (self.folder / "log").read_text("utf-8", errors="replace")

    @functools.cached_property
    def _migrated(self) -> str:
        """The name of a database that has the newest schema, to be copied."""
        self.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(_TEMPLATE)))
        engine = open_engine(self.url(_TEMPLATE))
        create_schema(engine)
        engine.dispose()
        return _TEMPLATE

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def _as_user(self) -> list[str]:
        """Words before a command. Popen could do it too, but by a fork, in which threads of grpc's come to life and fail."""
        if self._user is None:
            return []
        entry = pwd.getpwnam(self._user)
        return ["setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups", "--"]

    def _run(self, program: str, *words: str | Path) -> None:
        command = [*self._as_user, self.programs / program, *words]
        ended = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, f"{program}: {ended.stdout}{ended.stderr}"

    def _is_ready(self) -> bool:
        assert self._postmaster is not None
        assert self._postmaster.poll() is None, self.log()
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True


def _name(url: str) -> str:
    return str(make_url(url).database)


@event.listens_for(Pool, "connect")
def _note_session(session: object, _record: object) -> None:
    # A session that is forgotten before it is closed would warn, in whatever test runs then.
    if isinstance(session, psycopg.Connection):
        _sessions[session.info.dbname].append(session)


def _close_sessions(database: str) -> None:
    for session in _sessions.pop(database, ()):
        session.close()


def _user_id(name: str) -> int | None:
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _children(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The second field is the program's name in brackets, which may hold anything.
            state_and_parent = stat.read_text().rpartition(")")[2].split()
            if int(state_and_parent[1]) == pid:
                found.append(int(stat.parent.name))
    return found


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return False


def _wait_until(is_so: Callable[[], bool], otherwise: str, log: Callable[[], str]) -> None:
    give_up_at = time.monotonic() + patience_s(START_S_MAX)
    while not is_so():
        assert time.monotonic() < give_up_at, f"PostgreSQL: {otherwise}: {log()}"
        time.sleep(0.01)
