"""What the receipt of a command says: made of the entries that it has booked, or of its refusal."""

from collections.abc import Sequence

from gateway.domain.command import Checkout, ClaimReceipt, Command, PlaceHold, Refund, Timed, VoidHold
from gateway.domain.draft import Draft
from gateway.domain.entry import GONE_AT_ONCE, Entry, EntryKind
from gateway.domain.lot import MemberAccount
from gateway.domain.outcome import Refusal
from gateway.domain.receipt import Leg, LotMovement, Receipt, TillWarning
from gateway.domain.standing import Standing, standing_of
from gateway.domain.working import WorkingSet

Booked = tuple[Entry, bytes]
"""An entry and its hash."""

_OF_TILLS = PlaceHold | VoidHold | Checkout | Refund | ClaimReceipt


def booked_receipt(work: WorkingSet, command: Command, drafts: Sequence[Draft], booked: Sequence[Booked]) -> Receipt:
    """Describes the first entry; those that belong to it are its legs."""
    draft, (entry, entry_hash) = drafts[0], booked[0]
    account, is_of_till = draft.account, isinstance(command, _OF_TILLS)
    hold = work.holds.get(entry.entry_id)
    return Receipt(
        audience=work.terms.audience,
        entry_id=entry.entry_id,
        kind=entry.kind,
        partner_id=entry.partner_id,
        idempotency_key=entry.idempotency_key,
        fingerprint=entry.fingerprint,
        member_id=entry.member_id,
        business_date=entry.business_date,
        occurred_at_ms=entry.occurred_at_ms,
        booked_at_ms=entry.booked_at_ms,
        receipt_number=entry.receipt_number,
        balance_points=account.balance_points,
        debt_points=account.debt_points,
        lane=entry.lane,
        sequence=entry.sequence,
        points=entry.points,
        unit=entry.unit,
        amount=entry.amount,
        rate_card_version=entry.rate_card_version,
        original_entry_id=entry.original_entry_id,
        withheld=draft.withheld,
        lots=_movements(entry, draft),
        entry_hash=entry_hash,
        legs=_legs(drafts, booked) if len(drafts) > 1 else (),
        total=draft.total,
        to_pay=draft.to_pay,
        hold_expires_at_ms=hold.expires_at_ms if hold is not None else 0,
        standing=_standing(work, command, account) if is_of_till else None,
        warnings=_warnings(work, drafts, account) if is_of_till else (),
        language=_language(work, account) if is_of_till else "",
    )


def refused_receipt(
    work: WorkingSet, command: Command, fingerprint: bytes, refusal: Refusal, kind: EntryKind, account: MemberAccount | None
) -> Receipt:
    """Tells nothing of the member's points."""
    return Receipt(
        audience=work.terms.audience,
        entry_id=command.entry_id,
        kind=kind,
        partner_id=command.partner_id,
        idempotency_key=command.idempotency_key,
        fingerprint=fingerprint,
        member_id=account.member_id if account else "",
        business_date=work.today(command.partner_id).isoformat(),
        occurred_at_ms=work.occurred_at_ms(command),
        booked_at_ms=work.at_ms,
        receipt_number=(command.receipt_number or "") if isinstance(command, Timed) else "",
        balance_points=0,
        debt_points=0,
        refused=refusal.reason,
        details=refusal.details,
    )


def _standing(work: WorkingSet, command: Command, account: MemberAccount) -> Standing:
    card = work.terms.card_in_force(command.partner_id, work.today(command.partner_id))
    return standing_of(account, work.network_date, card)


def _language(work: WorkingSet, account: MemberAccount) -> str:
    """Of a member that was merged, the language of the one that it went into."""
    present = work.present_account(account.member_id)
    return present.language if present is not None else ""


def _warnings(work: WorkingSet, drafts: Sequence[Draft], account: MemberAccount) -> tuple[TillWarning, ...]:
    found = {warning for draft in drafts for warning in draft.warnings}
    if work.despite:
        found.add(TillWarning.BOOKED_BEYOND_CAP)
    if account.debt_points:
        found.add(TillWarning.POINTS_IN_DEBT)
    if any(draft.withheld is not None for draft in drafts):
        found.add(TillWarning.CASH_WITHHELD)
    return tuple(sorted(found))


def _legs(drafts: Sequence[Draft], booked: Sequence[Booked]) -> tuple[Leg, ...]:
    return tuple(_leg(draft, entry) for draft, entry in zip(drafts[1:], booked[1:], strict=True) if draft.head_entry_id)


def _leg(draft: Draft, booked: Booked) -> Leg:
    entry, entry_hash = booked
    return Leg(
        entry_id=entry.entry_id,
        kind=entry.kind,
        lane=entry.lane,
        sequence=entry.sequence,
        points=entry.points,
        unit=entry.unit,
        amount=entry.amount,
        rate_card_version=entry.rate_card_version,
        original_entry_id=entry.original_entry_id,
        withheld=draft.withheld,
        lots=_movements(entry, draft),
        entry_hash=entry_hash,
    )


def _movements(entry: Entry, draft: Draft) -> tuple[LotMovement, ...]:
    moved: dict[str, int] = {}
    gone: dict[str, int] = {}
    for posting in entry.postings:
        lot_id = posting.lot_id
        if lot_id:
            moved[lot_id] = moved.get(lot_id, 0) + posting.lot_points
            if posting.kind in GONE_AT_ONCE:
                gone[lot_id] = gone.get(lot_id, 0) + posting.points
    lots = [(draft.touched[lot_id], points) for lot_id, points in moved.items()]
    return tuple(
        [LotMovement(lot.lot_id, lot.issuer_id, points, lot.expires_on, gone.get(lot.lot_id, 0)) for lot, points in lots]
    )
