"""How a redeemer checks its statement with nothing but its own receipts and its rate card: a script of its own.

Shares no code with the settlement.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tallystick.v1 import statement_pb2, types_pb2

MICROS = 1_000_000
REDEMPTIONS = (types_pb2.ENTRY_KIND_REDEEM, types_pb2.ENTRY_KIND_REVERSE_REDEMPTION)


@dataclass(frozen=True, slots=True)
class Recomputed:
    """Lines in the order of the receipts, without their numbers; amounts in minor units by payer, payee, kind and card."""

    entry_ids: frozenset[str]
    lines: list[statement_pb2.StatementLine]
    amounts: dict[tuple[str, str, str, int], int]


def recompute_lines(redeemer: str, receipts: Iterable[bytes], statement: Mapping[str, Any]) -> Recomputed:
    """What the statement must say of the redeemer's own redemptions and their reversals, in order of their booking."""
    rates = {card["version"]: card for card in statement["rate_cards"] if card["partner_id"] == redeemer}
    lines: list[statement_pb2.StatementLine] = []
    points: defaultdict[tuple[str, int], int] = defaultdict(int)
    for encoded in receipts:
        receipt = types_pb2.Receipt.FromString(encoded)
        for entry in () if receipt.refused else _entries(receipt):
            is_restored = entry.kind == types_pb2.ENTRY_KIND_REVERSE_REDEMPTION
            card = rates[entry.rate_card_version]
            for lot in entry.lots:
                moved = (lot.points + lot.gone_points) * (1 if is_restored else -1)
                if not moved:
                    continue  # of a hold, and free again
                points[lot.issuer_id, entry.rate_card_version] += -moved if is_restored else moved
                lines.append(
                    statement_pb2.StatementLine(
                        kind="restoration" if is_restored else "redemption",
                        payer_id=redeemer if is_restored else lot.issuer_id,
                        payee_id=lot.issuer_id if is_restored else redeemer,
                        points=moved,
                        amount_micros=moved * card["reimbursement_rate_micros"],
                        currency=card["currency"],
                        business_date=receipt.business_date,
                        rate_card_version=entry.rate_card_version,
                        own_entry_id=entry.entry_id,
                        receipt_sha256=hashlib.sha256(encoded).digest(),
                    )
                )
    amounts = dict(_owed(redeemer, issuer, version, net, rates[version]) for (issuer, version), net in points.items() if net)
    return Recomputed(frozenset(line.own_entry_id for line in lines), lines, amounts)


def _owed(redeemer: str, issuer: str, version: int, net: int, card: Mapping[str, Any]) -> tuple[tuple[str, str, str, int], int]:
    """Rounded half-even, once."""
    whole, rest = divmod(abs(net) * card["reimbursement_rate_micros"], MICROS)
    amount = whole + (2 * rest > MICROS or (2 * rest == MICROS and whole % 2))
    if net > 0:
        return (issuer, redeemer, "redemption", version), amount
    return (redeemer, issuer, "restoration", version), amount


def _entries(receipt: types_pb2.Receipt) -> list[types_pb2.Receipt | types_pb2.ReceiptLeg]:
    """Those of the command that redeem or give back: a checkout has further ones in its legs."""
    entries: list[types_pb2.Receipt | types_pb2.ReceiptLeg] = [receipt, *receipt.legs]
    return [entry for entry in entries if entry.kind in REDEMPTIONS]
