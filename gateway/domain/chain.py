"""Hash chains: what makes a row that was changed, removed or slipped in show."""

import hashlib
from collections.abc import Sequence

from gateway.domain.canonical import Plain, canonical


def genesis_hash(audience: str, lane: int) -> bytes:
    """What the first entry of a lane, its first refusal and the first window are chained to (32 bytes)."""
    return hashlib.sha256(canonical(["TS1-GENESIS", audience, lane])).digest()


def refusal_hash(
    previous_hash: bytes,
    *,
    entry_id: str,
    fingerprint: bytes,
    lane: int,
    number: int,
    partner_id: str,
    idempotency_key: str,
    reason: int,
    refused_at_ms: int,
    receipt: bytes,
    receipt_key_id: str,
) -> bytes:
    """Chains a remembered refusal to its predecessor in the lane (32 bytes)."""
    plain: Plain = [
        "TS1-REFUSAL",
        entry_id,
        fingerprint.hex(),
        lane,
        number,
        partner_id,
        idempotency_key,
        reason,
        refused_at_ms,
        receipt.hex(),
        receipt_key_id,
    ]
    return hashlib.sha256(previous_hash + canonical(plain)).digest()


def window_hash(
    previous_hash: bytes,
    *,
    window_id: int,
    cut_off_date: str,
    closed_at_ms: int,
    lanes: int,
    ranges: Sequence[tuple[int, int, int, bytes, int, bytes]],
) -> bytes:
    """Chains a closed window to its predecessor (32 bytes). `lanes`: how many were in force.

    `ranges`: lane, first and last sequence, chain hash at the end; number of its refusals so far, and their chain's hash.
    """
    plain: Plain = [
        "TS1-WINDOW",
        window_id,
        cut_off_date,
        closed_at_ms,
        lanes,
        [
            [lane, first, last, chain.hex(), refusals, refusals_chain.hex()]
            for lane, first, last, chain, refusals, refusals_chain in ranges
        ],
    ]
    return hashlib.sha256(previous_hash + canonical(plain)).digest()
