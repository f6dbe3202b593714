"""Days that nobody planned: what tills send, drawn from a source of numbers."""

import random
from collections.abc import Callable

from gateway.domain.command import AmountAsked, Command
from tests.ledger.busy import BusyBooks

MEMBERS = ("ann", "ben", "cay", "dan")
PARTNERS = ("alpha", "bravo", "charlie")


class Day:
    """Draws what tills send; keeps what could be reversed."""

    def __init__(self, books: BusyBooks, numbers: random.Random) -> None:
        self.books = books
        self.numbers = numbers
        self.bought: list[Command] = []
        self.redeemed: list[Command] = []
        self._wishes: tuple[Callable[[], Command | None], ...] = (
            self.issue,
            self.issue,
            self.redeem,
            self.return_goods,
            self.cancel,
            self.transfer,
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
