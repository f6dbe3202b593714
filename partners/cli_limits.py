"""`tallystick partners limits`: how much may be issued and redeemed at a partner's own tills."""

from pathlib import Path

import click

from gateway.console import Context, Refused, pass_context, print_table
from gateway.domain.limits import NO_LIMITS, PartnerLimits
from gateway.domain.terms import parse_date
from gateway.limit_options import changed_limits, limit_options, limits_words
from gateway.storage.directory import load_terms
from gateway.storage.engine import reading, writing
from partners.cli_operators import approve_decisions
from partners.options import acting, hand_of, say
from partners.proposals import propose_limits
from partners.rulings_partner import known_standing


@click.group()
def limits() -> None:
    """A partner's own limits, beside those of the network; the stricter one holds. Takes two operators."""


@limits.command("propose")
@click.argument("partner_id", metavar="PARTNER")
@click.option("--effective-from", required=True, help="First business date, YYYY-MM-DD.")
@limit_options
@acting
@pass_context
def propose_own(
    context: Context, /, partner_id: str, effective_from: str, operator: str, key_file: Path, **options: int | None
) -> None:
    """Propose a partner's next limits. What is left out stays as in the last version."""
    hand = hand_of(operator, key_file)
    with writing(context.engine) as connection:
        known_standing(connection, partner_id)
        versions = load_terms(connection).partner_limits.get(partner_id, ())
        last = versions[-1].limits if versions else NO_LIMITS
        own = PartnerLimits(partner_id, len(versions) + 1, parse_date(effective_from), changed_limits(last, options))
        decision = propose_limits(connection, own, hand=hand, now_ms=context.clock())
    say(decision)


limits.add_command(approve_decisions, "approve")


@limits.command("show")
@click.argument("partner_id", metavar="PARTNER")
@pass_context
def show_own(context: Context, partner_id: str) -> None:
    """Show a partner's own limits, oldest first. A version holds from its date until the next one's."""
    with reading(context.engine) as connection:
        known_standing(connection, partner_id)
        versions = load_terms(connection).partner_limits.get(partner_id, ())
    if not versions:
        raise Refused(f"{partner_id} has no limits of its own")
    rows = [(str(own.version), own.effective_from.isoformat(), limits_words(own.limits)) for own in versions]
    print_table(f"Limits of {partner_id}", ("version", "from", "limits"), rows)
