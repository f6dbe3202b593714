"""`tallystick partners keys`: further keys of a partner, and the end of old ones."""

from datetime import UTC, datetime
from pathlib import Path

import click

from gateway.console import Context, Refused, pass_context, print_table
from gateway.storage.directory import load_keys, load_network
from gateway.storage.engine import reading, writing
from partners.key_request import KeyRequest, parse_key_request
from partners.options import acting, hand_of, say
from partners.proposals import add_key, retire_key, revoke_key

_DAY_MS = 86_400_000


@click.group()
def keys() -> None:
    """Further keys of a partner, and the end of old ones. One operator is enough."""


@keys.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@acting
@pass_context
def add(context: Context, file: Path, operator: str, key_file: Path) -> None:
    """Add the key of FILE, which the partner made: key_id, algorithm, public key, scopes, and its proof of possession."""
    hand = hand_of(operator, key_file)
    with writing(context.engine) as connection:
        request = parse_key_request(file.read_text("utf-8", errors="replace"), audience=load_network(connection).audience)
        if not isinstance(request, KeyRequest):
            raise Refused("\n".join(f"{file}: {error}" for error in request))
        decision = add_key(connection, request, hand=hand, now_ms=context.clock())
    say(decision)


@keys.command()
@click.argument("key_id")
@click.option("--after-days", type=click.IntRange(0, 366), default=7, show_default=True, help="How long it still signs.")
@acting
@pass_context
def retire(context: Context, key_id: str, after_days: int, operator: str, key_file: Path) -> None:
    """End a key in order: add its successor first, and leave the tills some days to change over."""
    hand = hand_of(operator, key_file)
    now_ms = context.clock()
    with writing(context.engine) as connection:
        decision = retire_key(connection, key_id, now_ms + after_days * _DAY_MS, hand=hand, now_ms=now_ms)
    say(decision)


@keys.command()
@click.argument("key_id")
@acting
@pass_context
def revoke(context: Context, key_id: str, operator: str, key_file: Path) -> None:
    """End a key at once and for ever: it was lost or stolen. A running gateway refuses it within seconds."""
    hand = hand_of(operator, key_file)
    with writing(context.engine) as connection:
        decision = revoke_key(connection, key_id, hand=hand, now_ms=context.clock())
    say(decision)


@keys.command("list")
@click.argument("partner_id", metavar="[PARTNER]", required=False)
@pass_context
def list_keys(context: Context, partner_id: str | None) -> None:
    """Show the keys of a partner, or of all."""
    with reading(context.engine) as connection:
        known = load_keys(connection)
    now_ms = context.clock()
    rows = [
        (
            key.key_id,
            key.algorithm.value,
            " ".join(sorted(scope.value for scope in key.scopes)),
            moment(key.valid_from_ms),
            key.unusable_because(now_ms) or (f"until {moment(key.retired_at_ms)}" if key.retired_at_ms else "usable"),
        )
        for key in known.values()
        if partner_id in (None, key.partner_id)
    ]
    print_table("Keys", ("key", "algorithm", "scopes", "valid from (UTC)", "state"), rows)


def moment(at_ms: int) -> str:
    """A time for people, in UTC."""
    return datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
