"""The books as a plain-text journal, in the words of hledger and of beancount: both refuse it if a single amount is false. Pure.

Points and money are commodities. What reads the books makes values of this module; how they are written is the format's affair.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from gateway.domain.entry import FLOWS, Account, PostingKind
from gateway.domain.units import CURRENCY_EXPONENTS, format_amount

POINTS = "POINTS"
OPENING = "Equity:Points:Opening"
IN_TRANSFER = "Equity:Points:InTransfer"
DEBT = "Assets:Points:Debt"


@dataclass(frozen=True, slots=True, order=True)
class Amount:
    """So much of a commodity on an account, in smallest units; what somebody owes is above zero, what is owed to it below."""

    account: str
    commodity: str
    units: int

    def written(self) -> str:
        """In major units, as the commodity's decimals are."""
        return f"{format_amount(self.units, self.commodity)} {self.commodity}"


@dataclass(frozen=True, slots=True)
class Transaction:
    """Amounts that moved on a date; they sum to zero in each commodity. `code` names it, `facts` are what else is known."""

    on: date
    title: str
    code: str
    facts: Mapping[str, str]
    amounts: tuple[Amount, ...]


@dataclass(frozen=True, slots=True)
class Balances:
    """What accounts must come to at the end of a date, by the books and not by the journal."""

    on: date
    title: str
    amounts: tuple[Amount, ...]


@dataclass(frozen=True, slots=True)
class Format:
    """How a tool wants it written: what is declared first, a transaction, balances."""

    head: Callable[[str, Iterable[str], Iterable[str]], str]
    transaction: Callable[[Transaction], str]
    balances: Callable[[Balances], str]


def point_account(account: Account, issuer_id: str, counterparty_id: str) -> str:
    """The journal's account for one of the chart: open points, issues and expiries by issuer, the others by counterparty.

    Debt is one account: it is the members', whoever's points will pay it.
    """
    return _POINT_ACCOUNTS[account].format(issuer=party(issuer_id), counterparty=party(counterparty_id))


def open_account(issuer_id: str) -> str:
    """Where an issuer's open points stand."""
    return point_account(Account.LOT, issuer_id, issuer_id)


def settlement_account(party_id: str) -> str:
    """Where a party's obligations stand."""
    return f"Liabilities:Settlement:{party(party_id)}"


def paid_account(party_id: str) -> str:
    """Where money stands that moved outside."""
    return f"Assets:Paid:{party(party_id)}"


def party(party_id: str) -> str:
    """An id as a part of an account's name, which begins with a capital or a digit; ids have no capitals, so none collide."""
    return party_id[:1].upper() + party_id[1:]


def add_movement(moved: Counter[str], kind: PostingKind, issuer_id: str, counterparty_id: str, points: int) -> None:
    """Adds what points of a kind of posting move: from the source, which is owed less or owes more, to the target."""
    source, target = FLOWS[kind]
    if source is not target:
        moved[point_account(source, issuer_id, counterparty_id)] += points
        moved[point_account(target, issuer_id, counterparty_id)] -= points


def point_amounts(moved: Mapping[str, int]) -> tuple[Amount, ...]:
    """What moved, by account; nothing where it came to zero."""
    return tuple(Amount(account, POINTS, points) for account, points in sorted(moved.items()) if points)


_POINT_ACCOUNTS = {
    Account.ISSUED: "Equity:Points:Issued:{issuer}",
    Account.LOT: "Liabilities:Points:Open:{issuer}",
    Account.DEBT: DEBT,
    Account.REDEEMED: "Equity:Points:Redeemed:{counterparty}",
    Account.CLAWED_BACK: "Equity:Points:ClawedBack:{counterparty}",
    Account.EXPIRED: "Equity:Points:Expired:{issuer}",
    Account.IN_TRANSFER: IN_TRANSFER,
    Account.WITHHELD: "Equity:Points:Withheld:{issuer}",
}
_WIDTH = 48


def _hledger_head(title: str, accounts: Iterable[str], commodities: Iterable[str]) -> str:
    named = "".join(f"commodity 1000.{'0' * CURRENCY_EXPONENTS.get(one, 0)} {one}\n" for one in commodities)
    declared = "".join(f"account {account}\n" for account in accounts)
    return f"; {title}\n; check it with: hledger check --strict -f FILE\n\ndecimal-mark .\n{named}\n{declared}"


def _hledger_transaction(one: Transaction) -> str:
    facts = ", ".join(f"{name}:{value}" for name, value in one.facts.items())
    lines = [f"\n{one.on} * ({one.code}) {one.title}" + (f"  ; {facts}" if facts else "")]
    lines += [f"    {amount.account:<{_WIDTH}}  {amount.written()}" for amount in one.amounts]
    return "\n".join(lines) + "\n"


def _hledger_balances(balances: Balances) -> str:
    lines = [f"\n{balances.on} * {balances.title}"]
    lines += [f"    {one.account:<{_WIDTH}}  0 {one.commodity} = {one.written()}" for one in balances.amounts]
    return "\n".join(lines) + "\n"


def _beancount_head(title: str, accounts: Iterable[str], commodities: Iterable[str]) -> str:
    declared = "".join(f"{_BEFORE_ALL} open {account}\n" for account in accounts)
    named = "".join(f"{_BEFORE_ALL} commodity {one}\n" for one in commodities)
    return f'; check it with: bean-check FILE\noption "title" "{title}"\n\n{named}\n{declared}'


def _beancount_transaction(one: Transaction) -> str:
    lines = [f'\n{one.on} * "{one.title}" ^{one.code}', *(f'  {name}: "{value}"' for name, value in one.facts.items())]
    lines += [f"  {amount.account:<{_WIDTH}}  {amount.written()}" for amount in one.amounts]
    return "\n".join(lines) + "\n"


def _beancount_balances(balances: Balances) -> str:
    """Beancount asks at the beginning of a date, and would let a cent pass by itself: hence the tolerance of none."""
    on = balances.on + timedelta(days=1)
    lines = [
        f"{on} balance {one.account:<{_WIDTH}}  {format_amount(one.units, one.commodity)} ~ 0 {one.commodity}"
        for one in balances.amounts
    ]
    return f"\n; {balances.title}\n" + "\n".join(lines) + "\n"


_BEFORE_ALL = date(1970, 1, 1)

FORMATS = {
    "hledger": Format(_hledger_head, _hledger_transaction, _hledger_balances),
    "beancount": Format(_beancount_head, _beancount_transaction, _beancount_balances),
}
