"""Commands: what a caller asked for, and the fingerprint by which an honest retry is known."""

from dataclasses import dataclass, fields
from typing import ClassVar

from gateway.domain.canonical import Plain, canonical_hash
from gateway.domain.ids import entry_id


@dataclass(frozen=True, slots=True)
class MemberRef:
    """Names a member, in exactly one of two ways; a card by its keyed hash, in hex."""

    member_id: str | None = None
    card_hash: str | None = None


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
    """Enrol a member under a card."""

    METHOD = "EnrolMember"

    card_hash: str


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


def member_refs(command: Command) -> tuple[MemberRef, ...]:
    """The members that a command names; of a transfer the giver first."""
    if isinstance(command, Issue | Redeem | PlaceHold | Checkout | ClaimReceipt):
        return (command.member,)
    if isinstance(command, Refund):
        return () if command.member is None else (command.member,)
    return (command.source, command.target) if isinstance(command, Transfer) else ()


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


_NOT_ASKED = frozenset({"partner_id", "key_id", "idempotency_key", "event"})


_asked_by_method: dict[str, tuple[str, ...]] = {}


def _asked_of(command: Command) -> tuple[str, ...]:
    """Names of the fields that the caller asked by; looked up once a kind of command, since `fields` is slow."""
    names = _asked_by_method.get(command.METHOD)
    if names is None:
        names = _asked_by_method[command.METHOD] = tuple(f.name for f in fields(command) if f.name not in _NOT_ASKED)
    return names


def _plain(value: object) -> Plain:
    if isinstance(value, str | int):
        return value
    if isinstance(value, MemberRef):
        return {"member_id": value.member_id} if value.card_hash is None else {"card_hash": value.card_hash}
    if isinstance(value, AmountAsked):
        return {"unit": value.unit, "minor_units": value.minor_units}
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    if isinstance(value, BasketLine):
        return [value.line_id, value.minor_units, value.is_eligible]
    if isinstance(value, LineReturned):
        return [value.line_id] if value.minor_units is None else [value.line_id, value.minor_units]
    raise TypeError(f"{value!r} has no canonical form")
