"""Whether this machine's clock can be right, told by the books: a commit from the future sticks to all that come after it."""

from datetime import UTC, datetime

from sqlalchemy import Connection, func, select

from gateway.domain.errors import InvalidValue
from gateway.storage.tables import heads

AHEAD_MS_MAX = 5 * 60_000
_LATEST = select(func.max(heads.c.last_commit_ms))


def check_clock(connection: Connection, now_ms: int) -> None:
    """Raises InvalidValue if the last commit lies well ahead of now: the clock is wrong, or was when that was booked."""
    latest_ms = connection.execute(_LATEST).scalar_one() or 0
    if latest_ms - now_ms > AHEAD_MS_MAX:
        raise InvalidValue(
            f"the books end at {_instant(latest_ms)}, and this machine's clock says {_instant(now_ms)}: mend the clock; if it "
            "is right, it was ahead when that was booked: wait until then, or restore the backup from before"
        )


def _instant(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // 1_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
