"""Databases of earlier versions: what each version of the schema does to the rows that it finds."""

from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, text

from gateway.storage import migrate
from gateway.storage.engine import reading, writing
from gateway.storage.errors import SchemaOutdated


def _upgrade_to(connection: Connection, version: str) -> None:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
    command.upgrade(config, version)


def _rows(engine: Engine, table: str) -> list[tuple[object, ...]]:
    with reading(engine) as connection:
        return sorted(tuple(row) for row in connection.execute(text(f"SELECT * FROM {table}")))


def test_a_network_of_the_first_version_gets_its_lanes(empty_engine: Engine) -> None:
    """All its heads, and its open window, have as many as it was founded with."""
    network = (1, "coalition.example:test", "EUR", "Europe/Berlin", "at_par", 2, 1_000, 1)
    with writing(empty_engine) as connection:
        _upgrade_to(connection, "0001")
        connection.exec_driver_sql(f"INSERT INTO networks VALUES {network}")
        connection.execute(text("INSERT INTO windows VALUES (1, 'OPEN', '', 0, :none)"), {"none": b""})
        for lane in range(2):
            connection.execute(text("INSERT INTO heads VALUES (:n, 1, 7, 2000, :a, 3, :b)"), {"n": lane, "a": b"a", "b": b"b"})
    before, after = migrate.upgrade(empty_engine)

    assert (before, after) == ("0001", migrate.SCHEMA_VERSION)
    assert _rows(empty_engine, "heads") == [(lane, 1, 7, 2_000, b"a", 3, b"b", 2) for lane in range(2)]
    assert _rows(empty_engine, "windows") == [(1, "OPEN", "", 0, b"", 2, "", 0)]


def test_windows_that_the_first_version_closed_cannot_be_upgraded(empty_engine: Engine) -> None:
    """Their hashes cover neither lanes nor refusals, and no release ever made any."""
    with writing(empty_engine) as connection:
        _upgrade_to(connection, "0001")
        connection.execute(text("INSERT INTO windows VALUES (1, 'CLOSED', '2026-06-30', 1, :hash)"), {"hash": bytes(32)})

    with pytest.raises(SchemaOutdated, match="without a note of their lanes"):
        migrate.upgrade(empty_engine)
    with reading(empty_engine) as connection:
        assert migrate.schema_version(connection) == "0001"


def test_windows_of_earlier_nights_get_the_way_that_they_went(empty_engine: Engine) -> None:
    """One step after the other, each with its time; what was netted was paid for by itself, under the founding's rules."""
    network = (1, "coalition.example:test", "EUR", "Europe/Berlin", "at_par", 1, 1_000, 1)
    with writing(empty_engine) as connection:
        _upgrade_to(connection, "0007")
        connection.exec_driver_sql(f"INSERT INTO networks VALUES {network}")
        for row in ((1, "NETTED", "2026-06-01", 2_000), (2, "CLOSED", "2026-06-02", 3_000), (3, "OPEN", "", 0)):
            connection.execute(text(f"INSERT INTO windows VALUES ({repr(row)[1:-1]}, :hash, 1)"), {"hash": b"h"})
        connection.exec_driver_sql("INSERT INTO settlement_steps VALUES (1, 'publish', 2500)")
        connection.exec_driver_sql("INSERT INTO obligations VALUES (1, 'acme', 'bolt', 'redemption', 1, 'EUR', 7, 7000000, 7)")
    migrate.upgrade(empty_engine)

    assert [row[6:] for row in _rows(empty_engine, "windows")] == [("CLOSED", 0), ("OPEN", 0), ("", 0)]
    assert _rows(empty_engine, "window_transitions") == [
        (1, 1, "", "OPEN", 1_000, "founding", ""),
        (1, 2, "OPEN", "CLOSED", 2_000, "night", ""),
        (1, 3, "CLOSED", "NETTED", 2_500, "night", ""),
        (2, 1, "", "OPEN", 2_000, "night", ""),
        (2, 2, "OPEN", "CLOSED", 3_000, "night", ""),
        (3, 1, "", "OPEN", 3_000, "night", ""),
    ]
    assert _rows(empty_engine, "payment_runs") == [(1, 1, 0)]
    assert _rows(empty_engine, "obligations") == [(1, "acme", "bolt", "redemption", 1, "EUR", 7, 7_000_000, 7, "")]


def test_cards_of_before_belong_to_the_enrolments_of_their_members(empty_engine: Engine) -> None:
    """Members are confirmed, in no language; what they have shows nothing of itself, and says which entry gave it."""
    entry = (5, "e1", 0, 1, 1, 1, "acme", "acme/till-1/1", "k1", "m1", "2026-06-01", 1, 1, 0, "", 0, 0, "", "", "")
    names = (
        "bucket, entry_id, lane, sequence, window_id, kind, partner_id, key_id, idempotency_key, member_id, business_date, "
        "occurred_at_ms, booked_at_ms, points, unit, amount, rate_card_version, original_entry_id, offer_id, receipt_number"
    )
    with writing(empty_engine) as connection:
        _upgrade_to(connection, "0002")
        hashes = {"none": bytes(32)}
        insert = f"INSERT INTO entries ({names}, fingerprint, entry_hash) VALUES ({repr(entry)[1:-1]}, :none, :none)"
        connection.execute(text(insert), hashes)
        connection.exec_driver_sql("INSERT INTO members VALUES (5, 'm1', 'acme', 7, 0, 1, 1)")
        connection.exec_driver_sql("INSERT INTO member_identifiers VALUES ('hash', 'card', 'm1')")
        connection.exec_driver_sql("INSERT INTO postings VALUES (5, 'e1', 0, 1, 'l1', 'acme', 'acme', 1, 7, '')")
    migrate.upgrade(empty_engine)

    assert _rows(empty_engine, "members") == [(5, "m1", "acme", 7, 0, 1, 1, 0, 1, 0, "", "")]
    assert _rows(empty_engine, "member_identifiers") == [("hash", "card", "m1", "", 0, "e1", "")]
    assert len(_rows(empty_engine, "postings")) == 1
    with reading(empty_engine) as connection:
        assert connection.execute(text("SELECT facts, head_entry_id FROM entries")).all() == [("", "")]
