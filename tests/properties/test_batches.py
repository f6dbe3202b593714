"""A batch is the fold of its commands, whatever tills send: each command sees what those before it did, and nothing else."""

import itertools
import random
from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from gateway.domain.outcome import Reason
from gateway.domain.terms import DebtPolicy
from tests.given import GivenNetwork
from tests.ledger.days import MEMBERS, Day
from tests.properties.copies import DEBT_POLICIES, Copies, WireBooks, reason_of

HOUR_MS = 3_600_000


@given(
    seed=st.integers(0, 2**32),
    policy=st.sampled_from(DEBT_POLICIES),
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=8),
    waits=st.lists(st.sampled_from((1, 7, 30)), min_size=1, max_size=4),
)
@settings(max_examples=30, phases=(Phase.explicit, Phase.reuse, Phase.generate))
def test_a_batch_is_the_fold_of_its_commands(
    templates: dict[tuple[DebtPolicy, int], GivenNetwork], seed: int, policy: DebtPolicy, sizes: list[int], waits: list[int]
) -> None:
    """However the same commands are cut into batches, every row of the books comes out the same."""
    with Copies(templates[policy, 1]) as copies:
        singly, batched = copies.open(), copies.open()
        days, cuts = Day(singly, random.Random(seed)), itertools.cycle(sizes)
        for books in (singly, batched):
            books.run(*(singly.enrolment(name, "alpha") for name in MEMBERS))
        for hours in waits:
            commands = [command for _ in range(3) for command in days.batch()]
            reasons = [reason_of(singly.run(command)[0]) for command in commands]
            found: list[Reason | None] = []
            while commands:
                size = next(cuts)
                found += [reason_of(result) for result in batched.run(*commands[:size])]
                commands = commands[size:]
            assert found == reasons
            singly.now_ms = batched.now_ms = singly.now_ms + hours * HOUR_MS

        expected = _contents(singly)
        for name, rows in _contents(batched).items():
            assert rows == expected[name], name
        assert batched.failures() == []


def _contents(books: WireBooks) -> dict[str, list[Any]]:
    """Without positions of zero: what comes and goes in one batch leaves none behind."""
    contents = books.contents()
    contents["positions"] = [row for row in contents["positions"] if row[-2:] != (0, 0)]
    return contents
