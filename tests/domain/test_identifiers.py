"""Identifiers: their forms, the hashes that rows are found by and must never change, and the little that may be shown."""

import pytest

from gateway.domain.identifiers import (
    Identifier,
    IdentifierKind,
    identifier_hash,
    identifier_id,
    masked,
    normalised,
    tail_of,
)

KEY = bytes(range(32))
CARD, PHONE, EMAIL, QR, TOKEN = IdentifierKind


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (CARD, "4000-1234", "5acf7a37d183b34c6cfbc6bc7ca291ecfae78ee02dbf643de589fd13fcf5e288"),
        (PHONE, "+4915112345678", "4243d9f2db5a8a5cc5b748deb181c95c15e753aa6b1992640eb47adfeb4700d4"),
        (EMAIL, "ann@example.com", "fb015dd51afe94a11e15684b6b6ffd56e15071a4c6ffa43ccae342b03e5e5d2f"),
        (QR, "QR:abcdefgh", "3761de65ff33cb12d244ba22f6c97e7e720c63814dbca39df94457fbd2537808"),
        (TOKEN, "tok_0123456789abcdef", "ea3ec8ca2d0909dc44c2c67330675270d9ebaefb0fa5d7d35c09457f97d057b3"),
    ],
)
def test_a_hash_never_changes(kind: IdentifierKind, value: str, expected: str) -> None:
    """Members are found by it; without the network's own key the identifier cannot be found again."""
    assert identifier_hash(KEY, kind, value).hex() == expected


def test_a_hash_depends_on_the_networks_key_and_on_the_kind() -> None:
    """Two networks cannot compare their members, and a card's number is no QR code."""
    hashes = {identifier_hash(key, kind, "4000-1234") for key in (KEY, bytes(32)) for kind in IdentifierKind}

    assert len(hashes) == 2 * len(IdentifierKind)


@pytest.mark.parametrize(
    ("kind", "value", "normal"),
    [
        (CARD, "AbC-1", "AbC-1"),
        (CARD, "abc", None),
        (CARD, "A" * 32, "A" * 32),
        (CARD, "A" * 33, None),
        (PHONE, "+1234567", "+1234567"),
        (PHONE, "+123456", None),
        (PHONE, "+" + "1" * 15, "+" + "1" * 15),
        (PHONE, "+" + "1" * 16, None),
        (PHONE, "+0234567890", None),
        (PHONE, "0049151", None),
        (PHONE, "+49 151 1234567", None),
        (PHONE, "+49151\u0661234567", None),
        (EMAIL, "Ann.Smith+tag@Mail.Example.COM", "ann.smith+tag@mail.example.com"),
        (EMAIL, "ann@example", None),
        (EMAIL, "ann@example.com\n", None),
        (EMAIL, "a" * 64 + "@example.com", "a" * 64 + "@example.com"),
        (EMAIL, "a" * 65 + "@example.com", None),
        (EMAIL, "a@" + "b" * 249 + ".de", "a@" + "b" * 249 + ".de"),
        (EMAIL, "a@" + "b" * 250 + ".de", None),
        (QR, "12345678", "12345678"),
        (QR, "1234567", None),
        (QR, "!" * 256, "!" * 256),
        (QR, "!" * 257, None),
        (QR, "with space", None),
        (TOKEN, "t" * 16, "t" * 16),
        (TOKEN, "t" * 15, None),
        (TOKEN, "t" * 128, "t" * 128),
        (TOKEN, "t" * 129, None),
        (TOKEN, "t" * 16 + "/", None),
    ],
)
def test_an_identifier_has_one_form(kind: IdentifierKind, value: str, normal: str | None) -> None:
    """Both sides of each limit; capitals of an address are the same as small letters, of a card they are not."""
    assert normalised(kind, value) == normal


@pytest.mark.parametrize(
    ("kind", "value", "shown"),
    [
        (CARD, "1234", "…4"),
        (CARD, "ABCDEFG", "…G"),
        (CARD, "4000-1234-5678-9012", "…9012"),
        (PHONE, "+4915112345678", "…678"),
        (EMAIL, "ann@example.com", "…@…"),
        (EMAIL, "joanna.smith@example.com", "…ith@…"),
        (QR, "Q" * 60 + "abcdef", "…cdef"),
        (TOKEN, "t" * 60, "…"),
    ],
)
def test_never_more_than_a_quarter_and_four_characters_are_shown(kind: IdentifierKind, value: str, shown: str) -> None:
    """Nothing of a token, and of an address nothing behind the @."""
    assert masked(kind, tail_of(kind, value)) == shown


def test_a_commitment_tells_kinds_tails_and_times_apart() -> None:
    """A row that says something else than the entry that gave it is found."""
    made = [
        Identifier(PHONE, "a" * 64, "678"),
        Identifier(QR, "a" * 64, "678"),
        Identifier(PHONE, "b" * 64, "678"),
        Identifier(PHONE, "a" * 64, "679"),
        Identifier(PHONE, "a" * 64, "678", 5),
    ]

    assert len({one.commitment() for one in made}) == len(made)


def test_an_identifier_is_named_by_what_tells_nothing_of_it() -> None:
    """Not even its hash."""
    assert identifier_id("a" * 64) == "f644b13570b5905e"
