"""Books on a real SQLite file, and short words to write in them: `books.issue("ann", "120.00")`.

The partners are those of the oracle's month (tests.given.month): alpha issues 1 point for 2 EUR, bravo 1 for 1, charlie
2 for 1; delta only redeems. Time stands still until a test moves `books.now_ms`.
"""

import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Table, select

from gateway.domain.command import (
    AddIdentifier,
    AmountAsked,
    Checkout,
    ClaimReceipt,
    Command,
    Confirm,
    Donate,
    Enrol,
    Erase,
    Issue,
    MemberRef,
    Merge,
    Pause,
    PlaceHold,
    Redeem,
    Refund,
    RemoveIdentifier,
    Resume,
    Reverse,
    Transfer,
    VoidHold,
)
from gateway.domain.identifiers import Identifier, IdentifierKind
from gateway.domain.ids import member_id
from gateway.domain.lanes import Misrouted
from gateway.domain.lot import together
from gateway.domain.outcome import Reason, Refusal
from gateway.domain.receipt import Answer, Receipt, Result
from gateway.domain.units import parse_amount
from gateway.ledger.audit import audit
from gateway.ledger.audit_receipts import ReceiptForm
from gateway.ledger.batch import BatchSettings, run_batch
from gateway.ledger.expiry import expire_lots
from gateway.storage.engine import reading
from gateway.storage.tables import lots, member_identifiers, members, metadata
from tests.given import GivenNetwork, at, terms_as_of

NOON = at("2026-06-05")


@dataclass
class Receipts:
    """Keeps what the ledger said, by the bytes that stand for it in these tests."""

    by_bytes: dict[bytes, Receipt] = field(default_factory=dict)

    def encode(self, receipt: Receipt) -> bytes:
        """Bytes that differ whenever the receipt does."""
        encoded = hashlib.sha256(repr(receipt).encode()).digest()
        self.by_bytes[encoded] = receipt
        return encoded


