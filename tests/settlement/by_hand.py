"""A window worked out once more by hand: who owes whom, nets, statements and the events behind them, from raw rows alone.

Written from DESIGN sections 3, 4 and 8 with whole numbers and fractions. Shares no code with the settlement nor with the
gateway's prices: the card that priced a posting is found again by its date, and a lot's issuer by following the lot back.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

from tests.settlement.raw_rows import Raw, card_on

OPERATOR = "operator"
MICROS = 1_000_000
ISSUE, REDEEM, RESTORE, CLAWBACK, TO_DEBT, DEBT_PAID, GIVEN, RECEIVED, EXPIRE, UNDONE = range(1, 11)
KINDS = (
    "",
    "issue",
    "redeem",
    "restore",
    "clawback",
    "clawback_to_debt",
    "debt_paid",
    "transfer_out",
    "transfer_in",
    "expire",
    "expiry_undone",
    "withhold",
    "hold",
    "release",
    "debt_out",
    "debt_in",
)
COLUMNS = (
    "line_number,kind,payer_id,payee_id,points,amount_micros,currency,business_date,rate_card_version,own_entry_id,receipt_sha256"
)
NO_RECEIPT = "00" * 32
# Line, and whether the partner receives it from the network; what an issue was worth, a reversal gives back.
_WITH_THE_NETWORK = {
    ISSUE: ("issue", False),
    CLAWBACK: ("reverse_issue", True),
    TO_DEBT: ("reverse_issue", True),
    REDEEM: ("redeem", True),
    RESTORE: ("reverse_redemption", False),
}
_BREAKAGE = {EXPIRE: ("breakage_rebate", True), UNDONE: ("breakage_undone", False)}


class Moved(NamedTuple):
    """A posting: points of an issuer's, and the partner and the version of its card that price them."""

    entry: Any
    kind: int
    issuer_id: str
    partner_id: str
    version: int
    points: int
    origin_entry_id: str


@dataclass
class Owed:
    """A line of who owes whom: the exact amount in millionths of a minor unit, and it rounded once."""

    payer_id: str
    payee_id: str
    kind: str
    version: int
    currency: str
    points: int
    micros: int
    amount: int
    reference: str = ""

    @property
    def key(self) -> tuple[str, str, str, int, str]:
        """By which lines are ordered."""
        return self.payer_id, self.payee_id, self.kind, self.version, self.reference


