"""One household of a replay: plays its events in order, keeps what its receipts say, and ties out with the ledger."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from partners.pos.answers import Booked
from partners.pos.errors import Refused
from partners.pos.replay_plan import Event, Naming, Stores, redeem_limit, returned_amount
from partners.pos.requests import Booking, card, enrol
from partners.pos.requests_till import checkout, refund
from partners.pos.till import AsyncTill
from tallystick.v1 import types_pb2

# What may happen to a sale on an ordinary day. Any other refusal means that the replay is set up wrongly, and ends it.
ORDINARY_REFUSALS = frozenset(
    {
        "BALANCE_LIMIT",
        "ENTRY_NOT_FOUND",
        "INSUFFICIENT_POINTS",
        "NET_DEBIT_CAP_EXCEEDED",
        "PARTNER_NOT_ACTIVE",
        "RATE_CARD_MISSING",
        "REFUND_EXCEEDS_REST",
    }
)

# What the points of an entry are called in a summary.
POINTS_OF = {
    types_pb2.ENTRY_KIND_ENROL: "enrolled",
    types_pb2.ENTRY_KIND_ISSUE: "issued",
    types_pb2.ENTRY_KIND_REDEEM: "redeemed",
    types_pb2.ENTRY_KIND_REVERSE_ISSUE: "taken back",
    types_pb2.ENTRY_KIND_REVERSE_REDEMPTION: "given back",
}


@dataclass(slots=True)
class Totals:
    """Sums over receipts: `counts` by what was asked, `points` by kind of entry, as they changed balances.

    Adds up over households and processes.
    """

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
    """Remembers its balance as its receipts tell it, and what each basket came to."""

    def __init__(self, household_id: str, setting: Setting) -> None:
        self.household_id = household_id
        self.totals = Totals()
        self._setting = setting
        self._who = card(setting.naming.card(household_id))
        self._till: AsyncTill | None = None  # of the partner that enrolled it
        self._balance = 0
        self._sold: dict[str, int] = {}
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
        if basket.eligible <= 0:
            self.totals.counts["nothing to pay"] += 1
            return
        limit = redeem_limit(basket.eligible)
        command = checkout(
            self._who,
            self._amount(basket.eligible),
            key=naming.key(basket.basket_id, "checkout"),
            points=self._amount(limit) if event.redeems and self._balance > 0 and limit else None,
            receipt_number=f"{basket.occurred_at} {basket.basket_id}"[:64],
        )
        if await self._try(till, "checkouts", command):
            self._sold[basket.basket_id] = basket.eligible

    async def _return(self, till: AsyncTill, event: Event) -> None:
        basket, naming = event.basket, self._setting.naming
        total = self._sold.get(basket.basket_id)
        if total is None:
            return
        command = refund(
            key=naming.key(basket.basket_id, "refund"),
            checkout_key=naming.key(basket.basket_id, "checkout"),
            part=self._amount(returned_amount(total, event.quarters_back)),
            receipt_number=f"return {basket.basket_id}"[:64],
        )
        await self._try(till, "refunds", command)

    def _amount(self, minor_units: int) -> types_pb2.Amount:
        return types_pb2.Amount(unit=self._setting.unit, minor_units=minor_units)

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
        moved = [(receipt.kind, receipt.points), *((leg.kind, leg.points) for leg in receipt.legs)]
        for its_kind, points in moved:
            self.totals.points[POINTS_OF[its_kind]] += points
        self.totals.counts["booked before"] += booked.is_replayed
        # A receipt that was booked before may still be new: the repeat of a call of this run whose answer was lost.
        if self._opened_at_ms is None or not booked.is_replayed or receipt.booked_at_ms > self._opened_at_ms:
            self._new_points += sum(points for _, points in moved)
