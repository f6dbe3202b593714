"""The audit of days: what members and terminals issued and redeemed by business date, summed anew from the entries."""

from collections import Counter

from sqlalchemy import Connection

from gateway.domain.limits import terminal_of
from gateway.ledger.audit_failures import Failures
from gateway.ledger.audit_lots import merged
from gateway.storage import audit_days as reads


def prove_days(connection: Connection, failures: Failures) -> None:
    """Each row, and that none is missing or over."""
    for day, (sums, rows) in merged(reads.stream_member_sums(connection), reads.stream_member_days(connection)):
        expected = {(partner_id, bucket): (int(issued), int(redeemed)) for _, partner_id, bucket, issued, redeemed in sums}
        found = {(partner_id, bucket): (issued, redeemed) for _, partner_id, bucket, issued, redeemed in rows}
        failures.compare(f"day {day}", [("rows", len(expected), len(rows)), ("issued and redeemed by partner", expected, found)])
    _prove_terminals(connection, failures)


def _prove_terminals(connection: Connection, failures: Failures) -> None:
    """There are few of them: a row a terminal, date and lane."""
    issued, redeemed = Counter[tuple[str, int]](), Counter[tuple[str, int]]()
    for key_id, business_date, lane, its_issued, its_redeemed in reads.key_sums(connection):
        day = f"{terminal_of(key_id)}/{business_date}", lane
        issued[day] += int(its_issued)
        redeemed[day] += int(its_redeemed)
    expected: dict[object, object] = {day: (points, redeemed[day]) for day, points in issued.items()}
    rows = (((day, lane), (its_issued, its_redeemed)) for day, lane, its_issued, its_redeemed in reads.terminal_rows(connection))
    failures.compare_rows("terminal_days", expected, rows)
