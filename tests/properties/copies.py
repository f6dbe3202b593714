"""Fresh books for each example of a property, in the form of the wire, removed when it is over."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Self

from gateway.domain.command import Command
from gateway.domain.outcome import Reason
from gateway.domain.receipt import Answer, Receipt, Result
from gateway.domain.terms import DebtPolicy
from gateway.edge.receipts import decode_receipt, encode_receipt
from gateway.ledger.audit import audit
from gateway.ledger.audit_receipts import ReceiptForm
from gateway.ledger.batch import BatchSettings
from tests.given import GivenNetwork, at, terms_as_of
from tests.ledger.books import Books

MEMBERS = ("ann", "ben", "cleo", "dora")
DEBT_POLICIES = (DebtPolicy.DEBT, DebtPolicy.WITHHOLD_CASH)


class WireBooks(Books):
    """Books whose receipts are what a till gets, so that the audit can read them."""

    def __init__(self, network: GivenNetwork) -> None:
        """On 3 June at noon, the day of the month's offer."""
        super().__init__(network, now_ms=at("2026-06-03"))
        self.settings = BatchSettings(terms_as_of(), encode_receipt, lambda _now_ms: "r1")

    def try_to(self, command: Command) -> Receipt | Reason:
        """What the receipt of a booking says, or why there is none."""
        result = self.run(command)[0]
        reason = reason_of(result)
        if reason is not None:
            return reason
        assert isinstance(result, Answer)
        return decode_receipt(result.receipt)

    def book(self, command: Command) -> Receipt:
        """Carries out a command that must be booked."""
        told = self.try_to(command)
        assert isinstance(told, Receipt), told
        return told

    def failures(self) -> list[str]:
        """What a full audit finds, receipts included."""
        report = audit(self.network.engine, full=True, now_ms=self.now_ms, receipts=ReceiptForm(encode_receipt, decode_receipt))
        return [str(failure) for failure in report.failures]


class Copies:
    """Copies of a network; `new_url` answers the URL of a new database, or None for a file."""

    def __init__(self, template: GivenNetwork, new_url: Callable[[], str | None] = lambda: None) -> None:
        self._template = template
        self._new_url = new_url
        self._folder = tempfile.mkdtemp(prefix="tallystick-books-")
        self._opened: list[WireBooks] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def open(self) -> WireBooks:
        """One more copy."""
        folder = Path(self._folder) / str(len(self._opened))
        self._opened.append(WireBooks(self._template.copy(folder, url=self._new_url())))
        return self._opened[-1]

    def close(self) -> None:
        """Closes and removes them."""
        for books in self._opened:
            books.connection.close()
            books.network.engine.dispose()
        shutil.rmtree(self._folder)


def reason_of(result: Result) -> Reason | None:
    """Why it was refused, if it was."""
    refusal = result.refusal if isinstance(result, Answer) else result
    return refusal.reason if refusal else None
