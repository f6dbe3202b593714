"""Reverse: goods came back, or a redemption is undone; whole or in part, always at the original's prices."""

from gateway.domain.command import Reverse
from gateway.domain.draft import Draft
from gateway.domain.entry import EntryKind
from gateway.domain.lot import MemberAccount
from gateway.domain.outcome import Reason, Refusal
from gateway.domain.reversing import give_back, restored_so_far, take_back, value_to_give_back
from gateway.domain.working import Original, WorkingSet


def decide_reverse(work: WorkingSet, command: Reverse) -> list[Draft] | Refusal:
    """An entry that takes points back, or restores them.

    Refusals in order: EVENT_TIME_IN_FUTURE, EVENT_TOO_OLD, ENTRY_NOT_FOUND (also if it is another partner's),
    ENTRY_NOT_REVERSIBLE, ALREADY_REVERSED.
    """
    on = work.business_date(command)
    if isinstance(on, Refusal):
        return on
    original = work.originals.get(command.original_entry_id)
    if original is None or original.entry.partner_id != command.partner_id:
        return Refusal(Reason.ENTRY_NOT_FOUND)
    kind = original.entry.kind
    if kind not in (EntryKind.ISSUE, EntryKind.REDEEM):
        return Refusal(Reason.ENTRY_NOT_REVERSIBLE, {"kind": kind.name})
    if original.is_of_a_checkout:
        return Refusal(Reason.ENTRY_NOT_REVERSIBLE, {"kind": "CHECKOUT", "call": "Refund"})
    decide = _decide_issue if kind is EntryKind.ISSUE else _decide_redemption
    return decide(work, command, original, on.isoformat())


def _decide_issue(work: WorkingSet, command: Reverse, original: Original, business_date: str) -> list[Draft] | Refusal:
    entry = original.entry
    asked = command.eligible
    if command.points is not None or (asked is not None and asked.unit != entry.unit):
        return Refusal(Reason.ENTRY_NOT_REVERSIBLE, {"part": f"an amount in {entry.unit}"})
    rest = entry.amount - original.reversed_amount
    part = rest if asked is None else asked.minor_units
    if not 0 < part <= rest:
        return Refusal(Reason.ALREADY_REVERSED, {"rest": str(rest), "unit": entry.unit})

    # From here on it must succeed.
    draft = _draft(work, command, original, EntryKind.REVERSE_ISSUE, business_date, entry.unit, part)
    take_back(draft, original, remaining=rest - part)
    return [draft]


def _decide_redemption(work: WorkingSet, command: Reverse, original: Original, business_date: str) -> list[Draft] | Refusal:
    entry = original.entry
    if command.eligible is not None:
        return Refusal(Reason.ENTRY_NOT_REVERSIBLE, {"part": "a number of points"})
    rest = -entry.points - restored_so_far(original)
    points = rest if command.points is None else command.points
    if not 0 < points <= rest:
        return Refusal(Reason.ALREADY_REVERSED, {"rest": str(rest), "unit": "points"})

    # From here on it must succeed.
    value = value_to_give_back(original, points)
    draft = _draft(work, command, original, EntryKind.REVERSE_REDEMPTION, business_date, entry.unit, value)
    give_back(draft, original, points)
    return [draft]


def _draft(
    work: WorkingSet, command: Reverse, original: Original, kind: EntryKind, business_date: str, unit: str, amount: int
) -> Draft:
    account: MemberAccount = work.accounts[original.entry.member_id]
    return Draft(
        work=work,
        account=account,
        entry_id=command.entry_id,
        kind=kind,
        business_date=business_date,
        occurred_at_ms=work.occurred_at_ms(command),
        unit=unit,
        amount=amount,
        rate_card_version=original.entry.rate_card_version,
        original_entry_id=original.entry.entry_id,
    )
