"""What the books must say, from DESIGN section 3 and the words of the till's calls alone: a second opinion in plain Python.

Imports the words in which tills ask, and none of the ledger's rules. A refusal is the name of its reason.
"""

from datetime import date

from gateway.domain.command import AmountAsked, Checkout, ClaimReceipt, Issue, MemberRef, PlaceHold, Redeem, Refund, Reverse
from tests.properties.bounds import ISSUED, NONE, REDEEMED, Days, refuses, refuses_shape
from tests.properties.people import People, Refused
from tests.properties.purses import BONUS_DAY, RATES, Held, Issued, Lot, Member, Purses, Redeemed, needed_for, parts_of, worth
from tests.properties.sales import Sold, amount_back, lines_back


class Model:
    """A network of members by account id, at a time which the test moves."""

    def __init__(self, by_card: dict[str, str], *, is_debt_allowed: bool) -> None:
        self.people = People(by_card)
        self.purses = Purses(by_card.values(), is_debt_allowed=is_debt_allowed)
        self.days = Days()
        self.now_ms = 0
        self.issued: dict[str, Issued] = {}
        self.redeemed: dict[str, Redeemed] = {}
        self.held: dict[str, Held] = {}
        self.sold: dict[str, Sold] = {}
        self.parked: dict[str, list[tuple[str, Refund]]] = {}
        self.claimed: set[tuple[str, date, str]] = set()
        self.to_pay, self.withheld = 0, 0  # of the last checkout or refund

    def enrol(self, card: str, account: str, *, is_provisional: bool) -> str | None:
        """An empty purse."""
        refused = self.people.enrol(card, account, is_provisional=is_provisional)
        if refused is None:
            self.purses.members[account] = Member()
        return refused

    def merge(self, source: MemberRef, target: MemberRef) -> str | None:
        """What is free or owed goes along, now and whenever something comes back."""
        self.touch(source, target)
        if self.people.find(source) == self.people.find(target) is not None:
            return "MEMBER_MERGED"
        giver, taker = self.people.present(source), self.people.present(target)
        if isinstance(giver, Refused) or isinstance(taker, Refused):
            return (giver if isinstance(giver, Refused) else taker).reason  # type: ignore[union-attr] # one of them is
        if self.people.known[giver].is_paused:
            return "SPENDING_PAUSED"
        if self.purses.held_points(giver):
            return "MEMBER_HAS_HOLDS"
        self.people.merge(giver, taker)
        self.purses.hand_on(giver, taker)
        return None

    def issue(self, asked: Issue, on: date) -> str | None:
        """An issue by itself."""
        self.touch(asked.member)
        cents, has_won = asked.eligible.minor_units, bool(asked.offer_id)
        if has_won and not _wins(asked.partner_id, cents, on):
            return "OFFER_NOT_IN_FORCE"
        account = self.people.present(asked.member)
        if isinstance(account, Refused):
            return account.reason
        refused = self._refuses_issue(account, asked.partner_id, cents, on, has_won=has_won)
        if refused is None:
            self.issued[asked.entry_id] = self._issue(account, asked.partner_id, cents, on, has_won=has_won)
        return refused

    def redeem(self, asked: Redeem, on: date) -> str | None:
        """A redemption by itself."""
        spent = self._spend(asked, on)
        if isinstance(spent, str):
            return spent
        account, points, value = spent
        self.days.done[REDEEMED, account, asked.partner_id, on] += points
        self.redeemed[asked.entry_id] = Redeemed(account, asked.partner_id, value, self.purses.spend(account, points))
        return None

    def reverse(self, asked: Reverse) -> str | None:
        """Of an issue or a redemption by itself."""
        original = self.issued.get(asked.original_entry_id) or self.redeemed.get(asked.original_entry_id)
        if original is None:
            sold = self.sold.get(asked.original_entry_id)
            self._touch_account(sold.member if sold else None)
            return "ENTRY_NOT_REVERSIBLE" if sold else "ENTRY_NOT_FOUND"
        self._touch_account(original.member)
        if isinstance(original, Issued):
            part = original.left if asked.eligible is None else asked.eligible.minor_units
            if not 0 < part <= original.left:
                return "ALREADY_REVERSED"
            self.purses.take_back(original, original.left - part, present=self.people.lead(original.member))
        else:
            left = original.points - original.restored
            points = left if asked.points is None else asked.points
            if not 0 < points <= left:
                return "ALREADY_REVERSED"
            self.purses.give_back(original, original.restored + points)
        self._follow(original.member)
        return None

    def transfer(self, source: MemberRef, target: MemberRef, points: int) -> str | None:
        """Lots keep issuer and days, and arrive anew."""
        self.touch(source, target)
        if None in (self.people.find(source), self.people.find(target)) or self.people.find(source) == self.people.find(target):
            return "MEMBER_NOT_FOUND"
        giver, taker = self.people.giving(source), self.people.present(target)
        if isinstance(giver, Refused) or isinstance(taker, Refused):
            return (giver if isinstance(giver, Refused) else taker).reason  # type: ignore[union-attr] # one of them is
        if points > self.purses.available(giver):
            return "INSUFFICIENT_POINTS"
        self.purses.give(giver, taker, points)
        return None

    def place(self, asked: PlaceHold, on: date, ttl_ms: int) -> str | None:
        """Sets points aside; they count in the day."""
        spent = self._spend(asked, on)
        if isinstance(spent, str):
            return spent
        account, points, _ = spent
        parts = self.purses.spend(account, points)
        for lot, part in parts:
            lot.held += part
        self.days.done[REDEEMED, account, asked.partner_id, on] += points
        self.held[asked.entry_id] = Held(account, asked.partner_id, on, parts, self.now_ms + ttl_ms)
        return None

    def void(self, hold_id: str, partner: str) -> str | None:
        """Lets a hold go."""
        hold = self.held.get(hold_id)
        if hold is None or hold.partner != partner:
            return "HOLD_NOT_FOUND"
        self._touch_account(hold.member)
        if hold.state != "open":
            return "HOLD_NOT_OPEN"
        self._end(hold, "voided", taken=0)
        return None

    def checkout(self, asked: Checkout, on: date) -> str | None:
        """Points and money in one step; then what waited for it."""
        self.touch(asked.member)
        total = asked.total.minor_units
        paid = self._paid(asked, total, on)
        if isinstance(paid, str):
            return paid
        account, hold, points, value = paid
        earning = total if asked.eligible is None else asked.eligible
        eligible, has_won = max(earning - value, 0), bool(asked.offer_id)
        has_issue = not points or (asked.partner_id in RATES and eligible > 0)
        if has_issue:
            if has_won and not _wins(asked.partner_id, eligible, on):
                return "OFFER_NOT_IN_FORCE"
            refused = self._refuses_issue(account, asked.partner_id, eligible, on, has_won=has_won)
            if refused:
                return refused
        redeemed = issued = None
        if points:
            if hold is None:
                self.days.done[REDEEMED, account, asked.partner_id, on] += points
            taken = self._end(hold, "captured", taken=points) if hold else self.purses.spend(account, points)
            redeemed = Redeemed(account, asked.partner_id, value, taken)
        if has_issue:
            issued = self._issue(account, asked.partner_id, eligible, on, has_won=has_won)
        self._sell(asked, account, earning, redeemed, issued, on)
        self.to_pay, self.withheld = total - value, 0
        self._complete(asked.entry_id)
        return None

    def claim(self, asked: ClaimReceipt, on: date) -> str | None:
        """Points for a paper receipt."""
        self.touch(asked.member)
        account = self.people.present(asked.member)
        if isinstance(account, Refused):
            return account.reason
        if (asked.partner_id, on, asked.receipt_number or "") in self.claimed:
            return "RECEIPT_ALREADY_CLAIMED"
        earning = asked.total.minor_units if asked.eligible is None else asked.eligible
        refused = self._refuses_issue(account, asked.partner_id, earning, on, has_won=False)
        if refused:
            return refused
        self._sell(asked, account, earning, None, self._issue(account, asked.partner_id, earning, on, has_won=False), on)
        self.to_pay, self.withheld = asked.total.minor_units, 0
        self._complete(asked.entry_id)
        return None

    def refund(self, asked: Refund) -> str | None:
        """Of a checkout, or before it."""
        sold = self.sold.get(asked.checkout_id)
        if sold is not None and sold.partner == asked.partner_id:
            self._touch_account(sold.member)
        elif asked.member is not None:
            self.touch(asked.member)
        if sold is None and asked.amount is None:
            return "ENTRY_NOT_FOUND"
        if sold is not None and sold.partner != asked.partner_id:
            return "ENTRY_NOT_FOUND"
        named = None if asked.member is None else self.people.present(asked.member)
        if isinstance(named, Refused):
            return named.reason
        if sold is None:
            if named is None:
                return "ENTRY_NOT_FOUND"
            self.parked.setdefault(asked.checkout_id, []).append((named, asked))
            return None
        if named not in (None, self.people.lead(sold.member)):
            return "ENTRY_NOT_FOUND"
        part = lines_back(sold, asked) if asked.lines else amount_back(sold, asked)
        if part is None:
            return "REFUND_EXCEEDS_REST"
        self._come_back(sold, *part)
        self._follow(sold.member)
        return None

    def expire(self) -> None:
        """The night: holds of whom it meets end first, if they are over."""
        for account in self.purses.members:
            if self.purses.has_overdue(account):
                self._touch_account(account)
        self.purses.expire()

    def touch(self, *refs: MemberRef) -> None:
        """Something happens to these members: see below."""
        for ref in refs:
            self._touch_account(self.people.find(ref))

    # How it is done.

    def _touch_account(self, account: str | None) -> None:
        """What is over is over before anything else happens to the member, whichever account of it is meant."""
        whose = set() if account is None else {account, self.people.lead(account)}
        due = [(hold.until_ms, key) for key, hold in self.held.items() if hold.state == "open" and hold.member in whose]
        for until_ms, key in sorted(due):
            if until_ms <= self.now_ms:
                self._end(self.held[key], "lapsed", taken=0)

    def _follow(self, account: str) -> None:
        """What came back to somebody who was merged goes on."""
        if self.people.lead(account) != account:
            self.purses.hand_on(account, self.people.lead(account))

    def _issue(self, account: str, partner: str, cents: int, on: date, *, has_won: bool) -> Issued:
        issued = self.purses.issue(account, partner, cents, on, has_won=has_won)
        self.days.done[ISSUED, account, partner, on] += issued.points
        return issued

    def _refuses_issue(self, account: str, partner: str, cents: int, on: date, *, has_won: bool) -> str | None:
        points = sum(part for _, part in parts_of(partner, cents, has_won=has_won))
        return self.days.refuses_issue(account, partner, on, points)

    def _end(self, hold: Held, state: str, *, taken: int) -> list[tuple[Lot, int]]:
        """What is not taken has never been redeemed on the day of the hold."""
        self.days.done[REDEEMED, hold.member, hold.partner, hold.on] -= hold.points - taken
        return self.purses.end(hold, state, taken=taken)

    def _spend(self, asked: Redeem | PlaceHold, on: date) -> tuple[str, int, int] | str:
        """Whose, how many, and what they are worth."""
        self.touch(asked.member)
        account = self.people.giving(asked.member)
        if isinstance(account, Refused):
            return account.reason
        spent = self._points(account, asked.partner_id, on, asked.points, asked.up_to_value)
        if isinstance(spent, str):
            return spent
        return self.days.refuses_today(REDEEMED, account, asked.partner_id, on, spent[0]) or (account, *spent)

    def _points(
        self, account: str, partner: str, on: date, points: int | None, up_to: AmountAsked | None, value_max: int = NONE
    ) -> tuple[int, int] | str:
        usable = self.purses.available(account)
        if up_to is not None:
            value = min(up_to.minor_units, value_max)
            most = self.days.most(account, partner, on, needed=needed_for(partner, value), usable=usable)
            return most if isinstance(most, str) else (most, min(value, worth(partner, most)))
        asked = points or 0
        refused = refuses(partner, on, asked) or ("INSUFFICIENT_POINTS" if asked > usable else None)
        return refused or (asked, worth(partner, asked))

    def _paid(self, asked: Checkout, total: int, on: date) -> tuple[str, Held | None, int, int] | str:
        """By whom, the hold, if there is one, how many points pay, and what they are worth."""
        by_points = asked.hold_id is not None or asked.points is not None or asked.up_to_value is not None
        account = self.people.giving(asked.member) if by_points else self.people.present(asked.member)
        if isinstance(account, Refused):
            return account.reason
        if not by_points:
            return account, None, 0, 0
        hold = None if asked.hold_id is None else self.held.get(asked.hold_id)
        if asked.hold_id is not None:
            paid = self._held(asked, account)
        else:
            paid = self._points(account, asked.partner_id, on, asked.points, asked.up_to_value, total)
        if isinstance(paid, str):
            return paid
        points, value = paid
        if points > needed_for(asked.partner_id, total):
            return "MORE_THAN_TOTAL"
        refused = None if hold else self.days.refuses_today(REDEEMED, account, asked.partner_id, on, points)
        return refused or (account, hold, points, min(value, total))

    def _held(self, asked: Checkout, account: str) -> tuple[int, int] | str:
        """Of the hold, if it is the member's."""
        hold = self.held.get(asked.hold_id or "")
        if hold is None or (hold.partner, self.people.lead(hold.member)) != (asked.partner_id, account):
            return "HOLD_NOT_FOUND"
        if hold.state != "open":
            return "HOLD_NOT_OPEN"
        points = hold.points if asked.points is None else asked.points
        if points < hold.points:
            refused = refuses_shape(hold.partner, hold.on, points)
            if refused:
                return refused
        return "INSUFFICIENT_POINTS" if points > hold.points else (points, worth(asked.partner_id, points))

    def _sell(
        self,
        asked: Checkout | ClaimReceipt,
        account: str,
        earning: int,
        redeemed: Redeemed | None,
        issued: Issued | None,
        on: date,
    ) -> None:
        total = asked.total.minor_units
        lines = {line.line_id: line for line in asked.lines or ()} if isinstance(asked, Checkout) else {}
        self.sold[asked.entry_id] = Sold(
            member=account,
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
        kept_back = 0
        if sold.issued:
            left = sold.issued.amount * sold.earning_left // sold.earning if sold.earning else 0
            kept_back = self.purses.take_back(sold.issued, left, present=self.people.lead(sold.member))
        self.withheld = worth(sold.partner, kept_back)
        self.to_pay = max(kept - sold.paid * sold.left // sold.total - self.withheld, 0)

    def _complete(self, checkout_id: str) -> None:
        """What came before the sale, as far as the sale has it; the money had been handed back then."""
        to_pay, sold = self.to_pay, self.sold[checkout_id]
        for account, asked in self.parked.pop(checkout_id, []):
            if (self.people.lead(account), asked.partner_id) == (sold.member, sold.partner) and sold.left:
                part = lines_back(sold, asked) if asked.lines else None
                assert asked.amount is not None
                amount = min(asked.amount.minor_units, sold.left)
                self._come_back(sold, *(part or (amount, min(amount, sold.earning_left), {})))
        self.to_pay, self.withheld = to_pay, 0


def _wins(partner: str, eligible: int, on: date) -> bool:
    return partner == "charlie" and on == BONUS_DAY and eligible > 0
