"""`tallystick network receipt-key`: the keys that sign receipts."""

from datetime import UTC, datetime
from pathlib import Path

import click

from gateway.console import Context, pass_context, print_table
from gateway.domain.errors import InvalidValue
from gateway.domain.network import ReceiptKey
from gateway.governance import Hand
from gateway.key_file import load_key, receipt_key_file
from gateway.receipt_keys import OVERLAP_MINUTES, make_receipt_key, next_key_id, propose_receipt_key
from gateway.storage.directory import load_receipt_keys
from gateway.storage.engine import reading, writing

OVERLAP_MINUTES_MAX = 30 * 24 * 60


@click.group("receipt-key")
def receipt_key() -> None:
    """The keys that sign receipts: list them, and change to a new one while the gateways run."""


@receipt_key.command("list")
@pass_context
def list_keys(context: Context) -> None:
    """Show all receipt keys, oldest first: give partners the public ones on paper.

    A key never changes under its id, and old receipts verify for ever: keep the files of old keys too, for repeats of old
    commands are signed with them again.
    """
    with reading(context.engine) as connection:
        keys = load_receipt_keys(connection)
    now_ms, folder = context.clock(), context.config.keys_dir
    rows = [
        (key.key_id, key.public_key.hex(), _instant(key.valid_from_ms), receipt_key_state(key, now_ms), _file_state(folder, key))
        for key in keys
    ]
    print_table("Receipt keys", ("id", "public key (Ed25519)", "valid from", "state", "file here"), rows)


@receipt_key.command()
@click.option("--operator", required=True, envvar="TALLYSTICK_OPERATOR", show_envvar=True, help="Who proposes.")
@click.option(
    "--key", "key_file", required=True, type=click.Path(path_type=Path), envvar="TALLYSTICK_OPERATOR_KEY", show_envvar=True,
    help="The proposer's private key.",
)  # fmt: skip
@click.option(
    "--overlap-minutes",
    type=click.IntRange(1, OVERLAP_MINUTES_MAX),
    default=OVERLAP_MINUTES,
    show_default=True,
    help="How long the present key stays valid after the approval, for gateways that have not the new file yet.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be done; write nothing.")
@pass_context
def rotate(context: Context, operator: str, key_file: Path, overlap_minutes: int, *, dry_run: bool) -> None:
    """Make the next receipt key and propose it; a second operator approves.

    The private key is written into the keys folder first. Several machines: copy the file to each before it is approved.
    Gateways take the key up by themselves, seconds after the approval; one that has not the file says so in its log and goes
    on with the old key, as long as that is valid. Run again before the approval, it proposes the same key.
    """
    hand = Hand(operator, load_key(key_file))
    with reading(context.engine) as connection:
        key_id = next_key_id(connection)
    file = receipt_key_file(context.config.keys_dir, key_id)
    if dry_run:
        click.echo(f"Would {'use' if file.exists() else 'write'} {file} and propose it as receipt key {key_id}.")
        return
    key = make_receipt_key(context.config.keys_dir, key_id)
    with writing(context.engine) as connection:
        decision = propose_receipt_key(connection, key, overlap_minutes=overlap_minutes, hand=hand, now_ms=context.clock())
    click.echo(f"{'Found' if key.was_there else 'Wrote'} {file}: copy it to every other machine that runs a gateway, mode 0600.")
    click.echo(f"Proposed {decision.decision_id}: receipt key {key_id}, public key {key.public_key.hex()}.")
    click.echo(
        f"Once the file is everywhere, another operator approves: tallystick operators approve {decision.decision_id} "
        "--operator ID --key FILE"
    )


def receipt_key_state(key: ReceiptKey, now_ms: int) -> str:
    """In use, ending, or ended."""
    if key.valid_until_ms is None:
        return "in use"
    return f"{'ends' if now_ms <= key.valid_until_ms else 'ended'} {_instant(key.valid_until_ms)}"


def _file_state(folder: Path, key: ReceiptKey) -> str:
    try:
        found = load_key(receipt_key_file(folder, key.key_id))
    except InvalidValue:
        return "missing"
    return "yes" if found.public_bytes() == key.public_key else "another key"


def _instant(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms // 1_000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
