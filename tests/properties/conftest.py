"""Networks that properties play in: the month, with points that wait and soon expire, limits, a partner whose points are dear."""

import itertools

import pytest

from gateway.domain.limits import Limits
from gateway.domain.terms import DebtPolicy, ExpiryRule
from gateway.network_terms import TermsChange
from tests.given import GivenNetwork, month
from tests.properties.bounds import LIMITED_FROM, OF_NETWORK, OF_PARTNERS
from tests.properties.copies import DEBT_POLICIES, MEMBERS, WireBooks
from tests.properties.purses import DAYS, SHORT_LIVED_FROM, WAIT_DAYS


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[DebtPolicy, int], GivenNetwork]:
    """By debt policy and number of lanes; members are enrolled, and nothing is bought. Only to be copied."""
    made = {}
    for policy, lanes in itertools.product(DEBT_POLICIES, (1, 4)):
        network = month(tmp_path_factory.mktemp("month") / "net", lanes=lanes)
        network.onboard("echo", {"EUR": "3/7"}, issue_price="2.00", face_value="37.00", reimbursement_rate="30.00")
        network.network_terms("2026-06-02", TermsChange(debt_policy=policy))
        limits = Limits(**OF_NETWORK.terms())
        network.network_terms(LIMITED_FROM.isoformat(), TermsChange(limits=limits, usable_after_days=WAIT_DAYS))
        network.network_terms(SHORT_LIVED_FROM.isoformat(), TermsChange(expiry_rule=ExpiryRule(after_days=DAYS)))
        for partner_id, bounds in OF_PARTNERS.items():
            network.limits(partner_id, LIMITED_FROM.isoformat(), **bounds.terms())
        books = WireBooks(network)
        books.enrol(*MEMBERS)
        books.connection.close()
        network.engine.dispose()
        made[policy, lanes] = network
    return made
