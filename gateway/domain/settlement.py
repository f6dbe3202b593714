"""By what rules windows are settled, and what may happen to money that is owed. Values alone; settlement works by them."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.domain.errors import InvalidValue
from gateway.domain.network import SettlementModel

DUE_DAYS_MAX = 366
AMOUNT_MAX = 10**15


class Netting(enum.StrEnum):
    """How far debts are set off against each other before anybody pays."""

    GROSS = "gross"
    BILATERAL = "bilateral"
    MULTILATERAL = "multilateral"


class Form(enum.StrEnum):
    """Who pays whom."""

    PARTNER_TO_PARTNER = "partner-to-partner"
    THROUGH_OPERATOR = "through-operator"


class Schedule(enum.StrEnum):
    """Which windows a payment run gathers: each by itself, or those of a week (Monday to Sunday) or month of cut-off dates."""

    WINDOW = "window"
    WEEKLY = "weekly"
    MONTHLY = "monthly"


LAST_STEP = "prove-after"
"""Of a night: a window of which it is done may be confirmed."""


class AdjustmentKind(enum.StrEnum):
    """What is owed beside traffic: what two operators decided, who bears an unpaid debt, and the fee for paying late."""

    ADJUSTMENT = "adjustment"
    WRITE_OFF = "write_off"
    LATE_FEE = "fee_late"


class CarryReason(enum.StrEnum):
    """Why an amount waits for a later payment run: too small to be paid, disputed, or unpaid by its debtor."""

    MINIMUM = "minimum"
    DISPUTE = "dispute"
    DEFAULT = "default"


class PaymentEvent(enum.StrEnum):
    """What became of an instruction outside. `paid` may come in parts; `carried` and `written_off` end what is left."""

    PAID = "paid"
    FAILED = "failed"
    CARRIED = "carried"
    WRITTEN_OFF = "written_off"


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementRules:
    """One version of how windows are settled, from a window on; a window keeps the version that it opened with.

    Amounts in minor units: `minimum_amount` of each currency, fees of the network's. `entry_fee_micros`: millionths of one for
    each entry that a partner books. `due_days`: days after the cut-off until a payment is late. `alarm_percent`: of a cap.
    """

    version: int
    from_window: int
    settlement_model: SettlementModel
    netting: Netting = Netting.MULTILATERAL
    form: Form = Form.PARTNER_TO_PARTNER
    schedule: Schedule = Schedule.WINDOW
    minimum_amount: int = 0
    fixed_fee: int = 0
    entry_fee_micros: int = 0
    late_fee: int = 0
    due_days: int = 30
    alarm_percent: int = 80


@dataclass(frozen=True, slots=True)
class Adjustment:
    """What one party owes another beside traffic, in minor units, above zero. The id is a decision's, or names an instruction."""

    adjustment_id: str
    kind: AdjustmentKind
    payer_id: str
    payee_id: str
    currency: str
    amount: int
    reason: str
    decision_id: str


def founding_rules(model: SettlementModel) -> SettlementRules:
    """What a network begins with: version 0."""
    return SettlementRules(version=0, from_window=1, settlement_model=model)


def rules_of_window(rules: Sequence[SettlementRules], window_id: int) -> SettlementRules:
    """The version that a window opens with, of all of them, oldest first."""
    return next(one for one in reversed(rules) if one.from_window <= window_id)


def check_rules(rules: SettlementRules) -> SettlementRules:
    """Returns the rules. Raises InvalidValue where a number is out of range."""
    for name in ("minimum_amount", "fixed_fee", "entry_fee_micros", "late_fee"):
        if not 0 <= (amount := getattr(rules, name)) <= AMOUNT_MAX:
            raise InvalidValue(f"{name.replace('_', ' ')} {amount}: must lie within 0 and {AMOUNT_MAX}")
    if not 0 <= rules.due_days <= DUE_DAYS_MAX:
        raise InvalidValue(f"due days {rules.due_days}: must lie within 0 and {DUE_DAYS_MAX}")
    if not 1 <= rules.alarm_percent <= _PERCENT:
        raise InvalidValue(f"alarm at {rules.alarm_percent} percent: must lie within 1 and {_PERCENT}")
    return rules


_PERCENT = 100
