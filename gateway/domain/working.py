"""What a batch has read and what it will write: the running state that rules look at and drafts change."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date

from gateway.domain.checkout import CheckoutState, ParkedRefund, is_basket
from gateway.domain.command import ClaimReceipt, Command, EventMark, MemberRef, Timed
from gateway.domain.entry import Entry, EntryKind, Posting, PostingKind
from gateway.domain.ids import OPERATOR
from gateway.domain.lanes import lane_of
from gateway.domain.limits import DayCounts
from gateway.domain.lot import Debt, Hold, Lot, MemberAccount
from gateway.domain.member import KnownIdentifier
from gateway.domain.outcome import Reason, Refusal
from gateway.domain.partner import Partner
from gateway.domain.terms import Terms

CLOCK_TOLERANCE_MS = 30_000  # a till's clock may run ahead as far as a signature may

TotalKey = tuple[int, str, str, int, PostingKind]
"""Lane, issuer, counterparty, version of the counterparty's rate card, kind."""


@dataclass(slots=True)
class Position:
    """What moved a partner's exposure in one currency, in micros: open lots at issue price, and what it owes unsettled."""

    open_value_micros: int = 0
    net_debit_micros: int = 0

    @property
    def exposure_micros(self) -> int:
        """By how much more the network would lose if the partner never paid."""
        return self.open_value_micros + self.net_debit_micros


@dataclass(slots=True)
class Original:
    """An entry that may be reversed, with what its reversals did so far."""

    entry: Entry
    reversed_amount: int = 0
    reversal_postings: list[Posting] = field(default_factory=list)

    @property
    def is_of_a_checkout(self) -> bool:
        """Whether it is one of the entries of a checkout, which come back together or not at all."""
        return bool(self.entry.head_entry_id) or is_basket(self.entry.facts)

    def restored_points(self, lot_id: str) -> int:
        """Points that went back into a lot so far."""
        return sum(p.points for p in self.reversal_postings if p.kind is PostingKind.RESTORE and p.lot_id == lot_id)

    def taken_points(self, cause_lot_id: str) -> int:
        """Points that were taken back so far on behalf of a lot, from wherever they came."""
        return sum(p.points for p in self.reversal_postings if p.kind in _TAKEN and p.cause_lot_id == cause_lot_id)


_TAKEN: Collection[PostingKind] = frozenset({PostingKind.CLAWBACK, PostingKind.CLAWBACK_TO_DEBT, PostingKind.WITHHOLD})


