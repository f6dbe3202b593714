"""A checkout after it was booked: what of it came back, and what follows from the rest. Cumulative: n returns give what one does.

redeemed points that stay    ceil(points × rest of the total / total)
money that stays             floor(money paid × rest of the total / total)
eligible amount that stays   floor(eligible amount × rest of what earns / what earns)
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.domain.canonical import canonical
from gateway.domain.command import BasketLine, Checkout, ClaimReceipt, LineReturned, Refund
from gateway.domain.units import div_ceil, div_floor

BASKET_MARK = '"total":'
"""Stands in the facts of a checkout, and of nothing else."""


@dataclass(slots=True, kw_only=True)
class CheckoutState:
    """A checkout's running values, in smallest units of `unit`.

    `total` is what was to be paid for the basket, `earning` the part of it that earns points; both before points paid. The
    ids of its two entries are empty where there is none. `returned_lines`: what came back so far, by line.
    """

    entry_id: str
    bucket: int
    member_id: str
    partner_id: str
    unit: str
    total: int
    earning: int
    redeem_entry_id: str
    issue_entry_id: str
    returned: int = 0
    returned_earning: int = 0
    returned_lines: dict[str, int] = field(default_factory=dict)

    @property
    def rest(self) -> int:
        """What can still come back."""
        return self.total - self.returned

    @property
    def rest_earning(self) -> int:
        """The part of the rest that earned points."""
        return self.earning - self.returned_earning


@dataclass(slots=True, kw_only=True)
class ParkedRefund:
    """A refund that arrived before its sale; `entry_id` is its own entry. `amount` or `lines` say what came back."""

    entry_id: str
    bucket: int
    checkout_id: str
    member_id: str
    partner_id: str
    is_open: bool


@dataclass(frozen=True, slots=True)
class Part:
    """What comes back now: of the total, of what earns, and by line where the till named lines."""

    amount: int
    earning: int
    lines: Mapping[str, int] = field(default_factory=dict)


def part_by_amount(state: CheckoutState, amount: int) -> Part:
    """An amount takes what earns first, so that nobody keeps points by saying how much came back instead of what."""
    return Part(amount, min(amount, state.rest_earning))


def part_by_lines(state: CheckoutState, basket: Mapping[str, BasketLine], asked: tuple[LineReturned, ...]) -> Part | None:
    """Lines, whole or in part; None if one of them is not in the basket or has less left."""
    amount = earning = 0
    by_line: dict[str, int] = {}
    for line in asked:
        bought = basket.get(line.line_id)
        if bought is None:
            return None
        left = bought.minor_units - state.returned_lines.get(line.line_id, 0)
        part = left if line.minor_units is None else line.minor_units
        if not 0 < part <= left:
            return None
        by_line[line.line_id] = part
        amount += part
        earning += part if bought.is_eligible else 0
    if amount > state.rest or earning > state.rest_earning:
        return None  # returns by amount came before: what they took is of no line
    return Part(amount, earning, by_line)


def points_that_stay(points: int, *, rest: int, total: int) -> int:
    """Redeemed points that stay redeemed when `rest` of the `total` is left."""
    return div_ceil(points * rest, total)


def money_that_stays(paid: int, *, rest: int, total: int) -> int:
    """Money that the till keeps when `rest` of the `total` is left; so it never hands back what nobody has paid."""
    return div_floor(paid * rest, total)


def eligible_that_stays(eligible: int, *, rest: int, earning: int) -> int:
    """The part of the issue's amount that is left when `rest` of what earned is left."""
    return div_floor(eligible * rest, earning) if earning else 0


def basket_facts(command: Checkout | ClaimReceipt, *, earning: int) -> str:
    """What the first entry of a checkout commits to beside its points."""
    lines = command.lines if isinstance(command, Checkout) else None
    return _json(
        {
            "total": command.total.minor_units,
            "earning": earning,
            "unit": command.total.unit,
            **({"lines": [[line.line_id, line.minor_units, line.is_eligible] for line in lines]} if lines else {}),
        }
    )


def is_basket(facts: str) -> bool:
    """Whether an entry's facts are those of a checkout; others commit to something else, such as a one-time token."""
    return BASKET_MARK in facts


def basket_lines(facts: str) -> dict[str, BasketLine]:
    """The lines of a basket, by id, from the facts of its entry."""
    return {line_id: BasketLine(line_id, minor, earns) for line_id, minor, earns in json.loads(facts).get("lines", ())}


def refund_facts(state: CheckoutState, part: Part, *, money: int, parked_id: str) -> str:
    """What the first entry of a refund commits to beside its points; `parked_id` is empty for one that did not wait.

    `money` is what of the part had been paid in money, before anything is withheld.
    """
    further: dict[str, object] = {"lines": dict(part.lines)} if part.lines else {}
    if parked_id:
        further["parked"] = parked_id
    came = {"checkout": state.entry_id, "returned": part.amount, "earning": part.earning, "money": money, "unit": state.unit}
    return _json({**came, **further})


def parked_facts(command: Refund) -> str:
    """What a refund that waits for its sale commits to."""
    lines = [[line.line_id, line.minor_units] for line in command.lines or ()]
    amount = command.amount
    assert amount is not None, "a refund without an amount is not parked"
    return _json({"checkout": command.checkout_id, "returned": amount.minor_units, "unit": amount.unit, "lines": lines})


def sale_id(partner_id: str, business_date: str, receipt_number: str) -> str:
    """Names a purchase of a partner's by what its paper receipt says."""
    parts = ("TS1-SALE", partner_id, business_date, receipt_number)
    return "s" + hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _json(facts: Mapping[str, object]) -> str:
    return canonical(facts).decode("ascii")  # type: ignore[arg-type] # plain by construction
