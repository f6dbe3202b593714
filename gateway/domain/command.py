"""Commands: what a caller asked for, and the fingerprint by which an honest retry is known."""

from dataclasses import dataclass, fields
from typing import ClassVar

from gateway.domain.canonical import Plain, canonical_hash
from gateway.domain.identifiers import Identifier, IdentifierKind
from gateway.domain.ids import entry_id


@dataclass(frozen=True, slots=True)
class MemberRef:
    """Names a member, in exactly one of three ways; a card and any other identifier by its keyed hash, in hex."""

    member_id: str | None = None
    card_hash: str | None = None
    identifier_hash: str | None = None

    @property
    def named_hash(self) -> str | None:
        """The hash of the card or of the other identifier; None if it is named by id."""
        return self.identifier_hash if self.card_hash is None else self.card_hash


@dataclass(frozen=True, slots=True)
class AmountAsked:
    """An amount as the caller gave it, in smallest units of `unit`."""

    unit: str
    minor_units: int


@dataclass(frozen=True, slots=True)
class EventMark:
    """The event of a terminal's chain that a command came in: it happened then, whatever has been decided since."""

    terminal_id: str
    counter: int
    occurred_at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What all commands carry. Optional fields are None when the caller left them out: they are no part of the fingerprint.

    Nor is `event`: a command that was sent, got no answer, and then came again in an event is the same one.
    """

    METHOD: ClassVar[str]

    partner_id: str
    key_id: str
    idempotency_key: str
    event: EventMark | None = None

    @property
    def entry_id(self) -> str:
        """The id of the entry that the command books, whenever it does."""
        return entry_id(self.partner_id, self.idempotency_key)

    def fingerprint(self) -> bytes:
        """SHA-256 over the method and what the caller asked (32 bytes): no defaults, no key id, no nonce, no signing time."""
        asked = {name: _plain(value) for name in _asked_of(self) if (value := getattr(self, name)) is not None}
        return canonical_hash(["TS1-COMMAND", self.METHOD, asked])


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrol(Command):
    """Enrol a member under a card, or under another identifier. `card_tail` may be shown of the card."""

    METHOD = "EnrolMember"

    card_hash: str | None = None
    identifier: Identifier | None = None
    provisional: bool | None = None
    language: str | None = None
    card_tail: str = ""

    @property
    def first_identifier(self) -> Identifier:
        """What the member is enrolled under."""
        if self.identifier is not None:
            return self.identifier
        assert self.card_hash is not None, "a member is enrolled under something"
        return Identifier(IdentifierKind.CARD, self.card_hash, self.card_tail)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed(Command):
    """A command that happened at some time; None: when it is booked."""

    occurred_at_ms: int | None = None
    receipt_number: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue(Timed):
    """Issue points on an eligible amount."""

    METHOD = "IssuePoints"

    member: MemberRef
    eligible: AmountAsked
    offer_id: str | None = None
    rate_card_version: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Redeem(Timed):
    """Redeem points: a number of them, or up to a value. Exactly one is set."""

    METHOD = "RedeemPoints"

    member: MemberRef
    points: int | None = None
    up_to_value: AmountAsked | None = None
    rate_card_version: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reverse(Timed):
    """Reverse an entry: part of an issue by amount, part of a redemption by points, or all that is left."""

    METHOD = "ReverseEntry"

    original_entry_id: str
    eligible: AmountAsked | None = None
    points: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer(Timed):
    """Move points to another member."""

    METHOD = "TransferPoints"

    source: MemberRef
    target: MemberRef
    points: int


@dataclass(frozen=True, slots=True)
class BasketLine:
    """A line of a basket, as the till numbers it; smallest units of the basket's unit. `is_eligible`: it earns points."""

    line_id: str
    minor_units: int
    is_eligible: bool


