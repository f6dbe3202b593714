"""`tallystick partners conformance` and `activate`: what a vendor's till must have shown before its partner begins."""

import json
from collections.abc import Mapping
from pathlib import Path

import click

from gateway.console import Context, Refused, pass_context, print_table
from gateway.domain.canonical import Plain
from gateway.domain.errors import DecisionRefused, InvalidValue
from gateway.domain.partner import PartnerStatus
from gateway.storage.conformance import end_run, load_run, start_run
from gateway.storage.engine import reading, writing
from partners.cli_keys import moment
from partners.conformance import CHECKS, Finding, has_passed, passed_plain
from partners.conformance_record import Judged, judge_elsewhere, judge_partner
from partners.options import acting, hand_of, say
from partners.proposals import propose_activation, propose_rule
from partners.rulings_partner import known_standing

REASON_MAX = 300


@click.group()
def conformance() -> None:
    """Judge a vendor's own till by what the gateway sees of it.

    While a run is open, the gateway notes what it answers to the partner. The vendor's till books, repeats, corrects its
    clock and refunds; 'show' says what it has shown and what is missing.
    """


@conformance.command()
@click.argument("partner_id", metavar="PARTNER")
@pass_context
def start(context: Context, partner_id: str) -> None:
    """Begin to watch the partner's till; what an earlier run has shown is forgotten. Gateways know within a second."""
    with writing(context.engine) as connection:
        status = known_standing(connection, partner_id).status
        if status is not PartnerStatus.ACTIVE:
            raise DecisionRefused("NOT_POSSIBLE", f"{partner_id} is {status} here, and books nothing: {_ELSEWHERE}")
        start_run(connection, partner_id, at_ms=context.clock())
    click.echo(f"The gateway watches {partner_id} from now on. Its till is to:")
    for check in CHECKS:
        click.echo(f"  {check.name}: {check.asks}")


@conformance.command()
@click.argument("partner_id", metavar="PARTNER")
@pass_context
def stop(context: Context, partner_id: str) -> None:
    """Stop watching. What was shown stays, for 'show' and 'activate'."""
    with writing(context.engine) as connection:
        known_standing(connection, partner_id)
        end_run(connection, partner_id, at_ms=context.clock())
    click.echo(f"{partner_id} is no longer watched.")


@conformance.command()
@click.argument("partner_id", metavar="PARTNER")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@pass_context
def show(context: Context, partner_id: str, *, as_json: bool) -> None:
    """Show each check with its evidence, or what is missing. Exit code 0: passed; 1: not yet."""
    with reading(context.engine) as connection:
        known_standing(connection, partner_id)
        judged = judge_partner(connection, partner_id)
        run = load_run(connection, partner_id)
    audience, started_at_ms, findings = judged
    if as_json:
        click.echo(json.dumps(_plain(partner_id, judged), indent=2))
    else:
        is_open = run is not None and run.ended_at_ms is None
        watched = "still watched" if is_open else "no longer watched"
        print_table(
            f"Conformance of {partner_id} in {audience} since {moment(started_at_ms)}, {watched}",
            ("check", "state", "evidence, or what to do"),
            [(one.check.name, "missing" if one.evidence is None else "passed", _said(one)) for one in findings],
        )
    if not has_passed(findings):
        raise click.exceptions.Exit(1)


@conformance.command()
@acting
@pass_context
def require(context: Context, operator: str, key_file: Path) -> None:
    """Propose that partners that are taken in from now on rehearse first, and begin with 'partners activate'."""
    _rule(context, operator, key_file, is_required=True)


@conformance.command()
@acting
@pass_context
def waive(context: Context, operator: str, key_file: Path) -> None:
    """Propose that new partners begin at once again, as it is where nobody has decided otherwise."""
    _rule(context, operator, key_file, is_required=False)


@click.command()
@click.argument("partner_id", metavar="PARTNER")
@click.option(
    "--rehearsed-in", "config_file", metavar="CONFIG", type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Configuration file of the network where its till was judged, such as that of a sandbox.",
)  # fmt: skip
@click.option("--override", metavar="REASON", help="Activate it without a pass; both operators sign the reason.")
@acting
@pass_context
def activate(
    context: Context, partner_id: str, config_file: Path | None, override: str | None, operator: str, key_file: Path
) -> None:
    """Propose that a partner that rehearses begins; a second operator approves.

    The pass of its till, with the evidence of each check, is part of what both sign. Refused with CONFORMANCE_MISSING
    while a check is missing, unless --override says why it need not be shown.
    """
    if (config_file is None) is (override is None):
        raise click.UsageError("say where the partner's till was judged, with --rehearsed-in, or why not, with --override")
    hand = hand_of(operator, key_file)
    shown = _overridden(override) if config_file is None else _passed(partner_id, judge_elsewhere(config_file, partner_id))
    with writing(context.engine) as connection:
        if known_standing(connection, partner_id).status is PartnerStatus.ACTIVE:
            click.echo(f"{partner_id} is {PartnerStatus.ACTIVE} already.")
            return
        decision = propose_activation(connection, partner_id, shown, hand=hand, now_ms=context.clock())
    say(decision)


_ELSEWHERE = "start it in the sandbox where the partner rehearses (docs/operations.md)"


def _rule(context: Context, operator: str, key_file: Path, *, is_required: bool) -> None:
    hand = hand_of(operator, key_file)
    with writing(context.engine) as connection:
        decision = propose_rule(connection, is_required=is_required, hand=hand, now_ms=context.clock())
    if decision is None:
        click.echo(f"Conformance is {'required' if is_required else 'not required'} already.")
    else:
        say(decision)


def _overridden(reason: str | None) -> Mapping[str, Plain]:
    if not reason or len(reason) > REASON_MAX or not reason.isprintable():
        raise InvalidValue(f"--override: must be 1 to {REASON_MAX} printable characters")
    return {"override": reason}


def _passed(partner_id: str, judged: Judged) -> Mapping[str, Plain]:
    audience, started_at_ms, findings = judged
    missing = [f"  {one.check.name}: {one.check.asks}" for one in findings if one.evidence is None]
    if missing:
        raise Refused("\n".join((f"CONFORMANCE_MISSING: the till of {partner_id} has not shown in {audience}:", *missing)))
    return {"conformance": passed_plain(audience, started_at_ms, findings)}


def _said(finding: Finding) -> str:
    shown = finding.evidence
    return finding.check.asks if shown is None else f"{shown.entry_id}, {moment(shown.at_ms)}, {shown.key_id}: {shown.note}"


def _plain(partner_id: str, judged: Judged) -> dict[str, object]:
    audience, started_at_ms, findings = judged
    checks = []
    for one in findings:
        shown = one.evidence
        evidence = None if shown is None else {"entry_id": shown.entry_id, "at_ms": shown.at_ms, "key_id": shown.key_id}
        checks.append({"check": one.check.name, "is_passed": shown is not None, "asks": one.check.asks, "evidence": evidence})
    return {
        "partner_id": partner_id,
        "audience": audience,
        "started_at_ms": started_at_ms,
        "has_passed": has_passed(findings),
        "checks": checks,
    }
