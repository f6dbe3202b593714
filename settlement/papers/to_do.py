"""What a partner does next about a statement: whom it pays and who pays it, by when, and why these. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from settlement.instruction import Instruction
from settlement.papers.words import money, party
from settlement.report import Sheet

_WITH_ITS_TERM = (
    "It is paid with the payment run of its term, which gathers several windows: "
    "whom to pay, and by when, stands in the papers of that run."
)
_WAITS = (
    "Nothing is paid for this window by itself: what is left waits for a later payment run, "
    "since it is small, is disputed, or is set off against what earlier windows left."
)
_NETTED = (
    "What all partners owe each other is set off first, so that few payments are left: "
    "you may pay somebody whom you owed nothing, and be paid by somebody who owed you nothing."
)


@dataclass(frozen=True, slots=True)
class Due:
    """The payments that a window's own run makes, and by when."""

    on: date
    payments: Sequence[Instruction]

    def of(self, partner_id: str) -> "Due":
        """Those that the partner makes or gets."""
        return Due(self.on, [one for one in self.payments if partner_id in (one.debtor_id, one.creditor_id)])


@dataclass(frozen=True, slots=True, kw_only=True)
class ToDo:
    """A sentence for people, and the payments where there are any."""

    sentence: str
    sheet: Sheet | None = None


def to_do(partner_id: str, net: int, currency: str, due: Due | None) -> ToDo:
    """What follows from a partner's net in a currency. `due`: the partner's; None where a later run gathers windows."""
    if due is None:
        return ToDo(sentence=_WITH_ITS_TERM)
    its_own = [one for one in due.payments if one.currency == currency]
    if not its_own:
        return ToDo(sentence=_WAITS if net else "There is nothing to do.")
    rows = [(_payment(partner_id, one), money(one.amount, currency), one.instruction_id) for one in its_own]
    by = f"by {due.on.isoformat()}, once two operators have confirmed this window"
    pays = any(one.debtor_id == partner_id for one in its_own)
    how = f"Pay {by}, with the reference of each payment." if pays else f"You are paid {by}, under these references."
    return ToDo(sentence=f"{how} {_NETTED}", sheet=Sheet("Payments", ("payment", currency, "reference"), rows, frozenset({1})))


def _payment(partner_id: str, one: Instruction) -> str:
    return f"you pay {party(one.creditor_id)}" if one.debtor_id == partner_id else f"{party(one.debtor_id)} pays you"
