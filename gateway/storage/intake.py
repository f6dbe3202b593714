"""What partners sent about settlement, kept as it was signed; records and acknowledgements. Each function takes a Connection."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, delete, func, select, update

from gateway.domain.intake import Acknowledgement, ChunkSent, PartnerRecord, Sent, SignedRequest, chunk_id
from gateway.storage.engine import upsert
from gateway.storage.tables_intake import acknowledgements, intake, partner_records

_RECORD = tuple(partner_records.c[name] for name in PartnerRecord.__slots__)
_ACKNOWLEDGEMENT = tuple(acknowledgements.c[name] for name in Acknowledgement.__slots__)


def keep_request(connection: Connection, partner_id: str, sent: Sent, signed: SignedRequest, *, at_ms: int) -> None:
    """Keeps what a partner signed, under the id of what it says; where there is one of that id, it stays as it is."""
    row = {
        "partner_id": partner_id,
        "intake_id": sent.intake_id(partner_id),
        "method": signed.method,
        "key_id": signed.key_id,
        "created": signed.created,
        "nonce": signed.nonce,
        "message": signed.message,
        "signature": signed.signature,
        "content_at": sent.content_at if isinstance(sent, ChunkSent) else 0,
        "content_bytes": sent.content_bytes if isinstance(sent, ChunkSent) else 0,
        "received_at_ms": at_ms,
    }
    upsert(connection, intake, [row], replace=["partner_id"])


def kept_message(connection: Connection, partner_id: str, intake_id: str) -> bytes | None:
    """The message that was kept under an id."""
    query = select(intake.c.message).where(intake.c.partner_id == partner_id, intake.c.intake_id == intake_id)
    found: bytes | None = connection.execute(query).scalar_one_or_none()
    return found


def load_record(connection: Connection, partner_id: str, record_id: str, *, for_update: bool = False) -> PartnerRecord | None:
    """A partner's record; `for_update`: it is the caller's until the transaction ends."""
    query = select(*_RECORD).where(partner_records.c.partner_id == partner_id, partner_records.c.record_id == record_id)
    row = connection.execute(query.with_for_update() if for_update else query).one_or_none()
    return None if row is None else PartnerRecord(*row)


def begin_record(connection: Connection, record: PartnerRecord) -> PartnerRecord:
    """Keeps a record that begins, and locks it; whoever began it at the same time waits here, and finds that one."""
    row = {name: getattr(record, name) for name in PartnerRecord.__slots__}
    upsert(connection, partner_records, [row], replace=["partner_id"])
    found = load_record(connection, record.partner_id, record.record_id, for_update=True)
    assert found is not None, "it was kept"
    return found


def change_record(connection: Connection, record: PartnerRecord, **values: int) -> None:
    """Notes how far a locked record has come."""
    connection.execute(update(partner_records).where(*_is(record)).values(**values))


def drop_record(connection: Connection, record: PartnerRecord) -> None:
    """Forgets a record that is not what it was said to be, and its chunks."""
    last = chunk_id(record.record_id, record.chunks)
    chunks = intake.c.intake_id.between(chunk_id(record.record_id, 1), last)
    connection.execute(delete(intake).where(intake.c.partner_id == record.partner_id, chunks))
    connection.execute(delete(partner_records).where(*_is(record)))


def record_parts(connection: Connection, record: PartnerRecord) -> Iterator[bytes]:
    """The content of a record, chunk by chunk, each read by itself."""
    wanted = select(intake.c.message, intake.c.content_at, intake.c.content_bytes)
    for number in range(1, record.chunks + 1):
        of_chunk = intake.c.partner_id == record.partner_id, intake.c.intake_id == chunk_id(record.record_id, number)
        row = connection.execute(wanted.where(*of_chunk)).one_or_none()
        if row is not None:
            yield row.message[row.content_at : row.content_at + row.content_bytes]


def load_records(
    connection: Connection, partner_id: str, *, before: tuple[int, int] | None = None, limit: int | None = None
) -> list[PartnerRecord]:
    """A partner's records, newest first; `before`: only those that began then at the latest, less so many of them."""
    query = select(*_RECORD).where(partner_records.c.partner_id == partner_id)
    started = partner_records.c.started_at_ms
    if before is not None:
        query = query.where(started <= before[0]).offset(before[1])
    ordered = query.order_by(started.desc(), partner_records.c.record_id).limit(limit)
    return [PartnerRecord(*row) for row in connection.execute(ordered)]


def whole_records(connection: Connection) -> list[PartnerRecord]:
    """Every partner's records that are whole, in the order in which they became so."""
    query = select(*_RECORD).where(partner_records.c.completed_at_ms > 0)
    ordered = query.order_by(partner_records.c.completed_at_ms, partner_records.c.partner_id, partner_records.c.record_id)
    return [PartnerRecord(*row) for row in connection.execute(ordered)]


def records_since(connection: Connection, partner_id: str, *, since_ms: int) -> tuple[int, int]:
    """Of the records that a partner began since then: how many are under way, and how many bytes all of them have."""
    mine = partner_records.c.partner_id == partner_id, partner_records.c.started_at_ms > since_ms
    under_way = select(func.count()).select_from(partner_records).where(*mine, partner_records.c.completed_at_ms == 0)
    size = select(func.coalesce(func.sum(partner_records.c.bytes), 0)).where(*mine)
    return int(connection.execute(under_way).scalar_one()), int(connection.execute(size).scalar_one())


def keep_acknowledgement(connection: Connection, made: Acknowledgement) -> Acknowledgement:
    """Keeps it; answers the one that is kept, which may be an earlier one."""
    row = {name: getattr(made, name) for name in Acknowledgement.__slots__}
    upsert(connection, acknowledgements, [row], replace=["partner_id"])
    of_window = acknowledgements.c.partner_id == made.partner_id, acknowledgements.c.window_id == made.window_id
    return Acknowledgement(*connection.execute(select(*_ACKNOWLEDGEMENT).where(*of_window)).one())


def load_acknowledgements(
    connection: Connection, partner_id: str, *, before: int | None = None, limit: int
) -> list[Acknowledgement]:
    """A partner's, newest window first."""
    query = select(*_ACKNOWLEDGEMENT).where(acknowledgements.c.partner_id == partner_id)
    if before is not None:
        query = query.where(acknowledgements.c.window_id < before)
    return [Acknowledgement(*row) for row in connection.execute(query.order_by(acknowledgements.c.window_id.desc()).limit(limit))]


def _is(record: PartnerRecord) -> Sequence[Any]:
    return partner_records.c.partner_id == record.partner_id, partner_records.c.record_id == record.record_id