@dataclass(frozen=True, slots=True)
class LineReturned:
    """A line that came back; None: all that is left of it."""

    line_id: str
    minor_units: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceHold(Timed):
    """Set points aside until the till is sure: a number of them, or up to a value. Exactly one is set."""

    METHOD = "PlaceHold"

    member: MemberRef
    points: int | None = None
    up_to_value: AmountAsked | None = None
    ttl_s: int | None = None
    rate_card_version: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VoidHold(Command):
    """Let a hold go."""

    METHOD = "VoidHold"

    hold_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout(Timed):
    """A basket: what points pay of it, and points for what money pays.

    Points come from a hold (all of it, or `points` of it), or at once: `points`, or up to a value. At most one way.
    """

    METHOD = "Checkout"

    member: MemberRef
    total: AmountAsked
    eligible: int | None = None
    lines: tuple[BasketLine, ...] | None = None
    hold_id: str | None = None
    points: int | None = None
    up_to_value: AmountAsked | None = None
    offer_id: str | None = None
    rate_card_version: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund(Timed):
    """Goods of a checkout came back: an amount, some lines, or all that is left.

    With a member and an amount it may arrive before its sale.
    """

    METHOD = "Refund"

    checkout_id: str
    amount: AmountAsked | None = None
    lines: tuple[LineReturned, ...] | None = None
    member: MemberRef | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimReceipt(Timed):
    """A purchase whose card had been forgotten: once for each receipt number and date of a partner."""

    METHOD = "ClaimReceipt"

    member: MemberRef
    total: AmountAsked
    eligible: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Donate(Timed):
    """Give points to a charity."""

    METHOD = "DonatePoints"

    member: MemberRef
    charity_id: str
    points: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirm(Command):
    """Confirm a provisional member, or change a member's language."""

    METHOD = "ConfirmMember"

    member: MemberRef
    language: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AddIdentifier(Command):
    """Give a member another identifier."""

    METHOD = "AddIdentifier"

    member: MemberRef
    identifier: Identifier


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveIdentifier(Command):
    """Take an identifier from a member, named by its hash or by its id."""

    METHOD = "RemoveIdentifier"

    member: MemberRef
    identifier_hash: str | None = None
    identifier_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause(Command):
    """Stop that points of a member are taken."""

    METHOD = "PauseSpending"

    member: MemberRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume(Command):
    """End a pause."""

    METHOD = "ResumeSpending"

    member: MemberRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Merge(Command):
    """Make one member of two: the source goes into the target."""

    METHOD = "MergeMembers"

    source: MemberRef
    target: MemberRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Erase(Command):
    """Erase who a member is."""

    METHOD = "EraseMember"

    member: MemberRef


ON_ONE_MEMBER = (
    Issue
    | Redeem
    | PlaceHold
    | Checkout
    | ClaimReceipt
    | Donate
    | Confirm
    | AddIdentifier
    | RemoveIdentifier
    | Pause
    | Resume
    | Erase
)
"""Commands that name one member."""

ON_TWO_MEMBERS = Transfer | Merge
"""Commands that name two, which may live in different lanes."""


def member_refs(command: Command) -> tuple[MemberRef, ...]:
    """The members that a command names; of two the giver first."""
    if isinstance(command, ON_ONE_MEMBER):
        return (command.member,)
    if isinstance(command, Refund):
        return () if command.member is None else (command.member,)
    return (command.source, command.target) if isinstance(command, ON_TWO_MEMBERS) else ()


def identifier_claimed(command: Command) -> str | None:
    """The hash of the identifier that a command would give to a member."""
    if isinstance(command, Enrol):
        return command.first_identifier.identifier_hash
    return command.identifier.identifier_hash if isinstance(command, AddIdentifier) else None


def entry_named(command: Command) -> str | None:
    """The entry that a command is about, and by which its member is found: an original, a hold, a checkout."""
    match command:
        case Reverse():
            return command.original_entry_id
        case VoidHold():
            return command.hold_id
        case Refund():
            return command.checkout_id
    return None


# Beside who calls: what is shown of a card is part of its number, and an old retry knew nothing of it.
_NOT_ASKED = frozenset({"partner_id", "key_id", "idempotency_key", "card_tail", "event"})


_asked_by_method: dict[str, tuple[str, ...]] = {}


def _asked_of(command: Command) -> tuple[str, ...]:
    """Names of the fields that the caller asked by; looked up once a kind of command, since `fields` is slow."""
    names = _asked_by_method.get(command.METHOD)
    if names is None:
        names = _asked_by_method[command.METHOD] = tuple(f.name for f in fields(command) if f.name not in _NOT_ASKED)
    return names


_AS_THEY_ARE = str | int


def _plain(value: object) -> Plain:
    if isinstance(value, _AS_THEY_ARE):
        return value
    if isinstance(value, MemberRef):
        if value.card_hash is not None:
            return {"card_hash": value.card_hash}
        by_id = value.identifier_hash is None
        return {"member_id": value.member_id} if by_id else {"identifier_hash": value.identifier_hash}
    if isinstance(value, AmountAsked):
        return {"unit": value.unit, "minor_units": value.minor_units}
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    if isinstance(value, BasketLine):
        return [value.line_id, value.minor_units, value.is_eligible]
    if isinstance(value, LineReturned):
        return [value.line_id] if value.minor_units is None else [value.line_id, value.minor_units]
    if isinstance(value, Identifier):
        asked: dict[str, Plain] = {"kind": value.kind.value, "hash": value.identifier_hash}
        return asked | ({"valid_until_ms": value.valid_until_ms} if value.valid_until_ms else {})
    raise TypeError(f"{value!r} has no canonical form")
