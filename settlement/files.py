"""The files of a window: each whole or absent, and the folder complete when it appears."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from sqlalchemy import Connection, Engine

from gateway.domain.canonical import Plain
from gateway.domain.ids import OPERATOR
from gateway.domain.settlement import CarryReason, Schedule
from gateway.domain.statement import LINES_HEADER, line_text
from gateway.domain.window import PUBLISHED, Window, WindowState
from gateway.storage.engine import reading
from gateway.storage.rules import load_rules
from gateway.storage.statements import load_statement, load_statement_lines, load_statement_partners
from gateway.storage.windows import load_windows
from settlement.instruction import instructions_document, instructions_text
from settlement.papers.writing import Papers, open_papers
from settlement.report import report_text, sheets
from settlement.sealing import Sealer
from settlement.statement import statement_text
from settlement.store import load_carries, load_instructions, load_obligations, load_positions
from settlement.whole import write_whole

_LINES_PER_READ = 5_000


def window_folder(out_dir: Path, window_id: int) -> Path:
    """Where the files of a window go."""
    return out_dir / f"window-{window_id:04}"


def payments_folder(out_dir: Path, run_id: int) -> Path:
    """Where the files of a payment run go that gathered windows of a term."""
    return out_dir / f"payments-{run_id:04}"


def write_payments(engine: Engine, out_dir: Path, *, audience: str, window: Window) -> Path:
    """Writes the instructions of such a run where they are not written yet, and answers their folder, complete when it appears.

    `window` is the last that it gathered. Raises OSError.
    """
    target = payments_folder(out_dir, window.window_id)
    if target.exists():
        return target
    head: dict[str, Plain] = {"format": "tallystick-payments-1", "audience": audience, "window_id": window.window_id}
    with reading(engine) as connection:
        contents = list(_instruction_files(connection, audience, window))
    return write_whole(target, contents, manifest=_MANIFEST, head=head)


def write_window(engine: Engine, out_dir: Path, *, audience: str, window: Window, sealer: Sealer) -> Path:
    """Writes all files of a published window, and answers their folder; the same again gives the same bytes.

    Files of a partner begin with its id, those of the operator with "operator.", which is no partner's id. The manifest
    names all others with their SHA-256 and is written last. Raises OSError; then a folder that stood before is as it was.
    """
    head: dict[str, Plain] = {"format": "tallystick-manifest-1", "audience": audience, "window_id": window.window_id}
    papers = open_papers(engine, audience=audience, window=window, sealer=sealer)
    target = window_folder(out_dir, window.window_id)
    return write_whole(target, _contents(papers), manifest=_MANIFEST, head=head)


def stale_windows(connection: Connection, out_dir: Path, *, audience: str) -> list[Window]:
    """Windows whose folder names other payments than the store has, oldest first: who made them anew was ended before writing.

    Of what is not settled yet, where windows are paid for one by one: payments of all others are what they were.
    """
    rules, found = load_rules(connection), []
    for window in reversed(load_windows(connection)):
        manifest = window_folder(out_dir, window.window_id) / _MANIFEST
        by_window = rules[window.rules_version].schedule is Schedule.WINDOW
        if by_window and window.state in PUBLISHED - {WindowState.SETTLED} and manifest.exists():
            document = _instructions(connection, audience, window)
            if hashlib.sha256(document).hexdigest().encode() not in manifest.read_bytes():
                found.append(window)
    return found


def write_statements(engine: Engine, out_dir: Path, *, audience: str, window: Window, sealer: Sealer) -> Path:
    """Writes what partners are sent of a published window, and answers its folder; otherwise as `write_window`."""
    head: dict[str, Plain] = {"format": "tallystick-manifest-1", "audience": audience, "window_id": window.window_id}
    papers = open_papers(engine, audience=audience, window=window, sealer=sealer)
    target = out_dir / f"statements-{window.window_id:04}"
    return write_whole(target, _partners_contents(papers), manifest=_MANIFEST, head=head)


_MANIFEST = f"{OPERATOR}.manifest.json"


def _contents(papers: Papers) -> Iterator[tuple[str, Iterable[bytes]]]:
    audience, window = papers.audience, papers.window
    with reading(papers.engine) as connection:
        # A run that gathers several windows comes later, and has files of its own: those of its last window stay what they are.
        by_window = load_rules(connection)[window.rules_version].schedule is Schedule.WINDOW
        report = sheets(
            obligations=load_obligations(connection, window.window_id),
            positions=load_positions(connection, window.window_id),
            instructions=load_instructions(connection, window.window_id) if by_window else [],
        )
        paying = list(_instruction_files(connection, audience, window, is_paid_for=by_window))
    yield from _partners_contents(papers)
    yield from paying
    yield from papers.of_operator()
    yield f"{OPERATOR}.report.txt", [report_text(audience, window, report).encode()]


def _instruction_files(
    connection: Connection, audience: str, window: Window, *, is_paid_for: bool = True
) -> Iterator[tuple[str, Iterable[bytes]]]:
    made = load_instructions(connection, window.window_id) if is_paid_for else []
    yield f"{OPERATOR}.instructions.json", [_instructions(connection, audience, window, is_paid_for=is_paid_for)]
    yield f"{OPERATOR}.instructions.txt", [instructions_text(audience=audience, window=window, instructions=made).encode()]


def _instructions(connection: Connection, audience: str, window: Window, *, is_paid_for: bool = True) -> bytes:
    if not is_paid_for:
        return instructions_document(audience=audience, window=window, instructions=[], carried=[], brought=[])
    left = [one for one in load_carries(connection, left_by=window.window_id) if one.reason is CarryReason.MINIMUM]
    return instructions_document(
        audience=audience,
        window=window,
        instructions=load_instructions(connection, window.window_id),
        carried=left,
        brought=load_carries(connection, brought_to=window.window_id),
    )


def _partners_contents(papers: Papers) -> Iterator[tuple[str, Iterable[bytes]]]:
    with reading(papers.engine) as connection:
        partners = load_statement_partners(connection, papers.window.window_id)
    for partner_id in partners:
        yield from _partner_contents(papers, partner_id)


def _partner_contents(papers: Papers, partner_id: str) -> Iterator[tuple[str, Iterable[bytes]]]:
    window_id = papers.window.window_id
    with reading(papers.engine) as connection:
        statement = load_statement(connection, window_id, partner_id)
    assert statement is not None, "the window is published"
    yield f"{partner_id}.json", [statement.statement]
    yield f"{partner_id}.txt", [statement_text(statement.statement, statement.sha256).encode()]
    yield f"{partner_id}.lines.csv", _lines(papers.engine, window_id, partner_id)
    yield from papers.of_partner(statement)


def _lines(engine: Engine, window_id: int, partner_id: str) -> Iterator[bytes]:
    yield LINES_HEADER.encode()
    after = 0
    while True:
        with reading(engine) as connection:
            lines = load_statement_lines(connection, window_id, partner_id, after=after, limit=_LINES_PER_READ)
        if not lines:
            return
        yield "".join(map(line_text, lines)).encode()
        after = lines[-1].line_number
