"""The shape of messages: every rule that the proto comments state about fields, in one place.

Collects every violation of a message before refusing it. Knows nothing of the books: whether a member exists or has points
is not asked here.
"""

from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet

from gateway.domain.command import AmountAsked, MemberRef
from gateway.domain.errors import InvalidValue
from gateway.domain.identifiers import (
    FORMS_SAID,
    IDENTIFIER_ID,
    Identifier,
    IdentifierKind,
    identifier_hash,
    normalised,
    tail_of,
)
from gateway.domain.ids import ENTRY_ID, IDEMPOTENCY_KEY, LINE_ID, MEMBER_ID, PARTNER_ID
from gateway.domain.terms import parse_date
from gateway.domain.units import AMOUNT_MINOR_UNITS_MAX, POINTS_MAX, check_unit
from gateway.edge.lines import LANGUAGES
from gateway.edge.refused import Violation
from tallystick.v1 import types_pb2

REQUIRED, INVALID_FORMAT, OUT_OF_RANGE, UNSUPPORTED = "REQUIRED", "INVALID_FORMAT", "OUT_OF_RANGE", "UNSUPPORTED"

TEXT_MAX = 64  # characters of what people read: receipt numbers
OCCURRED_AT_MS_MIN = 946_684_800_000  # 2000-01-01; before it a clock was not set
OCCURRED_AT_MS_MAX = 4_102_444_800_000  # 2100-01-01

_KINDS = {getattr(types_pb2, f"IDENTIFIER_KIND_{kind.name}"): kind for kind in IdentifierKind}
_NO_IDENTIFIER = Identifier(IdentifierKind.CARD, "")


