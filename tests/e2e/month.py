"""The month of the oracle, played as its people would: a till for each partner over gRPC, the operator by commands.

Follows the events of coalition_month.json, and notes after each what anybody can see.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from sqlalchemy import select

from gateway.storage.engine import reading
from gateway.storage.tables import lots
from partners.pos import requests
from partners.pos.answers import Booked
from partners.pos.channel import Signer
from partners.pos.till import Till
from tallystick.v1 import types_pb2
from tests.e2e.commands import Ran, done, run_command
from tests.edge.running import RunningGateway
from tests.given import AUDIENCE, KEY_SUFFIX, GivenNetwork, at

ORACLE: Any = json.loads((Path(__file__).parents[1] / "oracle" / "coalition_month.json").read_text("utf-8"))
PARTNERS = {"A": "alpha", "B": "bravo", "C": "charlie", "D": "delta"}
UNITS = {"EUR": "EUR", "c:STAR": "charlie:STAR"}
CARDS = {"M1": "4000-0001", "M2": "4000-0002"}
CUT_OFF = "2026-06-30T23:59:59+02:00"
BONUS_OFFER = "bonus-500"
HELD = "R2"

Event = Mapping[str, Any]
OpenLots = dict[str, tuple[str, str, int]]
"""Member, issuer and open points by the oracle's name of the lot."""


@dataclass(frozen=True, slots=True)
class Step:
    """What was seen after an event. `moved`: points by the oracle's name of the lot, in the order of each receipt."""

    event: Event
    receipts: tuple[Booked, ...]
    moved: tuple[tuple[tuple[str, int], ...], ...]
    balances: tuple[int, int]
    open_lots: OpenLots
    expired: str = ""

    @property
    def entries(self) -> list[types_pb2.Receipt | types_pb2.ReceiptLeg]:
        """All that the receipts tell of, in order."""
        return entries_of(self.receipts)


