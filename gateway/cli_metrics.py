"""`tallystick metrics`: what Prometheus would read, once."""

import textwrap
import urllib.error
import urllib.request

import click

from gateway.console import Context, Refused, pass_context
from gateway.edge.series import SERIES, Series

ANSWER_S_MAX = 10


def _explained(shown: Series) -> str:
    labels = f"{{{', '.join(shown.labels)}}}" if shown.labels else ""
    star = "" if shown.needs_gateway else " *"
    meaning = textwrap.fill(shown.meaning, 96, initial_indent="    ", subsequent_indent="    ")
    return f"{shown.name}{labels} {shown.kind}{star}\n{meaning}"


_HELP = f"""Print what Prometheus would read, once.

With --url from a running gateway, which answers where gateway.metrics_listen says. Without it straight from the
database, what needs no gateway (marked * below): enough for a cron job that writes a file for another collector.

\b
  tallystick metrics
  tallystick metrics --url http://127.0.0.1:9464

What the series mean; docs/watching.md says which of them are worth an alert:

\b
{chr(10).join(_explained(shown) for shown in SERIES)}
"""


@click.command(help=_HELP, short_help="Print what Prometheus would read, once.")
@click.option("--url", metavar="URL", help="Of a running gateway's metrics, such as http://127.0.0.1:9464.")
@pass_context
def metrics(context: Context, url: str | None) -> None:
    """Print what Prometheus would read, once."""
    click.echo(_of_gateway(url) if url is not None else _of_database(context), nl=False)


def _of_gateway(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise Refused(f"--url {url}: must begin with http:// or https://")
    try:
        with urllib.request.urlopen(url, timeout=ANSWER_S_MAX) as answer:  # noqa: S310 - the scheme is checked above
            text: str = answer.read().decode()
    except (OSError, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise Refused(f"{url}: {reason}; is gateway.metrics_listen set, and the gateway running?") from None
    return text


def _of_database(context: Context) -> str:
    from gateway.edge.metrics import StoreCollector, exposition
    from gateway.edge.storewatch import look_at
    from gateway.storage.engine import reading

    certificate = context.config.path(context.config.gateway.tls_certificate)
    with reading(context.engine) as connection:
        look = look_at(connection, certificate, at_ms=context.clock())
    return exposition(StoreCollector(lambda: look, context.clock))
