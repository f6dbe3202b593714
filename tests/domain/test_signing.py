"""Signed strings, freshness and keys. The many ways of being wrong stand in tests/vectors; here is what they leave out."""

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.errors import InvalidValue, SignatureError
from gateway.domain.signing import (
    CREATED_AGE_MS_MAX,
    CREATED_AHEAD_MS_MAX,
    Algorithm,
    PrivateKey,
    RequestHeader,
    check_fresh,
    check_public_key,
    load_verifier,
    proof_string,
    receipt_string,
    request_string,
    signed_string,
)

NOW_MS = 1784980800000
NONCE = "8PHy8_T19vf4-fr7_P3-_w"
HEADER = RequestHeader("acme/till-1/2026a", str(NOW_MS), NONCE)
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

KEYS = [
    pytest.param(PrivateKey(ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))), id="ed25519"),
    pytest.param(PrivateKey(ec.derive_private_key(20260725, ec.SECP256R1())), id="p256"),
]


def test_a_request_string_has_eight_lines_each_ended_by_lf() -> None:
    """In this order; the digest is of the bytes as sent."""
    built = request_string(audience="coalition.example:test", method="/p.S/M", header=HEADER, body=b"body")
    digest = hashlib.sha256(b"body").hexdigest()

    assert built == (f"TS1-REQUEST\ncoalition.example:test\n/p.S/M\nacme/till-1/2026a\n{NOW_MS}\n{NONCE}\n{digest}\n4\n".encode())


def test_a_receipt_string_has_four_lines() -> None:
    """Purpose, audience, key id, digest."""
    built = receipt_string(audience="a:b", key_id="2026a", receipt=b"receipt")

    assert built == f"TS1-RECEIPT\na:b\n2026a\n{hashlib.sha256(b'receipt').hexdigest()}\n".encode()


def test_a_proof_string_has_six_lines() -> None:
    """An empty document has the digest of nothing."""
    built = proof_string(audience="a:b", key_id="x/y/z", algorithm=Algorithm.P256, public_key=b"key", document=b"")
    key, nothing = hashlib.sha256(b"key").hexdigest(), hashlib.sha256(b"").hexdigest()

    assert built == f"TS1-PROOF\na:b\nx/y/z\necdsa-p256-sha256\n{key}\n{nothing}\n".encode()


@pytest.mark.parametrize("line", ["a\nb", "a\rb", "a\x00b", "a\tb", "ä", "a\u2028b", "\N{CYRILLIC SMALL LETTER A}cme", "a\x7fb"])
def test_a_line_that_would_break_the_form_is_refused(line: str) -> None:
    """Else one field could run into the next, or two spellings look alike."""
    with pytest.raises(InvalidValue, match="printable ASCII"):
        signed_string("TS1-TEST", line)


@pytest.mark.parametrize("audience", ["näme:prod", "a\nb"])
def test_a_request_for_an_audience_that_is_not_ascii_is_refused(audience: str) -> None:
    """In our words, and not with an error of the codec."""
    with pytest.raises(InvalidValue, match="printable ASCII"):
        request_string(audience=audience, method="/p.S/M", header=HEADER, body=b"")


@given(st.lists(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E)), min_size=1, max_size=8))
def test_two_lists_of_lines_never_share_a_signed_string(lines: list[str]) -> None:
    """The lines can be read back from the bytes."""
    assert signed_string(*lines).decode("ascii").split("\n") == [*lines, ""]


@pytest.mark.parametrize(
    ("age_ms", "is_fresh"),
    [
        (CREATED_AGE_MS_MAX - 1, True),
        (CREATED_AGE_MS_MAX, True),
        (CREATED_AGE_MS_MAX + 1, False),
        (0, True),
        (-CREATED_AHEAD_MS_MAX + 1, True),
        (-CREATED_AHEAD_MS_MAX, True),
        (-CREATED_AHEAD_MS_MAX - 1, False),
    ],
)
def test_a_request_is_fresh_from_120_s_back_to_30_s_ahead(age_ms: int, is_fresh: bool) -> None:  # noqa: FBT001 - the table's last column
    """Both sides of both limits."""
    created = str(NOW_MS - age_ms)
    if is_fresh:
        check_fresh(created, now_ms=NOW_MS)
    else:
        with pytest.raises(SignatureError, match="clock"):
            check_fresh(created, now_ms=NOW_MS)


@pytest.mark.parametrize("created", ["0000000000000", "9999999999999"])
def test_a_created_far_off_is_refused_like_any_other(created: str) -> None:
    """The widest that the form allows."""
    with pytest.raises(SignatureError, match="clock"):
        check_fresh(created, now_ms=NOW_MS)


