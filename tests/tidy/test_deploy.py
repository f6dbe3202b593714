"""What lies in deploy/ fits the program: its commands, its settings, its series."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from prometheus_client import generate_latest

from gateway.cli import tallystick
from gateway.config import load_config
from gateway.edge.metrics import make_registry
from gateway.edge.series import SERIES
from tests.shared import ROOT

DEPLOY = ROOT / "deploy"
UNITS = sorted(DEPLOY.glob("tallystick-*.*"))
SERVICES = [unit for unit in UNITS if unit.suffix == ".service"]
PROGRAM = "/opt/tallystick/bin/tallystick"
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana-dashboard.json").read_text("utf-8"))
ALERTS = (DEPLOY / "prometheus-alerts.yml").read_text("utf-8")
RULES = re.split(r"^ {6}- alert: ", ALERTS, flags=re.MULTILINE)[1:]
WORDS_OF_PROMQL = {"instance", "job", "le", "up"}


def settings(unit: Path) -> dict[str, list[str]]:
    """Of a unit, by name."""
    found: dict[str, list[str]] = {}
    for line in unit.read_text("utf-8").splitlines():
        name, is_setting, value = line.partition("=")
        if is_setting and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


COMMANDS = [line for unit in SERVICES for line in settings(unit)["ExecStart"]]


@pytest.mark.parametrize("line", COMMANDS)
def test_a_units_command_exists_with_its_options(line: str) -> None:
    """As the umbrella command finds it."""
    program, *words = shlex.split(line)
    command: click.Command = tallystick
    while isinstance(command, click.Group):
        found = command.get_command(click.Context(command), words.pop(0))
        assert found is not None, line
        command = found

    assert program == PROGRAM
    assert words == [word for parameter in command.params for word in words if word in parameter.opts]


def test_the_night_settles_and_then_proves_the_books() -> None:
    """In this order: what was published is proved too."""
    assert [line.removeprefix(PROGRAM) for line in settings(DEPLOY / "tallystick-night.service")["ExecStart"]] == [
        " settlement nightly",
        " audit",
    ]


def test_systemd_finds_no_fault_with_the_units(tmp_path: Path) -> None:
    """With a program where they expect it, and little that a service may do."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("there is no systemd-analyze on this machine")
    for unit in UNITS:
        (tmp_path / unit.name).write_text(unit.read_text("utf-8").replace(PROGRAM, sys.executable), "utf-8")
    files = [str(tmp_path / unit.name) for unit in UNITS]
    verified = subprocess.run([analyze, "verify", "--man=no", *files], check=False, capture_output=True, text=True)

    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")


def test_the_gateway_is_given_time_to_drain() -> None:
    """More than it takes by default, and the first process tells the others itself."""
    unit = settings(DEPLOY / "tallystick-gateway.service")
    config = load_config(DEPLOY / "tallystick.toml", {})

    assert int(unit["TimeoutStopSec"][0]) * 1_000 >= 2 * config.gateway.drain_ms_max
    assert (unit["Type"], unit["KillSignal"], unit["KillMode"]) == (["exec"], ["SIGTERM"], ["mixed"])


def test_the_sample_configuration_is_one() -> None:
    """With metrics for this machine alone."""
    config = load_config(DEPLOY / "tallystick.toml", {})

    assert config.gateway.metrics_listen == "127.0.0.1:9464"


def shown_names() -> set[str]:
    """Names under which a gateway's series can be asked for, with those of its process."""
    ours = {
        each.name + ending for each in SERIES for ending in (("_bucket", "_sum", "_count") if each.kind == "histogram" else ("",))
    }
    return ours | set(re.findall(r"^(process_\w+)", generate_latest(make_registry()).decode(), re.MULTILINE))


def questions() -> Iterator[tuple[str, str]]:
    """All that the dashboard and the alerts ask Prometheus, by title."""
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]
    for rule in RULES:
        name, _, rest = rule.partition("\n")
        found = re.search(r"^ {8}expr: (.+)$", rest, re.MULTILINE)
        assert found is not None, rule
        yield name, found[1]


@pytest.mark.parametrize(("title", "question"), list(questions()))
def test_a_question_is_about_series_and_labels_that_there_are(title: str, question: str) -> None:
    """Those that a gateway shows: tests/edge/test_metrics.py compares them with the list."""
    asked = set(re.findall(r"\b((?:tallystick|process)_\w+)", question))
    labels = {label for each in SERIES if any(name.startswith(each.name) for name in asked) for label in each.labels}
    named = set(re.findall(r"(\w+)(?:=~|!=|=)\"", question))
    for group in re.findall(r"\bby \(([^)]*)\)", question):
        named |= {label.strip() for label in group.split(",")}

    assert asked or title == "TallystickGatewayDown"
    assert asked <= shown_names()
    assert named <= labels | WORDS_OF_PROMQL


def test_the_dashboard_can_be_imported() -> None:
    """It names no Prometheus but the one that is chosen; its panels have ids of their own and lie beside each other."""
    panels = DASHBOARD["panels"]
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]

    assert {str(panel["datasource"]["uid"]) for panel in panels if "datasource" in panel} == {"${datasource}"}
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


def test_the_dashboard_shows_every_series() -> None:
    """But the cap and the exposure that make up its use, the version, and how old a key or a look is."""
    shown = " ".join(question for _, question in questions())
    left_out = {each.name for each in SERIES if each.name not in shown}

    assert left_out == {
        "tallystick_build_info",
        "tallystick_store_read_age_seconds",
        "tallystick_partner_exposure_minor_units",
        "tallystick_partner_cap_minor_units",
        "tallystick_window_id",
        "tallystick_receipt_key_age_days",
    }


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.partition("\n")[0])
def test_an_alert_says_how_urgent_it_is_and_what_has_happened(rule: str) -> None:
    """A page, or a ticket; a sentence for whoever is woken."""
    assert re.search(r"^ {8}labels: \{severity: (page|ticket)\}$", rule, re.MULTILINE)
    assert re.search(r'^ {8}annotations: \{summary: "[^"]{20,}"\}$', rule, re.MULTILINE)
    assert rule.count("(") == rule.count(")")


def test_the_page_on_watching_names_every_file() -> None:
    """And no other."""
    table = (ROOT / "docs" / "watching.md").read_text("utf-8").partition("## What lies in deploy/")[2].partition("```")[0]

    assert set(re.findall(r"`([\w-]+\.\w+)`", table)) == {file.name for file in DEPLOY.iterdir()}
