"""What is kept of a till under conformance: bounded, in order, and only while a run is open."""

from pathlib import Path

from gateway.storage.conformance import (
    EVENTS_MAX,
    ConformanceEvent,
    ConformanceRun,
    end_run,
    load_events,
    load_open_runs,
    load_run,
    save_events,
    start_run,
)
from gateway.storage.directory import directory_version
from gateway.storage.engine import reading, writing
from tests.given import create_network


def event(at_ms: int, partner_id: str = "acme") -> ConformanceEvent:
    """One."""
    return ConformanceEvent(partner_id, at_ms, "acme/till-1/1", "IssuePoints", "e1", "BOOKED")


def test_events_come_back_in_their_order(tmp_path: Path, network_url: str | None) -> None:
    """Over several calls, also those of one millisecond; others' are others'."""
    network = create_network(tmp_path / "net", url=network_url)
    with writing(network.engine) as connection:
        start_run(connection, "acme", at_ms=1)
        save_events(connection, [event(5), event(7), event(7, "globex")])
        save_events(connection, [event(7), event(8)], after=3)

    with reading(network.engine) as connection:
        assert load_events(connection, "acme") == [event(5), event(7), event(7), event(8)]
        assert load_events(connection, "globex") == []


def test_only_what_happens_while_a_run_is_open_is_kept(tmp_path: Path, network_url: str | None) -> None:
    """A gateway may write later what it saw before, or has not yet noticed that the run has ended."""
    network = create_network(tmp_path / "net", url=network_url)
    with writing(network.engine) as connection:
        save_events(connection, [event(5)])
        start_run(connection, "acme", at_ms=6)
        save_events(connection, [event(5), event(6)])
        end_run(connection, "acme", at_ms=9)
        save_events(connection, [event(10)])

    with reading(network.engine) as connection:
        assert load_events(connection, "acme") == [event(6)]
        assert (load_open_runs(connection), load_run(connection, "acme")) == ({}, ConformanceRun("acme", 6, 9))


def test_a_new_run_forgets_the_old_one(tmp_path: Path, network_url: str | None) -> None:
    """And is noticed by its version of the directory."""
    network = create_network(tmp_path / "net", url=network_url)
    with writing(network.engine) as connection:
        before = directory_version(connection)
        start_run(connection, "acme", at_ms=1)
        save_events(connection, [event(5)])
        end_run(connection, "acme", at_ms=9)
        start_run(connection, "acme", at_ms=9)

        assert (load_events(connection, "acme"), load_open_runs(connection)) == ([], {"acme": 9})
        assert directory_version(connection) == before + 3


def test_the_first_events_of_a_run_are_kept(tmp_path: Path) -> None:
    """Evidence is not pushed out by what comes later, and the table does not grow for ever."""
    network = create_network(tmp_path / "net")
    events = [event(at_ms) for at_ms in range(EVENTS_MAX + 9)]
    with writing(network.engine) as connection:
        start_run(connection, "acme", at_ms=0)
        save_events(connection, events[:-20])
        save_events(connection, events[-20:], after=EVENTS_MAX - 11)

        assert load_events(connection, "acme") == events[:EVENTS_MAX]
