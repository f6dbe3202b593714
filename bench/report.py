"""What a run found, as JSON for programs and as a Markdown table for people."""

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.rounds import Latency, Rate, Sizes


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One run. `half_rate_per_s`: half of the rate that the gateway reached, at which latencies were taken."""

    machine: Mapping[str, str]
    has_tls: bool
    durability: str
    sizes: Sizes
    pairs: Sequence[Pair]
    batch: Rate
    half_rate_per_s: int
    echo_latency: Latency
    gateway_latency: Latency
    parts: Mapping[str, float]

    def ratio(self, concurrency: int) -> float:
        """The median of the ratios."""
        return statistics.median(pair.ratio for pair in self.pairs if pair.concurrency == concurrency)

    def tuned_ratio(self, concurrency: int) -> float:
        """The median of the ratios to the tuned echo."""
        return statistics.median(pair.tuned_ratio for pair in self.pairs if pair.concurrency == concurrency)

    def concurrencies(self) -> list[int]:
        """In the order in which they were measured."""
        return list(dict.fromkeys(pair.concurrency for pair in self.pairs))


def write(report: Report, path: Path) -> None:
    """Writes both forms beside each other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ratios = {str(concurrency): round(report.ratio(concurrency), 3) for concurrency in report.concurrencies()}
    content = {**asdict(report), "ratios": ratios}
    path.with_suffix(".json").write_text(json.dumps(content, indent=2) + "\n", "utf-8")
    path.with_suffix(".md").write_text(markdown(report), "utf-8")


def markdown(report: Report) -> str:
    """The run on one page."""
    return "\n".join([*_rates(report), "", *_others(report), "", *_parts(report), "", *_circumstances(report), ""])


def _rates(report: Report) -> Iterator[str]:
    yield "| calls at once | echo /s | IssuePoints /s | ratio | to the tuned echo | CPU µs: echo | gateway | commands a commit |"
    yield "|---:|---:|---:|---:|---:|---:|---:|---:|"
    for concurrency in report.concurrencies():
        pairs = [pair for pair in report.pairs if pair.concurrency == concurrency]
        figures = [
            statistics.median(values)
            for values in zip(
                *(
                    (pair.echo.per_s, pair.gateway.per_s, pair.echo.cpu_us, pair.gateway.cpu_us, pair.gateway.commands_per_commit)
                    for pair in pairs
                ),
                strict=True,
            )
        ]
        echo_per_s, gateway_per_s, echo_us, gateway_us, per_commit = figures
        yield (
            f"| {concurrency} | {echo_per_s:,.0f} | {gateway_per_s:,.0f} | **{report.ratio(concurrency):.3f}** "
            f"| {report.tuned_ratio(concurrency):.3f} | {echo_us:,.0f} | {gateway_us:,.0f} | {per_commit:.0f} |"
        )


def _others(report: Report) -> Iterator[str]:
    yield "| what | figure |"
    yield "|---|---:|"
    yield f"| SubmitBatch of 500, commands/s | {report.batch.per_s:,.0f} |"
    yield f"| half of the maximum rate, calls/s | {report.half_rate_per_s:,} |"
    yield f"| … IssuePoints p50 / p99, µs | {report.gateway_latency.p50_us:,} / {report.gateway_latency.p99_us:,} |"
    yield f"| … echo p50 / p99, µs | {report.echo_latency.p50_us:,} / {report.echo_latency.p99_us:,} |"


def _parts(report: Report) -> Iterator[str]:
    yield "| part of a call, by itself | µs of processor time |"
    yield "|---|---:|"
    grpc_us = statistics.median(pair.echo.cpu_us for pair in report.pairs)
    yield f"| gRPC: what the echo's process takes for a call | {grpc_us:,.0f} |"
    yield from (f"| {part} | {took_us:,.1f} |" for part, took_us in report.parts.items())


def _circumstances(report: Report) -> Iterator[str]:
    sizes = report.sizes
    both = (
        f"both servers get the same requests ({sizes.request_bytes} bytes, and {sizes.metadata_bytes} of metadata) "
        f"and give answers of {sizes.answer_bytes} bytes"
    )
    tls = "TLS for both" if report.has_tls else "no TLS for either"
    yield f"{report.durability}; {both}; {tls}. Medians of {len(report.pairs)} pairs of rounds."
    yield ""
    yield from (f"- {name}: {value}" for name, value in report.machine.items())