class WindowByHand:
    """A closed window. `moved` in the order of the books."""

    def __init__(self, raw: Raw, window_id: int) -> None:
        """Reads what was booked within the window's ranges."""
        self.raw = raw
        self.window = raw.windows[window_id]
        self.model: str = raw.rules[self.window.rules_version].settlement_model if self.window.rules_version else raw.model
        self.entries = list(raw.within(window_id))
        assert all(entry.window_id == window_id for entry in self.entries)
        self.moved = [self._moved(entry, posting) for entry in self.entries for posting in raw.postings[entry.entry_id]]
        self.terms = raw.terms_on(self.window.cut_off_date)
        self.lines = sorted([*self._traffic(), *self._fees(), *self._adjustments()], key=lambda line: line.key)

    def nets(self) -> dict[tuple[str, str], int]:
        """By currency and party, what comes in less what goes out; a party's own lines leave nothing."""
        found: Counter[tuple[str, str]] = Counter()
        for line in self.lines:
            found[line.currency, line.payee_id] += line.amount
            found[line.currency, line.payer_id] -= line.amount
        return dict(found)

    def events(self, partner_id: str) -> str:
        """The file of a partner's events."""
        return f"{COLUMNS}\n" + "".join(
            f"{number},{','.join(map(str, values))}\n" for number, values in enumerate(self._events[partner_id], 1)
        )

    def statement(self, partner_id: str, previous_sha256: str) -> bytes:
        """The whole document."""
        window_id = self.window.window_id
        events = self._events[partner_id]
        content = {
            "format": "tallystick-statement-1",
            "audience": self.raw.network.audience,
            "model": self.model,
            "partner_id": partner_id,
            "window_id": window_id,
            "cut_off_date": self.window.cut_off_date,
            "ranges": [
                {"lane": one.lane, "first": one.first_sequence, "last": one.last_sequence} for one in self.raw.ranges[window_id]
            ],
            "previous_sha256": previous_sha256,
            "rate_cards": [self._card(*card) for card in sorted(self._cards(partner_id))],
            "obligations": [self._line(line) for line in self.lines if partner_id in (line.payer_id, line.payee_id)],
            "net": [
                {"currency": currency, "amount": amount}
                for (currency, party_id), amount in sorted(self.nets().items())
                if party_id == partner_id
            ],
            "movements": list(self._movements(partner_id)),
            "control": {
                "lines": len(events),
                "points": sum(event[3] for event in events),
                "amount_micros": sum(event[4] for event in events),
                "sha256": hashlib.sha256(self.events(partner_id).encode()).hexdigest(),
            },
        }
        return _canonical(content | self._terms())

    def partners(self) -> list[str]:
        """Who gets a statement: whose points moved, at whose tills they moved, and who owes or is owed."""
        moved = {one for some in self.moved for one in (some.issuer_id, some.partner_id)}
        owing = {one for line in self.lines for one in (line.payer_id, line.payee_id)}
        return sorted((moved | owing) - {OPERATOR})

    def _moved(self, entry: Any, posting: Any) -> Moved:
        """Finds again by whose card and which version a posting is priced."""
        raw, kind = self.raw, posting.kind
        lot_id = posting.cause_lot_id if kind in (CLAWBACK, TO_DEBT) else posting.lot_id
        if kind in (REDEEM, RESTORE):
            redemption = raw.by_id[entry.original_entry_id] if kind == RESTORE else entry
            hold = raw.by_id.get(redemption.original_entry_id)  # a capture counts on the day on which points were set aside
            redeemer = posting.counterparty_id if redemption.kind == _DONATE else redemption.partner_id
            version = card_on(raw, redeemer, (hold or redemption).business_date).version
        elif kind in (ISSUE, CLAWBACK, TO_DEBT, EXPIRE, UNDONE):
            issued, redeemer = raw.origins[lot_id].entry, raw.origins[lot_id].lot.issuer_id
            version = card_on(raw, redeemer, issued.business_date).version
        else:  # no money moves
            redeemer, version = posting.counterparty_id, posting.rate_card_version
        origin = raw.origins.get(posting.lot_id)
        return Moved(
            entry,
            kind,
            origin.lot.issuer_id if origin else posting.issuer_id,
            redeemer,
            version,
            posting.points,
            origin.entry.entry_id if origin else "",
        )

    def _traffic(self) -> Iterator[Owed]:
        points: Counter[tuple[str, str, str, int]] = Counter()
        for one in self.moved:
            if self.model == "at_redemption":
                if one.kind in (REDEEM, RESTORE):
                    sign = 1 if one.kind == REDEEM else -1
                    points[one.issuer_id, one.partner_id, "redemption", one.version] += sign * one.points
            elif named := self._named(one.kind):
                kind, is_received = named
                payer, payee = (OPERATOR, one.partner_id) if is_received else (one.partner_id, OPERATOR)
                points[payer, payee, kind, one.version] += one.points
        for (payer, payee, kind, version), moved in points.items():
            if moved < 0:  # more given back than taken: of an earlier window
                yield self._owed(payee, payer, "restoration", version, -moved)
            elif moved:
                yield self._owed(payer, payee, kind, version, moved)

    def _owed(self, payer: str, payee: str, kind: str, version: int, points: int) -> Owed:
        partner_id = payer if kind == "restoration" or payee == OPERATOR else payee
        micros, currency = self._price(kind, partner_id, version)
        return Owed(payer, payee, kind, version, currency, points, round(points * micros), round(points * micros / MICROS))

    def _price(self, kind: str, partner_id: str, version: int) -> tuple[Fraction, str]:
        """Millionths of a minor unit for a point."""
        card, network = self.raw.cards[partner_id, version], self.raw.network
        if kind.startswith("breakage"):
            return self.terms.redemption_element_micros * Fraction(self.terms.breakage_rebate_share), network.currency
        if self.model == "at_par":
            return Fraction(self.terms.par_value_micros), network.currency
        is_issue = kind in ("issue", "reverse_issue")
        return Fraction(card.issue_price_micros if is_issue else card.reimbursement_rate_micros), card.currency

    def _named(self, kind: int) -> tuple[str, bool] | None:
        return (_WITH_THE_NETWORK | (_BREAKAGE if self.model == "at_issuance" else {})).get(kind)

    def _fees(self) -> Iterator[Owed]:
        rules = self.raw.rules.get(self.window.rules_version)
        if rules is None:
            return
        booked = Counter(entry.partner_id for entry in self.entries if entry.partner_id != OPERATOR)
        fixed = dict.fromkeys(self.raw.active, rules.fixed_fee * MICROS)
        by_entry = {partner_id: count * rules.entry_fee_micros for partner_id, count in booked.items()}
        for kind, some in (("fee_fixed", fixed), ("fee_entry", by_entry)):
            for partner_id, micros in some.items():
                if micros:
                    amount = round(Fraction(micros, MICROS))
                    yield Owed(partner_id, OPERATOR, kind, 0, self.raw.network.currency, 0, micros, amount)

    def _adjustments(self) -> Iterator[Owed]:
        for one in self.raw.adjustments:
            if one.window_id == self.window.window_id:
                yield Owed(
                    one.payer_id,
                    one.payee_id,
                    one.kind,
                    0,
                    one.currency,
                    0,
                    one.amount * MICROS,
                    one.amount,
                    one.adjustment_id,
                )

    @property
    def _events(self) -> Mapping[str, list[tuple[Any, ...]]]:
        if not hasattr(self, "_found"):
            self._found: dict[str, list[tuple[Any, ...]]] = {partner_id: [] for partner_id in self.partners()}
            for one in self.moved:
                for partner_id, own_entry_id, values in self._read_by(one):
                    receipt = self.raw.receipt_of(one.entry) or NO_RECEIPT
                    dated = (one.entry.business_date, one.version, own_entry_id, receipt)
                    self._found[partner_id].append((*values, *dated))
        return self._found

    def _read_by(self, one: Moved) -> Iterator[tuple[str, str, tuple[Any, ...]]]:
        """Who reads of it, under which entry of its own; kind, payer, payee, points, exact amount, currency."""
        origin = one.origin_entry_id or one.entry.entry_id
        if self.model == "at_redemption":
            if one.kind in (REDEEM, RESTORE):
                kind = "redemption" if one.kind == REDEEM else "restoration"
                pair = (one.issuer_id, one.partner_id) if one.kind == REDEEM else (one.partner_id, one.issuer_id)
                micros, currency = self._price(kind, one.partner_id, one.version)
                values = (kind, *pair, one.points, round(one.points * micros), currency)
                yield one.partner_id, one.entry.entry_id, values
                if one.issuer_id != one.partner_id:
                    yield one.issuer_id, origin, values
        elif named := self._named(one.kind):
            kind, is_received = named
            pair = (OPERATOR, one.partner_id) if is_received else (one.partner_id, OPERATOR)
            micros, currency = self._price(kind, one.partner_id, one.version)
            own_entry_id = origin if kind.startswith("breakage") else one.entry.entry_id
            yield one.partner_id, own_entry_id, (kind, *pair, one.points, round(one.points * micros), currency)

    def _cards(self, partner_id: str) -> set[tuple[str, int]]:
        """Whose cards price what a partner has part in."""
        at_redemption = self.model == "at_redemption"
        return {
            (one.partner_id, one.version)
            for one in self.moved
            if partner_id in (one.issuer_id, one.partner_id)
            and (one.kind in (REDEEM, RESTORE) if at_redemption else self._named(one.kind))
        }

    def _card(self, partner_id: str, version: int) -> dict[str, Any]:
        card = self.raw.cards[partner_id, version]
        shown = {
            "partner_id": partner_id,
            "version": version,
            "reimbursement_rate_micros": card.reimbursement_rate_micros,
            "currency": card.currency,
        }
        return shown if self.model == "at_redemption" else shown | {"issue_price_micros": card.issue_price_micros}

    def _terms(self) -> dict[str, Any]:
        if self.model == "at_redemption":
            return {}
        names = ("version", "redemption_element_micros", "breakage_rebate_share", "par_value_micros")
        shown = {name: getattr(self.terms, name) for name in names}
        return {"network_terms": shown | {"currency": self.raw.network.currency}}

    def _line(self, line: Owed) -> dict[str, Any]:
        named = _canonical(["TS1-LINE", self.window.window_id, *line.key])
        return {
            "line_id": f"{self.window.window_id}-{_base32(hashlib.sha256(named).digest())[:16]}",
            "payer_id": line.payer_id,
            "payee_id": line.payee_id,
            "kind": line.kind,
            "rate_card_version": line.version,
            "currency": line.currency,
            "points": line.points,
            "amount_micros": line.micros,
            "amount": line.amount,
            "reference": line.reference,
        }

    def _movements(self, partner_id: str) -> Iterator[dict[str, Any]]:
        sums: Counter[tuple[str, str, int, int]] = Counter()
        for one in self.moved:
            if partner_id in (one.issuer_id, one.partner_id):
                sums[one.issuer_id, one.partner_id, one.version, one.kind] += one.points
        for (issuer_id, counterparty_id, version, kind), points in sorted(sums.items()):
            yield {
                "issuer_id": issuer_id,
                "counterparty_id": counterparty_id,
                "rate_card_version": version,
                "kind": KINDS[kind],
                "points": points,
            }


_DONATE = 21


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")


def _base32(content: bytes) -> str:
    """Five bits a letter, lower case."""
    bits = "".join(f"{byte:08b}" for byte in content)
    return "".join("abcdefghijklmnopqrstuvwxyz234567"[int(bits[at : at + 5], 2)] for at in range(0, len(bits) - 4, 5))
