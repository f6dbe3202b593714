"""A terminal's daily limit over several lanes: many clients at once book exactly as much as it allows."""

import asyncio
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from sqlalchemy import func, select

from gateway.domain.command import Issue
from gateway.domain.outcome import Reason, Refusal
from gateway.domain.receipt import Result
from gateway.ledger.audit import audit
from gateway.storage.tables_till import terminal_days
from tests.given import at, month
from tests.ledger.books import NOON, Books
from tests.ledger.lanes import LANES, Lanes, names_by_lane, writing_in_lanes

CLIENTS, CALLS, LIMIT = 32, 8, 3_000
PEOPLE = [name for names in names_by_lane(4) for name in names]


@pytest.fixture
def books(tmp_path: Path, postgres_url: str) -> Iterator[Books]:
    """Four lanes on PostgreSQL, with four members in each; it is 5 June 2026, noon."""
    opened = Books(
        month(tmp_path / "net", lanes=LANES).copy(tmp_path / "copy", url=postgres_url), now_ms=at("2026-06-01", "09:00")
    )
    opened.run(*(opened.enrolment(name, "alpha") for name in PEOPLE))
    opened.now_ms = opened.network.now_ms = NOON
    yield opened
    opened.connection.close()
    opened.network.engine.dispose()


@pytest.mark.postgres
def test_clients_of_four_lanes_do_not_exceed_the_limit_of_their_terminal(books: Books) -> None:
    """To the point, though each lane sees what the others have committed alone; and nobody is refused what fits."""
    numbers = random.Random(7)
    books.network.limits("bravo", "2026-06-05", terminal_day_issued_max=LIMIT)
    calls = [
        [books.issue(numbers.choice(PEOPLE), f"{numbers.randint(1, 60)}.00", partner="bravo") for _ in range(CALLS)]
        for _ in range(CLIENTS)
    ]

    async def client(lanes: Lanes, commands: Sequence[Issue]) -> list[Result]:
        return [(await lanes.submit(command))[0] for command in commands]

    async def day() -> list[list[Result]]:
        async with writing_in_lanes(books) as lanes:
            return await asyncio.gather(*(client(lanes, commands) for commands in calls))

    answers = asyncio.run(day())
    (issued,) = books.rows(select(func.sum(terminal_days.c.issued_points)))[0]
    refused = [
        command.eligible.minor_units // 100
        for commands, results in zip(calls, answers, strict=True)
        for command, result in zip(commands, results, strict=True)
        if isinstance(result, Refusal) and result.reason is Reason.TERMINAL_DAILY_LIMIT
    ]

    assert issued <= LIMIT
    assert refused
    assert issued + min(refused) > LIMIT
    assert [str(failure) for failure in audit(books.network.engine, full=True, now_ms=NOON).failures] == []