@dataclass
class Month:
    """A network with the tills of its four partners. `by_checkout`: they sell by Checkout and take back by Refund."""

    network: GivenNetwork
    gateway: RunningGateway
    by_checkout: bool = False
    tills: dict[str, Till] = field(default_factory=dict)
    members: dict[str, str] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    lot_names: dict[str, str] = field(default_factory=dict)

    def play(self) -> None:
        """All seventeen steps."""
        self.network.now_ms = at("2026-06-01", "08:00")
        for partner_id in PARTNERS.values():
            self.tills[partner_id] = self._till(partner_id)
        for name, card in CARDS.items():
            self.members[name] = self.tills["alpha"].enrol(card, key=f"enrol-{name}").receipt.member_id
        for event in ORACLE["events"]:
            self._play(event)

    def settle(self) -> Ran:
        """The night of 30 June."""
        self.network.now_ms = at("2026-07-01", "00:05")
        return self.command("settlement", "run", "--at", CUT_OFF)

    def command(self, *words: str | Path) -> Ran:
        """A command of the operator's that must succeed."""
        return done(run_command(self.network, *words))

    def receipts_of(self, partner_id: str) -> list[Booked]:
        """All that a partner booked, in order."""
        return [booked for step in self.steps for booked in step.receipts if booked.receipt.partner_id == partner_id]

    def close(self) -> None:
        """Closes the tills."""
        for till in self.tills.values():
            till.close()

    def _till(self, partner_id: str) -> Till:
        signer = Signer(f"{partner_id}/{KEY_SUFFIX}", self.network.keys[partner_id].sign)
        channel = grpc.insecure_channel(self.gateway.address)
        return Till(channel, signer, audience=AUDIENCE, now=self.network.clock)

    def _play(self, event: Event) -> None:
        self.network.now_ms = at(event.get("booked", event["date"]))
        receipts: tuple[Booked, ...] = ()
        expired = ""
        if event["do"] == "expire":
            self.network.now_ms = at(event["date"], "00:00")
            expired = self.command("settlement", "expire").out
        else:
            receipts = (_BY_CHECKOUT if self.by_checkout else _DOERS)[event["do"]](self, event)
        self._name_lots(event, receipts)
        self.steps.append(
            Step(
                event=event,
                receipts=receipts,
                moved=tuple(map(self._moved, entries_of(receipts))),
                balances=(self._balance("M1"), self._balance("M2")),
                open_lots=self._open_lots(),
                expired=expired,
            )
        )

    def issue(self, event: Event) -> tuple[Booked, ...]:
        """A basket; an offline one names when it happened."""
        booked = self.tills[PARTNERS[event["partner"]]].issue(
            self._card(event["member"]),
            requests.amount(f"{event['amount']} {UNITS[event['unit']]}"),
            key=event["lot"],
            occurred_at_ms=at(event["date"]) if "booked" in event else None,
            offer_id=BONUS_OFFER if "bonus" in event else "",
        )
        return (booked,)

    def redeem(self, event: Event) -> tuple[Booked, ...]:
        """A redemption, and the issue on what was paid in cash."""
        till = self.tills[PARTNERS[event["partner"]]]
        redeemed = till.redeem(self._card(event["member"]), event["points"], key=event["id"])
        if "then_issue" not in event:
            return (redeemed,)
        return redeemed, *self.issue({**event, **event["then_issue"]})

    def reverse_issue(self, event: Event) -> tuple[Booked, ...]:
        """Goods came back."""
        issued = next(step.event for step in self.steps if step.event.get("lot") == event["lot"])
        part = requests.amount(f"{event['amount']} {UNITS[issued['unit']]}")
        till = self.tills[PARTNERS[issued["partner"]]]
        return (till.reverse(key=f"return-{event['lot']}", original_key=event["lot"], part=part),)

    def reverse_redemption(self, event: Event) -> tuple[Booked, ...]:
        """Points are given back."""
        redeemed = next(step.event for step in self.steps if step.event.get("id") == event["id"])
        till = self.tills[PARTNERS[redeemed["partner"]]]
        return (till.reverse(key=f"undo-{event['id']}", original_key=event["id"], part=event["points"]),)

    def check_out(self, event: Event) -> tuple[Booked, ...]:
        """A basket that is paid in money, as `issue`."""
        booked = self.tills[PARTNERS[event["partner"]]].checkout(
            self._card(event["member"]),
            requests.amount(f"{event['amount']} {UNITS[event['unit']]}"),
            key=event["lot"],
            occurred_at_ms=at(event["date"]) if "booked" in event else None,
            offer_id=BONUS_OFFER if "bonus" in event else "",
        )
        return (booked,)

    def check_out_with_points(self, event: Event) -> tuple[Booked, ...]:
        """One call for points and cash; the second time the points had been set aside."""
        till, who, points = self.tills[PARTNERS[event["partner"]]], self._card(event["member"]), event["points"]
        total = _worth(points)
        if "then_issue" in event:
            total.minor_units += requests.amount(f"{event['then_issue']['amount']} EUR").minor_units
        if event["id"] != HELD:
            return (till.checkout(who, total, key=event["id"], points=points),)
        till.place_hold(who, points, key=f"hold-{event['id']}")
        return (till.checkout(who, total, key=event["id"], hold_key=f"hold-{event['id']}"),)

    def refund_goods(self, event: Event) -> tuple[Booked, ...]:
        """As `reverse_issue`."""
        issued = next(step.event for step in self.steps if step.event.get("lot") == event["lot"])
        part = requests.amount(f"{event['amount']} {UNITS[issued['unit']]}")
        till = self.tills[PARTNERS[issued["partner"]]]
        return (till.refund(key=f"return-{event['lot']}", checkout_key=event["lot"], part=part),)

    def refund_points(self, event: Event) -> tuple[Booked, ...]:
        """As `reverse_redemption`: of a basket that points alone had paid, so much of it as the points are worth."""
        redeemed = next(step.event for step in self.steps if step.event.get("id") == event["id"])
        till = self.tills[PARTNERS[redeemed["partner"]]]
        return (till.refund(key=f"undo-{event['id']}", checkout_key=event["id"], part=_worth(event["points"])),)

    def transfer(self, event: Event) -> tuple[Booked, ...]:
        """From one member to the other, at a service desk of charlie's."""
        source, target = self._card(event["from"]), self._card(event["to"])
        return (self.tills["charlie"].transfer(source, target, event["points"], key=event["lot"]),)

    def _card(self, member: str) -> Any:
        return requests.card(CARDS[member])

    def _balance(self, member: str) -> int:
        points: int = self.tills["delta"].balance(self._card(member)).balance_points
        return points

    def _name_lots(self, event: Event, receipts: tuple[Booked, ...]) -> None:
        """New lots get the oracle's names, in the order in which the receipt has them; a transfer's is the receiver's only."""
        if event["do"] == "transfer":
            self.lot_names |= {row.lot_id: event["lot"] for row in self._lot_rows() if row.lot_id not in self.lot_names}
            return
        issued = event.get("then_issue", event)
        if event["do"] in ("issue", "redeem") and "lot" in issued:
            names = [issued["lot"], *(lot for _, _, lot in issued.get("bonus", {}).get("funding", ()))]
            new = [lot.lot_id for lot in entries_of(receipts)[-1].lots]
            self.lot_names |= dict(zip(new, names, strict=True))

    def _moved(self, entry: types_pb2.Receipt | types_pb2.ReceiptLeg) -> tuple[tuple[str, int], ...]:
        return tuple((self.lot_names[lot.lot_id], lot.points) for lot in entry.lots)

    def _open_lots(self) -> OpenLots:
        names = {member_id: name for name, member_id in self.members.items()}
        issuers = {partner_id: letter for letter, partner_id in PARTNERS.items()}
        return {
            self.lot_names[row.lot_id]: (names[row.member_id], issuers[row.issuer_id], row.open_points)
            for row in self._lot_rows()
            if row.open_points
        }

    def _lot_rows(self) -> Any:
        with reading(self.network.engine) as connection:
            return connection.execute(select(lots)).all()


