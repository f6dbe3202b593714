"""Days that nobody planned: the audit's own sums and the ledger's agree, whatever tills send and whenever the night comes."""

import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from gateway.domain.command import AmountAsked, Command
from gateway.domain.terms import DebtPolicy, ExpiryRule
from gateway.edge.receipts import decode_receipt, encode_receipt
from gateway.ledger.audit import audit
from gateway.ledger.audit_receipts import ReceiptForm
from gateway.network_terms import TermsChange
from tests.given import GivenNetwork, at, month
from tests.ledger.busy import BusyBooks

MEMBERS = ("ann", "ben", "cay", "dan")
DAYS = [f"2026-06-{day:02}" for day in range(3, 29)]
PARTNERS = ("alpha", "bravo", "charlie")


class _Day:
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


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> GivenNetwork:
    """The month before its first step, with points that soon expire; only to be copied."""
    network = month(tmp_path_factory.mktemp("month") / "net")
    network.network_terms("2026-06-05", TermsChange(expiry_rule=ExpiryRule(after_days=5)))
    network.network_terms("2026-06-20", TermsChange(debt_policy=DebtPolicy.WITHHOLD_CASH))
    network.engine.dispose()
    return network


@settings(max_examples=5, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(seed=st.integers(0, 2**32))
def test_the_audit_agrees_with_any_days(template: GivenNetwork, tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    """Some batches a day, a night here and there, with an audit of what came since; and one of everything at the end."""
    numbers = random.Random(seed)
    folder = Path(shutil.copytree(template.folder, tmp_path_factory.mktemp("days") / "net"))
    network = replace(template, folder=folder)
    books = BusyBooks(network)
    books.now_ms = at("2026-06-02")
    books.enrol(*MEMBERS)
    days = _Day(books, numbers)
    for day in DAYS:
        books.now_ms = at(day)
        for _ in range(numbers.randint(0, 3)):
            books.run(*days.batch())
        if numbers.random() < 0.15:
            books.night(day, "partner-to-partner")
    report = audit(network.engine, full=True, now_ms=books.now_ms, receipts=ReceiptForm(encode_receipt, decode_receipt))
    books.connection.close()
    network.engine.dispose()
    shutil.rmtree(folder)

    assert [str(failure) for failure in report.failures] == []