@dataclass(slots=True, kw_only=True)
class WorkingSet:
    """What a batch has read, and what it will write. `at_ms` is the moment of the whole batch.

    `exposures`: of partners that a cap may refuse, in micros by partner and currency, over all lanes as they were read.
    `positions`: what the batch adds, by the same and then by lane. `cap_shares`: what it may add to an issuer's exposure
    while other lanes do the same, in micros; an issuer that has none may be decided up to its cap. `event`: that of the command
    that is being decided; `despite`: what would have refused it, had it not happened already.
    """

    terms: Terms
    lanes: int
    at_ms: int
    network_date: str
    accounts: dict[str, MemberAccount] = field(default_factory=dict)
    identifiers: dict[str, KnownIdentifier] = field(default_factory=dict)
    originals: dict[str, Original] = field(default_factory=dict)
    dates: dict[str, date] = field(default_factory=dict)
    uses: dict[date, tuple[str, str]] = field(default_factory=dict)
    exposures: dict[tuple[str, str], int] = field(default_factory=dict)
    cap_shares: dict[str, int] = field(default_factory=dict)
    positions: dict[tuple[str, str], dict[int, Position]] = field(default_factory=dict)
    totals: dict[TotalKey, list[int]] = field(default_factory=dict)
    new_accounts: set[str] = field(default_factory=set)
    new_identifiers: set[str] = field(default_factory=set)
    changed_identifiers: set[str] = field(default_factory=set)
    gone_identifiers: set[str] = field(default_factory=set)
    changed_accounts: set[str] = field(default_factory=set)
    new_lots: set[str] = field(default_factory=set)
    changed_lots: dict[str, Lot] = field(default_factory=dict)
    holds: dict[str, Hold] = field(default_factory=dict)
    new_holds: set[str] = field(default_factory=set)
    changed_holds: dict[str, Hold] = field(default_factory=dict)
    checkouts: dict[str, CheckoutState] = field(default_factory=dict)
    new_checkouts: set[str] = field(default_factory=set)
    changed_checkouts: dict[str, CheckoutState] = field(default_factory=dict)
    parked: dict[str, list[ParkedRefund]] = field(default_factory=dict)
    new_parked: list[ParkedRefund] = field(default_factory=list)
    completed_parked: list[ParkedRefund] = field(default_factory=list)
    sales: set[str] = field(default_factory=set)
    new_sales: dict[str, str] = field(default_factory=dict)
    new_claims: dict[str, str] = field(default_factory=dict)
    new_debts: set[tuple[str, int]] = field(default_factory=set)
    changed_debts: dict[tuple[str, int], Debt] = field(default_factory=dict)
    days: DayCounts = field(default_factory=DayCounts)
    event: EventMark | None = None
    despite: list[Refusal] = field(default_factory=list)

    def turn_to(self, event: EventMark | None) -> None:
        """The next command is decided: one that came in an event, or not."""
        self.event = event
        self.despite = []

    def overrides_cap(self, refusal: Refusal) -> bool:
        """Whether the command has happened, so that a cap cannot undo it. Noted, for the operator's sake."""
        if self.event is None:
            return False
        self.despite.append(refusal)
        return True

    def overrides_suspension(self, refusal: Refusal, partner: Partner) -> bool:
        """Whether the command had happened by the time at which the partner was suspended. Noted as above."""
        return self.event is not None and partner.was_suspended_after(self.event.occurred_at_ms) and self.overrides_cap(refusal)

    def lane_of(self, bucket: int) -> int:
        """The lane of a bucket, as of this batch."""
        return lane_of(bucket, self.lanes)

    def position(self, lane: int, partner_id: str, currency: str) -> Position:
        """What the batch adds in a lane; zero where there is nothing yet."""
        return self.positions.setdefault((partner_id, currency), {}).setdefault(lane, Position())

    def added_micros(self, partner_id: str, currency: str) -> int:
        """What the batch has added to a partner's exposure so far."""
        return sum(position.exposure_micros for position in self.positions.get((partner_id, currency), {}).values())

    def exposure_micros(self, partner_id: str, currency: str) -> int:
        """As it was read, with what the batch has added since."""
        return self.exposures.get((partner_id, currency), 0) + self.added_micros(partner_id, currency)

    def identifier(self, ref: MemberRef) -> KnownIdentifier | None:
        """What a reference names its member by, where that is an identifier that somebody has."""
        return self.identifiers.get(ref.named_hash) if ref.named_hash is not None else None

    def member_id(self, ref: MemberRef) -> str | None:
        """The id that a reference gives, or whose identifier it is; None for one that nobody has. Merges are not followed."""
        if ref.named_hash is None:
            return ref.member_id
        known = self.identifiers.get(ref.named_hash)
        return known.member_id if known is not None else None

    def member(self, ref: MemberRef) -> MemberAccount | None:
        """The account that a reference names or leads to, also one that this batch has enrolled."""
        member_id = self.member_id(ref)
        return self.present_account(member_id) if member_id is not None else None

    def present_account(self, member_id: str) -> MemberAccount | None:
        """The account of an id or, of a member that was merged, the one that it leads to."""
        account = self.accounts.get(member_id)
        while account is not None and account.merged_into:
            account = self.accounts.get(account.merged_into)
        return account

    def identifiers_of(self, member_id: str) -> list[KnownIdentifier]:
        """All identifiers of a member, in a fixed order. Known where the batch has a command that changes them."""
        return sorted(
            (known for known in self.identifiers.values() if known.member_id == member_id),
            key=lambda known: (known.kind.value, known.identifier_hash),
        )

    def add_identifier(self, known: KnownIdentifier) -> None:
        """A member has one more."""
        self.identifiers[known.identifier_hash] = known
        self.new_identifiers.add(known.identifier_hash)

    def remove_identifier(self, known: KnownIdentifier) -> None:
        """Nobody has it any more."""
        del self.identifiers[known.identifier_hash]
        self.changed_identifiers.discard(known.identifier_hash)
        if known.identifier_hash in self.new_identifiers:
            self.new_identifiers.remove(known.identifier_hash)
        else:
            self.gone_identifiers.add(known.identifier_hash)

    def change_identifier(self, known: KnownIdentifier) -> None:
        """It moved on with its member, or was used up."""
        if known.identifier_hash not in self.new_identifiers:
            self.changed_identifiers.add(known.identifier_hash)

    def account_of_entry(self, entry_id: str, partner_id: str) -> MemberAccount | None:
        """The account of an entry, a hold or a checkout of the partner's that the batch knows."""
        original = self.originals.get(entry_id)
        known = original.entry if original is not None else self.holds.get(entry_id) or self.checkouts.get(entry_id)
        return self.accounts.get(known.member_id) if known is not None and known.partner_id == partner_id else None

    def occurred_at_ms(self, command: Command) -> int:
        """When it happened; when it is booked, if the caller did not say."""
        happened_at_ms = _happened_at_ms(command) if isinstance(command, Timed) else None
        return self.at_ms if happened_at_ms is None else happened_at_ms

    def today(self, partner_id: str) -> date:
        """The batch's date in the partner's time zone."""
        today = self.dates.get(partner_id)
        if today is None:
            today = self.dates[partner_id] = self.terms.business_date(partner_id, self.at_ms)
        return today

    def dates_of_use(self, on: date) -> tuple[str, str]:
        """The last date on which points of a business date can be spent, and the first one, empty for at once."""
        uses = self.uses.get(on)
        if uses is None:
            terms = self.terms.network_in_force(on)
            uses = self.uses[on] = terms.expiry_rule.last_day(on).isoformat(), terms.usable_from(on)
        return uses

    def business_date(self, command: Timed) -> date | Refusal:
        """The date of occurrence in the partner's time zone, unless it lies in the future or too far back."""
        today = self.today(command.partner_id)
        occurred_at_ms = _happened_at_ms(command)
        if occurred_at_ms is None:
            return today
        if occurred_at_ms > self.at_ms + CLOCK_TOLERANCE_MS:
            return Refusal(Reason.EVENT_TIME_IN_FUTURE, {"server_time_ms": str(self.at_ms)})
        on = self.terms.business_date(command.partner_id, occurred_at_ms)
        terms = self.terms.network_in_force(today)
        horizon_days = terms.claim_days_max if isinstance(command, ClaimReceipt) else terms.late_days_max
        if (today - on).days > horizon_days:
            return Refusal(Reason.EVENT_TOO_OLD, {"horizon_days": str(horizon_days)})
        return on

    def note_entry(self, entry: Entry) -> None:
        """Remembers an entry of the batch itself, so that a later command of it may reverse what an earlier one booked."""
        if entry.kind in (EntryKind.REVERSE_ISSUE, EntryKind.REVERSE_REDEMPTION):
            original = self.originals[entry.original_entry_id]
            original.reversed_amount += entry.amount
            original.reversal_postings.extend(entry.postings)
        elif entry.partner_id != OPERATOR:
            self.originals[entry.entry_id] = Original(entry)


def _happened_at_ms(command: Timed) -> int | None:
    """As the caller said, else when its event was signed; None: it happens now."""
    if command.occurred_at_ms is None and command.event is not None:
        return command.event.occurred_at_ms
    return command.occurred_at_ms
