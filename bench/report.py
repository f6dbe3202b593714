"""What a run found, as JSON for programs and as a Markdown table for people."""

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.rounds import Rate


@dataclass(frozen=True, slots=True)
class Pair:
    """A round of the echo, one of the echo with the gateway's loop and options, and the round of the gateway that followed."""

    concurrency: int
    echo: Rate
    tuned_echo: Rate
    gateway: Rate

    @property
    def ratio(self) -> float:
        """The gateway's rate by the echo's."""
        return self.gateway.per_s / self.echo.per_s

    @property
    def tuned_ratio(self) -> float:
        """The same by the tuned echo's."""
        return self.gateway.per_s / self.tuned_echo.per_s

    def line(self) -> str:
        """For the terminal, while the run goes on."""
        return (
            f"echo {self.echo.per_s:7,.0f}/s   gateway {self.gateway.per_s:7,.0f}/s   ratio {self.ratio:.3f}"
            f" (tuned echo {self.tuned_ratio:.3f})   ({self.gateway.commands_per_commit:.0f} commands a commit)"
        )


@dataclass(frozen=True, slots=True)
class Measurement:
    """One figure; `goal` is what the design asks for, if it does."""

    name: str
    value: float
    goal: str = ""
    note: str = ""


@dataclass(slots=True)
class OnDatabase:
    """What was measured on one database.

    `durability`: what the database says of itself. `parts`: of a call, each by itself, in µs of processor time.
    """

    database: str
    durability: str = ""
    pairs: list[Pair] = field(default_factory=list)
    measurements: list[Measurement] = field(default_factory=list)
    parts: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One run."""

    machine: Mapping[str, str]
    has_tls: bool
    databases: Sequence[OnDatabase]


def write(report: Report, path: Path) -> None:
    """Writes both forms beside each other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".json").write_text(json.dumps(asdict(report), indent=2) + "\n", "utf-8")
    path.with_suffix(".md").write_text(markdown(report), "utf-8")


def markdown(report: Report) -> str:
    """The run on one page."""
    lines: list[str] = []
    for on in report.databases:
        lines += [f"## {on.database}: {on.durability}", "", *_rates(on), *_measurements(on), *_parts(on)]
    return "\n".join([*lines, *_circumstances(report), ""])


def _rates(on: OnDatabase) -> Iterator[str]:
    if not on.pairs:
        return
    yield "| calls at once | echo /s | IssuePoints /s | ratio | to the tuned echo | CPU µs: echo | gateway | commands a commit |"
    yield "|---:|---:|---:|---:|---:|---:|---:|---:|"
    for at_once in dict.fromkeys(pair.concurrency for pair in on.pairs):
        pairs = [pair for pair in on.pairs if pair.concurrency == at_once]
        yield (
            f"| {at_once} | {_median(pair.echo.per_s for pair in pairs):,.0f} "
            f"| {_median(pair.gateway.per_s for pair in pairs):,.0f} | **{_median(pair.ratio for pair in pairs):.3f}** "
            f"| {_median(pair.tuned_ratio for pair in pairs):.3f} | {_median(pair.echo.cpu_us for pair in pairs):,.0f} "
            f"| {_median(pair.gateway.cpu_us for pair in pairs):,.0f} "
            f"| {_median(pair.gateway.commands_per_commit for pair in pairs):.0f} |"
        )
    yield ""


def _measurements(on: OnDatabase) -> Iterator[str]:
    yield "| measurement | figure | to reach | |"
    yield "|---|---:|---|---|"
    for found in on.measurements:
        figure = f"{found.value:,.0f}" if found.value >= 100 else f"{found.value:.2f}"  # noqa: PLR2004 - three digits
        yield f"| {found.name} | {figure} | {found.goal} | {found.note} |"
    yield ""


def _parts(on: OnDatabase) -> Iterator[str]:
    if not on.parts:
        return
    yield "| part of a call, by itself | µs of processor time |"
    yield "|---|---:|"
    yield from (f"| {part} | {took_us:,.1f} |" for part, took_us in on.parts.items())
    yield ""


def _circumstances(report: Report) -> Iterator[str]:
    tls = "TLS for all servers" if report.has_tls else "no TLS for any server"
    yield f"Echo and gateway get the same requests and answer as many bytes; {tls}. Medians of the rounds of one run."
    yield ""
    yield from (f"- {name}: {value}" for name, value in report.machine.items())


def _median(values: Iterator[float]) -> float:
    return statistics.median(values)
