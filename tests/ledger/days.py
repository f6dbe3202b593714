"""Days that nobody planned: what tills send, drawn from a source of numbers."""

import random
from collections.abc import Callable
from typing import Any

from gateway.domain.command import AmountAsked, BasketLine, Checkout, Command, LineReturned, PlaceHold
from tests.ledger.books import Books, card

MEMBERS = ("ann", "ben", "cay", "dan")
PARTNERS = ("alpha", "bravo", "charlie")


class Day:
    """Draws what tills send; keeps what could be reversed."""

    def __init__(self, books: Books, numbers: random.Random) -> None:
        self.books = books
        self.numbers = numbers
        self.bought: list[Command] = []
        self.redeemed: list[Command] = []
        self.sold: list[Command] = []
        self.held: list[PlaceHold] = []
        self.to_come: list[Checkout] = []
        self._wishes: tuple[Callable[[], Command | None], ...] = (
            self.issue,
            self.issue,
            self.redeem,
            self.return_goods,
            self.cancel,
            self.transfer,
            self.place,
            self.end_hold,
            self.check_out,
            self.check_out,
            self.refund,
            self.refund,
            self.refund_early,
            self.claim,
        )

    def batch(self) -> list[Command]:
        """Some commands; of the same members, so that the second sees the first."""
        wished = (self.numbers.choice(self._wishes)() for _ in range(self.numbers.randint(1, 8)))
        return [command for command in wished if command is not None]

    def issue(self) -> Command:
        """A basket, sometimes with the offer of 3 June, sometimes late."""
        partner, amount = self.numbers.choice(PARTNERS), f"{self.numbers.randint(0, 30_000) / 100:.2f}"
        late = self.books.now_ms - 86_400_000 * self.numbers.randint(0, 2) if self.numbers.random() < 0.3 else None
        offer = "bonus-500" if partner == "charlie" and self.numbers.random() < 0.5 else None
        command = self.books.issue(self.numbers.choice(MEMBERS), amount, partner=partner, occurred_at_ms=late, offer_id=offer)
        self.bought.append(command)
        return command

    def redeem(self) -> Command:
        """Points, or up to a value."""
        size, partner = self.numbers.randint(1, 400), self.numbers.choice((*PARTNERS, "delta"))
        asked = {"up_to_value": AmountAsked("EUR", size)} if self.numbers.random() < 0.4 else {"points": size}
        command = self.books.redeem(self.numbers.choice(MEMBERS), partner=partner, **asked)
        self.redeemed.append(command)
        return command

    def return_goods(self) -> Command | None:
        """A part of a basket, or what is left of it."""
        part = f"{self.numbers.randint(1, 9_000) / 100:.2f}" if self.numbers.random() < 0.6 else None
        return self.books.reverse(self.numbers.choice(self.bought), amount=part) if self.bought else None

    def cancel(self) -> Command | None:
        """A part of a redemption, or what is left of it."""
        part = self.numbers.randint(1, 100) if self.numbers.random() < 0.6 else None
        return self.books.reverse(self.numbers.choice(self.redeemed), points=part) if self.redeemed else None

    def transfer(self) -> Command:
        """A gift."""
        source, target = self.numbers.sample(MEMBERS, 2)
        return self.books.transfer(source, target, self.numbers.randint(1, 200))

    def place(self) -> Command:
        """Points are set aside; some holds lapse within the day."""
        points, ttl_s = self.numbers.randint(1, 150), self.numbers.choice((60, 86_400, 172_800))
        command = self.books.place(self.numbers.choice(MEMBERS), points, partner=self.numbers.choice(PARTNERS), ttl_s=ttl_s)
        self.held.append(command)
        return command

    def end_hold(self) -> Command | None:
        """Captured, in whole or in part, or voided; perhaps a second time."""
        if not self.held:
            return None
        hold = self.numbers.choice(self.held)
        if self.numbers.random() < 0.3:
            return self.books.void(hold)
        part = self.numbers.randint(1, 60) if self.numbers.random() < 0.5 else None
        return self._sell(self._basket(str(hold.member.card_hash), hold.partner_id, hold=hold, points=part))

    def check_out(self) -> Command:
        """Money, or points and money; a sale that was refunded before may come now."""
        if self.to_come and self.numbers.random() < 0.5:
            return self._sell(self.to_come.pop())
        points = self.numbers.randint(1, 200) if self.numbers.random() < 0.5 else None
        number = self.numbers.choice((None, "R-1", "R-2"))
        member, partner = self.numbers.choice(MEMBERS), self.numbers.choice(PARTNERS)
        return self._sell(self._basket(member, partner, points=points, receipt_number=number))

    def refund(self) -> Command | None:
        """An amount, a line, or what is left."""
        if not self.sold:
            return None
        sale, way = self.numbers.choice(self.sold), self.numbers.randint(0, 2)
        if way == 0:
            part = self.numbers.choice((None, 100))
            return self.books.refund(sale, lines=(LineReturned(f"line-{self.numbers.randint(0, 2)}", part),))
        return self.books.refund(sale, amount=f"{self.numbers.randint(1, 9_000) / 100:.2f}" if way == 1 else None)

    def refund_early(self) -> Command:
        """Before its sale, which may come or not."""
        member, partner = self.numbers.choice(MEMBERS), self.numbers.choice(PARTNERS)
        self.to_come.append(self._basket(member, partner))
        amount = f"{self.numbers.randint(1, 9_000) / 100:.2f}"
        return self.books.refund(self.to_come[-1], amount=amount, member=card(member))

    def claim(self) -> Command:
        """A card that had been forgotten."""
        member, partner, number = (self.numbers.choice(some) for some in (MEMBERS, PARTNERS, ("R-1", "R-2", "R-3")))
        occurred_at_ms = self.books.now_ms - 86_400_000 * self.numbers.randint(0, 2)
        command = self.books.claim(member, "12.34", number, partner=partner, occurred_at_ms=occurred_at_ms)
        self.sold.append(command)
        return command

    def _sell(self, command: Checkout) -> Checkout:
        self.sold.append(command)
        return command

    def _basket(self, member: str, partner: str, **asked: Any) -> Checkout:
        parts = [self.numbers.randint(1, 9_000) for _ in range(self.numbers.randint(1, 3))]
        lines = tuple(BasketLine(f"line-{n}", part, is_eligible=self.numbers.random() < 0.8) for n, part in enumerate(parts))
        eligible = sum(line.minor_units for line in lines if line.is_eligible)
        return self.books.checkout(member, f"{sum(parts) / 100:.2f}", partner=partner, lines=lines, eligible=eligible, **asked)
