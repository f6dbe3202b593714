"""Entries and postings: the golden hash, and the chart of accounts."""

from dataclasses import fields, replace
from typing import Any

import pytest

from gateway.domain.entry import DEBT_SIGN, FLOWS, LOT_SIGN, Account, Entry, EntryKind, Posting, PostingKind

POSTING = Posting(
    ordinal=0,
    kind=PostingKind.ISSUE,
    lot_id="e" + "a" * 32,
    issuer_id="acme",
    counterparty_id="acme",
    rate_card_version=3,
    points=11,
    cause_lot_id="",
)
ENTRY = Entry(
    entry_id="e" + "a" * 32,
    bucket=517,
    lane=0,
    sequence=1042,
    window_id=12,
    kind=EntryKind.ISSUE,
    partner_id="acme",
    key_id="acme/till-1/2026a",
    idempotency_key="k-1",
    fingerprint=bytes(range(32)),
    member_id="m1",
    business_date="2026-07-25",
    occurred_at_ms=1784980798500,
    booked_at_ms=1784980800260,
    points=11,
    unit="EUR",
    amount=2340,
    rate_card_version=3,
    original_entry_id="",
    offer_id="",
    receipt_number="42",
    postings=(POSTING,),
)


def test_an_entrys_hash_never_changes() -> None:
    """What was proven stays proven, in every version of the gateway."""
    assert ENTRY.chained_hash(bytes(32)).hex() == "72396d55bc163a14a7f415e4fa36c99397c92190b246bb89863e817885a28650"


@pytest.mark.parametrize("field", [field.name for field in fields(Entry) if field.name != "postings"])
def test_every_field_of_an_entry_is_in_its_hash(field: str) -> None:
    """A change of any shows."""
    changed = replace(ENTRY, **{field: _other(getattr(ENTRY, field))})

    assert changed.chained_hash(bytes(32)) != ENTRY.chained_hash(bytes(32))


@pytest.mark.parametrize("field", [field.name for field in fields(Posting)])
def test_every_field_of_a_posting_is_in_its_entrys_hash(field: str) -> None:
    """A change of any shows."""
    changed = replace(ENTRY, postings=(replace(POSTING, **{field: _other(getattr(POSTING, field))}),))

    assert changed.chained_hash(bytes(32)) != ENTRY.chained_hash(bytes(32))


def test_a_posting_that_was_removed_or_doubled_shows() -> None:
    """In the hash of its entry."""
    hashes = {replace(ENTRY, postings=(POSTING,) * times).chained_hash(bytes(32)) for times in (0, 1, 2)}

    assert len(hashes) == 3


def test_an_entrys_hash_depends_on_its_predecessor() -> None:
    """So that an entry that was removed or slipped in shows in all that follow."""
    assert ENTRY.chained_hash(b"\x01" * 32) != ENTRY.chained_hash(bytes(32))


@pytest.mark.parametrize(
    ("kind", "lot_points", "debt_points", "balance_points"),
    [
        (PostingKind.ISSUE, 11, 0, 11),
        (PostingKind.REDEEM, -11, 0, -11),
        (PostingKind.RESTORE, 11, 0, 11),
        (PostingKind.CLAWBACK, -11, 0, -11),
        (PostingKind.CLAWBACK_TO_DEBT, 0, 11, -11),
        (PostingKind.DEBT_PAID, -11, -11, 0),
        (PostingKind.TRANSFER_OUT, -11, 0, -11),
        (PostingKind.TRANSFER_IN, 11, 0, 11),
        (PostingKind.EXPIRE, -11, 0, -11),
        (PostingKind.EXPIRY_UNDONE, 11, 0, 11),
        (PostingKind.WITHHOLD, 0, 0, 0),
    ],
)
def test_a_posting_moves_points_as_its_kind_says(
    kind: PostingKind, lot_points: int, debt_points: int, balance_points: int
) -> None:
    """Into and out of the lot, into and out of debt, and what is left of both for the balance."""
    posting = replace(POSTING, kind=kind)

    assert (posting.lot_points, posting.debt_points, posting.balance_points) == (lot_points, debt_points, balance_points)


def test_every_kind_has_its_place_in_the_chart_of_accounts() -> None:
    """A kind without one would move points nowhere."""
    assert set(FLOWS) == set(LOT_SIGN) == set(DEBT_SIGN) == set(PostingKind)
    assert {account for flow in FLOWS.values() for account in flow} == set(Account)


def _other(value: Any) -> Any:
    if isinstance(value, EntryKind):
        return EntryKind.REDEEM
    if isinstance(value, PostingKind):
        return PostingKind.REDEEM
    if isinstance(value, int):
        return value + 1
    return value + "x" if isinstance(value, str) else bytes(32)
