"""One entry under construction: its postings, and what each does to lots, debts, positions and totals.

By the time a draft is made every refusal has been considered: from here on it must succeed, and only writes follow.
"""

from dataclasses import dataclass, field, replace

from gateway.domain.entry import EntryKind, Posting, PostingKind
from gateway.domain.ids import OPERATOR
from gateway.domain.lot import Debt, Hold, HoldState, Lot, MemberAccount
from gateway.domain.pricing import reimbursement_micros
from gateway.domain.receipt import TillWarning
from gateway.domain.terms import RateCard
from gateway.domain.working import WorkingSet


@dataclass(slots=True, kw_only=True)
class Draft:
    """What the entry will say, its postings so far, and by how many points they change the member's balance.

    Who asked for it is known from the command, unless it is a further entry of one: those name their partner, or are the
    operator's own.
    """

    work: WorkingSet
    account: MemberAccount
    entry_id: str
    kind: EntryKind
    business_date: str
    occurred_at_ms: int
    unit: str = ""
    amount: int = 0
    rate_card_version: int = 0
    original_entry_id: str = ""
    offer_id: str = ""
    withheld: tuple[str, int] | None = None
    total: tuple[str, int] | None = None
    to_pay: tuple[str, int] | None = None
    facts: str = ""
    head_entry_id: str = ""
    partner_id: str = OPERATOR
    key_id: str = ""
    receipt_number: str = ""
    points: int = field(default=0, init=False)
    postings: list[Posting] = field(default_factory=list)
    touched: dict[str, Lot] = field(default_factory=dict)
    warnings: set[TillWarning] = field(default_factory=set)

    @property
    def lane(self) -> int:
        """Where the entry will stand."""
        return self.work.lane_of(self.account.bucket)

    def open_lot(self, lot: Lot, kind: PostingKind, *, cause_lot_id: str = "") -> None:
        """Brings a new lot into the account, all of it open, and pays debt from it."""
        points, lot.open_points = lot.points, 0
        self.account.lots[lot.lot_id] = lot
        self.work.new_lots.add(lot.lot_id)
        self.move(kind, lot, points, cause_lot_id=cause_lot_id)
        self.pay_debts(lot, points)

    def receive(self, source: Lot, points: int, *, number: int) -> None:
        """Points of another account's lot, as a new lot that keeps issuer, price, expiry and origin, and pays debt first."""
        lot = replace(
            source,
            lot_id=f"{self.entry_id}-{number}",
            member_id=self.account.member_id,
            bucket=self.account.bucket,
            arrival=self.account.take_arrival(),
            points=points,
            open_points=0,
            expired_points=0,
            held_points=0,
        )
        self.open_lot(lot, PostingKind.TRANSFER_IN, cause_lot_id=source.lot_id)

    def move(
        self,
        kind: PostingKind,
        lot: Lot,
        points: int,
        *,
        counterparty_id: str | None = None,
        rate_card_version: int | None = None,
        cause_lot_id: str = "",
    ) -> None:
        """Moves points of a lot. Without a counterparty it is the lot's own issuer, at the lot's own version."""
        if points == 0:
            return
        posting = Posting(
            ordinal=len(self.postings),
            kind=kind,
            lot_id=lot.lot_id,
            issuer_id=lot.issuer_id,
            counterparty_id=lot.issuer_id if counterparty_id is None else counterparty_id,
            rate_card_version=lot.rate_card_version if rate_card_version is None else rate_card_version,
            points=points,
            cause_lot_id=cause_lot_id,
        )
        lane, lot_points = self.lane, posting.lot_points
        self._post(posting)
        lot.open_points += lot_points
        lot.held_points += posting.held_points
        if kind is PostingKind.EXPIRE:
            lot.expired_points += points
        elif kind is PostingKind.EXPIRY_UNDONE:
            lot.expired_points -= points
        assert lot.free_points >= 0 <= lot.held_points, f"lot {lot.lot_id}: more taken than is free"
        assert lot.expired_points >= 0, f"lot {lot.lot_id}: more expiry undone than there was"
        self.touched[lot.lot_id] = self.work.changed_lots[lot.lot_id] = lot
        self.work.position(lane, lot.issuer_id, lot.currency).open_value_micros += lot_points * lot.price_micros
        if kind in (PostingKind.REDEEM, PostingKind.RESTORE):
            self._owe(posting)

    def take(self, kind: PostingKind, points: int, *, counterparty: RateCard | None = None) -> None:
        """Takes points that must be there from the member's usable lots, by expiry, then arrival."""
        for lot in self.account.usable_lots(self.work.network_date):
            if not points:
                break
            part = min(lot.free_points, points)
            self.move_for(kind, lot, part, counterparty)
            points -= part
        assert points == 0, "somebody decided to take more than is usable"

    def move_for(self, kind: PostingKind, lot: Lot, points: int, counterparty: RateCard | None) -> None:
        """Moves points of a lot on behalf of a partner, by its rate card; without one, of the lot's own issuer."""
        if counterparty is None:
            self.move(kind, lot, points)
        else:
            partner_id, version = counterparty.partner_id, counterparty.version
            self.move(kind, lot, points, counterparty_id=partner_id, rate_card_version=version)

    def release(self, hold: Hold, state: HoldState) -> None:
        """Ends a hold: its points are free again. What is not taken at once, `settle_released` deals with."""
        for lot_id, points in hold.parts:
            self.move(PostingKind.RELEASE, self.account.lots[lot_id], points)
        hold.state, hold.ended_by = state.value, self.entry_id
        self.work.changed_holds[hold.hold_id] = hold

    def settle_released(self, lot: Lot, points: int) -> None:
        """Points that are free again, or restored: they pay debt first; what belongs to a lot that is overdue then expires."""
        paid = self.pay_debts(lot, points)
        if lot.is_overdue(self.work.network_date):
            # At once, else holding and voiding, or redeeming and cancelling, would dodge expiry.
            self.move(PostingKind.EXPIRE, lot, points - paid)

    def shortfall(self, kind: PostingKind, cause: Lot, points: int) -> None:
        """Points that a reversal should take and finds nowhere: a new debt to the cause's issuer, or withheld in cash."""
        if points == 0:
            return
        posting = Posting(
            ordinal=len(self.postings),
            kind=kind,
            lot_id="",
            issuer_id=cause.issuer_id,
            counterparty_id=cause.issuer_id,
            rate_card_version=cause.rate_card_version,
            points=points,
            cause_lot_id=cause.lot_id,
        )
        self._post(posting)
        if kind is PostingKind.CLAWBACK_TO_DEBT:
            self._incur(posting)

    def take_over(self, given: Posting) -> None:
        """A debt that another account has handed on with a merge."""
        posting = replace(given, ordinal=len(self.postings), kind=PostingKind.DEBT_IN)
        self._post(posting)
        self._incur(posting)

    def hand_on(self, debt: Debt) -> None:
        """What is left of a debt leaves the account with a merge."""
        self._post(
            Posting(
                ordinal=len(self.postings),
                kind=PostingKind.DEBT_OUT,
                lot_id="",
                issuer_id=debt.issuer_id,
                counterparty_id=debt.issuer_id,
                rate_card_version=debt.rate_card_version,
                points=debt.open_points,
                cause_lot_id=debt.cause_lot_id,
            )
        )
        debt.open_points = 0
        self.work.changed_debts[debt.entry_id, debt.ordinal] = debt

    def _incur(self, posting: Posting) -> None:
        debt = Debt(
            entry_id=self.entry_id,
            ordinal=posting.ordinal,
            member_id=self.account.member_id,
            bucket=self.account.bucket,
            issuer_id=posting.issuer_id,
            rate_card_version=posting.rate_card_version,
            cause_lot_id=posting.cause_lot_id,
            arrival=self.account.take_arrival(),
            points=posting.points,
            open_points=posting.points,
        )
        self.account.debts.append(debt)
        self.work.new_debts.add((debt.entry_id, debt.ordinal))
        self.work.changed_debts[debt.entry_id, debt.ordinal] = debt

    def pay_debts(self, lot: Lot, points: int) -> int:
        """Pays the member's debts, oldest first, with up to `points` that came into the lot; returns what was paid."""
        paid = 0
        for debt in self.account.open_debts() if self.account.debt_points else ():
            if paid == points:
                break
            paid += self._pay(debt, lot, points - paid)
        return paid

    def settle_debts(self) -> None:
        """Pays all debts that lots can pay, also those that wait: points of the reversed purchase first, then in order."""
        for debt in self.account.open_debts() if self.account.debt_points else ():
            own, _, _ = debt.cause_lot_id.partition("-")
            lots = self.account.free_lots(self.work.network_date)
            for lot in sorted(lots, key=lambda lot: lot.origin_entry_id != own):
                self._pay(debt, lot, lot.free_points)

    def _pay(self, debt: Debt, lot: Lot, points_max: int) -> int:
        part = min(debt.open_points, points_max)
        self.move(
            PostingKind.DEBT_PAID,
            lot,
            part,
            counterparty_id=debt.issuer_id,
            rate_card_version=debt.rate_card_version,
            cause_lot_id=debt.cause_lot_id,
        )
        debt.open_points -= part
        self.work.changed_debts[debt.entry_id, debt.ordinal] = debt
        return part

    def _post(self, posting: Posting) -> None:
        lot_points, debt_points = posting.lot_points, posting.debt_points
        self.postings.append(posting)
        self.points += lot_points - debt_points
        self.account.open_points += lot_points
        self.account.debt_points += debt_points
        self.account.held_points += posting.held_points
        key = (self.lane, posting.issuer_id, posting.counterparty_id, posting.rate_card_version, posting.kind)
        total = self.work.totals.setdefault(key, [0, 0])
        total[0] += posting.points
        total[1] += 1

    def _owe(self, posting: Posting) -> None:
        if posting.issuer_id == posting.counterparty_id:
            return
        card = self.work.terms.card(posting.counterparty_id, posting.rate_card_version)
        owed = -posting.lot_points * reimbursement_micros(1, card)
        self.work.position(self.lane, posting.issuer_id, card.currency).net_debit_micros += owed
        self.work.position(self.lane, posting.counterparty_id, card.currency).net_debit_micros -= owed