class Fields:
    """Checks the fields of one message and collects what is wrong with them.

    Each method returns the value in the domain's form, or, where it is wrong, something of the same type that nobody may
    use: whoever calls looks at `violations` before using any of it. `pepper` is the secret of the hashes of identifiers.
    """

    __slots__ = ("_pepper", "violations")

    def __init__(self, pepper: bytes) -> None:
        self._pepper = pepper
        self.violations: list[Violation] = []

    def wrong(self, field: str, word: str, expected: str = "") -> None:
        """Notes a violation."""
        self.violations.append(Violation(field, word, expected))

    def idempotency_key(self, key: str, field: str = "idempotency_key") -> str:
        """1 to 64 characters of [A-Za-z0-9._:/-]."""
        if IDEMPOTENCY_KEY.fullmatch(key) is None:
            self._text(key, field, "1 to 64 characters of [A-Za-z0-9._:/-]")
        return key

    def entry_id(self, entry_id: str, field: str = "entry_id") -> str:
        """As on a receipt."""
        if ENTRY_ID.fullmatch(entry_id) is None:
            self._text(entry_id, field, "an entry id as on a receipt")
        return entry_id

    def card(self, number: str, field: str = "card_number") -> Identifier:
        """A card by its number: the keyed hash of it, in hex."""
        return self._identifier(IdentifierKind.CARD, number, field)

    def identifier(self, asked: types_pb2.Identifier, field: str = "identifier") -> Identifier:
        """Of any kind, in the form of its kind."""
        if not asked.kind and not asked.value:
            self.wrong(field, REQUIRED)
            return _NO_IDENTIFIER
        kind = _KINDS.get(asked.kind)
        if kind is None:
            self.wrong(f"{field}.kind", UNSUPPORTED if asked.kind else REQUIRED, "card, phone, email, QR or token")
            return _NO_IDENTIFIER
        return self._identifier(kind, asked.value, f"{field}.value")

    def member(self, ref: types_pb2.MemberRef, field: str = "member") -> MemberRef:
        """By id, by card or by another identifier, exactly one of them."""
        by = ref.WhichOneof("by")
        if by == "member_id":
            if MEMBER_ID.fullmatch(ref.member_id) is None:
                self._text(ref.member_id, f"{field}.member_id", "1 to 64 characters of [a-z0-9_-]")
            return MemberRef(member_id=ref.member_id)
        if by == "card_number":
            return MemberRef(card_hash=self.card(ref.card_number, f"{field}.card_number").identifier_hash)
        if by == "identifier":
            named = self.identifier(ref.identifier, f"{field}.identifier")
            if named.kind is IdentifierKind.CARD:
                return MemberRef(card_hash=named.identifier_hash)
            return MemberRef(identifier_hash=named.identifier_hash)
        self.wrong(field, REQUIRED)
        return MemberRef()

    def identifier_id(self, text: str, field: str = "identifier_id") -> str:
        """As LookUpMember gives it."""
        if IDENTIFIER_ID.fullmatch(text) is None:
            self._text(text, field, "16 characters of [0-9a-f]")
        return text

    def language(self, text: str, field: str = "language") -> str | None:
        """One that there are lines in. Empty: None."""
        if text and text not in LANGUAGES:
            self.wrong(field, UNSUPPORTED, ", ".join(sorted(LANGUAGES)))
        return text or None

    def partner_id(self, text: str, field: str) -> str:
        """Another partner's id; whether there is one, the book says."""
        if PARTNER_ID.fullmatch(text) is None:
            self._text(text, field, "2 to 32 characters of [a-z0-9-]")
        return text

    def date(self, text: str, field: str) -> str:
        """YYYY-MM-DD, as the books write it; empty stays empty."""
        if text:
            try:
                parse_date(text)
            except InvalidValue:
                self.wrong(field, INVALID_FORMAT, "a date as YYYY-MM-DD")
        return text

    def amount(self, amount: types_pb2.Amount, field: str) -> AmountAsked:
        """In a unit that exists, 1 to 1,000,000,000,000 of its smallest units."""
        unit, minor_units = amount.unit, amount.minor_units
        if not unit and not minor_units:
            self.wrong(field, REQUIRED)
            return AmountAsked(unit, minor_units)
        self._unit(unit, f"{field}.unit")
        return AmountAsked(unit, self.minor_units(minor_units, f"{field}.minor_units"))

    def minor_units(self, minor_units: int, field: str) -> int:
        """1 to 1,000,000,000,000."""
        if not 1 <= minor_units <= AMOUNT_MINOR_UNITS_MAX:
            self.wrong(field, OUT_OF_RANGE, f"1 to {AMOUNT_MINOR_UNITS_MAX}")
        return minor_units

    def line_id(self, line_id: str, field: str) -> str:
        """1 to 32 characters of [A-Za-z0-9._:/-]."""
        if LINE_ID.fullmatch(line_id) is None:
            self._text(line_id, field, "1 to 32 characters of [A-Za-z0-9._:/-]")
        return line_id

    def points(self, points: int, field: str = "points") -> int:
        """1 to 1,000,000,000."""
        if not 1 <= points <= POINTS_MAX:
            self.wrong(field, OUT_OF_RANGE, f"1 to {POINTS_MAX}")
        return points

    def occurred_at_ms(self, at_ms: int, field: str = "occurred_at_ms") -> int:
        """In this century. Whether it is too long ago or in the future, the book says."""
        if not OCCURRED_AT_MS_MIN <= at_ms <= OCCURRED_AT_MS_MAX:
            self.wrong(field, OUT_OF_RANGE, "unix milliseconds")
        return at_ms

    def receipt_number(self, text: str, field: str = "receipt_number") -> str | None:
        """Up to 64 printable characters; controls and marks that turn the direction of writing are none. Empty: None."""
        if len(text) > TEXT_MAX or not text.isprintable():
            self.wrong(field, INVALID_FORMAT, f"up to {TEXT_MAX} printable characters")
        return text or None

    def offer_id(self, text: str, field: str = "offer_id") -> str | None:
        """1 to 64 characters of [A-Za-z0-9._:/-]. Empty: None."""
        if text and IDEMPOTENCY_KEY.fullmatch(text) is None:
            self.wrong(field, INVALID_FORMAT, "1 to 64 characters of [A-Za-z0-9._:/-]")
        return text or None

    def rate_card_version(self, version: int, field: str = "rate_card_version") -> int:
        """From 1."""
        if version < 1:
            self.wrong(field, OUT_OF_RANGE, "1 or more")
        return version

    def page_size(self, size: int, *, default: int, size_max: int) -> int:
        """1 to `size_max`; 0 stands for `default`."""
        if not 0 <= size <= size_max:
            self.wrong("page_size", OUT_OF_RANGE, f"1 to {size_max}, or 0 for {default}")
        return size or default

    def window_id(self, window_id: int) -> int:
        """From 1."""
        if window_id < 1:
            self.wrong("window_id", OUT_OF_RANGE, "1 or more")
        return window_id

    def _identifier(self, kind: IdentifierKind, value: str, field: str) -> Identifier:
        normal_form = normalised(kind, value)
        if normal_form is None:
            self._text(value, field, FORMS_SAID[kind])
            return _NO_IDENTIFIER
        return Identifier(kind, identifier_hash(self._pepper, kind, normal_form).hex(), tail_of(kind, normal_form))

    def _unit(self, unit: str, field: str) -> None:
        try:
            check_unit(unit)
        except InvalidValue:
            self.wrong(field, UNSUPPORTED if unit else REQUIRED, "an ISO 4217 currency, or a partner's own points")

    def _text(self, text: str, field: str, expected: str) -> None:
        self.wrong(field, INVALID_FORMAT if text else REQUIRED, expected)


def unknown_fields(message: Message, body: bytes) -> tuple[Violation, ...]:
    """The fields of a message parsed from `body`, and of those inside it, that this gateway does not know.

    Leaves the message without them: comparing sizes is the cheapest way to find that there are none.
    """
    size = message.ByteSize()
    message.DiscardUnknownFields()
    return () if message.ByteSize() == size else tuple(_unknown_in(type(message).FromString(body), ""))


def _unknown_in(message: Message, path: str) -> list[Violation]:
    unknown = UnknownFieldSet(message)
    found = [Violation(f"{path}{unknown[index].field_number}", "UNKNOWN_FIELD") for index in range(len(unknown))]
    for field, value in message.ListFields():
        if field.message_type is None or field.message_type.GetOptions().map_entry:
            continue
        inner = enumerate(value) if field.is_repeated else ((None, value),)
        for index, nested in inner:
            step = field.name if index is None else f"{field.name}[{index}]"
            found += _unknown_in(nested, f"{path}{step}.")
    return found
