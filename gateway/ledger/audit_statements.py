"""The lines behind statements: worked out from the entries, and as they are stored; control totals of both.

Lines are hashed as text, one after the other, so that memory stays bounded however many there are.
"""

import hashlib
from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import Connection

from gateway.domain.entry import PostingKind
from gateway.domain.errors import BooksBroken
from gateway.domain.network import SettlementModel
from gateway.domain.statement import NO_RECEIPT_SHA256
from gateway.ledger.audit_facts import Facts
from gateway.ledger.audit_prices import WindowPrices
from gateway.storage import audit_reads, audit_sums
from gateway.storage.tables_settlement import statement_lines

_EVENTS_PER_READ = 1_000
_HEADER = (
    "line_number,kind,payer_id,payee_id,points,amount_micros,currency,business_date,rate_card_version,own_entry_id,"
    "receipt_sha256\n"
)


class _Control:
    """Running control totals of one partner's lines."""

    def __init__(self) -> None:
        self.lines = 0
        self.points = 0
        self.amount_micros = 0
        self._hash = hashlib.sha256(_HEADER.encode())

    def add(self, values: Sequence[object], *, points: int, amount_micros: int) -> None:
        """Takes the next line; `values` in the order of the header, all of them plain."""
        self.lines += 1
        self.points += points
        self.amount_micros += amount_micros
        self._hash.update((",".join(map(str, values)) + "\n").encode())

    def as_said(self) -> dict[str, object]:
        """As a statement says it."""
        return {
            "lines": self.lines,
            "points": self.points,
            "amount_micros": self.amount_micros,
            "sha256": self._hash.hexdigest(),
        }


class LinesWorkedOut:
    """A window's lines by the entries: each posting that moves money stands with its counterparty, whose card prices it.

    Where issuers owe redeemers, it stands with the issuer as well.
    """

    def __init__(self, connection: Connection, facts: Facts, window_id: int, prices: WindowPrices) -> None:
        self._prices = prices
        self._controls: defaultdict[str, _Control] = defaultdict(_Control)
        for lane in facts.ranges.get(window_id, ()):
            for first in range(lane.first, lane.last + 1, _EVENTS_PER_READ):
                last = min(first + _EVENTS_PER_READ - 1, lane.last)
                for row in audit_reads.events_between(connection, lane.lane, first, last, prices.kinds):
                    self._take(*row[1:])

    def control(self, partner_id: str) -> dict[str, object]:
        """Of one partner."""
        return self._controls[partner_id].as_said()

    def _take(
        self,
        entry_id: str,
        business_date: str,
        kind: int,
        issuer_id: str,
        redeemer_id: str,
        version: int,
        points: int,
        origin_entry_id: str | None,
        receipt: bytes | None,
    ) -> None:
        money = self._prices.of_posting(kind, issuer_id, redeemer_id, version, points)
        middle = (money.kind, money.payer_id, money.payee_id, points, money.micros, money.currency, business_date, version)
        # An expiry is nobody's request, and its partner is told the issue that it ends.
        is_expiry = kind in (PostingKind.EXPIRE.value, PostingKind.EXPIRY_UNDONE.value)
        if receipt is None and kind != PostingKind.EXPIRE.value:
            raise BooksBroken(f"entry {entry_id} has no receipt")
        receipt_hash = NO_RECEIPT_SHA256.hex() if receipt is None else hashlib.sha256(receipt).hexdigest()
        origin = origin_entry_id or entry_id
        told = {redeemer_id: origin if is_expiry else entry_id}
        if self._prices.rules.settlement_model is SettlementModel.AT_REDEMPTION:
            told = {issuer_id: origin} | told  # a redeemer that issued the points itself reads of its redemption alone
        for reader_id, own_entry_id in told.items():
            control = self._controls[reader_id]
            line = (control.lines + 1, *middle, own_entry_id, receipt_hash)
            control.add(line, points=points, amount_micros=money.micros)


class LinesRead:
    """A partner's lines of a window as they are stored."""

    def __init__(self, connection: Connection, window_id: int, partner_id: str) -> None:
        self._control = _Control()
        for row in audit_sums.stream_window_rows(connection, statement_lines, window_id, partner_id):
            values = (*row[2:-1], row.receipt_sha256.hex())
            self._control.add(values, points=row.points, amount_micros=row.amount_micros)

    def control(self) -> dict[str, object]:
        """Of the lines in the order of their numbers."""
        return self._control.as_said()
