"""Offers: nobody is charged for a bonus without its own signature under this very text."""

from pathlib import Path

import pytest

from gateway.domain.derivation import Consent
from gateway.domain.terms import Offer
from gateway.key_file import new_key
from gateway.storage.directory import load_terms
from gateway.storage.engine import reading
from partners.offer_file import OfferFile, consent_toml, parse_offer
from tests.given import consent
from tests.partners.shell import Shell

OFFER = """
offer_id = "double-june"
partner_id = "acme"
first_date = 2026-06-01
last_date = "2026-06-30"
bonus_points = 500
unit = "EUR"
minimum_amount = "20.00"
[shares]
books = "1/3"
acme = "2/3"
"""


@pytest.fixture
def pair(shell: Shell) -> Shell:
    """A network with two partners."""
    shell.network.onboard("acme", {"EUR": "1/2"})
    shell.network.onboard("books", {"EUR": "1"})
    return shell


def offer(text: str = OFFER) -> Offer:
    """What the file means."""
    parsed = parse_offer(text)
    assert isinstance(parsed, OfferFile), parsed
    return parsed.offer


def consent_file(shell: Shell, made: Consent) -> Path:
    """A consent as a funder sends it."""
    return shell.file(f"{made.partner_id}-consent.toml", consent_toml(made))


def signed_by(shell: Shell, funder: str, text: str = OFFER) -> Path:
    """A funder's consent to this text."""
    return consent_file(shell, consent(offer(text), funder, shell.network.keys[funder]))


def propose(shell: Shell, *consents: Path, text: str = OFFER) -> tuple[int, str]:
    """Exit code and errors of proposing the offer with these consents."""
    words = [word for file in consents for word in ("--consent", file)]
    ran = shell.ada("partners", "offers", "propose", shell.file("offer.toml", text), *words)
    return ran.code, ran.err


def test_an_offer_with_all_consents_and_two_operators_is_in_force(pair: Shell) -> None:
    """The shares keep the file's order, which decides who gives the odd point."""
    code, _ = propose(pair, signed_by(pair, "acme"), signed_by(pair, "books"))
    pair.bob("operators", "approve", "--all")
    with reading(pair.network.engine) as connection:
        offers = load_terms(connection).offers

    assert (code, offers) == (0, {"double-june": offer()})
    assert [funder for funder, _ in offers["double-june"].shares] == ["books", "acme"]
    assert "500 points at acme from 20.00 EUR" in " ".join(pair.run("partners", "offers", "list").out.split())


def test_consents_may_stand_in_the_offers_own_file(pair: Shell) -> None:
    """One file to hand over."""
    consents = "".join(signed_by(pair, funder).read_text() for funder in ("acme", "books"))

    assert propose(pair, text=OFFER + consents)[0] == 0


def test_a_missing_consent_is_refused_by_name(pair: Shell) -> None:
    """CONSENT_MISSING."""
    code, error = propose(pair, signed_by(pair, "acme"))

    assert code == 1
    assert "CONSENT_MISSING: books" in error


def test_a_consent_to_another_text_does_not_count(pair: Shell) -> None:
    """CONSENT_INVALID: the bonus was raised after books had signed."""
    code, error = propose(pair, signed_by(pair, "acme"), signed_by(pair, "books", OFFER.replace("500", "400")))

    assert code == 1
    assert "CONSENT_INVALID: books" in error


def test_a_consent_by_another_key_does_not_count(pair: Shell) -> None:
    """CONSENT_INVALID: somebody signed in books' name."""
    forged = consent_file(pair, consent(offer(), "books", new_key()[0]))

    assert "CONSENT_INVALID: books" in propose(pair, signed_by(pair, "acme"), forged)[1]


def test_another_partners_key_cannot_consent(pair: Shell) -> None:
    """CONSENT_MISSING: acme signs for books."""
    by_acme = consent(offer(), "acme", pair.network.keys["acme"])
    code, error = propose(pair, signed_by(pair, "acme"), consent_file(pair, Consent("books", by_acme.key_id, by_acme.signature)))

    assert code == 1
    assert "CONSENT_MISSING: books" in error


def test_a_revoked_key_cannot_consent(pair: Shell) -> None:
    """CONSENT_INVALID, also when it was revoked between proposal and approval."""
    files = signed_by(pair, "acme"), signed_by(pair, "books")
    propose(pair, *files)
    pair.ada("partners", "keys", "revoke", "books/till-1/1")
    ran = pair.bob("operators", "approve", "--all")

    assert ran.code == 1
    assert "key revoked" in ran.err
    assert "key revoked" in propose(pair, *files)[1]


def test_an_offer_is_never_changed(pair: Shell) -> None:
    """OFFER_EXISTS: another offer needs another id."""
    files = signed_by(pair, "acme"), signed_by(pair, "books")
    propose(pair, *files)
    pair.bob("operators", "approve", "--all")

    assert "OFFER_EXISTS" in propose(pair, *files)[1]


def test_a_funder_must_be_active(pair: Shell) -> None:
    """PARTNER_NOT_ACTIVE."""
    files = signed_by(pair, "acme"), signed_by(pair, "books")
    pair.ada("partners", "suspend", "books")

    assert "PARTNER_NOT_ACTIVE" in propose(pair, *files)[1]


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ('"1/3"', '"1/2"', "sum to 1"),
        ('"1/3"', '"third"', "shares.books"),
        ('books = "1/3"\nacme = "2/3"\n', "", "must name"),
        ("bonus_points = 500", "bonus_points = 0", "bonus_points"),
        ("2026-06-30", "2026-05-30", "before first_date"),
        ('unit = "EUR"', 'unit = "books:STAR"', "another partner"),
        ('minimum_amount = "20.00"', 'minimum_amount = "20.001"', "minimum_amount"),
        ("double-june", "Double June", "offer_id"),
        ("[shares]", 'colour = "red"\n[shares]', "colour"),
        ("[shares]", "[shares", "not TOML"),
    ],
)
def test_what_is_wrong_with_an_offer_is_named(pair: Shell, old: str, new: str, part: str) -> None:
    """The field and the reason."""
    code, error = propose(pair, text=OFFER.replace(old, new))

    assert code == 1
    assert part in error
