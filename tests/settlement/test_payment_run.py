"""What a payment run pays, and what it leaves for a later one."""

import pytest

from gateway.domain.network import SettlementModel
from gateway.domain.settlement import CarryReason, Form, Netting, SettlementRules
from settlement.netting import Payment
from settlement.payment_run import plan_run

MODEL = SettlementModel.AT_REDEMPTION
DEBTS = [Payment("EUR", "alpha", "bravo", 360), Payment("EUR", "bravo", "charlie", 50)]


def rules(netting: Netting, form: Form) -> SettlementRules:
    """Without a minimum."""
    return SettlementRules(version=1, from_window=1, settlement_model=MODEL, netting=netting, form=form)


@pytest.mark.parametrize("netting", Netting)
@pytest.mark.parametrize("form", Form)
def test_what_is_disputed_is_held_out_however_debts_are_netted(netting: Netting, form: Form) -> None:
    """It is not paid and paid back: its debtor pays less, its creditor receives less, and nobody else notices."""
    plan = plan_run(1, DEBTS, [], rules(netting, form), [Payment("EUR", "alpha", "bravo", 20)])
    paid = sum(one.amount for one in plan.payments if one.debtor_id == "alpha")

    assert paid == 340
    assert not any(one.creditor_id == "alpha" for one in plan.payments)
    assert [(one.debtor_id, one.creditor_id, one.reason, one.amount) for one in plan.carried] == [
        ("alpha", "bravo", CarryReason.DISPUTE, 20)
    ]


def test_more_than_is_owed_comes_back() -> None:
    """Returns were set off in the line before it was disputed: what was taken off too much is owed the other way."""
    plan = plan_run(1, DEBTS[:1], [], rules(Netting.GROSS, Form.PARTNER_TO_PARTNER), [Payment("EUR", "alpha", "bravo", 400)])

    assert [(one.debtor_id, one.creditor_id, one.amount) for one in plan.payments] == [("bravo", "alpha", 40)]
