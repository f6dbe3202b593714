"""Days that nobody planned: the audit's own sums and the ledger's agree, whatever tills send and whenever the night comes."""

import random
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from gateway.domain.terms import DebtPolicy, ExpiryRule
from gateway.edge.receipts import decode_receipt, encode_receipt
from gateway.ledger.audit import audit
from gateway.ledger.audit_receipts import ReceiptForm
from gateway.network_terms import TermsChange
from tests.given import GivenNetwork, at, month
from tests.ledger.busy import BusyBooks
from tests.ledger.days import MEMBERS, Day

DAYS = [f"2026-06-{day:02}" for day in range(3, 29)]


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
    days = Day(books, numbers)
    for day in DAYS:
        books.now_ms = at(day)
        for _ in range(numbers.randint(0, 3)):
            books.run(*days.batch())
        if numbers.random() < 0.15:
            books.night(day)
    report = audit(network.engine, full=True, now_ms=books.now_ms, receipts=ReceiptForm(encode_receipt, decode_receipt))
    books.connection.close()
    network.engine.dispose()
    shutil.rmtree(folder)

    assert [str(failure) for failure in report.failures] == []