_DOERS: Mapping[str, Callable[[Month, Event], tuple[Booked, ...]]] = {
    "issue": Month.issue,
    "redeem": Month.redeem,
    "reverse_issue": Month.reverse_issue,
    "reverse_redemption": Month.reverse_redemption,
    "transfer": Month.transfer,
}
_BY_CHECKOUT = {
    "issue": Month.check_out,
    "redeem": Month.check_out_with_points,
    "reverse_issue": Month.refund_goods,
    "reverse_redemption": Month.refund_points,
    "transfer": Month.transfer,
}


def entries_of(receipts: Iterable[Booked]) -> list[types_pb2.Receipt | types_pb2.ReceiptLeg]:
    """All entries of some commands, in order."""
    entries: list[types_pb2.Receipt | types_pb2.ReceiptLeg] = []
    for booked in receipts:
        entries += [booked.receipt, *booked.receipt.legs]
    return entries


def _worth(points: int) -> types_pb2.Amount:
    """At a cent a point, which all partners of the month give."""
    return types_pb2.Amount(unit="EUR", minor_units=points)


def open_lots_after(number: int) -> OpenLots:
    """The open lots that the oracle's first `number` events leave: its own movements, added up."""
    points: dict[str, int] = {}
    owners: dict[str, tuple[str, str]] = {}
    for event in ORACLE["events"][:number]:
        for name, change in _lot_changes(event):
            points[name] = points.get(name, 0) + change
        owners |= _new_lots(event)
    if number >= _TRANSFER_STEP:
        owners["L3t"] = ("M2", "C")
    return {name: (*owners[name], left) for name, left in points.items() if left}


_TRANSFER_STEP = next(event["step"] for event in ORACLE["events"] if event["do"] == "transfer")


def _lot_changes(event: Event) -> list[tuple[str, int]]:
    taken = [(name, -points) for word in ("lots", "taken_from", "expired") for name, points in event.get(word, ())]
    restored = [(name, points) for name, points in event.get("restored", ())]
    came = []
    if event["do"] in ("issue", "transfer"):
        came = [(event["lot"], event["points"] - event.get("paid_to_debt", 0))]
    if "then_issue" in event:
        came = [(event["then_issue"]["lot"], event["then_issue"]["points"])]
    shares = event.get("bonus", {}).get("funding", ())
    return [*taken, *restored, *came, *((lot, event["bonus"]["points"] // len(shares)) for _, _, lot in shares)]


def _new_lots(event: Event) -> dict[str, tuple[str, str]]:
    if event["do"] not in ("issue", "redeem"):
        return {}
    funded = {lot: (event["member"], letter) for letter, _, lot in event.get("bonus", {}).get("funding", ())}
    issued = event.get("then_issue", event)
    return funded | ({issued["lot"]: (event["member"], event["partner"])} if "lot" in issued else {})
