"""A statement checked by the partner that it was made for: its form, its sums, and its own redemptions worked out from receipts.

Shares no code with the settlement but the form of a line. Reads no file and asks nobody.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.domain.canonical import canonical
from gateway.domain.statement import LINES_HEADER, REDEMPTION, RESTORATION, StatementLine, line_text
from gateway.domain.units import MICROS, div_half_even
from tallystick.v1 import types_pb2

_REDEMPTIONS = (types_pb2.ENTRY_KIND_REDEEM, types_pb2.ENTRY_KIND_REVERSE_REDEMPTION)
_SHOWN_MAX = 20


@dataclass(frozen=True, slots=True)
class OwnReceipt:
    """A receipt whose signature was verified, and its bytes."""

    content: bytes
    receipt: types_pb2.Receipt


@dataclass(slots=True)
class Checked:
    """What is wrong with a statement, and how much of it was worked out again."""

    problems: list[str] = field(default_factory=list)
    recomputed: int = 0
    of_others: int = 0

    def wrong(self, what: str) -> None:
        """Notes a problem."""
        self.problems.append(what)


def check_statement(
    statement: bytes, lines: Sequence[StatementLine], receipts: Iterable[OwnReceipt], *, audience: str, partner_id: str
) -> Checked:
    """Everything that a partner can work out by itself.

    Its form, to the byte; the control totals and the hash over the lines; each line's price and the sums of the obligations by
    the rate cards in the statement; the net; and that the lines of its own redemptions are those of its receipts, all of them and
    no others. What others redeemed of its points it cannot work out: those lines are counted in `of_others`; under another model
    than at_redemption, where lines follow from prices that no receipt has, that is all of them.
    """
    checked = Checked()
    content = _read(statement, checked)
    if content is None:
        return checked
    try:
        _check(content, lines, receipts, checked, audience=audience, partner_id=partner_id)
    except (AttributeError, LookupError, TypeError):
        checked.wrong("its fields are not those of a statement: it was changed")
    return checked


def _check(
    content: Mapping[str, Any],
    lines: Sequence[StatementLine],
    receipts: Iterable[OwnReceipt],
    checked: Checked,
    *,
    audience: str,
    partner_id: str,
) -> None:
    for name, wanted in (("audience", audience), ("partner_id", partner_id)):
        if content[name] != wanted:
            checked.wrong(f"{name} is {content[name]!r}, not {wanted!r}")
    _check_control(content, lines, checked)
    _check_net(content, partner_id, checked)
    if content["model"] != "at_redemption":
        checked.of_others = len(lines)
        return
    rates = {(card["partner_id"], card["version"]): card for card in content["rate_cards"]}
    _check_prices(lines, rates, checked)
    _check_obligations(content, lines, rates, checked)
    _check_own(content, lines, receipts, partner_id, rates, checked)


def _read(statement: bytes, checked: Checked) -> dict[str, Any] | None:
    try:
        content = json.loads(statement)
    except ValueError:
        checked.wrong("it is not JSON")
        return None
    if not isinstance(content, dict) or content.get("format") != "tallystick-statement-1":
        checked.wrong("it is no statement of the form tallystick-statement-1")
        return None
    if canonical(content) != statement:
        checked.wrong("its bytes are not in the canonical form: it was changed")
    return content


def _check_control(content: Mapping[str, Any], lines: Sequence[StatementLine], checked: Checked) -> None:
    text = LINES_HEADER + "".join(map(line_text, lines))
    found = {
        "lines": len(lines),
        "points": sum(line.points for line in lines),
        "amount_micros": sum(line.amount_micros for line in lines),
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
    }
    for name, value in found.items():
        if content["control"][name] != value:
            checked.wrong(f"control total {name} is {content['control'][name]}, the lines come to {value}")


def _check_net(content: Mapping[str, Any], partner_id: str, checked: Checked) -> None:
    sums: Counter[str] = Counter()
    for line in content["obligations"]:
        sums[line["currency"]] += line["amount"] * ((line["payee_id"] == partner_id) - (line["payer_id"] == partner_id))
    said = {net["currency"]: net["amount"] for net in content["net"]}
    for currency in sorted(sums.keys() | said.keys()):
        if sums[currency] != said.get(currency, 0):
            checked.wrong(f"net in {currency} is {said.get(currency, 0)}, its obligations come to {sums[currency]}")


def _check_prices(lines: Iterable[StatementLine], rates: Mapping[tuple[str, int], Any], checked: Checked) -> None:
    for line in lines:
        redeemer_id = line.payer_id if line.kind == RESTORATION else line.payee_id
        card = rates.get((redeemer_id, line.rate_card_version))
        if card is None:
            checked.wrong(f"line {line.line_number}: rate card {line.rate_card_version} of {redeemer_id} is not in the statement")
        elif (line.points * card["reimbursement_rate_micros"], card["currency"]) != (line.amount_micros, line.currency):
            checked.wrong(f"line {line.line_number}: {line.points} points do not come to {line.amount_micros} at its rate card")


def _check_obligations(
    content: Mapping[str, Any], lines: Iterable[StatementLine], rates: Mapping[tuple[str, int], Any], checked: Checked
) -> None:
    points: defaultdict[tuple[str, str, int], int] = defaultdict(int)
    for line in lines:
        if line.kind == RESTORATION:
            points[line.payee_id, line.payer_id, line.rate_card_version] -= line.points
        else:
            points[line.payer_id, line.payee_id, line.rate_card_version] += line.points
    expected = {}
    for (issuer_id, redeemer_id, version), net in points.items():
        card = rates.get((redeemer_id, version))
        if net and card is not None:
            parties = (issuer_id, redeemer_id, REDEMPTION) if net > 0 else (redeemer_id, issuer_id, RESTORATION)
            micros = abs(net) * card["reimbursement_rate_micros"]
            expected[*parties, version] = abs(net), micros, div_half_even(micros, MICROS)
    said = {
        (one["payer_id"], one["payee_id"], one["kind"], one["rate_card_version"]): (
            *(one["points"], one["amount_micros"]),
            one["amount"],
        )
        for one in content["obligations"]
        if one["kind"] in (REDEMPTION, RESTORATION)
    }
    for key in sorted(expected.keys() | said.keys()):
        if expected.get(key) != said.get(key):
            payer_id, payee_id, kind, version = key
            checked.wrong(
                f"{kind} from {payer_id} to {payee_id} at card {version}: the statement says {said.get(key)}, its lines come to "
                f"{expected.get(key)} (points, millionths, minor units)"
            )


_Content = tuple[object, ...]


def _check_own(
    content: Mapping[str, Any],
    lines: Iterable[StatementLine],
    receipts: Iterable[OwnReceipt],
    partner_id: str,
    rates: Mapping[tuple[str, int], Any],
    checked: Checked,
) -> None:
    ranges = {one["lane"]: range(one["first"], one["last"] + 1) for one in content["ranges"]}
    by_receipt: Counter[_Content] = Counter()
    seen: set[bytes] = set()
    for one in receipts:
        digest = hashlib.sha256(one.content).digest()
        if digest not in seen:
            by_receipt.update(_lines_of(one.receipt, digest, partner_id, ranges, rates))
        seen.add(digest)
    by_statement: Counter[_Content] = Counter()
    for line in lines:
        if (line.payer_id if line.kind == RESTORATION else line.payee_id) == partner_id:
            by_statement[_content(line)] += 1
        else:
            checked.of_others += 1
    checked.recomputed = (by_statement & by_receipt).total()
    for what, differing in (
        ("stands in the statement, and no receipt says it", by_statement - by_receipt),
        ("is in the receipts, and not in the statement", by_receipt - by_statement),
    ):
        for shown in sorted(map(str, differing.elements()))[:_SHOWN_MAX]:
            checked.wrong(f"{shown} {what}")
        if differing.total() > _SHOWN_MAX:
            checked.wrong(f"and {differing.total() - _SHOWN_MAX} more")


def _lines_of(
    receipt: types_pb2.Receipt,
    digest: bytes,
    partner_id: str,
    ranges: Mapping[int, range],
    rates: Mapping[tuple[str, int], Any],
) -> Iterator[_Content]:
    """The lines that a receipt's redemptions and reversals of them make, as far as they are of the window."""
    entries: list[types_pb2.Receipt | types_pb2.ReceiptLeg] = [] if receipt.refused else [receipt, *receipt.legs]
    for entry in entries:
        if entry.kind not in _REDEMPTIONS or entry.sequence not in ranges.get(entry.lane, range(0)):
            continue
        is_restored = entry.kind == types_pb2.ENTRY_KIND_REVERSE_REDEMPTION
        card = rates.get((partner_id, entry.rate_card_version))
        for lot in entry.lots:
            moved = (lot.points + lot.gone_points) * (1 if is_restored else -1)
            if not moved:
                continue  # of a hold, and free again
            line = StatementLine(
                line_number=0,
                kind=RESTORATION if is_restored else REDEMPTION,
                payer_id=partner_id if is_restored else lot.issuer_id,
                payee_id=lot.issuer_id if is_restored else partner_id,
                points=moved,
                amount_micros=moved * card["reimbursement_rate_micros"] if card else 0,
                currency=card["currency"] if card else "",
                business_date=receipt.business_date,
                rate_card_version=entry.rate_card_version,
                own_entry_id=entry.entry_id,
                receipt_sha256=digest,
            )
            yield _content(line)


def _content(line: StatementLine) -> _Content:
    """Without its number, which the receipts do not tell, and with a hash that people can read."""
    return (*(getattr(line, name) for name in StatementLine.__slots__[1:-1]), line.receipt_sha256.hex())
