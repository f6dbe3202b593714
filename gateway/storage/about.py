"""What a database says of itself: its program, and whether it keeps what it has committed. Writes nothing."""

from dataclasses import dataclass

from sqlalchemy import Connection

_SYNCHRONOUS = ("OFF", "NORMAL", "FULL", "EXTRA")


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """`settings` are those on which the durability of a commit rests; `dangers` says, for people, what is wrong with them."""

    program: str
    settings: tuple[tuple[str, str], ...]
    dangers: tuple[str, ...]


def load_facts(connection: Connection) -> DatabaseFacts:
    """Asks the database, in a session as all of ours are."""
    return _of_sqlite(connection) if connection.dialect.name == "sqlite" else _of_postgresql(connection)


def _of_sqlite(connection: Connection) -> DatabaseFacts:
    version = connection.exec_driver_sql("SELECT sqlite_version()").scalar_one()
    journal = connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()
    synchronous = _SYNCHRONOUS[connection.exec_driver_sql("PRAGMA synchronous").scalar_one()]
    return DatabaseFacts(f"SQLite {version}", (("journal_mode", journal), ("synchronous", synchronous)), ())


def _of_postgresql(connection: Connection) -> DatabaseFacts:
    shown = {
        name: str(connection.exec_driver_sql(f"SHOW {name}").scalar_one())
        for name in ("server_version", "synchronous_commit", "fsync", "full_page_writes", "server_encoding")
    }
    dangers = [
        f"{name} is off: a power cut loses or tears what was answered; set it to on in postgresql.conf"
        for name in ("fsync", "full_page_writes")
        if shown[name] == "off"
    ]
    return DatabaseFacts(f"PostgreSQL {shown.pop('server_version')}", tuple(shown.items()), tuple(dangers))
