"""The true causes behind SIGNATURE_INVALID, for the operator. Bounded: the newest of each partner are kept."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, String, delete, select

from gateway.storage.engine import upsert
from gateway.storage.tables_directory import signature_failures

KEPT_MAX = 1_000  # of each partner
_PLACES = 1_000_000
_LENGTHS = {column.name: column.type.length for column in signature_failures.columns if isinstance(column.type, String)}


@dataclass(frozen=True, slots=True)
class SignatureFailure:
    """A request whose signature did not hold. `partner_id` is empty where the key id names no partner of the network.

    `signed_string` is what the gateway would have signed in the caller's place.
    """

    partner_id: str
    at_ms: int
    key_id: str
    method: str
    peer: str
    cause: str
    signed_string: str


def save_signature_failures(connection: Connection, failures: Sequence[SignatureFailure], *, after: int = 0) -> None:
    """Adds failures, in the order in which they happened, and forgets the oldest beyond what is kept.

    `after`: how many this gateway has saved before; it orders those of one millisecond.
    """
    if not failures:
        return
    rows = [
        {"failure_id": timed_id(failure.at_ms, place, failure), **_cut_off(failure)}
        for place, failure in enumerate(failures, after)
    ]
    upsert(connection, signature_failures, rows, replace=["cause"])
    ids = signature_failures.c.failure_id
    for partner_id in sorted({failure.partner_id for failure in failures}):
        of_partner = signature_failures.c.partner_id == partner_id
        newest = select(ids).where(of_partner).order_by(ids.desc()).offset(KEPT_MAX).limit(1)
        oldest_kept = connection.execute(newest).scalar_one_or_none()
        if oldest_kept is not None:
            connection.execute(delete(signature_failures).where(of_partner, ids <= oldest_kept))


def load_signature_failures(connection: Connection, partner_id: str, *, limit: int) -> list[SignatureFailure]:
    """The newest failures of a partner, oldest first."""
    columns = [signature_failures.c[name] for name in SignatureFailure.__slots__]
    query = select(*columns).where(signature_failures.c.partner_id == partner_id)
    rows = connection.execute(query.order_by(signature_failures.c.failure_id.desc()).limit(limit)).all()
    return [SignatureFailure(*row) for row in reversed(rows)]


def timed_id(at_ms: int, place: int, what: object) -> str:
    """In the order of time; several gateways need no common counter. Only the very same thing could have the same id."""
    digest = hashlib.sha256(repr((place, what)).encode()).hexdigest()
    return f"{at_ms:013}-{place % _PLACES:06}-{digest[:19]}"


def _cut_off(failure: SignatureFailure) -> dict[str, str | int]:
    """Without what is too long for its column: a caller can write what it likes, and must not get out of the log by it."""
    return {
        name: value[: _LENGTHS[name]].replace("\0", "?") if isinstance(value, str) else value
        for name, value in asdict(failure).items()
    }
