"""What partners send about settlement: kept as it was signed, with what follows from it. Moves no window and no money.

Settlement works on what is kept here. Each call is one short transaction, or two, and safe to repeat.
"""

import hashlib
from collections.abc import Sequence

from sqlalchemy import Connection, Engine

from gateway.domain.dispute import (
    Dispute,
    DisputeState,
    DisputeStep,
    check_deadline,
    dispute_id,
)
from gateway.domain.intake import (
    BYTES_A_DAY_MAX,
    DAY_MS,
    DISPUTES_LIVE_MAX,
    RECORDS_UNDER_WAY_MAX,
    Acknowledgement,
    ChunkSent,
    DisputeAnswered,
    DisputeOpened,
    PartnerRecord,
    SignedRequest,
    StatementAcknowledged,
)
from gateway.domain.outcome import Reason, Refusal
from gateway.domain.window import Window, WindowState
from gateway.services.directory import Directory
from gateway.services.store_threads import StoreThreads
from gateway.storage import disputes as kept
from gateway.storage.disputed_events import Event, amount_left, amount_of, event_of, find_event, micros_of, points_left
from gateway.storage.intake import (
    begin_record,
    change_record,
    drop_record,
    keep_acknowledgement,
    keep_request,
    kept_message,
    load_acknowledgements,
    load_record,
    load_records,
    record_parts,
    records_since,
)
from gateway.storage.rules import is_paid_for
from gateway.storage.statements import load_statement
from gateway.storage.windows import load_window, load_windows

THREADS_MAX = 2  # each transaction is a few milliseconds, and on SQLite they share one lock with the writer

Standing = tuple[Dispute, Sequence[DisputeStep]]
"""A dispute, and how it came to where it stands."""


class IntakeService:
    """Belongs to one event loop. Raises StoreError; another partner's object is as if it did not exist."""

    def __init__(self, engine: Engine, directory: Directory) -> None:
        """Takes turns with the writer on the engine; the directory knows the network's date."""
        self._directory = directory
        self._store = StoreThreads(engine, THREADS_MAX, name="intake")

    async def take_chunk(
        self, partner_id: str, chunk: ChunkSent, signed: SignedRequest, *, now_ms: int
    ) -> PartnerRecord | Refusal:
        """Keeps a chunk. RECORD_CHUNK_DIFFERS, INTAKE_QUOTA_EXCEEDED; of the last one to come RECORD_HASH_DIFFERS."""
        record = await self._store.write(lambda connection: _keep_chunk(connection, partner_id, chunk, signed, now_ms))
        if isinstance(record, Refusal) or record.completed_at_ms or record.received < record.chunks:
            return record
        # Hashing takes a second for the largest: not while others wait for the database.
        digest = await self._store.read(lambda connection: _sha256(connection, record))
        return await self._store.write(lambda connection: _complete(connection, record, digest, now_ms))

    async def records(self, partner_id: str, *, before: tuple[int, int] | None, limit: int) -> list[PartnerRecord]:
        """A partner's records, newest first."""
        return await self._store.read(lambda connection: load_records(connection, partner_id, before=before, limit=limit))

    async def acknowledge(
        self, partner_id: str, sent: StatementAcknowledged, signed: SignedRequest, *, now_ms: int
    ) -> Acknowledgement | Refusal:
        """Keeps that a statement is right. STATEMENT_NOT_FOUND, STATEMENT_HASH_DIFFERS."""
        return await self._store.write(lambda connection: _acknowledge(connection, partner_id, sent, signed, now_ms))

    async def acknowledgements(self, partner_id: str, *, before: int | None, limit: int) -> list[Acknowledgement]:
        """A partner's acknowledgements, newest window first."""
        return await self._store.read(
            lambda connection: load_acknowledgements(connection, partner_id, before=before, limit=limit)
        )

    async def open_dispute(
        self, partner_id: str, sent: DisputeOpened, signed: SignedRequest, *, now_ms: int
    ) -> Standing | Refusal:
        """Opens a dispute. STATEMENT_NOT_FOUND, INVALID_FIELDS, DISPUTE_EXISTS, NOT_DISPUTABLE, INTAKE_QUOTA_EXCEEDED."""
        today = self._directory.terms.network_date(now_ms).isoformat()
        # Looking through two statements takes a while for the largest; what is published stays.
        event = await self._store.read(lambda connection: _published_event(connection, partner_id, sent))
        if event is None:
            return Refusal(Reason.STATEMENT_NOT_FOUND)
        return await self._store.write(lambda connection: _open(connection, partner_id, sent, signed, event, now_ms, today))

    async def answer_dispute(
        self, partner_id: str, sent: DisputeAnswered, signed: SignedRequest, *, now_ms: int
    ) -> Standing | Refusal:
        """Answers a dispute. DISPUTE_NOT_FOUND, INVALID_FIELDS, DISPUTE_NOT_OPEN."""
        today = self._directory.terms.network_date(now_ms).isoformat()
        event = await self._store.read(lambda connection: _disputed_event(connection, partner_id, sent))
        return await self._store.write(lambda connection: _answer(connection, partner_id, sent, signed, event, now_ms, today))

    async def disputes(self, partner_id: str, *, before: tuple[int, int] | None, limit: int) -> list[Standing]:
        """Those that a partner has opened or must answer, newest first."""

        def read(connection: Connection) -> list[Standing]:
            found = kept.load_own_disputes(connection, partner_id, before=before, limit=limit)
            steps = kept.load_steps(connection, [one.dispute_id for one in found])
            return [(one, [step for step in steps if step.dispute_id == one.dispute_id]) for one in found]

        return await self._store.read(read)

    def close(self) -> None:
        """Waits for what runs, and ends the threads."""
        self._store.close()


