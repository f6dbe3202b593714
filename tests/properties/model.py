"""What the books must say, from DESIGN section 3 and the words of the till's calls alone: a second opinion in plain Python.

Imports the words in which tills ask, and none of the ledger's rules. A refusal is the name of its reason.
"""

from dataclasses import dataclass
from datetime import date

from gateway.domain.command import AmountAsked, BasketLine, Checkout, ClaimReceipt, Issue, PlaceHold, Redeem, Refund, Reverse
from tests.properties.purses import BONUS_DAY, RATES, WORTH, Held, Issued, Lot, Purses, Redeemed


@dataclass
class Sold:
    """A checkout, and what of it came back."""

    member: str
    partner: str
    total: int
    earning: int
    lines: dict[str, BasketLine]
    redeemed: Redeemed | None
    issued: Issued | None
    left: int
    earning_left: int
    lines_left: dict[str, int]

    @property
    def paid(self) -> int:
        """In money."""
        return self.total - (self.redeemed.value if self.redeemed else 0)


class Model:
    """A network of members by name, at a time which the test moves."""

    def __init__(self, names: tuple[str, ...], *, is_debt_allowed: bool) -> None:
        self.purses = Purses(names, is_debt_allowed=is_debt_allowed)
        self.now_ms = 0
        self.issued: dict[str, Issued] = {}
        self.redeemed: dict[str, Redeemed] = {}
        self.held: dict[str, Held] = {}
        self.sold: dict[str, Sold] = {}
        self.parked: dict[str, list[tuple[str, Refund]]] = {}
        self.claimed: set[tuple[str, date, str]] = set()
        self.to_pay, self.withheld = 0, 0  # of the last checkout or refund

    def issue(self, asked: Issue, on: date) -> str | None:
        """An issue by itself."""
        self._touch(_name(asked))
        if asked.offer_id and not self._has_won(asked.partner_id, asked.eligible.minor_units, on):
            return "OFFER_NOT_IN_FORCE"
        self.issued[asked.entry_id] = self.purses.issue(
            _name(asked), asked.partner_id, asked.eligible.minor_units, on, has_won=bool(asked.offer_id)
        )
        return None

    def redeem(self, asked: Redeem) -> str | None:
        """A redemption by itself."""
        self._touch(_name(asked))
        spend = self.purses.spend(_name(asked), asked.partner_id, asked.points, asked.up_to_value)
        if spend is None:
            return "INSUFFICIENT_POINTS"
        taken = self.purses.take(_name(asked), spend[0])
        self.redeemed[asked.entry_id] = Redeemed(_name(asked), asked.partner_id, spend[1], taken)
        return None

    def reverse(self, asked: Reverse) -> str | None:
        """Of an issue or a redemption by itself."""
        original = self.issued.get(asked.original_entry_id) or self.redeemed.get(asked.original_entry_id)
        if original is None:
            return "ENTRY_NOT_REVERSIBLE" if asked.original_entry_id in self.sold else "ENTRY_NOT_FOUND"
        self._touch(original.member)
        if isinstance(original, Issued):
            part = original.left if asked.eligible is None else asked.eligible.minor_units
            if not 0 < part <= original.left:
                return "ALREADY_REVERSED"
            self.purses.take_back(original, original.left - part)
        else:
            left = original.points - original.restored
            points = left if asked.points is None else asked.points
            if not 0 < points <= left:
                return "ALREADY_REVERSED"
            self.purses.give_back(original, original.restored + points)
        return None

    def transfer(self, source: str, target: str, points: int) -> str | None:
        """Lots keep issuer and last day, and arrive anew."""
        self._touch(source)
        self._touch(target)
        if source == target:
            return "MEMBER_NOT_FOUND"
        if points > self.purses.available(source):
            return "INSUFFICIENT_POINTS"
        for given, part in self.purses.take(source, points):
            lot = Lot(given.issuer, given.last_day)
            self.purses.members[target].lots.append(lot)
            self.purses.come_in(target, lot, part)
        return None

    def place(self, asked: PlaceHold, ttl_ms: int) -> str | None:
        """Sets points aside."""
        self._touch(_name(asked))
        spend = self.purses.spend(_name(asked), asked.partner_id, asked.points, asked.up_to_value)
        if spend is None:
            return "INSUFFICIENT_POINTS"
        parts = self.purses.take(_name(asked), spend[0])
        for lot, points in parts:
            lot.held += points
        self.held[asked.entry_id] = Held(_name(asked), asked.partner_id, parts, self.now_ms + ttl_ms)
        return None

    def void(self, hold_id: str, partner: str) -> str | None:
        """Lets a hold go."""
        hold = self.held.get(hold_id)
        if hold is None or hold.partner != partner:
            return "HOLD_NOT_FOUND"
        self._touch(hold.member)
        if hold.state != "open":
            return "HOLD_NOT_OPEN"
        self.purses.end(hold, "voided", taken=0)
        return None

    def checkout(self, asked: Checkout, on: date) -> str | None:
        """Points and money in one step; then what waited for it."""
        name, total = _name(asked), asked.total.minor_units
        self._touch(name)
        paid = self._paid(asked, total)
        if isinstance(paid, str):
            return paid
        hold, points, value = paid
        if points > -(-total * 1_000_000 // WORTH[asked.partner_id]):
            return "MORE_THAN_TOTAL"
        value = min(value, total)
        earning = total if asked.eligible is None else asked.eligible
        eligible = max(earning - value, 0)
        has_issue = not points or (asked.partner_id in RATES and eligible > 0)
        if has_issue and asked.offer_id and not self._has_won(asked.partner_id, eligible, on):
            return "OFFER_NOT_IN_FORCE"
        redeemed = issued = None
        if points:
            taken = self.purses.end(hold, "captured", taken=points) if hold else self.purses.take(name, points)
            redeemed = Redeemed(name, asked.partner_id, value, taken)
        if has_issue:
            issued = self.purses.issue(name, asked.partner_id, eligible, on, has_won=bool(asked.offer_id))
        self._sell(asked, earning, redeemed, issued, on)
        self.to_pay, self.withheld = total - value, 0
        self._complete(asked.entry_id)
        return None

    def claim(self, asked: ClaimReceipt, on: date) -> str | None:
        """Points for a paper receipt."""
        name = _name(asked)
        self._touch(name)
        if (asked.partner_id, on, asked.receipt_number or "") in self.claimed:
            return "RECEIPT_ALREADY_CLAIMED"
        earning = asked.total.minor_units if asked.eligible is None else asked.eligible
        self._sell(asked, earning, None, self.purses.issue(name, asked.partner_id, earning, on, has_won=False), on)
        self.to_pay, self.withheld = asked.total.minor_units, 0
        self._complete(asked.entry_id)
        return None

    def refund(self, asked: Refund) -> str | None:
        """Of a checkout, or before it."""
        sold = self.sold.get(asked.checkout_id)
        member = asked.member.card_hash if asked.member else None
        if sold is None:
            if member is None or asked.amount is None:
                return "ENTRY_NOT_FOUND"
            self._touch(member)
            self.parked.setdefault(asked.checkout_id, []).append((member, asked))
            return None
        if sold.partner == asked.partner_id:
            self._touch(sold.member)
        elif member is not None:
            self._touch(member)
        if sold.partner != asked.partner_id or member not in (None, sold.member):
            return "ENTRY_NOT_FOUND"
        part = self._lines_back(sold, asked) if asked.lines else self._amount_back(sold, asked)
        if part is None:
            return "REFUND_EXCEEDS_REST"
        self._come_back(sold, *part)
        return None

    def expire(self) -> None:
        """The night: holds of whom it meets end first, if they are over."""
        for name in self.purses.members:
            if self.purses.has_overdue(name):
                self._touch(name)
        self.purses.expire()

    # How it is done.

    def _touch(self, name: str) -> None:
        """What is over is over before anything else happens to the member."""
        due = [(hold.until_ms, key) for key, hold in self.held.items() if hold.state == "open" and hold.member == name]
        for until_ms, key in sorted(due):
            if until_ms <= self.now_ms:
                self.purses.end(self.held[key], "lapsed", taken=0)

    def _has_won(self, partner: str, eligible: int, on: date) -> bool:
        return partner == "charlie" and on == BONUS_DAY and eligible > 0

    def _paid(self, asked: Checkout, total: int) -> tuple[Held | None, int, int] | str:
        """The hold, if there is one, how many points pay, and what they are worth."""
        name = _name(asked)
        if asked.hold_id is not None:
            hold = self.held.get(asked.hold_id)
            if hold is None or (hold.partner, hold.member) != (asked.partner_id, name):
                return "HOLD_NOT_FOUND"
            if hold.state != "open":
                return "HOLD_NOT_OPEN"
            held = sum(part for _, part in hold.lots)
            points = held if asked.points is None else asked.points
            if points > held:
                return "INSUFFICIENT_POINTS"
            return hold, points, points * WORTH[asked.partner_id] // 1_000_000
        if asked.points is None and asked.up_to_value is None:
            return None, 0, 0
        up_to = asked.up_to_value and AmountAsked("EUR", min(asked.up_to_value.minor_units, total))
        spend = self.purses.spend(name, asked.partner_id, asked.points, up_to)
        return "INSUFFICIENT_POINTS" if spend is None else (None, *spend)

    def _sell(
        self, asked: Checkout | ClaimReceipt, earning: int, redeemed: Redeemed | None, issued: Issued | None, on: date
    ) -> None:
        total = asked.total.minor_units
        lines = {line.line_id: line for line in asked.lines or ()} if isinstance(asked, Checkout) else {}
        self.sold[asked.entry_id] = Sold(
            member=_name(asked),
            partner=asked.partner_id,
            total=total,
            earning=earning,
            lines=lines,
            redeemed=redeemed,
            issued=issued,
            left=total,
            earning_left=earning,
            lines_left={line_id: line.minor_units for line_id, line in lines.items()},
        )
        if asked.receipt_number:
            self.claimed.add((asked.partner_id, on, asked.receipt_number))

    def _amount_back(self, sold: Sold, asked: Refund) -> tuple[int, int, dict[str, int]] | None:
        """An amount takes what earned first."""
        amount = sold.left if asked.amount is None else asked.amount.minor_units
        return (amount, min(amount, sold.earning_left), {}) if 0 < amount <= sold.left else None

    def _lines_back(self, sold: Sold, asked: Refund) -> tuple[int, int, dict[str, int]] | None:
        lines: dict[str, int] = {}
        for line in asked.lines or ():
            left = sold.lines_left.get(line.line_id, 0)
            part = left if line.minor_units is None else line.minor_units
            if not 0 < part <= left:
                return None
            lines[line.line_id] = part
        amount = sum(lines.values())
        earning = sum(part for line_id, part in lines.items() if sold.lines[line_id].is_eligible)
        return (amount, earning, lines) if amount <= sold.left and earning <= sold.earning_left else None

    def _come_back(self, sold: Sold, amount: int, earning: int, lines: dict[str, int]) -> None:
        """Points return to their lots first; then issued ones are taken back, by what is left."""
        kept = sold.paid * sold.left // sold.total
        sold.left -= amount
        sold.earning_left -= earning
        for line_id, part in lines.items():
            sold.lines_left[line_id] -= part
        if sold.redeemed:
            stay = -(-sold.redeemed.points * sold.left // sold.total)
            self.purses.give_back(sold.redeemed, sold.redeemed.points - stay)
        shortfall = 0
        if sold.issued:
            left = sold.issued.amount * sold.earning_left // sold.earning if sold.earning else 0
            shortfall = self.purses.take_back(sold.issued, left)
        self.withheld = 0 if self.purses.is_debt_allowed else shortfall * WORTH[sold.partner] // 1_000_000
        self.to_pay = max(kept - sold.paid * sold.left // sold.total - self.withheld, 0)

    def _complete(self, checkout_id: str) -> None:
        """What came before the sale, as far as the sale has it; the money had been handed back then."""
        to_pay, sold = self.to_pay, self.sold[checkout_id]
        for member, asked in self.parked.pop(checkout_id, []):
            if (member, asked.partner_id) == (sold.member, sold.partner) and sold.left:
                part = self._lines_back(sold, asked) if asked.lines else None
                assert asked.amount is not None
                amount = min(asked.amount.minor_units, sold.left)
                self._come_back(sold, *(part or (amount, min(amount, sold.earning_left), {})))
        self.to_pay, self.withheld = to_pay, 0


def _name(asked: Issue | Redeem | PlaceHold | Checkout | ClaimReceipt) -> str:
    return str(asked.member.card_hash)
