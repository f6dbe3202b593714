"""`tallystick operators`: who runs the network, and what two of them have to agree on."""

from pathlib import Path

import click

from gateway.console import Context, Refused, pass_context, print_table
from gateway.domain.decision import Decision, DecisionState
from gateway.domain.errors import DecisionRefused, InvalidValue
from gateway.domain.signing import Algorithm
from gateway.governance import Hand, approve
from gateway.key_file import load_key, new_key, save_secret
from gateway.storage.decisions import load_decisions
from gateway.storage.directory import load_operators
from gateway.storage.engine import reading, writing
from partners.options import acting, hand_of, say
from partners.proposals import add_operator
from partners.rulings import RULINGS
from partners.words import in_words

_ED25519_BYTES = 32
_UNCOMPRESSED = b"\x04"


@click.group()
def operators() -> None:
    """Who runs the network, and what two of them must agree on.

    What costs somebody money or cannot be undone takes two operators: one proposes, another approves, each signs. What
    protects and can be undone (suspending, revoking a key) takes one.
    """


@operators.command()
@click.option("--out", required=True, type=click.Path(path_type=Path), help="File for the private key; never overwritten.")
def keygen(out: Path) -> None:
    """Make an operator's key on the operator's own machine. Prints the public key."""
    key, pem = new_key()
    save_secret(pem, out)
    click.echo(key.public_bytes().hex())


@operators.command()
@click.argument("operator_id", metavar="ID")
@click.option("--name", required=True, help="The person's name.")
@click.option("--public-key", help="Public key in hex, or a file that holds it [default: the public half of --key].")
@click.option("--key", "key_file", required=True, type=click.Path(path_type=Path), help="Private key of who proposes.")
@click.option("--operator", help="Who proposes [default: the new operator, who founds the network].")
@pass_context
def add(context: Context, operator_id: str, name: str, public_key: str | None, key_file: Path, operator: str | None) -> None:
    """Add the operator ID.

    The first two found the network: each signs for itself, or the first for the second. Later ones are proposed by one
    operator and approved by another.
    """
    hand = Hand(operator or operator_id, load_key(key_file))
    if public_key is None and operator not in (None, operator_id):
        raise click.UsageError(f"name the public key of {operator_id} with --public-key")
    public = hand.key.public_bytes() if public_key is None else read_public_key(public_key)
    algorithm = hand.key.algorithm if public_key is None else algorithm_of(public)
    with writing(context.engine) as connection:
        decision = add_operator(
            connection, operator_id, name=name, algorithm=algorithm, public_key=public, hand=hand, now_ms=context.clock()
        )
    say(decision)


@operators.command("list")
@pass_context
def list_operators(context: Context) -> None:
    """Show all operators, in the order in which they were added."""
    with reading(context.engine) as connection:
        known = load_operators(connection).values()
    rows = [(one.operator_id, one.name, one.algorithm.value, one.public_key.hex()[:16] + "…", one.decision_id) for one in known]
    print_table("Operators", ("id", "name", "algorithm", "public key", "decision"), rows)


@operators.command()
@click.option("--all", "with_all", is_flag=True, help="Also those that were applied or went stale.")
@pass_context
def proposals(context: Context, *, with_all: bool) -> None:
    """Show what waits for approval, in words and with IBANs in full: read before you sign."""
    with reading(context.engine) as connection:
        found = load_decisions(connection, state=None if with_all else DecisionState.PROPOSED)
    for decision in found:
        approver = f", approved by {decision.approval.operator_id}" if decision.approval else ""
        state = f" {decision.state}" if with_all else ""
        words = in_words(decision, in_full=True)
        click.echo(f"{decision.decision_id}{state} by {decision.proposal.operator_id}{approver}: {words}")
    if not found:
        click.echo("Nothing waits for approval.")


@operators.command("approve")
@click.argument("decision_ids", metavar="DECISION_ID...", nargs=-1)
@click.option("--all", "with_all", is_flag=True, help="All that wait for approval and were proposed by others.")
@acting
@pass_context
def approve_decisions(context: Context, decision_ids: tuple[str, ...], *, with_all: bool, operator: str, key_file: Path) -> None:
    """Approve proposals of other operators. Each is applied at once, or not at all.

    Refused with DUAL_CONTROL_REQUIRED: it is your own proposal, or made with your key. Refused with APPROVAL_STALE: what
    it was written for has changed since; propose it anew.
    """
    if bool(decision_ids) == with_all:
        raise click.UsageError("name decisions, or use --all")
    hand = hand_of(operator, key_file)
    if with_all:
        with reading(context.engine) as connection:
            waiting = load_decisions(connection, state=DecisionState.PROPOSED)
        decision_ids = tuple(one.decision_id for one in waiting if one.proposal.operator_id != operator)
        if waiting and not decision_ids:
            raise DecisionRefused("DUAL_CONTROL_REQUIRED", f"{operator} proposed all that waits; another operator approves")
    refused = [message for decision_id in decision_ids if (message := _approve(context, decision_id, hand))]
    if not decision_ids:
        click.echo("Nothing waits for approval.")
    if refused:
        raise Refused("\n".join(refused))


def _approve(context: Context, decision_id: str, hand: Hand) -> str | None:
    """Why not, if not. Each in a transaction of its own: one that is refused does not hold up the others."""
    try:
        with writing(context.engine) as connection:
            decision: Decision = approve(connection, RULINGS, decision_id, hand=hand, now_ms=context.clock())
    except DecisionRefused as error:
        return str(error)
    if decision.state is DecisionState.STALE:
        return f"APPROVAL_STALE: {decision_id}: what it was written for has changed since; propose it anew"
    say(decision)
    return None


def read_public_key(text: str) -> bytes:
    """A public key in hex, or from a file that holds it in hex. Raises InvalidValue."""
    try:
        path = Path(text)
        return bytes.fromhex(path.read_text("ascii").strip() if path.is_file() else text)
    except (ValueError, OSError):
        raise InvalidValue(f"public key {text!r}: must be hex, or a file that holds hex") from None


def algorithm_of(public_key: bytes) -> Algorithm:
    """Told by the length: 32 bytes are Ed25519, 65 are P-256."""
    return Algorithm.P256 if public_key[:1] == _UNCOMPRESSED and len(public_key) > _ED25519_BYTES else Algorithm.ED25519