def _keep_chunk(
    connection: Connection, partner_id: str, chunk: ChunkSent, signed: SignedRequest, now_ms: int
) -> PartnerRecord | Refusal:
    record_id = chunk.record_id(partner_id)
    differs = Refusal(Reason.RECORD_CHUNK_DIFFERS, {"number": str(chunk.number)})
    record = load_record(connection, partner_id, record_id, for_update=True)
    if record is not None and (record.bytes, record.chunks) != (chunk.total_bytes, chunk.chunks):
        return differs
    earlier = kept_message(connection, partner_id, chunk.intake_id(partner_id)) if record is not None else None
    if record is not None and earlier is not None:
        return record if earlier == signed.message else differs
    if record is None:
        refused = _over_quota(connection, partner_id, chunk.total_bytes, now_ms)
        if refused is not None:
            return refused
        record = begin_record(connection, _begun(partner_id, record_id, chunk, now_ms))
    if record.received_bytes + chunk.content_bytes > record.bytes:
        drop_record(connection, record)
        return Refusal(Reason.RECORD_HASH_DIFFERS, {"bytes": str(record.bytes)})
    keep_request(connection, partner_id, chunk, signed, at_ms=now_ms)
    received, size = record.received + 1, record.received_bytes + chunk.content_bytes
    change_record(connection, record, received=received, received_bytes=size)
    found = load_record(connection, partner_id, record_id)
    assert found is not None, "it is locked"
    return found


def _begun(partner_id: str, record_id: str, chunk: ChunkSent, now_ms: int) -> PartnerRecord:
    return PartnerRecord(
        partner_id=partner_id,
        record_id=record_id,
        window_id=chunk.window_id,
        business_date=chunk.business_date,
        sha256=chunk.sha256,
        bytes=chunk.total_bytes,
        chunks=chunk.chunks,
        received=0,
        received_bytes=0,
        started_at_ms=now_ms,
        completed_at_ms=0,
    )


