"""Refund: goods of a checkout came back. Both of its entries are reversed in one step, by what is left of the basket.

A refund that overtakes its sale is parked, and completed when the sale is booked.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace

from gateway.domain.checkout import (
    CheckoutState,
    ParkedRefund,
    Part,
    basket_lines,
    eligible_that_stays,
    money_that_stays,
    parked_facts,
    part_by_amount,
    part_by_lines,
    points_that_stay,
    refund_facts,
)
from gateway.domain.command import Command, LineReturned, Refund
from gateway.domain.draft import Draft
from gateway.domain.entry import EntryKind
from gateway.domain.ids import leg_entry_id
from gateway.domain.outcome import Reason, Refusal
from gateway.domain.receipt import TillWarning
from gateway.domain.reversing import give_back, restored_so_far, take_back, value_to_give_back
from gateway.domain.rules_standing import present_member
from gateway.domain.working import Original, WorkingSet


def decide_refund(work: WorkingSet, command: Refund) -> list[Draft] | Refusal:
    """The reversals of a checkout's entries; or an entry that waits for the checkout.

    Refusals in order: EVENT_TIME_IN_FUTURE, EVENT_TOO_OLD, ENTRY_NOT_REVERSIBLE (no checkout), ENTRY_NOT_FOUND (and no member
    and amount to park it by; also another partner's, or another member's than the one that is named), MEMBER_NOT_FOUND,
    TOKEN_USED_OR_EXPIRED, MEMBER_ERASED, UNIT_UNSUPPORTED, REFUND_EXCEEDS_REST.
    """
    on = work.business_date(command)
    if isinstance(on, Refusal):
        return on
    state = work.checkouts.get(command.checkout_id)
    if state is None:
        return _park(work, command, on.isoformat())
    stranger = _is_of_somebody_else(work, command, state)
    if stranger is not None:
        return stranger
    if command.amount is not None and command.amount.unit != state.unit:
        return Refusal(Reason.UNIT_UNSUPPORTED, {"unit": command.amount.unit})
    part = _part(work, command, state)
    if part is None:
        return Refusal(Reason.REFUND_EXCEEDS_REST, {"rest": str(state.rest), "unit": state.unit})

    # From here on it must succeed.
    base = Draft(
        work=work,
        account=work.accounts[state.member_id],
        entry_id=command.entry_id,
        kind=EntryKind.REVERSE_ISSUE,
        business_date=on.isoformat(),
        occurred_at_ms=work.occurred_at_ms(command),
        partner_id=command.partner_id,
        key_id=command.key_id,
        receipt_number=command.receipt_number or "",
    )
    return _reversals(work, state, part, base, ids=[(base.entry_id, ""), (leg_entry_id(base.entry_id, 1), base.entry_id)])


def complete_parked(work: WorkingSet, state: CheckoutState, sale: Sequence[Draft], caller: Command) -> Iterator[Draft]:
    """The reversals of refunds that waited for this checkout, once it is booked: what it has, and no more.

    They are further entries of the checkout's command. One for which nothing is left gets an entry, too, that moves nothing:
    it is over, and the books say so. The sale's cashier is warned where less came back than was asked for. A refund of another
    member stays parked: somebody mistook a receipt.
    """
    number = len(sale)
    waiting = [(work.originals[parked.entry_id].entry, parked) for parked in work.parked.get(state.entry_id, ())]
    for entry, parked in sorted(waiting, key=lambda pair: (pair[0].booked_at_ms, pair[0].sequence)):
        asked = json.loads(entry.facts)
        is_same = work.present_account(parked.member_id) is work.present_account(state.member_id)
        is_own = parked.partner_id == state.partner_id
        is_meant = is_same and is_own and asked["unit"] == state.unit
        if parked.is_open and is_own and not is_same:
            sale[0].warnings.add(TillWarning.OTHER_MEMBERS_REFUND_PARKED)
        if parked.is_open and is_meant:
            base = replace(sale[0], partner_id=caller.partner_id, key_id=caller.key_id, offer_id="")
            lines = tuple(LineReturned(line_id, minor_units) for line_id, minor_units in asked["lines"])
            part = part_by_lines(state, basket_lines(sale[0].facts), lines) if lines else None
            part = part or part_by_amount(state, min(asked["returned"], state.rest))
            if part.amount < asked["returned"]:
                sale[0].warnings.add(TillWarning.PARKED_REFUND_CUT)
            ids = [(leg_entry_id(state.entry_id, number + n), state.entry_id) for n in range(2)]
            parked.is_open = False
            work.completed_parked.append(parked)
            drafts = _reversals(work, state, part, base, ids=ids, parked_id=parked.entry_id)
            number += len(drafts)
            yield from drafts


def _is_of_somebody_else(work: WorkingSet, command: Refund, state: CheckoutState) -> Refusal | None:
    """Whoever mistakes a receipt hears the same after the sale as before it: nobody's points are touched."""
    if state.partner_id != command.partner_id:
        return Refusal(Reason.ENTRY_NOT_FOUND)
    if command.member is None:
        return None
    account = present_member(work, command.member)
    if isinstance(account, Refusal):
        return account
    return None if account is work.present_account(state.member_id) else Refusal(Reason.ENTRY_NOT_FOUND)


