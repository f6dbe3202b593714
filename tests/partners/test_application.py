"""Applications: what a file must say, all that is wrong with one at once, and what the proof of possession binds."""

from dataclasses import replace

import pytest
import tomli_w
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.domain.errors import InvalidValue
from gateway.domain.signing import Algorithm, PrivateKey
from gateway.key_file import new_key
from partners.application import Application, application_toml, parse_application
from partners.company import check_currency, check_vat_id
from tests.given import AUDIENCE, application, application_table, signed

RATES = {"EUR": "1/2", "acme:STAR": "5/2"}


@pytest.fixture(scope="module")
def key() -> PrivateKey:
    """The applicant's key."""
    return new_key()[0]


def errors_of(table: dict[str, object]) -> tuple[str, ...]:
    """What is wrong with an application of this content."""
    parsed = parse_application(tomli_w.dumps(table), audience=AUDIENCE)
    assert not isinstance(parsed, Application)
    return parsed


def test_an_application_survives_its_file(key: PrivateKey) -> None:
    """What was signed is what is read."""
    made = application("acme", RATES, key)

    assert parse_application(application_toml(made), audience=AUDIENCE) == made


def test_an_application_with_a_p256_key_is_as_good() -> None:
    """Security modules have nothing else."""
    other = PrivateKey(ec.generate_private_key(ec.SECP256R1()))
    parsed = parse_application(application_toml(application("acme", RATES, other)), audience=AUDIENCE)

    assert isinstance(parsed, Application)
    assert parsed.key.algorithm is Algorithm.P256


def test_all_errors_are_named_at_once(key: PrivateKey) -> None:
    """People fix lists, not one line at a time."""
    table = application_table("acme", {"EUR": "half", "bmo:STAR": "1"}, key, time_zone="Europe/Bonn", issue_price="free")
    table |= {
        "iban": "DE88370400440532013000",
        "currency": "EURO",
        "vat_id": "DE12",
        "surprise": "!",
        "proof": {"signature": "00"},
    }
    errors = "\n".join(errors_of(table))

    for field in (
        "iban",
        "currency",
        "vat_id",
        "time_zone",
        "surprise",
        "issue_rates.EUR",
        "issue_rates.bmo:STAR",
        "issue_price",
    ):
        assert field in errors


def test_an_empty_file_misses_every_field() -> None:
    """Each is named, so that the list is complete."""
    errors = errors_of({})

    assert {"partner_id", "legal_name", "iban", "rate_card", "key", "proof"} <= {error.split(":")[0] for error in errors}


def test_a_file_that_is_no_toml_says_so() -> None:
    """The parser's line and column are passed on."""
    errors = parse_application("partner_id = ", audience=AUDIENCE)

    assert isinstance(errors, tuple)
    assert errors[0].startswith("not TOML")


@pytest.mark.parametrize(
    ("field", "value", "part"),
    [
        ("partner_id", "operator", "partner id"),
        ("partner_id", "Acme", "partner id"),
        ("partner_id", "../acme", "partner id"),
        ("partner_id", 7, "must be a text"),
        ("legal_name", "Acme\u202eGmbH", "printable"),
        ("legal_name", "a" * 201, "printable"),
        ("legal_name", " Acme", "printable"),
        ("roles", ["banker"], "knows no banker"),
        ("roles", [], "at least one"),
        ("units", ["EUR"], "rate_card.issue_rates"),
        ("audience", "other.example:prod", "made for"),
        ("rate_card", "cheap", "must be a table"),
    ],
)
def test_a_field_that_is_not_of_its_form_is_named(key: PrivateKey, field: str, value: object, part: str) -> None:
    """One wrong field, one sentence about it."""
    errors = "\n".join(errors_of(application_table("acme", RATES, key) | {field: value, "proof": {"signature": "00" * 64}}))

    assert part in errors