class Books:
    """The ledger of a network, one command a batch unless a test says otherwise."""

    def __init__(self, network: GivenNetwork, *, now_ms: int = NOON) -> None:
        """Opens one connection, as the writer does."""
        self.network = network
        self.now_ms = now_ms
        self.receipts = Receipts()
        self.connection: Connection = network.engine.connect()
        self.settings = BatchSettings(terms_as_of(), self.receipts.encode, lambda _now_ms: "r1")
        self._numbers = itertools.count(1)

    def run(self, *commands: Command) -> list[Result]:
        """One batch; what belongs into other lanes in further ones."""
        return run_everywhere(self.connection, commands, now_ms=self.now_ms, settings=self.settings)

    def book(self, command: Command) -> Receipt:
        """Carries out a command that must be booked."""
        answer = self.run(command)[0]
        assert isinstance(answer, Answer), answer
        assert answer.refusal is None, answer.refusal
        return self.receipts.by_bytes[answer.receipt]

    def refused(self, command: Command) -> Reason:
        """Carries out a command that must be refused."""
        return refusal_of(self.run(command)[0]).reason

    def enrol(self, *names: str, partner: str = "alpha") -> None:
        """New members; a name is what stands for the hash of the card."""
        for name in names:
            self.book(self.enrolment(name, partner))

    def enrolment(self, name: str, partner: str) -> Enrol:
        """The command that enrols a member."""
        return Enrol(partner_id=partner, key_id=f"{partner}/till-1/1", idempotency_key=f"enrol-{name}", card_hash=name)

    def issue(self, member: str | MemberRef, amount: str, *, partner: str = "alpha", unit: str = "EUR", **asked: Any) -> Issue:
        """The command to issue on an amount in major units."""
        eligible = AmountAsked(unit, parse_amount(amount, unit))
        return Issue(**self._caller(partner), member=_ref(member), eligible=eligible, **asked)

    def redeem(self, member: str | MemberRef, points: int | None = None, *, partner: str = "bravo", **asked: Any) -> Redeem:
        """The command to redeem points."""
        return Redeem(**self._caller(partner), member=_ref(member), points=points, **asked)

    def reverse(self, original: Command, *, amount: str | None = None, points: int | None = None, **asked: Any) -> Reverse:
        """The command to reverse what another one booked, by the same partner."""
        part = None if amount is None else euros(amount)
        caller = self._caller(original.partner_id)
        return Reverse(**caller, original_entry_id=original.entry_id, eligible=part, points=points, **asked)

    def transfer(self, source: str | MemberRef, target: str | MemberRef, points: int, *, partner: str = "alpha") -> Transfer:
        """The command to move points."""
        return Transfer(**self._caller(partner), source=_ref(source), target=_ref(target), points=points)

    def place(self, member: str | MemberRef, points: int | None = None, *, partner: str = "bravo", **asked: Any) -> PlaceHold:
        """The command to set points aside."""
        return PlaceHold(**self._caller(partner), member=_ref(member), points=points, **asked)

    def void(self, hold: Command) -> VoidHold:
        """The command to let a hold go, by the same partner."""
        return VoidHold(**self._caller(hold.partner_id), hold_id=hold.entry_id)

    def checkout(
        self, member: str | MemberRef, total: str, *, partner: str = "alpha", hold: Command | None = None, **asked: Any
    ) -> Checkout:
        """The command to book a basket in euros."""
        hold_id = hold.entry_id if hold is not None else None
        return Checkout(**self._caller(partner), member=_ref(member), total=euros(total), hold_id=hold_id, **asked)

    def refund(self, checkout: Command, *, amount: str | None = None, partner: str = "", **asked: Any) -> Refund:
        """The command to take goods of a checkout back, by the same partner unless another one tries."""
        part = None if amount is None else euros(amount)
        return Refund(**self._caller(partner or checkout.partner_id), checkout_id=checkout.entry_id, amount=part, **asked)

    def claim(
        self, member: str | MemberRef, total: str, receipt_number: str, *, partner: str = "alpha", **asked: Any
    ) -> ClaimReceipt:
        """The command to get the points of a paper receipt."""
        caller = self._caller(partner)
        return ClaimReceipt(**caller, member=_ref(member), total=euros(total), receipt_number=receipt_number, **asked)

    def donate(self, member: str | MemberRef, points: int, *, charity: str = "hope", partner: str = "alpha") -> Donate:
        """The command to give points to a charity."""
        return Donate(**self._caller(partner), member=_ref(member), charity_id=charity, points=points)

    def confirm(self, member: str | MemberRef, language: str | None = None) -> Confirm:
        """The command to confirm a member."""
        return Confirm(**self._caller("alpha"), member=_ref(member), language=language)

    def add(
        self, member: str | MemberRef, kind: IdentifierKind, name: str, *, valid_until_ms: int = 0, tail: str = ""
    ) -> AddIdentifier:
        """The command to add an identifier; `name` stands for its hash."""
        identifier = Identifier(kind, name, tail, valid_until_ms)
        return AddIdentifier(**self._caller("alpha"), member=_ref(member), identifier=identifier)

    def remove(self, member: str | MemberRef, name: str) -> RemoveIdentifier:
        """The command to remove an identifier."""
        return RemoveIdentifier(**self._caller("alpha"), member=_ref(member), identifier_hash=name)

    def pause(self, member: str | MemberRef) -> Pause:
        """The command to pause a member."""
        return Pause(**self._caller("alpha"), member=_ref(member))

    def resume(self, member: str | MemberRef) -> Resume:
        """The command to end a pause."""
        return Resume(**self._caller("alpha"), member=_ref(member))

    def merge(self, source: str | MemberRef, target: str | MemberRef) -> Merge:
        """The command to make one member of two, named by cards or otherwise."""
        return Merge(**self._caller("alpha"), source=_ref(source), target=_ref(target))

    def erase(self, member: str | MemberRef) -> Erase:
        """The command to erase who a member is."""
        return Erase(**self._caller("alpha"), member=_ref(member))

    def id_of(self, name: str, *, partner: str = "alpha") -> MemberRef:
        """A member by the id that the enrolment of the name's card gave, whoever has the card now."""
        return MemberRef(member_id=member_id(partner, f"enrol-{name}"))

    def expire(self, day: str) -> int:
        """The night's expiry at noon of a day."""
        self.now_ms = at(day)
        return self.expire_before(day)

    def expire_before(self, day: str) -> int:
        """Lets what a day finds overdue expire, now."""
        columns = (lots.c.expires_on, lots.c.member_id, lots.c.lot_id)
        overdue = select(*columns).where(lots.c.expires_on < day, lots.c.open_points > 0).order_by(*columns)
        groups = together((row.expires_on, row.member_id, row.lot_id) for row in self.rows(overdue))
        return expire_lots(self.connection, groups, now_ms=self.now_ms, load_terms=self.settings.load_terms)

    def rows(self, statement: Any) -> Sequence[Any]:
        """What a query finds."""
        with reading(self.network.engine) as connection:
            return connection.execute(statement).all()

    def balance(self, name: str) -> tuple[int, int]:
        """A member's open points and debt."""
        joined = select(members.c.open_points, members.c.debt_points).join(
            member_identifiers, member_identifiers.c.member_id == members.c.member_id
        )
        row = self.rows(joined.where(member_identifiers.c.identifier_hash == name))[0]
        return row.open_points, row.debt_points

    def open_lots(self, name: str) -> list[tuple[str, int]]:
        """Issuer and open points of a member's lots, in the order in which they are taken."""
        joined = select(lots.c.issuer_id, lots.c.open_points).join(
            member_identifiers, member_identifiers.c.member_id == lots.c.member_id
        )
        found = joined.where(member_identifiers.c.identifier_hash == name, lots.c.open_points > 0)
        return [tuple(row) for row in self.rows(found.order_by(lots.c.expires_on, lots.c.arrival))]

    def contents(self) -> dict[str, list[Any]]:
        """All rows of the ledger's tables."""
        return {table.name: sorted(map(tuple, self.rows(select(table)))) for table in ledger_tables()}

    def _caller(self, partner: str) -> dict[str, Any]:
        return {"partner_id": partner, "key_id": f"{partner}/till-1/1", "idempotency_key": f"key-{next(self._numbers)}"}


