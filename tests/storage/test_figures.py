"""How the network stands, on both engines: sums over lanes, dates of the latest cut-off and audit."""

from pathlib import Path

import pytest
from sqlalchemy import delete, insert, update

from gateway.domain.errors import BooksBroken
from gateway.domain.window import WindowState
from gateway.storage.engine import reading, writing
from gateway.storage.figures import PartnerExposure, StoreFigures, load_figures
from gateway.storage.proofs import Proof, save_proofs
from gateway.storage.tables import heads, positions, windows
from gateway.storage.windows import close_window
from tests.given import AUDIENCE, START_MS, GivenNetwork, create_network


@pytest.fixture
def network(tmp_path: Path, network_url: str | None) -> GivenNetwork:
    """Of two lanes, and one partner."""
    network = create_network(tmp_path / "net", lanes=2, url=network_url)
    network.onboard("acme", {"EUR": "1"})
    return network


def figures(network: GivenNetwork) -> StoreFigures:
    """One look."""
    with reading(network.engine) as connection:
        return load_figures(connection)


def test_a_new_network_has_nothing_but_a_window_that_began_with_it(network: GivenNetwork) -> None:
    """No entries, no exposure, no proof."""
    found = figures(network)

    assert found.exposures == (PartnerExposure("acme", "EUR", 0, None),)
    assert (found.open_window_id, found.open_since_ms) == (1, START_MS)
    assert (found.entries, found.unproven_entries, found.proven_at_ms) == (0, 0, None)
    assert found.windows == {state: int(state is WindowState.OPEN) for state in WindowState}
    assert [key.key_id for key in found.receipt_keys] == ["r1"]


def test_an_exposure_is_the_sum_over_lanes_in_the_partners_own_currency(network: GivenNetwork) -> None:
    """As the rule of the cap sums it: open lots and net debit."""
    rows = [(0, "EUR", 5_000_000, 1_000_000), (1, "EUR", 2_000_000, -4_000_000), (1, "USD", 9_000_000, 0)]
    with writing(network.engine) as connection:
        for lane, currency, open_value, net_debit in rows:
            row = {"lane": lane, "partner_id": "acme", "currency": currency}
            values = {"open_value_micros": open_value, "net_debit_micros": net_debit}
            connection.execute(insert(positions).values(row | values))
    network.cap("acme", 300)

    assert figures(network).exposures == (PartnerExposure("acme", "EUR", 4_000_000, 300),)


def test_what_no_audit_has_seen_is_told_and_the_oldest_audit_of_a_lane_counts(network: GivenNetwork) -> None:
    """A lane without a proof has proven nothing."""
    with writing(network.engine) as connection:
        connection.execute(update(heads).where(heads.c.lane == 0).values(last_sequence=10))
        connection.execute(update(heads).where(heads.c.lane == 1).values(last_sequence=5))
        save_proofs(connection, [Proof(0, 1, 7, bytes(32), 0, bytes(32))], at_ms=START_MS + 20)
    one_lane = figures(network)
    with writing(network.engine) as connection:
        save_proofs(connection, [Proof(1, 1, 5, bytes(32), 0, bytes(32))], at_ms=START_MS + 10)
    both = figures(network)

    assert (one_lane.entries, one_lane.unproven_entries, one_lane.proven_at_ms) == (15, 8, START_MS + 20)
    assert (both.unproven_entries, both.proven_at_ms) == (3, START_MS + 10)


def test_a_window_is_as_old_as_the_cut_off_before_it(network: GivenNetwork) -> None:
    """And windows are counted by state."""
    with writing(network.engine) as connection:
        close_window(connection, window_id=1, audience=AUDIENCE, at_ms=START_MS + 5_000, network_date=lambda _at_ms: "2026-05-31")
    found = figures(network)

    assert (found.open_window_id, found.open_since_ms) == (2, START_MS + 5_000)
    assert (found.windows[WindowState.OPEN], found.windows[WindowState.CLOSED]) == (1, 1)


def test_books_without_an_open_window_are_not_shown_as_sound(network: GivenNetwork) -> None:
    """There always is one."""
    with writing(network.engine) as connection:
        connection.execute(delete(windows))

    with pytest.raises(BooksBroken):
        figures(network)
