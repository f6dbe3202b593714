"""The working set of one batch: executes commands one at a time, so that the second sees the first.

Balances change only here. Order of precedence: an answer given before, a key used for something else, a member of another
lane, then what `rules_*` lists for each command. Refuses with values; an exception means a bug of ours.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gateway.domain.answering import booked_receipt, refused_receipt
from gateway.domain.chain import refusal_hash
from gateway.domain.command import (
    AddIdentifier,
    Checkout,
    ClaimReceipt,
    Command,
    Confirm,
    Donate,
    Enrol,
    Erase,
    EventMark,
    Issue,
    Merge,
    Pause,
    PlaceHold,
    Redeem,
    Refund,
    RemoveIdentifier,
    Resume,
    Reverse,
    Timed,
    Transfer,
    VoidHold,
    entry_named,
    identifier_claimed,
    member_refs,
)
from gateway.domain.draft import Draft
from gateway.domain.entry import Entry, EntryKind, PostingKind
from gateway.domain.ids import OPERATOR, bucket_of, entry_id, member_id
from gateway.domain.lanes import Deferred, Misrouted, lane_of
from gateway.domain.limiting import count_day
from gateway.domain.lot import MemberAccount, OverdueLots, in_order
from gateway.domain.outcome import CURABLE, Reason, Refusal
from gateway.domain.partner import PartnerStatus
from gateway.domain.receipt import Answer, EncodeReceipt, Receipt, Result
from gateway.domain.rules_checkout import decide_checkout, decide_claim
from gateway.domain.rules_hold import decide_place, decide_void, lapse
from gateway.domain.rules_identity import (
    decide_add_identifier,
    decide_confirm,
    decide_enrol,
    decide_erase,
    decide_pause,
    decide_remove_identifier,
    decide_resume,
)
from gateway.domain.rules_member import decide_donate, decide_transfer
from gateway.domain.rules_merge import decide_merge, moving_on
from gateway.domain.rules_points import decide_issue, decide_redeem
from gateway.domain.rules_refund import complete_parked, decide_refund
from gateway.domain.rules_reverse import decide_reverse
from gateway.domain.rules_standing import use_tokens
from gateway.domain.working import WorkingSet

# What decides each command, and what kind of entry a refusal of it would have been.
RULES: dict[type[Command], tuple[Callable[[WorkingSet, Any], list[Draft] | Refusal | Deferred], EntryKind]] = {
    Enrol: (decide_enrol, EntryKind.ENROL),
    Issue: (decide_issue, EntryKind.ISSUE),
    Redeem: (decide_redeem, EntryKind.REDEEM),
    Reverse: (decide_reverse, EntryKind.REVERSE_ISSUE),
    Transfer: (decide_transfer, EntryKind.TRANSFER_OUT),
    PlaceHold: (decide_place, EntryKind.PLACE_HOLD),
    VoidHold: (decide_void, EntryKind.VOID_HOLD),
    Checkout: (decide_checkout, EntryKind.ISSUE),
    ClaimReceipt: (decide_claim, EntryKind.ISSUE),
    Refund: (decide_refund, EntryKind.REVERSE_ISSUE),
    Donate: (decide_donate, EntryKind.DONATE),
    Confirm: (decide_confirm, EntryKind.CONFIRM_MEMBER),
    AddIdentifier: (decide_add_identifier, EntryKind.ADD_IDENTIFIER),
    RemoveIdentifier: (decide_remove_identifier, EntryKind.REMOVE_IDENTIFIER),
    Pause: (decide_pause, EntryKind.PAUSE_SPENDING),
    Resume: (decide_resume, EntryKind.RESUME_SPENDING),
    Merge: (decide_merge, EntryKind.MERGE_OUT),
    Erase: (decide_erase, EntryKind.ERASE_MEMBER),
}


@dataclass(slots=True)
class Head:
    """The end of a lane. `last_commit_ms` never runs back; `lanes` is how many are in force, the same in all heads."""

    lane: int
    window_id: int
    last_sequence: int
    last_commit_ms: int
    chain_hash: bytes
    refusals: int
    refusals_hash: bytes
    lanes: int


@dataclass(frozen=True, slots=True)
class KnownAnswer:
    """An answer given before, as it is stored."""

    fingerprint: bytes
    answer: Answer


@dataclass(frozen=True, slots=True)
class StoredRefusal:
    """A final refusal as it will be stored."""

    receipt: Receipt
    reason: Reason
    lane: int
    number: int
    refusal_hash: bytes
    receipt_bytes: bytes


@dataclass(frozen=True, slots=True)
class EventWarning:
    """An event that was booked although a command of now would have been refused; an entry may have several."""

    event: EventMark
    entry: Entry
    ordinal: int
    despite: Refusal

    @property
    def partner_id(self) -> str:
        """Whose cap or suspension it was."""
        return self.despite.details.get("issuer_id", self.entry.partner_id)


@dataclass(slots=True, kw_only=True)
class Book:
    """The ends of the batch's lanes, the state of the members, the answers known, and those that the batch gives.

    At least those of the lanes that its commands were sent to. Without any the book answers only what is known.
    """

    heads: dict[int, Head]
    work: WorkingSet
    encode: EncodeReceipt
    receipt_key_id: str
    known: dict[str, KnownAnswer] = field(default_factory=dict)
    known_refusals: dict[tuple[str, bytes], Answer] = field(default_factory=dict)
    new_entries: list[tuple[Entry, bytes]] = field(default_factory=list)
    new_answers: list[tuple[Entry, bytes]] = field(default_factory=list)
    new_refusals: list[StoredRefusal] = field(default_factory=list)
    new_warnings: list[EventWarning] = field(default_factory=list)
    changed_lanes: set[int] = field(default_factory=set)
    _given_back: dict[str, Misrouted | Deferred] = field(default_factory=dict)

    def execute(self, command: Command) -> Result | Misrouted | Deferred:
        """Books the command or refuses it; answers again what was answered before; gives back what another batch must do."""
        fingerprint = command.fingerprint()
        known = self.known.get(command.entry_id)
        if known is not None:
            if known.fingerprint == fingerprint:
                return replace(known.answer, is_replayed=True)
            return Refusal(Reason.IDEMPOTENCY_KEY_REUSED)
        remembered = self.known_refusals.get((command.entry_id, fingerprint))
        if remembered is not None:
            return replace(remembered, is_replayed=True)
        decided = self._elsewhere(command) or self._decide(command)
        if isinstance(decided, list):
            return self._book(command, fingerprint, decided)
        if isinstance(decided, Refusal):
            is_final = decided.is_remembered or (command.event is not None and decided.reason not in CURABLE)
            return self._remember(command, fingerprint, decided) if is_final else decided
        self._given_back |= dict.fromkeys(self._names(command), decided)
        return decided

    def expire_overdue(self, overdue: Sequence[OverdueLots]) -> int:
        """Ends what is over for the members of overdue lots, then expires the lots: one entry for those that are together.

        Returns the points that expired either way. Safe to repeat.
        """
        before = len(self.new_entries)
        for whose in dict.fromkeys(group.member_id for group in overdue):
            self.lapse(member_id=whose)
        for group in overdue:
            self._expire(group)
        booked = (posting for entry, _ in self.new_entries[before:] for posting in entry.postings)
        return sum(posting.points for posting in booked if posting.kind is PostingKind.EXPIRE)

    def _expire(self, overdue: OverdueLots) -> None:
        """As an entry of the operator's; nothing, where nothing is left."""
        account, today = self.work.accounts[overdue.member_id], self.work.network_date
        named = [account.lots[lot_id] for lot_id in overdue.lot_ids if lot_id in account.lots]
        lots = in_order(lot for lot in named if lot.free_points and lot.is_overdue(today))
        if not lots:
            return
        draft = Draft(
            work=self.work,
            account=account,
            entry_id=entry_id(OPERATOR, f"expire/{lots[0].lot_id}/{lots[0].expired_points}"),
            kind=EntryKind.EXPIRE,
            business_date=today,
            occurred_at_ms=self.work.at_ms,
        )
        for lot in lots:
            draft.move(PostingKind.EXPIRE, lot, lot.free_points)
        self.enter(draft)

    def lapse(self, *, member_id: str) -> int:
        """Ends the member's holds whose time is over, as entries of the operator's; returns how many. Safe to repeat."""
        due = self.work.accounts[member_id].lapsed_holds(self.work.at_ms)
        for hold in due:
            self.enter(lapse(self.work, hold))
        return len(due)

    def enter(self, draft: Draft, command: Command | None = None, fingerprint: bytes = b"") -> tuple[Entry, bytes]:
        """Gives the draft its sequence and its place in the chain. With a command it is the first entry of it."""
        account = draft.account
        head = self.heads[draft.lane]
        head.last_sequence += 1
        account.entries += 1
        self.work.changed_accounts.add(account.member_id)
        entry = Entry(
            entry_id=draft.entry_id,
            bucket=account.bucket,
            lane=head.lane,
            sequence=head.last_sequence,
            window_id=head.window_id,
            kind=draft.kind,
            partner_id=command.partner_id if command else draft.partner_id,
            key_id=command.key_id if command else draft.key_id,
            idempotency_key=command.idempotency_key if command else "",
            fingerprint=fingerprint,
            member_id=account.member_id,
            business_date=draft.business_date,
            occurred_at_ms=draft.occurred_at_ms,
            booked_at_ms=self.work.at_ms,
            points=draft.points,
            unit=draft.unit,
            amount=draft.amount,
            rate_card_version=draft.rate_card_version,
            original_entry_id=draft.original_entry_id,
            offer_id=draft.offer_id,
            receipt_number=(command.receipt_number or "") if isinstance(command, Timed) else draft.receipt_number,
            postings=tuple(draft.postings),
            head_entry_id=draft.head_entry_id,
            facts=draft.facts,
        )
        head.chain_hash = entry.chained_hash(head.chain_hash)
        head.last_commit_ms = self.work.at_ms
        self.changed_lanes.add(head.lane)
        self.new_entries.append((entry, head.chain_hash))
        self.work.note_entry(entry)
        count_day(self.work, entry)
        return self.new_entries[-1]

    def _elsewhere(self, command: Command) -> Misrouted | Deferred | None:
        """Whether another batch must carry the command out, since its members live there or since it comes behind one that is."""
        if self._given_back:
            for name in self._names(command):
                if name in self._given_back:
                    return self._given_back[name]
        heads, lanes_in_force = self.heads, self.work.lanes
        if len(heads) == lanes_in_force:
            return None
        lanes = {lane_of(bucket, lanes_in_force) for bucket in self._buckets(command)}
        if heads and lanes <= heads.keys():
            return None
        return Misrouted(tuple(sorted(lanes)) or (0,), lanes_in_force)

    def _buckets(self, command: Command) -> Iterator[int]:
        """Where the members live that the command concerns; none if one of them is not known, since then it is refused."""
        if isinstance(command, Enrol):
            yield bucket_of(member_id(command.partner_id, command.idempotency_key))
        elif (named := self._account_named(command)) is not None:
            yield named.bucket
            # What comes back to a member that was merged goes on to the other one in the same batch.
            present = self.work.present_account(named.member_id)
            if present is not None:
                yield present.bucket
        else:
            accounts = [account for ref in member_refs(command) if (account := self.work.member(ref)) is not None]
            if len(accounts) == len(member_refs(command)):
                yield from (account.bucket for account in accounts)

    def _names(self, command: Command) -> Iterator[str]:
        """What a command is about. Commands that share a name keep their order, whichever batch carries them out."""
        yield command.entry_id
        claimed = identifier_claimed(command)
        if claimed is not None:
            yield claimed
        if isinstance(command, Enrol):
            yield member_id(command.partner_id, command.idempotency_key)
        elif (of_entry := entry_named(command)) is not None:
            yield of_entry
            named = self._account_named(command)
            if named is not None:
                yield named.member_id
                present = self.work.present_account(named.member_id)
                if present is not None:
                    yield present.member_id
        for ref in member_refs(command):
            account = self.work.member(ref)
            yield account.member_id if account is not None else self.work.member_id(ref) or ref.named_hash or ""

    def _account_named(self, command: Command) -> MemberAccount | None:
        """Of the entry that the command is about, as far as there is one and it is its partner's own."""
        of_entry = entry_named(command)
        return self.work.account_of_entry(of_entry, command.partner_id) if of_entry is not None else None

    def _head_of(self, account: MemberAccount | None) -> Head:
        """Of the account's lane; the batch's first if it has none here."""
        head = self.heads.get(self.work.lane_of(account.bucket)) if account is not None else None
        return head or self.heads[min(self.heads)]

    def _decide(self, command: Command) -> list[Draft] | Refusal | Deferred:
        self.work.turn_to(command.event)
        partner = self.work.terms.partners.get(command.partner_id)
        if partner is None or partner.status is not PartnerStatus.ACTIVE:
            not_active = Refusal(Reason.PARTNER_NOT_ACTIVE, {"status": partner.status.value if partner else "UNKNOWN"})
            if partner is None or not self.work.overrides_suspension(not_active, partner):
                return not_active
        for account in self._accounts_of(command):
            if account.held_points:
                self.lapse(member_id=account.member_id)
        decide, _kind = RULES[type(command)]
        return decide(self.work, command)

    def _book(self, command: Command, fingerprint: bytes, drafts: list[Draft]) -> Answer:
        first, *further = drafts
        use_tokens(self.work, command, first)
        booked = [self.enter(first, command, fingerprint), *(self.enter(draft) for draft in further)]
        entry, _hash = booked[0]
        checkout = self.work.checkouts.get(entry.entry_id)
        if checkout is not None:
            for draft in complete_parked(self.work, checkout, tuple(drafts), command):
                drafts.append(draft)
                booked.append(self.enter(draft))
        receipt = self.encode(booked_receipt(self.work, command, drafts, booked))
        lanes = tuple(sorted({entry.lane for entry, _hash in booked}))
        answer = Answer(receipt, self.receipt_key_id, lanes=lanes)
        self.known[entry.entry_id] = KnownAnswer(fingerprint, answer)
        self.new_answers.append((entry, receipt))
        for draft in moving_on(self.work, first):
            self.enter(draft)
        if command.event is not None:
            self.new_warnings += [EventWarning(command.event, entry, *one) for one in enumerate(self.work.despite)]
        return answer

    def _remember(self, command: Command, fingerprint: bytes, refusal: Refusal) -> Answer:
        account = self._member_of(command)
        receipt = refused_receipt(self.work, command, fingerprint, refusal, self._kind_refused(command), account)
        receipt_bytes = self.encode(receipt)
        head = self._head_of(account)
        self.changed_lanes.add(head.lane)
        head.refusals += 1
        head.last_commit_ms = self.work.at_ms
        head.refusals_hash = refusal_hash(
            head.refusals_hash,
            entry_id=command.entry_id,
            fingerprint=fingerprint,
            lane=head.lane,
            number=head.refusals,
            partner_id=command.partner_id,
            idempotency_key=command.idempotency_key,
            reason=refusal.reason,
            refused_at_ms=self.work.at_ms,
            receipt=receipt_bytes,
            receipt_key_id=self.receipt_key_id,
        )
        self.new_refusals.append(
            StoredRefusal(receipt, refusal.reason, head.lane, head.refusals, head.refusals_hash, receipt_bytes)
        )
        answer = Answer(receipt_bytes, self.receipt_key_id, refusal)
        self.known_refusals[command.entry_id, fingerprint] = answer
        return answer

    def _kind_refused(self, command: Command) -> EntryKind:
        if isinstance(command, Reverse):
            original = self.work.originals.get(command.original_entry_id)
            if original is not None and original.entry.kind is EntryKind.REDEEM:
                return EntryKind.REVERSE_REDEMPTION
        return RULES[type(command)][1]

    def _member_of(self, command: Command) -> MemberAccount | None:
        return next(iter(self._accounts_of(command)), None)

    def _accounts_of(self, command: Command) -> list[MemberAccount]:
        """Those whose points the command may move: of a transfer the giver first, of an entry its own before where that leads."""
        named = self._account_named(command)
        if named is not None:
            present = self.work.present_account(named.member_id)
            return [named] if present in (named, None) else [named, present]
        return [account for ref in member_refs(command) if (account := self.work.member(ref)) is not None]