def _part(work: WorkingSet, command: Refund, state: CheckoutState) -> Part | None:
    """What comes back; None if there is not as much."""
    if command.lines is not None:
        head = work.originals[state.redeem_entry_id or state.issue_entry_id].entry
        return part_by_lines(state, basket_lines(head.facts), command.lines)
    amount = state.rest if command.amount is None else command.amount.minor_units
    return part_by_amount(state, amount) if 0 < amount <= state.rest else None


def _reversals(
    work: WorkingSet, state: CheckoutState, part: Part, base: Draft, *, ids: Sequence[tuple[str, str]], parked_id: str = ""
) -> list[Draft]:
    """One entry for each of the checkout's that changes, at least one. `ids`: theirs in order, each with its head's.

    `parked_id`: of the refund that they complete, if it had to wait.
    """
    rest, rest_earning = state.rest - part.amount, state.rest_earning - part.earning
    redeemed, issued = work.originals.get(state.redeem_entry_id), work.originals.get(state.issue_entry_id)
    drafts: list[Draft] = []
    if redeemed is not None:
        points = -redeemed.entry.points
        back = points - points_that_stay(points, rest=rest, total=state.total) - restored_so_far(redeemed)
        if back or issued is None:
            value = value_to_give_back(redeemed, back)
            drafts.append(_reversal(base, redeemed, EntryKind.REVERSE_REDEMPTION, value, ids[0]))
            give_back(drafts[-1], redeemed, back)
    if issued is not None:
        stays = eligible_that_stays(issued.entry.amount, rest=rest_earning, earning=state.earning)
        amount = issued.entry.amount - stays - issued.reversed_amount
        if amount or not drafts:
            drafts.append(_reversal(base, issued, EntryKind.REVERSE_ISSUE, amount, ids[len(drafts)]))
            take_back(drafts[-1], issued, remaining=stays)
    first = drafts[0]
    paid = state.total - (redeemed.entry.amount if redeemed is not None else 0)
    kept, keeps = (money_that_stays(paid, rest=left, total=state.total) for left in (state.rest, rest))
    first.facts = refund_facts(state, part, money=kept - keeps, parked_id=parked_id)
    withheld = sum(draft.withheld[1] for draft in drafts if draft.withheld is not None)
    first.total, first.to_pay = (state.unit, part.amount), (state.unit, max(kept - keeps - withheld, 0))
    _note(work, state, part)
    return drafts


def _reversal(base: Draft, original: Original, kind: EntryKind, amount: int, ids: tuple[str, str]) -> Draft:
    entry_id, head_entry_id = ids
    return replace(
        base,
        entry_id=entry_id,
        head_entry_id=head_entry_id,
        kind=kind,
        unit=original.entry.unit,
        amount=amount,
        rate_card_version=original.entry.rate_card_version,
        original_entry_id=original.entry.entry_id,
        postings=[],
        touched={},
        warnings=set(),
        facts="",
        total=None,
        to_pay=None,
    )


def _note(work: WorkingSet, state: CheckoutState, part: Part) -> None:
    state.returned += part.amount
    state.returned_earning += part.earning
    for line_id, minor_units in part.lines.items():
        state.returned_lines[line_id] = state.returned_lines.get(line_id, 0) + minor_units
    work.changed_checkouts[state.entry_id] = state


def _park(work: WorkingSet, command: Refund, business_date: str) -> list[Draft] | Refusal:
    original = work.originals.get(command.checkout_id)
    if original is not None and original.entry.partner_id == command.partner_id:
        return Refusal(Reason.ENTRY_NOT_REVERSIBLE, {"call": "ReverseEntry"})
    if original is not None:
        return Refusal(Reason.ENTRY_NOT_FOUND)
    if command.member is None or command.amount is None:
        return Refusal(Reason.ENTRY_NOT_FOUND)
    account = present_member(work, command.member)
    if isinstance(account, Refusal):
        return account

    # From here on it must succeed.
    draft = Draft(
        work=work,
        account=account,
        entry_id=command.entry_id,
        kind=EntryKind.PARK_REFUND,
        business_date=business_date,
        occurred_at_ms=work.occurred_at_ms(command),
        unit=command.amount.unit,
        amount=command.amount.minor_units,
        facts=parked_facts(command),
        warnings={TillWarning.REFUND_WAITS_FOR_SALE},
    )
    draft.total = (command.amount.unit, command.amount.minor_units)
    parked = ParkedRefund(
        entry_id=draft.entry_id,
        bucket=account.bucket,
        checkout_id=command.checkout_id,
        member_id=account.member_id,
        partner_id=command.partner_id,
        is_open=True,
    )
    work.parked.setdefault(command.checkout_id, []).append(parked)
    work.new_parked.append(parked)
    return [draft]
