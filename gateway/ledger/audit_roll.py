"""The audit's sums over the whole network: totals, positions, and the roll-forward that must end in what is open."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import Connection

from gateway.domain.entry import PostingKind
from gateway.domain.units import MICROS
from gateway.ledger.audit_facts import Facts
from gateway.ledger.audit_failures import Failures
from gateway.ledger.audit_releases import prove_releases
from gateway.storage import audit_reads, audit_sums
from gateway.storage.audit_reads import table_rows
from gateway.storage.tables import positions
from gateway.storage.tables_settlement import carries, releases


@dataclass(slots=True)
class RollForward:
    """Points of one issuer since the first day.

    issued - reversed - redeemed + restored - expired + substituted = open lots - debts. A substitution is another issuer's
    lot that stood in for one of its own (positive), or the other way round. Withheld points became cash at the till.
    """

    issued: int = 0
    reversed: int = 0
    redeemed: int = 0
    restored: int = 0
    expired: int = 0
    substituted: int = 0
    open: int = 0
    debt: int = 0
    withheld: int = 0

    @property
    def rolled(self) -> int:
        """What must be open, less debts."""
        return self.issued - self.reversed - self.redeemed + self.restored - self.expired + self.substituted

    def __add__(self, other: "RollForward") -> "RollForward":
        """Both together."""
        return RollForward(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(RollForward)))


def prove_totals(connection: Connection, failures: Failures, facts: Facts, *, from_window: int) -> int:
    """The running totals of each window since `from_window`, summed anew from the postings; answers how many postings."""
    count = 0
    ends = {head.lane: 0 for head in facts.heads}
    for row in facts.windows:
        expected: dict[object, object] = {}
        for head in facts.heads:
            first, last = ends[head.lane] + 1, facts.last_sequence(head, row, before=ends[head.lane])
            ends[head.lane] = last
            if row.window_id >= from_window:
                summed = audit_reads.totals_between(connection, head.lane, first, last)
                expected |= {(row.window_id, head.lane, *key): value for key, value in summed.items()}
                count += sum(number for _, number in summed.values())
        if row.window_id >= from_window:
            stored = audit_sums.total_rows(connection, window_id=row.window_id)
            failures.compare_rows("totals", expected, (((*total[:6],), (total.points, total.postings)) for total in stored))
    return count


def prove_whole_tables(connection: Connection, failures: Failures, facts: Facts, *, posting_count: int) -> None:
    """Nothing stands in postings or totals beside what the windows hold."""
    failures.compare("postings", [("rows of known entries", sum(audit_sums.kind_counts(connection).values()), posting_count)])
    known = {row.window_id for row in facts.windows}
    strays = {row.window_id for row in audit_sums.total_rows(connection)} - known
    failures.compare("totals", [("windows that do not exist", set(), strays)])


def prove_positions(
    connection: Connection, failures: Failures, facts: Facts, *, open_values: Mapping[tuple[int, str, str], int] | None
) -> None:
    """Each partner's open value and unsettled net debit, in micros; zero where there is no row.

    `open_values` by lane, issuer and currency, from the postings; without it only the sum over the lanes is compared.
    """
    expected_debit: Counter[tuple[int, str, str]] = Counter()
    released = {(row.window_id, row.partner_id) for row in table_rows(connection, releases)}
    for total in audit_sums.total_rows(connection):
        sign = _NET_DEBIT.get(total.kind, 0)
        if sign and total.issuer_id != total.counterparty_id:
            card = facts.cards[total.counterparty_id, total.rate_card_version]
            owed = sign * total.points * card.reimbursement_rate_micros
            for party, micros in ((total.issuer_id, owed), (total.counterparty_id, -owed)):
                if (total.window_id, party) not in released:
                    expected_debit[total.lane, party, card.currency] += micros
    for row in table_rows(connection, carries):
        for party, micros in ((row.debtor_id, row.amount * MICROS), (row.creditor_id, -row.amount * MICROS)):
            # What a run left is owed on from there, until the run that took it in has been paid.
            still = ((row.window_id, party) in released) - ((row.brought_window_id, party) in released)
            expected_debit[0, party, row.currency] += still * micros
    prove_releases(connection, failures, facts, released)
    rows = table_rows(connection, positions)
    keys = [(row.lane, row.partner_id, row.currency) for row in rows]
    failures.compare("positions", [("rows that stand twice", [], [key for key, count in Counter(keys).items() if count > 1])])
    lanes = {head.lane for head in facts.heads}
    failures.compare("positions", [("lanes without a head", set(), {row.lane for row in rows} - lanes)])
    debit = {key: row.net_debit_micros for key, row in zip(keys, rows, strict=True)}
    _compare_sums(failures, "net debit in micros", expected_debit, debit)
    if open_values is not None:
        opened = {key: row.open_value_micros for key, row in zip(keys, rows, strict=True)}
        _compare_sums(failures, "open value in micros", open_values, opened)
    summed: Counter[tuple[str, str]] = Counter()
    for row in rows:
        summed[row.partner_id, row.currency] += row.open_value_micros
    of_lots = {key: value for key, (_, value) in audit_sums.open_values(connection).items()}
    _compare_sums(failures, "open value of all lots in micros", of_lots, summed)


def prove_roll_forward(connection: Connection, failures: Failures) -> dict[str, RollForward]:
    """From the totals to what is open, per issuer; answers the figures."""
    found = roll_forward(audit_sums.total_rows(connection))
    for (issuer_id, _), (points, _) in audit_sums.open_values(connection).items():
        found.setdefault(issuer_id, RollForward()).open += points
    for issuer_id, points in audit_sums.open_debts(connection).items():
        found.setdefault(issuer_id, RollForward()).debt += points
    for issuer_id, row in found.items():
        failures.compare(f"issuer {issuer_id}", [("roll-forward: open lots less debt", row.rolled, row.open - row.debt)])
    whole = sum(found.values(), RollForward())
    failures.compare("network", [("substitutions sum to", 0, whole.substituted)])
    given, received = _points_of(connection, PostingKind.TRANSFER_OUT), _points_of(connection, PostingKind.TRANSFER_IN)
    failures.compare("network", [("points given and points received", given, received)])
    left, joined = _points_of(connection, PostingKind.DEBT_OUT), _points_of(connection, PostingKind.DEBT_IN)
    failures.compare("network", [("debt that moved on, and that was taken over", left, joined)])
    return dict(sorted(found.items()))


def roll_forward(totals: Iterable[Any]) -> dict[str, RollForward]:
    """Sums the totals by issuer. A reversal counts for the issuer that took back, whoever's lot it took."""
    found: dict[str, RollForward] = {}
    for total in totals:
        kind, points = total.kind, int(total.points)
        issuer = found.setdefault(total.issuer_id, RollForward())
        other = found.setdefault(total.counterparty_id, RollForward())
        if kind in _COLUMN:
            name, sign = _COLUMN[kind]
            setattr(issuer, name, getattr(issuer, name) + sign * points)
        if kind in _TAKEN:
            other.reversed += points
        if kind in _STANDS_IN and total.issuer_id != total.counterparty_id:
            other.substituted += points
            issuer.substituted -= points
    return found


_COLUMN = {
    PostingKind.ISSUE.value: ("issued", 1),
    PostingKind.REDEEM.value: ("redeemed", 1),
    PostingKind.RESTORE.value: ("restored", 1),
    PostingKind.EXPIRE.value: ("expired", 1),
    PostingKind.EXPIRY_UNDONE.value: ("expired", -1),
    PostingKind.WITHHOLD.value: ("withheld", 1),
}
_TAKEN = (PostingKind.CLAWBACK.value, PostingKind.CLAWBACK_TO_DEBT.value)
_STANDS_IN = (PostingKind.CLAWBACK.value, PostingKind.DEBT_PAID.value)
_NET_DEBIT = {PostingKind.REDEEM.value: 1, PostingKind.RESTORE.value: -1}


def _points_of(connection: Connection, kind: PostingKind) -> int:
    return sum(int(total.points) for total in audit_sums.total_rows(connection) if total.kind == kind.value)


def _compare_sums(failures: Failures, what: str, expected: Mapping[Any, int], found: Mapping[Any, int]) -> None:
    for key in sorted({*expected, *found}):
        failures.compare(f"position {'/'.join(map(str, key))}", [(what, expected.get(key, 0), found.get(key, 0))])
