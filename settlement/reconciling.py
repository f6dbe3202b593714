"""Compares a partner's record with the books: reads both, lets them be matched on disk, keeps the run and writes its items.

A record with an error changes nothing; the file that names its errors is all that is left of it. The same record again is the
same run.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import IO
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Engine

from gateway.domain.ids import entry_id, leg_entry_id
from gateway.domain.intake import PartnerRecord
from gateway.domain.terms import date_at
from gateway.domain.window import Window
from gateway.storage.directory import load_network, load_terms
from gateway.storage.engine import reading, writing
from gateway.storage.intake import record_parts, whole_records
from gateway.storage.reconciliations import (
    COUNTS,
    BookedLine,
    Reconciliation,
    booked_lines,
    lines_of_entries,
    load_reconciliation,
    load_reconciliations,
    run_id,
    save_reconciliation,
)
from gateway.storage.windows import last_sequences, load_windows
from settlement import store
from settlement.items_file import ERROR_COLUMNS, ITEM_COLUMNS, error_text, item_text
from settlement.papers.reading import load_names
from settlement.papers.reconciliation_page import Compared, reconciliation_html
from settlement.partner_file import KINDS, LineError, read_record
from settlement.reconciliation import Line, Matcher, Sums
from settlement.sorting import DiskSorter
from settlement.whole import write_file

ERRORS_SHOWN_MAX = 20
_SEQUENCES_PER_READ = 5_000  # as the night reads: on SQLite a long read keeps the log from being moved into the file
_LEGS = 3  # further entries that one command books with one key: a checkout has one, a refund two


@dataclass(frozen=True, slots=True)
class Scope:
    """Which entries a record is compared with: those of a closed window, or those of a business date."""

    window: Window | None = None
    business_date: str = ""

    @property
    def window_id(self) -> int:
        """0 for a date."""
        return self.window.window_id if self.window else 0

    def __str__(self) -> str:
        """As it stands in the names of files."""
        return f"window-{self.window_id:04}" if self.window else self.business_date


@dataclass(slots=True)
class BadRecord:
    """A record that cannot be read: how many lines are wrong, the first of them, and the file that names all."""

    path: Path
    count: int = 0
    first: list[LineError] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Reconciled:
    """A run, where its items are and the page that sums them up, and whether it was made before."""

    run: Reconciliation
    path: Path
    page_path: Path
    is_repeated: bool


def reconcile(
    engine: Engine,
    *,
    partner_id: str,
    scope: Scope,
    parts: Iterable[bytes],
    out_dir: Path,
    at_ms: int,
    record_id: str = "",
) -> Reconciled | BadRecord:
    """Compares a record, given in pieces, with the partner's entries.

    Raises OSError; then nothing is kept, and no file is half there.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    stem = f"{partner_id}.reconciliation.{scope}"
    with reading(engine) as connection:
        zone = ZoneInfo(load_terms(connection).partners[partner_id].time_zone)
    with ExitStack() as stack:
        matcher = Matcher(lambda: stack.enter_context(DiskSorter()), partial(_elsewhere, engine, partner_id, zone))
        file = _Read(parts)
        bad = _take_theirs(file, matcher, out_dir / f"{stem}.errors.csv")
        if bad is not None:
            return bad
        for line in _ours(engine, partner_id, scope, zone):
            matcher.add(line)
        sums = Sums()
        path = out_dir / f"{stem}.{file.sha256.hex()[:12]}.csv"
        with _whole_file(path) as (out, digest):
            _write(out, digest, ",".join(ITEM_COLUMNS) + "\n")
            for item in matcher.items():
                sums.add(item)
                _write(out, digest, item_text(item))
        run = _run(partner_id, scope, record_id, file, matcher.entries, sums, digest.digest(), at_ms)
    return _kept(engine, run, scope, sums, path)


class _Read:
    """The pieces of a record, hashed as they go by."""

    def __init__(self, parts: Iterable[bytes]) -> None:
        self._parts = parts
        self._digest = hashlib.sha256()
        self.lines = 0

    def __iter__(self) -> Iterator[bytes]:
        for part in self._parts:
            self._digest.update(part)
            yield part

    @property
    def sha256(self) -> bytes:
        return self._digest.digest()


def _take_theirs(file: _Read, matcher: Matcher, errors_path: Path) -> BadRecord | None:
    """Hands the record's lines over; from the first error on, only its errors are still looked for."""
    lines = read_record(file)
    for one in lines:
        if isinstance(one, LineError):
            return _bad(one, lines, errors_path)
        file.lines += 1
        matcher.add(Line(one.idempotency_key, one.kind, one.points, one.business_date, one.receipt_number, number=one.number))
    return None


def _bad(first: LineError, rest: Iterator[object], path: Path) -> BadRecord:
    bad = BadRecord(path)
    with _whole_file(path) as (out, digest):
        _write(out, digest, ",".join(ERROR_COLUMNS) + "\n")
        for one in _errors(first, rest):
            bad.count += 1
            if len(bad.first) < ERRORS_SHOWN_MAX:
                bad.first.append(one)
            _write(out, digest, error_text(one))
    return bad


def _errors(first: LineError, rest: Iterator[object]) -> Iterator[LineError]:
    yield first
    yield from (one for one in rest if isinstance(one, LineError))


