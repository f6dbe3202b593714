"""How far the audit has proven each lane. `audit --full` begins anew, and asks only whether what was seen is still there."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Connection

from gateway.storage.engine import upsert
from gateway.storage.tables import proofs


@dataclass(frozen=True, slots=True)
class Proof:
    """A lane is proven up to a sequence and a number of refusals, with the hashes there.

    So is what the nights made of the windows before `window_id`: the open one, or one that a night was at.
    """

    lane: int
    window_id: int
    sequence: int
    chain_hash: bytes
    refusals: int
    refusals_hash: bytes


def load_proofs(connection: Connection) -> dict[int, Proof]:
    """By lane."""
    rows = connection.execute(proofs.select().order_by(proofs.c.lane))
    return {
        row.lane: Proof(row.lane, row.window_id, row.sequence, row.chain_hash, row.refusals, row.refusals_hash) for row in rows
    }


def save_proofs(connection: Connection, found: Sequence[Proof], *, at_ms: int) -> None:
    """Replaces what was proven before."""
    rows = [asdict(proof) | {"proven_at_ms": at_ms} for proof in found]
    upsert(connection, proofs, rows, replace=[column.name for column in proofs.columns if column.name != "lane"])
