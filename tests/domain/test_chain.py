"""Hash chains: golden values, and what breaks them."""

from typing import Any

import pytest

from gateway.domain.chain import genesis_hash, refusal_hash, window_hash

AUDIENCE = "coalition.example:test"
REFUSAL: dict[str, Any] = {
    "entry_id": "e" + "a" * 32,
    "fingerprint": bytes(range(32)),
    "lane": 0,
    "number": 1,
    "partner_id": "acme",
    "idempotency_key": "k-1",
    "reason": 34,
    "refused_at_ms": 1784980800000,
    "receipt": b"receipt",
    "receipt_key_id": "2026a",
}
WINDOW: dict[str, Any] = {
    "window_id": 1,
    "cut_off_date": "2026-07-25",
    "closed_at_ms": 1784980800000,
    "lanes": 1,
    "ranges": [(0, 1, 42, bytes(range(32)), 7, bytes(range(32, 64)))],
}


def test_a_genesis_hash_never_changes() -> None:
    """Every lane of every network begins with its own."""
    assert genesis_hash(AUDIENCE, 0).hex() == "66c71ee2d4e1415572efaf5da160f561bb7d27bf613422bebf919ad9972dfd28"


def test_lanes_and_networks_begin_differently() -> None:
    """Else a lane's chain could be passed off as another's."""
    assert len({genesis_hash(AUDIENCE, 0), genesis_hash(AUDIENCE, 1), genesis_hash("coalition.example:prod", 0)}) == 3


def test_a_refusals_hash_never_changes() -> None:
    """What was proven stays proven."""
    assert refusal_hash(bytes(32), **REFUSAL).hex() == "e09a0be639fc07a3a89d08b81ff8a2a923453ec00d8a83f1e5a78d0ca9e298d2"


def test_a_windows_hash_never_changes() -> None:
    """What was proven stays proven."""
    assert window_hash(bytes(32), **WINDOW).hex() == "0c3a11f75a22c0ee57d639da0d7713aeca0aa058247b0eb68b91aa73991705ec"


@pytest.mark.parametrize("field", sorted(REFUSAL))
def test_every_field_of_a_refusal_is_in_its_hash(field: str) -> None:
    """A change of any shows."""
    assert refusal_hash(bytes(32), **{**REFUSAL, field: _other(REFUSAL[field])}) != refusal_hash(bytes(32), **REFUSAL)


@pytest.mark.parametrize("field", ["window_id", "cut_off_date", "closed_at_ms", "lanes"])
def test_every_field_of_a_window_is_in_its_hash(field: str) -> None:
    """A change of any shows."""
    assert window_hash(bytes(32), **{**WINDOW, field: _other(WINDOW[field])}) != window_hash(bytes(32), **WINDOW)


@pytest.mark.parametrize("position", range(6))
def test_every_part_of_a_windows_range_is_in_its_hash(position: int) -> None:
    """Lane, first and last sequence, and both chains at the end."""
    changed = list(WINDOW["ranges"][0])
    changed[position] = _other(changed[position])

    assert window_hash(bytes(32), **{**WINDOW, "ranges": [tuple(changed)]}) != window_hash(bytes(32), **WINDOW)


def test_a_hash_depends_on_its_predecessor() -> None:
    """So that a row that was removed or slipped in shows in all that follow."""
    assert refusal_hash(b"\x01" * 32, **REFUSAL) != refusal_hash(bytes(32), **REFUSAL)
    assert window_hash(b"\x01" * 32, **WINDOW) != window_hash(bytes(32), **WINDOW)


def _other(value: int | str | bytes) -> int | str | bytes:
    return value + 1 if isinstance(value, int) else value + ("x" if isinstance(value, str) else b"x")  # type: ignore[operator]  # of the same kind
