"""What partners may read: answers to their own commands, balances, their own entries and statements.

Reads run in a few threads, each on its own connection; they see committed entries only and hold up no writer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Connection, Engine

from gateway.domain.command import AmountAsked, MemberRef
from gateway.domain.lot import MemberAccount
from gateway.domain.outcome import Reason, Refusal
from gateway.domain.quoting import Quote, quote_basket
from gateway.domain.receipt import Answer
from gateway.domain.rules_hold import lapse
from gateway.domain.standing import Standing, standing_of
from gateway.domain.statement import PublishedStatement, StatementLine
from gateway.domain.window import Window
from gateway.domain.working import WorkingSet
from gateway.services.directory import Directory
from gateway.services.store_threads import StoreThreads
from gateway.storage.books import load_member
from gateway.storage.days import load_day
from gateway.storage.journal import EntryFilter, Place, PlacedAnswer, load_answer, load_own_answers
from gateway.storage.member_reads import MemberRecord, find_member, former_ids, load_record
from gateway.storage.statements import load_statement, load_statement_lines, load_statement_windows
from gateway.storage.windows import load_window

THREADS_MAX = 4  # reads are short, and on SQLite they share one file with the writer

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class StatementOfWindow:
    """A published statement and its window as it stands now."""

    window: Window
    statement: PublishedStatement


class ReadingService:
    """Answers questions. Another partner's object is as if it did not exist. Raises StoreUnavailable."""

    def __init__(self, engine: Engine, directory: Directory) -> None:
        """Reads from the engine; the directory knows the network's date."""
        self._directory = directory
        self._store = StoreThreads(engine, THREADS_MAX, name="reader")

    async def answer(self, partner_id: str, entry_id: str) -> Answer | Refusal:
        """The booking of an entry, else its latest remembered refusal. ENTRY_NOT_FOUND."""
        found = await self._store.read(lambda connection: load_answer(connection, entry_id, partner_id))
        return found if found is not None else Refusal(Reason.ENTRY_NOT_FOUND)

    async def standing(self, partner_id: str, member: MemberRef, *, now_ms: int) -> Standing | Refusal:
        """How a member stands, as the partner sees it. MEMBER_NOT_FOUND, TOKEN_USED_OR_EXPIRED."""

        def read(connection: Connection) -> Standing | Refusal:
            return self._standing(connection, partner_id, member, now_ms)

        return await self._store.read(read)

    async def look_up(self, partner_id: str, member: MemberRef, *, now_ms: int) -> tuple[MemberRecord, Standing] | Refusal:
        """Who a member is, and how it stands. MEMBER_NOT_FOUND, TOKEN_USED_OR_EXPIRED."""

        def read(connection: Connection) -> tuple[MemberRecord, Standing] | Refusal:
            standing = self._standing(connection, partner_id, member, now_ms)
            return standing if isinstance(standing, Refusal) else (load_record(connection, standing.member_id), standing)

        return await self._store.read(read)

    async def quote(
        self,
        partner_id: str,
        key_id: str,
        member: MemberRef,
        total: AmountAsked,
        *,
        eligible: int | None,
        offer_id: str | None,
        now_ms: int,
    ) -> Quote | Refusal:
        """What a checkout would do. RATE_CARD_MISSING, MEMBER_NOT_FOUND, TOKEN_USED_OR_EXPIRED, UNIT_UNSUPPORTED."""

        def read(connection: Connection) -> Quote | Refusal:
            work, account = self._member(connection, member, now_ms)
            if not isinstance(account, Refusal):
                load_day(connection, work, account, partner_id, key_id)
            return quote_basket(work, partner_id, key_id, account, total, eligible=eligible, offer_id=offer_id)

        return await self._store.read(read)

    async def entries(
        self, partner_id: str, member: MemberRef, *, wanted: EntryFilter, after: Place, limit: int, now_ms: int
    ) -> Sequence[PlacedAnswer] | Refusal:
        """The partner's own entries of a member, oldest first. MEMBER_NOT_FOUND, TOKEN_USED_OR_EXPIRED."""

        def read(connection: Connection, found: str) -> Sequence[PlacedAnswer]:
            ids = [found, *former_ids(connection, found)]
            return load_own_answers(connection, ids, partner_id, wanted=wanted, after=after, limit=limit)

        return await self.of_member(member, read, now_ms=now_ms)

    async def of_member(self, member: MemberRef, question: Callable[[Connection, str], _T], *, now_ms: int) -> _T | Refusal:
        """Asks a question of the member that is named, by its present id. MEMBER_NOT_FOUND, TOKEN_USED_OR_EXPIRED."""

        def read(connection: Connection) -> _T | Refusal:
            found = find_member(connection, member, at_ms=now_ms)
            return found if isinstance(found, Refusal) else question(connection, found)

        return await self._store.read(read)

    async def windows(self, partner_id: str, *, before: int | None, limit: int) -> Sequence[Window]:
        """Windows in which the partner has a published statement, newest first, with an id below `before`."""
        return await self._store.read(
            lambda connection: load_statement_windows(connection, partner_id, before=before, limit=limit)
        )

    async def statement(self, partner_id: str, window_id: int) -> StatementOfWindow | Refusal:
        """The partner's own statement. STATEMENT_NOT_FOUND."""

        def read(connection: Connection) -> StatementOfWindow | None:
            statement = load_statement(connection, window_id, partner_id)
            window = load_window(connection, window_id)
            return StatementOfWindow(window, statement) if statement is not None and window is not None else None

        found = await self._store.read(read)
        return found if found is not None else Refusal(Reason.STATEMENT_NOT_FOUND)

    async def statement_lines(
        self, partner_id: str, window_id: int, *, after: int, limit: int
    ) -> Sequence[StatementLine] | Refusal:
        """Lines of the partner's own statement with a number above `after`. STATEMENT_NOT_FOUND."""

        def read(connection: Connection) -> Sequence[StatementLine] | None:
            if load_statement(connection, window_id, partner_id) is None:
                return None
            return load_statement_lines(connection, window_id, partner_id, after=after, limit=limit)

        found = await self._store.read(read)
        return found if found is not None else Refusal(Reason.STATEMENT_NOT_FOUND)

    async def refresh_directory(self) -> None:
        """Looks whether partners, keys or terms have changed."""
        await self._store.read(self._directory.refresh)

    async def look(self, question: Callable[[Connection], _T]) -> _T:
        """Asks a question of the operator's own: how the network stands."""
        return await self._store.read(question)

    def close(self) -> None:
        """Waits for the reads that run, and ends the threads."""
        self._store.close()

    def _standing(self, connection: Connection, partner_id: str, member: MemberRef, now_ms: int) -> Standing | Refusal:
        work, account = self._member(connection, member, now_ms)
        if isinstance(account, Refusal):
            return account
        return standing_of(account, work.network_date, work.terms.card_in_force(partner_id, work.today(partner_id)))

    def _member(self, connection: Connection, member: MemberRef, now_ms: int) -> tuple[WorkingSet, MemberAccount | Refusal]:
        """With its holds that are over let go: whoever books next will do the same."""
        work, account = load_member(connection, member, now_ms=now_ms, terms=self._directory.terms)
        for hold in account.lapsed_holds(work.at_ms) if isinstance(account, MemberAccount) else ():
            lapse(work, hold)
        return work, account
