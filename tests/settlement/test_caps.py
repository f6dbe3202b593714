"""Caps beside exposures: what may be set, and who is told."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.console import Context
from gateway.domain.errors import DecisionRefused
from gateway.domain.units import MICROS, div_ceil
from gateway.storage.engine import reading
from gateway.storage.figures import load_exposures
from settlement.cli import settlement
from tests.given import GivenNetwork, at, month
from tests.settlement.given import book_month

PARTNER = "alpha"


@pytest.fixture
def network(tmp_path: Path) -> GivenNetwork:
    """The oracle's month; nothing of it is settled, so that partners have exposures."""
    made = month(tmp_path / "net")
    book_month(made.engine)
    return made


def exposure(network: GivenNetwork) -> int:
    """Of the partner, in whole minor units, rounded up."""
    with reading(network.engine) as connection:
        (own,) = (one for one in load_exposures(connection) if one.partner_id == PARTNER)
    return div_ceil(own.exposure_micros, MICROS)


def row_of_caps(network: GivenNetwork) -> list[str]:
    """Of the partner, as `tallystick settlement caps` shows it."""
    context = Context(network.folder / "tallystick.toml", lambda: at("2026-07-01"))
    shown = CliRunner().invoke(settlement, ["caps"], obj=context, catch_exceptions=False)
    assert shown.exit_code == 0
    return next(line for line in shown.output.splitlines() if PARTNER in line).split()


def test_a_cap_cannot_be_set_below_the_present_exposure(network: GivenNetwork) -> None:
    """It would be broken at once, and what broke it cannot be undone."""
    with pytest.raises(DecisionRefused, match=r"CAP_BELOW_EXPOSURE.*alpha"):
        network.cap(PARTNER, exposure(network) - 1)

    network.cap(PARTNER, exposure(network))


def test_an_alarm_is_shown_from_the_threshold_on(network: GivenNetwork) -> None:
    """At 80 % of the cap, unless the settlement rules name another share."""
    present = exposure(network)
    network.cap(PARTNER, present * 2)
    calm = row_of_caps(network)
    network.cap(PARTNER, present)

    assert "ALARM" not in calm
    assert "ALARM" in row_of_caps(network)