@pytest.mark.parametrize(
    ("created", "nonce", "malformed"),
    [
        (str(NOW_MS), NONCE, None),
        (str(NOW_MS)[:-1], NONCE, "tally-created"),
        (str(NOW_MS) + "0", NONCE, "tally-created"),
        ("١٧٨٤٩٨٠٨٠٠٠٠٠", NONCE, "tally-created"),
        (str(NOW_MS), NONCE[:-1], "tally-nonce"),
        (str(NOW_MS), NONCE + "A", "tally-nonce"),
        (str(NOW_MS)[:-1], NONCE[:-1], "tally-created"),
    ],
)
def test_the_first_malformed_parameter_is_named(created: str, nonce: str, malformed: str | None) -> None:
    """So that a developer sees what to mend."""
    assert RequestHeader("acme/till-1/2026a", created, nonce).malformed() == malformed


@given(st.binary(min_size=16, max_size=16))
def test_any_16_bytes_make_a_nonce(nonce: bytes) -> None:
    """As base64url without padding."""
    text = base64.urlsafe_b64encode(nonce).rstrip(b"=").decode()

    assert RequestHeader("acme/till-1/2026a", str(NOW_MS), text).malformed() is None


@pytest.mark.parametrize("key", KEYS)
def test_what_a_key_signs_verifies_under_its_public_bytes(key: PrivateKey) -> None:
    """In 64 bytes, for both algorithms."""
    signature = key.sign(b"message")
    load_verifier(key.algorithm, key.public_bytes())(signature, b"message")

    assert len(signature) == 64


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("length", [0, 1, 32, 63, 65, 128])
def test_a_signature_of_another_length_is_refused(key: PrivateKey, length: int) -> None:
    """With the true cause for the operator."""
    with pytest.raises(SignatureError, match=f"{length} bytes, not 64"):
        load_verifier(key.algorithm, key.public_bytes())(bytes(length), b"message")


@pytest.mark.parametrize("key", KEYS)
@given(bit=st.integers(0, 511))
def test_a_signature_with_a_changed_bit_is_refused(key: PrivateKey, bit: int) -> None:
    """Any of the 512."""
    signature = int.from_bytes(key.sign(b"message"), "big") ^ (1 << bit)

    with pytest.raises(SignatureError):
        load_verifier(key.algorithm, key.public_bytes())(signature.to_bytes(64, "big"), b"message")


@pytest.mark.parametrize(("r_added", "s_added"), [(P256_ORDER, 0), (0, P256_ORDER), (P256_ORDER, P256_ORDER)])
def test_ecdsa_values_are_not_reduced(r_added: int, s_added: int) -> None:
    """A value at or above the order is refused, and not taken for what it leaves when divided by it."""
    key = PrivateKey(ec.derive_private_key(20260725, ec.SECP256R1()))
    verify = load_verifier(key.algorithm, key.public_bytes())
    signature = key.sign(b"message")
    r, s = int.from_bytes(signature[:32], "big") + r_added, int.from_bytes(signature[32:], "big") + s_added

    with pytest.raises(SignatureError):
        verify((r % 2**256).to_bytes(32, "big") + (s % 2**256).to_bytes(32, "big"), b"message")


@pytest.mark.parametrize("lead", [0, 1, 2, 3, 5, 6, 7, 0xFF])
def test_only_the_uncompressed_form_of_a_p256_key_is_taken(lead: int) -> None:
    """Compressed and hybrid forms are second spellings of one key, and a key has one record."""
    public_key = PrivateKey(ec.derive_private_key(5, ec.SECP256R1())).public_bytes()

    with pytest.raises(InvalidValue, match="P-256"):
        check_public_key(Algorithm.P256, bytes([lead]) + public_key[1:])


@pytest.mark.parametrize("algorithm", list(Algorithm))
@pytest.mark.parametrize("length", [0, 1, 31, 33, 64, 66, 91])
def test_a_public_key_of_another_length_is_refused(algorithm: Algorithm, length: int) -> None:
    """With the form that is expected."""
    with pytest.raises(InvalidValue, match=r"public key: (Ed25519|P-256) takes"):
        check_public_key(algorithm, b"\x04" * length)


def test_about_half_of_all_y_lie_on_the_curve_and_the_rest_is_refused() -> None:
    """The library loads them all."""
    refused = 0
    for y in range(2, 202):
        try:
            check_public_key(Algorithm.ED25519, y.to_bytes(32, "little"))
        except InvalidValue:
            refused += 1

    assert 70 < refused < 130


@given(st.binary(min_size=32, max_size=32))
def test_every_honest_ed25519_key_is_taken(seed: bytes) -> None:
    """What is refused is weak or malformed, and never made by chance."""
    check_public_key(Algorithm.ED25519, ed25519.Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw())


def test_a_private_key_of_another_curve_is_refused() -> None:
    """When it is loaded, and not when the first sale is signed."""
    with pytest.raises(InvalidValue, match="secp384r1"):
        PrivateKey(ec.derive_private_key(5, ec.SECP384R1()))


@pytest.mark.parametrize("key", KEYS)
def test_a_private_key_shows_nothing_of_itself(key: PrivateKey) -> None:
    """Logs print what they are given."""
    shown = f"{key!r} {key}"

    assert bytes(range(8)).hex() not in shown
    assert "20260725" not in shown
