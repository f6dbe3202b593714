"""One household of a replay: plays its events in order, keeps what its receipts say, and ties out with the ledger."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from partners.pos.answers import Booked
from partners.pos.errors import Refused
from partners.pos.replay_plan import Event, Naming, Stores, redeem_limit, returned_amount
from partners.pos.requests import Booking, card, enrol, issue, redeem, reverse
from partners.pos.till import AsyncTill
from tallystick.v1 import types_pb2

# What may happen to a sale on an ordinary day. Any other refusal means that the replay is set up wrongly, and ends it.
ORDINARY_REFUSALS = frozenset(
    {
        "ALREADY_REVERSED",
        "BALANCE_LIMIT",
        "ENTRY_NOT_FOUND",
        "INSUFFICIENT_POINTS",
        "NET_DEBIT_CAP_EXCEEDED",
        "PARTNER_NOT_ACTIVE",
        "RATE_CARD_MISSING",
    }
)


@dataclass(slots=True)
class Totals:
    """Sums over receipts; `counts` by kind, `points` as they changed balances. Adds up over households and processes."""

    counts: Counter[str] = field(default_factory=Counter)
    points: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Totals") -> None:
        """Takes another's in."""
        self.counts += other.counts
        for kind, points in other.points.items():  # Counter's own sum drops what is negative
            self.points[kind] += points
        self.refused += other.refused


@dataclass(frozen=True, slots=True)
class Setting:
    """What all households share."""

    tills: Mapping[str, AsyncTill]
    stores: Stores
    naming: Naming
    unit: str


class Household:
    """Remembers its balance as its receipts tell it, and what each basket was issued points on."""

    def __init__(self, household_id: str, setting: Setting) -> None:
        self.household_id = household_id
        self.totals = Totals()
        self._setting = setting
        self._who = card(setting.naming.card(household_id))
        self._till: AsyncTill | None = None  # of the partner that enrolled it
        self._balance = 0
        self._issued: dict[str, int] = {}
        self._opening_points = 0
        self._opened_at_ms: int | None = None  # None: enrolled in this run, so all receipts count
        self._new_points = 0

    async def play(self, event: Event) -> None:
        """Sends what the event takes. Raises NoAnswer, ReceiptError, and Refused where the replay cannot go on."""
        partner_id = self._setting.stores.partner_of(event.basket.store_id)
        till = self._setting.tills[partner_id]
        if self._till is None:
            await self._enrol(till)
            self._till = till
        if event.quarters_back:
            await self._return(till, event)
        else:
            await self._sell(till, event)

    async def closing(self) -> tuple[int, int]:
        """The ledger's balance, and the one that the receipts add up to."""
        assert self._till is not None
        answer = await self._till.balance(self._who)
        return answer.balance_points, self._opening_points + self._new_points

    async def _enrol(self, till: AsyncTill) -> None:
        naming = self._setting.naming
        command = enrol(naming.card(self.household_id), key=naming.key(self.household_id, "enrol"))
        try:
            booked = await till.book(command)
        except Refused as refused:
            if refused.reason != "CARD_ALREADY_ENROLLED":
                raise
            await self._open(till)
            self._balance = self._opening_points  # its history is not this run's: the ledger alone knows it
            return
        if booked.is_replayed:
            await self._open(till)
        self._count("enrolled", booked)

    async def _open(self, till: AsyncTill) -> None:
        answer = await till.balance(self._who)
        self._opening_points = answer.balance_points
        self._opened_at_ms = answer.server_time_ms

    async def _sell(self, till: AsyncTill, event: Event) -> None:
        basket, naming = event.basket, self._setting.naming
        number = f"{basket.occurred_at} {basket.basket_id}"[:64]
        eligible = basket.eligible
        if event.redeems and self._balance > 0 and redeem_limit(eligible):
            limit = types_pb2.Amount(unit=self._setting.unit, minor_units=redeem_limit(eligible))
            command = redeem(self._who, limit, key=naming.key(basket.basket_id, "redeem"), receipt_number=number)
            redeemed = await self._try(till, "redeemed", command)
            eligible -= redeemed.receipt.amount.minor_units if redeemed else 0
        if eligible <= 0:
            self.totals.counts["nothing to issue on"] += 1
            return
        amount = types_pb2.Amount(unit=self._setting.unit, minor_units=eligible)
        sale = issue(self._who, amount, key=naming.key(basket.basket_id, "issue"), receipt_number=number)
        if await self._try(till, "issued", sale):
            self._issued[basket.basket_id] = eligible

    async def _return(self, till: AsyncTill, event: Event) -> None:
        basket, naming = event.basket, self._setting.naming
        issued_on = self._issued.get(basket.basket_id)
        if issued_on is None:
            return
        part = types_pb2.Amount(unit=self._setting.unit, minor_units=returned_amount(issued_on, event.quarters_back))
        command = reverse(
            key=naming.key(basket.basket_id, "return"),
            original_key=naming.key(basket.basket_id, "issue"),
            part=part,
            receipt_number=f"return {basket.basket_id}"[:64],
        )
        await self._try(till, "reversed", command)

    async def _try(self, till: AsyncTill, kind: str, command: Booking) -> Booked | None:
        try:
            booked = await till.book(command)
        except Refused as refused:
            if refused.reason not in ORDINARY_REFUSALS:
                raise
            self.totals.refused[refused.reason] += 1
            return None
        self._count(kind, booked)
        return booked

    def _count(self, kind: str, booked: Booked) -> None:
        receipt = booked.receipt
        self._balance = receipt.balance_points
        self.totals.counts[kind] += 1
        self.totals.points[kind] += receipt.points
        self.totals.counts["booked before"] += booked.is_replayed
        # A receipt that was booked before may still be new: the repeat of a call of this run whose answer was lost.
        if self._opened_at_ms is None or not booked.is_replayed or receipt.booked_at_ms > self._opened_at_ms:
            self._new_points += receipt.points