def run_everywhere(connection: Connection, commands: Sequence[Command], *, now_ms: int, settings: BatchSettings) -> list[Result]:
    """Runs commands in lane 0, and whatever is given back where it belongs: in one lane or in many, the same results."""
    results: dict[int, Result] = {}
    waiting = list(enumerate(commands))
    lanes: tuple[int, ...] = (0,)
    while waiting:
        given = run_batch(connection, [command for _, command in waiting], lanes=lanes, now_ms=now_ms, settings=settings)
        results |= {number: one for (number, _), one in zip(waiting, given, strict=True) if not isinstance(one, Misrouted)}
        elsewhere = [one for one in given if isinstance(one, Misrouted)]
        assert len(elsewhere) < len(waiting) or lanes != elsewhere[0].lanes, "a batch in the right lane decides something"
        waiting = [(number, command) for number, command in waiting if number not in results]
        lanes = elsewhere[0].lanes if elsewhere else ()
    return [results[number] for number in range(len(commands))]


def euros(amount: str) -> AmountAsked:
    """An amount of EUR in major units."""
    return AmountAsked("EUR", parse_amount(amount, "EUR"))


def audited(books: Books) -> tuple[object, ...]:
    """What a full audit finds wrong, receipts included."""
    form = ReceiptForm(books.receipts.encode, books.receipts.by_bytes.__getitem__)
    return audit(books.network.engine, full=True, now_ms=books.now_ms, receipts=form).failures


def _ref(member: str | MemberRef) -> MemberRef:
    return card(member) if isinstance(member, str) else member


def card(name: str) -> MemberRef:
    """A member by card."""
    return MemberRef(card_hash=name)


def ledger_tables() -> list[Table]:
    """Tables that hold the books."""
    return [table for table in metadata.sorted_tables if table.info.get("ledger")]


def refusal_of(result: Result) -> Refusal:
    """The refusal that a result is, or carries."""
    refusal = result if isinstance(result, Refusal) else result.refusal
    assert refusal is not None, "it was booked"
    return refusal