def _ours(engine: Engine, partner_id: str, scope: Scope, zone: ZoneInfo) -> Iterator[Line]:
    """By short ranges, each read by itself: what is committed does not change."""
    for lane, first, last in _ranges(engine, scope):
        for start in range(first, last + 1, _SEQUENCES_PER_READ):
            with reading(engine) as connection:
                found = list(
                    booked_lines(
                        connection,
                        partner_id,
                        lane=lane,
                        first=start,
                        last=min(start + _SEQUENCES_PER_READ - 1, last),
                        kinds=KINDS.values(),
                        business_date=scope.business_date,
                    )
                )
            yield from (_line(one, zone) for one in found)


def _ranges(engine: Engine, scope: Scope) -> list[tuple[int, int, int]]:
    """Lane, first and last sequence. For a date: from the last cut-off on which nothing of that date can have been booked."""
    if scope.window is not None:
        return [(lane.lane, lane.first, lane.last) for lane in scope.window.ranges]
    day_before = (date.fromisoformat(scope.business_date) - timedelta(1)).isoformat()  # a partner may be a day ahead
    with reading(engine) as connection:
        before = next((one for one in load_windows(connection) if one.ranges and one.cut_off_date < day_before), None)
        done = {lane.lane: lane.last for lane in before.ranges} if before else {}
        return [(lane, done.get(lane, 0) + 1, last) for lane, last in last_sequences(connection)]


def _elsewhere(engine: Engine, partner_id: str, zone: ZoneInfo, lines: Sequence[Line]) -> dict[tuple[str, str], Line]:
    """The partner's entries by the lines' keys, in whatever window: ids are derived from keys."""
    wanted = set()
    for line in lines:
        head = entry_id(partner_id, line.idempotency_key)
        wanted |= {head, *(leg_entry_id(head, number) for number in range(1, _LEGS + 1))}
    with reading(engine) as connection:
        found = lines_of_entries(connection, partner_id, wanted, kinds=KINDS.values())
    return {(line.idempotency_key, line.kind): line for line in (_line(one, zone) for one in found)}


def _line(booked: BookedLine, zone: ZoneInfo) -> Line:
    """The books have points as the member feels them; in a record the kind says whether they come or go.

    `zone`: the partner's time zone, by which it dates its business.
    """
    return Line(
        booked.idempotency_key,
        booked.kind.name.lower(),
        abs(booked.points),
        booked.business_date,
        booked.receipt_number,
        entry_id=booked.entry_id,
        window_id=booked.window_id,
        is_late=date_at(booked.booked_at_ms, zone).isoformat() > booked.business_date,
    )


def _run(
    partner_id: str, scope: Scope, record_id: str, file: _Read, entries: int, sums: Sums, result_sha256: bytes, at_ms: int
) -> Reconciliation:
    of_class = {match_class.value: its.items for match_class, its in sums.by_class.items()}
    counted = {"file_lines": file.lines, "entries": entries} | of_class
    of_run = (partner_id, scope.window_id, scope.business_date, file.sha256, result_sha256)
    return Reconciliation(
        run_id=run_id(*of_run, (counted[name] for name in COUNTS)),
        partner_id=partner_id,
        window_id=scope.window_id,
        business_date=scope.business_date,
        record_id=record_id,
        file_sha256=file.sha256,
        result_sha256=result_sha256,
        made_at_ms=at_ms,
        **counted,
    )


def _kept(engine: Engine, run: Reconciliation, scope: Scope, sums: Sums, path: Path) -> Reconciled:
    with reading(engine) as connection:
        compared = Compared(
            audience=load_network(connection).audience,
            partner_id=run.partner_id,
            name=load_names(connection).get(run.partner_id, ""),
            window=scope.window,
            business_date=scope.business_date,
            file_lines=run.file_lines,
            entries=run.entries,
            file_sha256=run.file_sha256,
            items_sha256=run.result_sha256,
            items_name=path.name,
        )
    page_path = path.with_suffix(".html")
    write_file(page_path, reconciliation_html(compared, sums))
    with writing(engine) as connection:
        earlier = load_reconciliation(connection, run.run_id)
        if earlier is None:
            save_reconciliation(connection, run)
    return Reconciled(earlier or run, path, page_path, earlier is not None)


def scope_of(connection: Connection, *, window_id: int | None, business_date: str) -> Scope:
    """What the caller names; the window that was closed last where it names nothing. Raises InvalidValue."""
    if business_date:
        return Scope(business_date=business_date)
    return Scope(window=store.closed_window(connection, window_id))


def waiting_records(connection: Connection) -> list[PartnerRecord]:
    """Records that are whole and can be read, whose window is closed, and that were not compared yet; oldest first."""
    done = {(run.partner_id, run.record_id) for run in load_reconciliations(connection)}
    closed = {window.window_id for window in load_windows(connection) if window.ranges}
    return [
        record
        for record in whole_records(connection)
        if not record.bad_lines
        and (record.partner_id, record.record_id) not in done
        and (not record.window_id or record.window_id in closed)
    ]


def stored_parts(engine: Engine, record: PartnerRecord) -> Iterator[bytes]:
    """The content of a record that came through the gateway."""
    with reading(engine) as connection:
        yield from record_parts(connection, record)


@contextmanager
def _whole_file(path: Path) -> "Iterator[tuple[IO[str], hashlib._Hash]]":
    """A file that is there whole, under its name, or not at all; one of that name is replaced."""
    partial_path = path.with_name(f".{path.name}.partial")
    try:
        with partial_path.open("w", encoding="utf-8", newline="") as file:
            yield file, hashlib.sha256()
            file.flush()
            os.fsync(file.fileno())
        partial_path.replace(path)
    finally:
        partial_path.unlink(missing_ok=True)


def _write(file: IO[str], digest: "hashlib._Hash", text: str) -> None:
    file.write(text)
    digest.update(text.encode())
