"""`tallystick metrics` as its user has it, and the page that explains what it prints."""

import re
from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from gateway.cli_metrics import metrics
from gateway.console import Context
from gateway.edge.series import SERIES, Series
from tests.edge.running import RunningGateway
from tests.given import GivenNetwork
from tests.shared import ROOT

PAGE = (ROOT / "docs" / "watching.md").read_text("utf-8")
Command = Callable[..., Result]


@pytest.fixture
def command(network: GivenNetwork) -> Command:
    """Runs `tallystick metrics …`."""

    def run(*words: str) -> Result:
        return CliRunner().invoke(metrics, words, obj=Context(network.folder / "tallystick.toml", network.clock))

    return run


def names_in(answer: str) -> set[str]:
    """Names of the series in an answer."""
    return set(re.findall(r"^# TYPE (\w+)", answer, re.MULTILINE))


def test_without_a_gateway_it_prints_what_the_database_says(command: Command) -> None:
    """Those that the help marks with a star."""
    result = command()

    assert result.exit_code == 0, result.output
    assert names_in(result.stdout) == {each.name for each in SERIES if not each.needs_gateway}
    assert "tallystick_store_up 1.0\n" in result.stdout


def test_with_an_address_it_prints_what_the_gateway_shows(command: Command, network: GivenNetwork) -> None:
    """All of them, and the path may be left out."""
    with RunningGateway(network, metrics_listen="127.0.0.1:0") as running:
        result = command("--url", running.app.metrics_url.removesuffix("/metrics"))

    assert result.exit_code == 0, result.output
    assert names_in(result.stdout) >= {each.name for each in SERIES if each.needs_gateway}


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "file:///etc/passwd", "http://"])
def test_an_address_where_nobody_answers_is_refused_with_a_sentence(command: Command, url: str) -> None:
    """No traceback, and no file of the machine."""
    result = command("--url", url)

    assert result.stdout == ""
    assert (result.exit_code, url in result.stderr) == (1, True)


def test_the_help_explains_each_series() -> None:
    """With its labels and its kind."""
    said = CliRunner().invoke(metrics, ["--help"]).stdout

    assert [each.name for each in SERIES if f"  {each.name}" not in said or each.meaning[:40] not in said] == []


@pytest.mark.parametrize("each", SERIES, ids=lambda each: each.name)
def test_the_page_on_watching_explains_each_series(each: Series) -> None:
    """With its labels."""
    labels = f"{{{', '.join(each.labels)}}}" if each.labels else ""

    assert f"| `{each.name}{labels}` |" in PAGE


def test_the_page_on_watching_explains_no_series_that_is_gone() -> None:
    """What was renamed is renamed there too."""
    assert set(re.findall(r"`(tallystick_[a-z_]+)", PAGE)) <= {each.name for each in SERIES}
