"""Published statements: settlement writes them, the gateway serves each partner its own."""

from collections.abc import Sequence
from operator import attrgetter

from sqlalchemy import ColumnElement, Connection, and_, select

from gateway.domain.statement import PublishedStatement, StatementLine
from gateway.domain.window import PUBLISHED, Window
from gateway.storage.bulk import BulkWrite
from gateway.storage.engine import upsert
from gateway.storage.tables import windows
from gateway.storage.tables_settlement import statement_lines, statements
from gateway.storage.windows import load_window


def load_statement_windows(connection: Connection, partner_id: str, *, before: int | None = None, limit: int) -> list[Window]:
    """Windows in which a statement of the partner is published, newest first, with an id below `before`."""
    query = select(statements.c.window_id).where(_is_published(), statements.c.partner_id == partner_id)
    if before is not None:
        query = query.where(statements.c.window_id < before)
    found = connection.execute(query.order_by(statements.c.window_id.desc()).limit(limit)).scalars().all()
    loaded = (load_window(connection, window_id) for window_id in found)
    return [window for window in loaded if window is not None]


def load_statement(connection: Connection, window_id: int, partner_id: str) -> PublishedStatement | None:
    """The partner's statement of a window; None unless it is published."""
    query = select(statements).where(_is_published(), statements.c.window_id == window_id, statements.c.partner_id == partner_id)
    row = connection.execute(query).one_or_none()
    return None if row is None else PublishedStatement(row.window_id, row.partner_id, row.statement, row.sha256, row.lines)


def load_statement_lines(
    connection: Connection, window_id: int, partner_id: str, *, after: int, limit: int
) -> list[StatementLine]:
    """Lines with a number above `after`, in order. Does not ask whether they are published: ask for the statement first."""
    wanted = statement_lines.c
    query = (
        select(*(wanted[name] for name in _LINE_COLUMNS))
        .where(wanted.window_id == window_id, wanted.partner_id == partner_id, wanted.line_number > after)
        .order_by(wanted.line_number)
        .limit(limit)
    )
    return [StatementLine(*row) for row in connection.execute(query)]


def load_statement_partners(connection: Connection, window_id: int) -> list[str]:
    """Partners that have a statement in the window, published or not, by id."""
    query = select(statements.c.partner_id).where(statements.c.window_id == window_id).order_by(statements.c.partner_id)
    return list(connection.execute(query).scalars())


def load_previous_sha256(connection: Connection, window_id: int, partner_id: str) -> bytes | None:
    """Hash of the partner's latest statement before the window; None before the first."""
    query = select(statements.c.sha256).where(statements.c.partner_id == partner_id, statements.c.window_id < window_id)
    return connection.execute(query.order_by(statements.c.window_id.desc()).limit(1)).scalar_one_or_none()


def save_statements(connection: Connection, made: Sequence[PublishedStatement]) -> None:
    """Stores statements; they are visible once their window is netted. The same ones again change nothing."""
    upsert(connection, statements, [_fields(statement) for statement in made], replace=("statement", "sha256", "lines"))


def save_statement_lines(connection: Connection, window_id: int, lines: Sequence[tuple[str, StatementLine]]) -> None:
    """Stores lines, each with the partner whose statement it stands in. The same ones again change nothing."""
    _PUT_LINES(connection, [(window_id, partner_id, *_line_values(line)) for partner_id, line in lines])


_LINE_COLUMNS = tuple(StatementLine.__slots__)
_line_values = attrgetter(*(column.name for column in statement_lines.columns if column.name not in ("window_id", "partner_id")))
_PUT_LINES = BulkWrite.put(statement_lines)


def _is_published() -> ColumnElement[bool]:
    states = sorted(state.value for state in PUBLISHED)
    return and_(windows.c.window_id == statements.c.window_id, windows.c.state.in_(states))


def _fields(value: PublishedStatement) -> dict[str, object]:
    return {name: getattr(value, name) for name in type(value).__slots__}