def _over_quota(connection: Connection, partner_id: str, size: int, now_ms: int) -> Refusal | None:
    under_way, recent = records_since(connection, partner_id, since_ms=now_ms - DAY_MS)
    if under_way >= RECORDS_UNDER_WAY_MAX:
        return Refusal(Reason.INTAKE_QUOTA_EXCEEDED, {"of": "records under way", "limit": str(RECORDS_UNDER_WAY_MAX)})
    if recent + size > BYTES_A_DAY_MAX:
        return Refusal(Reason.INTAKE_QUOTA_EXCEEDED, {"of": "bytes in 24 hours", "limit": str(BYTES_A_DAY_MAX)})
    return None


def _sha256(connection: Connection, record: PartnerRecord) -> tuple[int, bytes]:
    size, digest = 0, hashlib.sha256()
    for part in record_parts(connection, record):
        size += len(part)
        digest.update(part)
    return size, digest.digest()


def _complete(connection: Connection, record: PartnerRecord, found: tuple[int, bytes], now_ms: int) -> PartnerRecord | Refusal:
    present = load_record(connection, record.partner_id, record.record_id, for_update=True)
    if present is not None and present.completed_at_ms:
        return present
    if present is None or found != (record.bytes, record.sha256):
        if present is not None:
            drop_record(connection, present)
        return Refusal(Reason.RECORD_HASH_DIFFERS, {"bytes": str(found[0]), "sha256": found[1].hex()})
    change_record(connection, present, completed_at_ms=now_ms)
    completed = load_record(connection, record.partner_id, record.record_id)
    assert completed is not None, "it is locked"
    return completed


def _acknowledge(
    connection: Connection, partner_id: str, sent: StatementAcknowledged, signed: SignedRequest, now_ms: int
) -> Acknowledgement | Refusal:
    statement = load_statement(connection, sent.window_id, partner_id)
    if statement is None:
        return Refusal(Reason.STATEMENT_NOT_FOUND)
    if statement.sha256 != sent.statement_sha256:
        return Refusal(Reason.STATEMENT_HASH_DIFFERS, {"sha256": statement.sha256.hex()})
    keep_request(connection, partner_id, sent, signed, at_ms=now_ms)
    return keep_acknowledgement(
        connection, Acknowledgement(partner_id, sent.window_id, sent.statement_sha256, acknowledged_at_ms=now_ms)
    )


def _published_event(connection: Connection, partner_id: str, sent: DisputeOpened) -> Event | None:
    if load_statement(connection, sent.window_id, partner_id) is None:
        return None
    return find_event(connection, sent.window_id, partner_id, sent.line_number)


def _open(
    connection: Connection, partner_id: str, sent: DisputeOpened, signed: SignedRequest, event: Event, now_ms: int, today: str
) -> Standing | Refusal:
    kept.lock_window(connection, sent.window_id)
    window = load_window(connection, sent.window_id)
    assert window is not None, "it has a statement"
    earlier = kept.load_dispute(connection, dispute_id(partner_id, sent.window_id, sent.line_number))
    if earlier is not None:
        same = (earlier.reason, earlier.evidence, earlier.deadline) == (sent.reason, sent.evidence, sent.deadline)
        return _standing(connection, earlier) if same else _exists(earlier.dispute_id)
    if not check_deadline(sent.deadline, network_date=today):
        return Refusal(Reason.INVALID_FIELDS)
    other = kept.other_dispute(connection, sent.window_id, event.lines, opener_id=partner_id)
    if other is not None:
        return _exists(other)
    if event.line.payer_id == event.line.payee_id or not _can_hold_out(connection, window):
        return Refusal(Reason.NOT_DISPUTABLE, {"state": window.state.value})
    points = points_left(connection, event)
    if points <= 0:
        return Refusal(Reason.NOT_DISPUTABLE, {"state": window.state.value, "points_left": "0"})
    if kept.live_count(connection, partner_id) >= DISPUTES_LIVE_MAX:
        return Refusal(Reason.INTAKE_QUOTA_EXCEEDED, {"of": "disputes", "limit": str(DISPUTES_LIVE_MAX)})
    at_ms = kept.next_opening_ms(connection, sent.window_id, now_ms)
    made = _dispute(partner_id, sent, event, points, amount_of(connection, event, points), at_ms)
    keep_request(connection, partner_id, sent, signed, at_ms=at_ms)
    kept.insert_dispute(connection, made, made_by=signed.key_id)
    return _standing(connection, made)


