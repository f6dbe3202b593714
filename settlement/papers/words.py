"""How papers say it: amounts, dates, names and the reasons of lines. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.domain.ids import OPERATOR
from gateway.domain.units import CURRENCY_EXPONENTS, MICROS, format_amount
from settlement.reconciliation import MatchClass

Names = Mapping[str, str]
"""Legal names by partner id: whatever the partner wrote in its application."""

_MICRO_DECIMALS = 6

# Why money moves, as the operator reads it.
REASONS = {
    "redemption": "points redeemed",
    "restoration": "redemptions undone",
    "issue": "points issued",
    "reverse_issue": "issues taken back",
    "redeem": "points redeemed",
    "reverse_redemption": "redemptions undone",
    "breakage_rebate": "rebate for expired points",
    "breakage_undone": "rebate taken back",
    "fee_fixed": "fixed fee",
    "fee_entry": "fee per entry",
    "fee_late": "fee for late payment",
    "adjustment": "adjustment by two operators",
    "write_off": "unpaid debt written off",
}

# The same to a partner, by whether it pays. {other} is the other party, {its} whose points they are.
_TO_PAYER = {
    "redemption": "{other} took in points that you had issued",
    "restoration": "You undid redemptions of points of {other} from an earlier window",
    "issue": "You issued points",
    "reverse_redemption": "You undid redemptions",
    "breakage_undone": "Points that had expired came back: the rebate is undone",
}
_TO_PAYEE = {
    "redemption": "You took in points that {other} had issued",
    "restoration": "{other} undid redemptions of your points from an earlier window",
    "reverse_issue": "Points that you had issued were taken back with the goods",
    "redeem": "You took in points",
    "breakage_rebate": "Your share of points that expired",
}
OWN = "Your own points at your own tills: shown, and not owed"
_UNDONE = frozenset({"restoration", "reverse_redemption", "reverse_issue"})
_EVENTS = {
    "restoration": ("You undid a redemption of points of {other}", "{other} undid a redemption of your points"),
    "reverse_redemption": ("You undid a redemption", ""),
}
"""Where a single event is told in other words than a line, which is what is left of many: to its payer, to its payee."""

MODELS = {
    "at_redemption": "Whoever issued a point pays the partner that takes it in, at the price on that partner's rate card.",
    "at_issuance": "Partners pay the network for points when they issue them; the network pays the partners that take points in.",
    "at_par": "Partners pay the network for points they issue and are paid for points they take in, all at one par value.",
}

MOVEMENTS = {
    "issue": "issued",
    "clawback": "taken back with returned goods",
    "clawback_to_debt": "taken back, left as a debt of the member",
    "debt_paid": "paid a member's debt",
    "redeem": "redeemed",
    "restore": "given back, as a redemption was undone",
    "transfer_out": "left one member",
    "transfer_in": "came to another member",
    "debt_out": "debt that left one member",
    "debt_in": "debt that came to another member",
    "expire": "expired",
    "expiry_undone": "expiry undone",
}


@dataclass(frozen=True, slots=True)
class ClassWords:
    """What a class of a reconciliation is called, what it means, and what to do about its items."""

    title: str
    meaning: str
    todo: str


CLASSES = {
    MatchClass.MATCHED: ClassWords("matched", "the same on both sides", "Nothing is to be done."),
    MatchClass.MISSING_HERE: ClassWords(
        "missing here",
        "in the record, not in the books",
        "Look for the receipt: without one it was never booked, and can still be sent within the days that the network allows.",
    ),
    MatchClass.MISSING_AT_PARTNER: ClassWords(
        "missing at partner",
        "in the books, not in the record",
        "The partner looks for the key, and disputes the line if it knows nothing of it.",
    ),
    MatchClass.AMOUNT_DIFFERS: ClassWords("amount differs", "one event, other points", "Compare the receipts of both sides."),
    MatchClass.DUPLICATE: ClassWords(
        "duplicate", "said or booked once too often", "Reverse the second booking, or mend the record."
    ),
    MatchClass.LATE: ClassWords(
        "late",
        "the same, in another window or on another date",
        "Nothing is to be done if the record of the other window or date has it.",
    ),
}


def money(amount: int, currency: str) -> str:
    """Minor units as a person writes them: 1,234.50; the currency stands beside it."""
    sign, text = ("-", format_amount(-amount, currency)) if amount < 0 else ("", format_amount(amount, currency))
    whole, dot, decimals = text.partition(".")
    return f"{sign}{int(whole):,}{dot}{decimals}"


def price(micros: int, currency: str) -> str:
    """Millionths of a minor unit in the major one, exactly, without needless zeros: 900000 in EUR are 0.009."""
    places = _MICRO_DECIMALS + CURRENCY_EXPONENTS.get(currency, 0)
    whole, rest = divmod(micros, 10**places)
    decimals = str(rest).rjust(places, "0").rstrip("0")
    return f"{whole:,}.{decimals}" if decimals else f"{whole:,}"


def exact(micros: int, currency: str) -> str:
    """An exact amount; where it has no more decimals than the currency, as `money` writes it."""
    minor, rest = divmod(micros, MICROS)
    return price(micros, currency) if rest else money(minor, currency)


def count(number: int, one: str, many: str = "") -> str:
    """A number of things: 1 payment, 1,200 payments."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def party(party_id: str) -> str:
    """A party in a sentence or a cell: partners by id, the operator as what it is."""
    return "the operator" if party_id == OPERATOR else party_id


def reason(kind: str) -> str:
    """Why a line is owed; a kind that this table does not know says its own name."""
    return REASONS.get(kind, kind.replace("_", " "))


def reason_to(partner_id: str, *, kind: str, payer_id: str, payee_id: str, is_event: bool = False) -> str:
    """The same, said to one of the two, of a line or of a single event behind it."""
    if payer_id == payee_id:
        return f"{OWN}; this one was undone" if is_event and kind in _UNDONE else OWN
    pays = payer_id == partner_id
    sentence = (_TO_PAYER if pays else _TO_PAYEE).get(kind, reason(kind).capitalize())
    if is_event and kind in _EVENTS:
        sentence = _EVENTS[kind][not pays] or sentence
    return sentence.format(other=party(payee_id if pays else payer_id))
