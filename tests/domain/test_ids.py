"""Identifiers: their forms, and values that must never change, since rows are found by them."""

import pytest

from gateway.domain.errors import InvalidValue
from gateway.domain.ids import (
    BUCKETS,
    CARD_NUMBER,
    ENTRY_ID,
    IDEMPOTENCY_KEY,
    MEMBER_ID,
    bucket_of,
    check_key_id,
    check_partner_id,
    counter_entry_id,
    entry_id,
    member_id,
)


@pytest.mark.parametrize("text", ["ab", "acme", "a1-b2", "7eleven", "a" * 32])
def test_a_partner_id_of_its_form_is_accepted(text: str) -> None:
    """2 to 32 characters."""
    assert check_partner_id(text) == text


@pytest.mark.parametrize("text", ["", "a", "a" * 33, "-ab", "Acme", "ac_me", "acme ", "acme\n", "ac/me", "аcme", "operator"])  # noqa: RUF001 - a homoglyph is one of the cases
def test_a_partner_id_of_another_form_is_refused(text: str) -> None:
    """Also the one that is kept for the operator."""
    with pytest.raises(InvalidValue, match="partner id"):
        check_partner_id(text)


def test_a_key_id_names_partner_terminal_and_key() -> None:
    """In this order."""
    assert check_key_id("acme/till-1/2026a") == ("acme", "till-1", "2026a")


@pytest.mark.parametrize("part", ["a" * 31, "a" * 32])
def test_a_key_id_has_parts_of_up_to_32_characters(part: str) -> None:
    """All three of them."""
    assert check_key_id(f"{part}/{part}/{part}") == (part, part, part)


@pytest.mark.parametrize(
    "text",
    ["", "acme", "acme/till", "acme/till/a/b", "acme//a", "/till/a", "acme/till/", "Acme/till/a", "acme/till 1/a",
     "acme/../x", "acme/.till/a", "acme/till/.a",
     "acme/till/a\n", "acme/till/a\x00", "acme/till/" + "a" * 33, "acme/" + "a" * 33 + "/a"],
)  # fmt: skip
def test_a_key_id_of_another_form_is_refused(text: str) -> None:
    """Nothing of it can reach a signed string, a file name or a log line."""
    with pytest.raises(InvalidValue, match="key id"):
        check_key_id(text)


@pytest.mark.parametrize(("length", "is_accepted"), [(0, False), (1, True), (63, True), (64, True), (65, False)])
def test_an_idempotency_key_has_up_to_64_characters(length: int, is_accepted: bool) -> None:  # noqa: FBT001 - the table's last column
    """Of a set that is safe in lines, paths and tables."""
    assert bool(IDEMPOTENCY_KEY.fullmatch("k" * length)) is is_accepted


@pytest.mark.parametrize(("length", "is_accepted"), [(3, False), (4, True), (32, True), (33, False)])
def test_a_card_number_has_4_to_32_characters(length: int, is_accepted: bool) -> None:  # noqa: FBT001 - the table's last column
    """As cards have them."""
    assert bool(CARD_NUMBER.fullmatch("4" * length)) is is_accepted


def test_an_entry_id_never_changes() -> None:
    """It is derived from partner and key, so that a repeat finds the same entry in every version of the gateway."""
    assert entry_id("acme", "till-1:2026-07-25:000042") == "e199cb636f168868646ff3d27da23a0a8"


def test_a_counter_entry_id_never_changes() -> None:
    """The other side of a transfer is found by it."""
    assert counter_entry_id("e" + "a" * 32) == "eff3ee3300c91d9f2f0de2a2f4bb132fb"


def test_a_member_id_never_changes() -> None:
    """It is derived from partner and key as well, under a name of its own."""
    assert member_id("acme", "till-1:2026-07-25:000042") == "mce171390bcd94478e8620d6f359c760b"


def test_derived_ids_have_the_form_of_ids() -> None:
    """What the gateway makes it must also take back."""
    assert ENTRY_ID.fullmatch(entry_id("acme", "k"))
    assert ENTRY_ID.fullmatch(counter_entry_id(entry_id("acme", "k")))
    assert MEMBER_ID.fullmatch(member_id("acme", "k"))


def test_two_partners_may_use_the_same_key() -> None:
    """Each has its own name space; and what is partner and what is key cannot shift."""
    ids = {entry_id("acme", "k"), entry_id("globex", "k"), entry_id("acme", "k2"), entry_id("acm", "ek")}

    assert len(ids) == 4


def test_a_bucket_never_changes() -> None:
    """Rows carry it in their keys."""
    assert [bucket_of(name) for name in ("m1", "m2", "alice", "")] == [525, 449, 984, 944]


def test_buckets_are_used_evenly() -> None:
    """No bucket of 100,000 members has twice its share or none."""
    counts = [0] * BUCKETS
    for number in range(100_000):
        counts[bucket_of(f"m{number}")] += 1

    assert min(counts) > 0
    assert max(counts) < 2 * 100_000 // BUCKETS
