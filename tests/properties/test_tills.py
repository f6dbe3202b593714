"""Any day at the tills against a model that shares no rule with the ledger: thousands of steps, books proved after each run."""

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from gateway.domain.terms import DebtPolicy
from tests.given import GivenNetwork
from tests.postgres import PostgresServer
from tests.properties.machine import Tills

# Without shrinking: each run has books on disk, and its steps can be read as they are.
_PHASES = (Phase.explicit, Phase.reuse, Phase.generate)


@pytest.mark.slow
def test_tills_do_what_the_model_says(templates: dict[tuple[DebtPolicy, int], GivenNetwork]) -> None:
    """On one lane, in a file."""

    class OnFiles(Tills):
        pass

    OnFiles.templates = templates
    run_state_machine_as_test(OnFiles, settings=settings(max_examples=50, stateful_step_count=60, phases=_PHASES))


@pytest.mark.slow
@pytest.mark.postgres
def test_tills_do_what_the_model_says_on_four_lanes(
    templates: dict[tuple[DebtPolicy, int], GivenNetwork], postgres_server: PostgresServer
) -> None:
    """A short run on PostgreSQL: the members live in lanes of their own."""
    urls: list[str] = []

    class OnServer(Tills):
        lanes = 4

        @staticmethod
        def new_url() -> str | None:
            urls.append(postgres_server.new_database())
            return urls[-1]

    OnServer.templates = templates
    run_state_machine_as_test(OnServer, settings=settings(max_examples=4, stateful_step_count=40, phases=_PHASES))
    for url in urls:
        postgres_server.give_back(url)