def _can_hold_out(connection: Connection, window: Window) -> bool:
    """Whether what is paid for the window can still be made anew: nobody was told for good to pay it, or what came after it."""
    if not is_paid_for(connection, window.window_id):
        return window.state in (WindowState.NETTED, WindowState.DISPUTED, WindowState.CONFIRMED)
    later = load_windows(connection)
    fixed = any(one.state in (WindowState.CONFIRMED, WindowState.SETTLED) for one in later if one.window_id > window.window_id)
    return window.state in (WindowState.NETTED, WindowState.DISPUTED) and not fixed


def _dispute(partner_id: str, sent: DisputeOpened, event: Event, points: int, amount: int, at_ms: int) -> Dispute:
    line = event.line
    return Dispute(
        dispute_id=dispute_id(partner_id, sent.window_id, sent.line_number),
        opener_id=partner_id,
        respondent_id=line.payee_id if line.payer_id == partner_id else line.payer_id,
        window_id=sent.window_id,
        line_number=sent.line_number,
        entry_id=line.own_entry_id,
        receipt_sha256=line.receipt_sha256,
        kind=line.kind,
        payer_id=line.payer_id,
        payee_id=line.payee_id,
        currency=line.currency,
        points=points,
        amount_micros=micros_of(event, points),
        amount=amount,
        reason=sent.reason,
        evidence=sent.evidence,
        deadline=sent.deadline,
        opened_at_ms=at_ms,
        previous_state="",
        state=DisputeState.OPEN,
    )


def _disputed_event(connection: Connection, partner_id: str, sent: DisputeAnswered) -> Event | None:
    """Only of what its respondent accepts while it may: nothing else asks what goes back."""
    dispute = kept.load_dispute(connection, sent.dispute_id) if sent.state is DisputeState.ACCEPTED else None
    if dispute is None or dispute.respondent_id != partner_id or dispute.state is not DisputeState.OPEN:
        return None
    return event_of(connection, dispute)


def _answer(
    connection: Connection,
    partner_id: str,
    sent: DisputeAnswered,
    signed: SignedRequest,
    event: Event | None,
    now_ms: int,
    today: str,
) -> Standing | Refusal:
    dispute = kept.load_dispute(connection, sent.dispute_id, for_update=True)
    if dispute is None or partner_id not in (dispute.opener_id, dispute.respondent_id):
        return Refusal(Reason.DISPUTE_NOT_FOUND)
    is_openers = sent.state is DisputeState.WITHDRAWN
    if is_openers != (partner_id == dispute.opener_id):
        return Refusal(Reason.INVALID_FIELDS)
    if kept_message(connection, partner_id, sent.intake_id(partner_id)) == signed.message:
        return _standing(connection, dispute)
    not_open = Refusal(Reason.DISPUTE_NOT_OPEN, {"state": dispute.state.value, "deadline": dispute.deadline})
    if is_openers and dispute.state not in (DisputeState.OPEN, DisputeState.CONTESTED):
        return not_open
    if not is_openers and (dispute.state is not DisputeState.OPEN or today > dispute.deadline):
        return not_open
    amount = amount_left(connection, dispute, event) if sent.state is DisputeState.ACCEPTED else 0
    keep_request(connection, partner_id, sent, signed, at_ms=now_ms)
    kept.move_dispute(connection, dispute, sent.state, at_ms=now_ms, made_by=signed.key_id, note=sent.note, amount=amount)
    moved = kept.load_dispute(connection, sent.dispute_id)
    assert moved is not None, "it is locked"
    return _standing(connection, moved)


def _standing(connection: Connection, dispute: Dispute) -> Standing:
    return dispute, kept.load_steps(connection, [dispute.dispute_id])


def _exists(of_dispute_id: str) -> Refusal:
    return Refusal(Reason.DISPUTE_EXISTS, {"dispute_id": of_dispute_id})
