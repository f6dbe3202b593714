"""Terminals and their events in the store, on both engines: locked, continued, frozen, and read back as they were written."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError

from gateway.domain.events import Event, Terminal
from gateway.storage.engine import reading, writing
from gateway.storage.migrate import create_schema
from gateway.storage.terminals import (
    KeptEvent,
    NewEvent,
    add_conflict,
    add_events,
    known_events,
    load_conflicts,
    load_terminal,
    load_terminals,
    lock_terminal,
    note_carried_out,
    release,
)

ACME = "acme/till-1"


@pytest.fixture
def engine(empty_engine: Engine) -> Engine:
    """With the newest tables."""
    create_schema(empty_engine)
    return empty_engine


def event(counter: int, command: bytes = b"\x00\xffcommand") -> Event:
    """With bytes that no text could hold."""
    return Event(
        key_id=f"{ACME}/1",
        counter=counter,
        occurred_at_ms=1_000_000 + counter,
        previous_hash=bytes([counter - 1]) * 32,
        command=command,
        signature=bytes([counter]) * 64,
    )


def new(counter: int, *, refused: int = 0) -> NewEvent:
    """To be kept."""
    return NewEvent(event(counter), bytes([counter]) * 32, f"e{counter}", refused)


def keep(engine: Engine, *counters: int) -> None:
    """Continues acme's chain."""
    with writing(engine) as connection:
        lock_terminal(connection, ACME)
        add_events(connection, ACME, [new(counter) for counter in counters])


def terminal(engine: Engine) -> Terminal | None:
    """acme's, as it stands."""
    with reading(engine) as connection:
        return load_terminal(connection, ACME)


def test_a_terminal_that_never_sent_anything_is_none(engine: Engine) -> None:
    """Until it is locked for the first time."""
    before = terminal(engine)
    with writing(engine) as connection:
        locked = lock_terminal(connection, ACME)

    assert before is None
    assert locked == terminal(engine) == Terminal(terminal_id=ACME)


def test_events_continue_a_chain_and_are_known_by_their_counters(engine: Engine) -> None:
    """Hash and refusal; the terminal's end is that of the last one."""
    keep(engine, 1, 2)
    with writing(engine) as connection:
        lock_terminal(connection, ACME)
        add_events(connection, ACME, [new(3, refused=65)])
    with reading(engine) as connection:
        known = known_events(connection, ACME, first=2, last=9)
    end = terminal(engine)

    assert known == {2: KeptEvent(b"\x02" * 32, 0), 3: KeptEvent(b"\x03" * 32, 65)}
    assert end == Terminal(terminal_id=ACME, last_counter=3, last_hash=b"\x03" * 32, last_occurred_at_ms=1_000_003)


def test_a_counter_is_kept_once(engine: Engine) -> None:
    """By the key of the table, whatever a program forgets."""
    keep(engine, 1)
    with pytest.raises(IntegrityError), writing(engine) as connection:
        add_events(connection, ACME, [new(1)])


def test_what_is_carried_out_never_runs_back(engine: Engine) -> None:
    """Two copies of a call may end in any order."""
    keep(engine, 1, 2, 3)
    for counter in (3, 1):
        with writing(engine) as connection:
            note_carried_out(connection, ACME, counter)
    end = terminal(engine)

    assert end is not None
    assert end.carried_out == 3


def test_the_table_refuses_what_cannot_be(engine: Engine) -> None:
    """Carried out beyond the chain, released beyond its conflicts."""
    keep(engine, 1)
    with pytest.raises(IntegrityError, match="ck_terminals_counters"), writing(engine) as connection:
        note_carried_out(connection, ACME, 2)
    with pytest.raises(IntegrityError, match="ck_terminals_conflicts"), writing(engine) as connection:
        release(connection, ACME, conflicts=1)


def test_a_conflict_freezes_once_and_is_kept_as_it_was_signed(engine: Engine) -> None:
    """The same content again changes nothing; a release holds until there is another one."""
    keep(engine, 1)
    other = event(1, b"other")
    said = []
    for _ in range(2):
        with writing(engine) as connection:
            locked = lock_terminal(connection, ACME)
            said.append(add_conflict(connection, locked, other, b"\x09" * 32, received_at_ms=7))
    frozen = terminal(engine)
    with writing(engine) as connection:
        release(connection, ACME, conflicts=1)
    released = terminal(engine)
    with reading(engine) as connection:
        (kept,) = load_conflicts(connection, ACME)

    assert said == [True, False]
    assert frozen is not None
    assert frozen.is_frozen
    assert released is not None
    assert not released.is_frozen
    assert (kept.counter, kept.command, kept.signature, kept.previous_hash) == (1, b"other", other.signature, other.previous_hash)


def test_a_partner_has_the_terminals_whose_names_begin_with_its_own(engine: Engine) -> None:
    """Not those of a partner whose name begins alike."""
    for terminal_id in (ACME, "acme/till-2", "acme-2/till-1", "acm/till-1"):
        with writing(engine) as connection:
            lock_terminal(connection, terminal_id)
    with reading(engine) as connection:
        found = load_terminals(connection, "acme")

    assert [one.terminal_id for one in found] == [ACME, "acme/till-2"]


def test_one_at_a_time_continues_a_terminal(engine: Engine) -> None:
    """Eight at once, also where there is no row yet: each sees what the one before it kept."""
    start = threading.Barrier(8)

    def go_on(_number: int) -> int:
        start.wait()
        with writing(engine) as connection:
            counter = lock_terminal(connection, ACME).last_counter + 1
            add_events(connection, ACME, [replace(new(1), event=event(counter), event_hash=bytes([counter]) * 32)])
        return counter

    with ThreadPoolExecutor(8) as pool:
        counters = sorted(pool.map(go_on, range(8)))

    assert counters == list(range(1, 9))