def test_a_redeemer_issues_nothing_and_an_issuer_something(key: PrivateKey) -> None:
    """Roles and issue rates must agree."""
    table = application_table("acme", RATES, key) | {"roles": ["redeemer"], "proof": {"signature": "00" * 64}}

    assert any("an issuer has issue rates" in error for error in errors_of(table))


def test_who_is_no_redeemer_is_not_reimbursed(key: PrivateKey) -> None:
    """Points may still be given at its tills, at its own cost."""
    table = application_table("acme", RATES, key) | {"roles": ["issuer"], "proof": {"signature": "00" * 64}}

    assert any("not reimbursed" in error for error in errors_of(table))


@pytest.mark.parametrize("weak", [bytes(32), bytes([1]) + bytes(31), bytes([255]) * 32, bytes(31)])
def test_a_weak_public_key_is_refused(key: PrivateKey, weak: bytes) -> None:
    """WEAK_PUBLIC_KEY: of small order, not canonical, or no key at all."""
    table = application_table("acme", RATES, key)
    bad_key = {"key_id": "acme/till-1/1", "algorithm": "ed25519", "public_key": weak.hex(), "scopes": ["till"]}
    errors = errors_of(table | {"key": bad_key, "proof": {"signature": "00" * 64}})

    assert any("WEAK_PUBLIC_KEY" in error for error in errors)


@pytest.mark.parametrize(
    "change",
    [
        {"legal_name": "Other GmbH"},
        {"iban": "DE75512108001245126199"},
        {"audience": "other.example:prod"},
        {"partner_id": "acme2"},
    ],
)
def test_a_proof_holds_for_one_application_alone(key: PrivateKey, change: dict[str, str]) -> None:
    """POP_CHALLENGE_INVALID: whatever is changed after signing, the proof no longer fits."""
    made = application("acme", {"EUR": "1/2"}, key)
    table = application_table("acme", {"EUR": "1/2"}, key) | change
    audience = change.get("audience", AUDIENCE)
    if "partner_id" in change:
        table["key"] = {
            "key_id": "acme2/till-1/1",
            "algorithm": "ed25519",
            "public_key": key.public_bytes().hex(),
            "scopes": ["till"],
        }
    errors = parse_application(tomli_w.dumps(table | {"proof": {"signature": made.signature.hex()}}), audience=audience)

    assert isinstance(errors, tuple)
    assert [error for error in errors if "POP_CHALLENGE_INVALID" in error] == list(errors)


def test_a_proof_by_another_key_proves_nothing(key: PrivateKey) -> None:
    """POP_CHALLENGE_INVALID: who holds no private key cannot register the public one."""
    stolen = signed(application("acme", RATES, key), new_key()[0])

    assert isinstance(parse_application(application_toml(stolen), audience=AUDIENCE), tuple)


def test_no_signature_is_no_proof(key: PrivateKey) -> None:
    """An unsigned application is incomplete."""
    unsigned = replace(application("acme", RATES, key), signature=b"")

    assert isinstance(parse_application(application_toml(unsigned), audience=AUDIENCE), tuple)


@pytest.mark.parametrize("vat_id", ["DE123456789", "NL123456782B12", "ATU12345678", "NO123456789MVA", ""])
def test_vat_ids_of_many_countries_are_taken(vat_id: str) -> None:
    """By the country's form where it is known, else loosely; who has none leaves it out."""
    assert check_vat_id(vat_id) == vat_id


@pytest.mark.parametrize("vat_id", ["DE12345678", "ATX12345678", "123456789", "D"])
def test_vat_ids_of_another_form_are_refused(vat_id: str) -> None:
    """The country's prefix decides."""
    with pytest.raises(InvalidValue):
        check_vat_id(vat_id)


def test_an_unknown_currency_is_refused_by_name() -> None:
    """Not guessed."""
    with pytest.raises(InvalidValue, match="EURO"):
        check_currency("EURO")
