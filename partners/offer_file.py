"""Offers as people write them, and their funders' consents: TOML.

Pure, and free of storage: a funder reads the same file, signs what it means, and sends its consent back. The consents
stand in the offer's file or in files of their own, as a list [[consents]].
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import tomli_w

from gateway.domain.derivation import Consent
from gateway.domain.errors import InvalidValue
from gateway.domain.ids import check_partner_id
from gateway.domain.terms import Offer
from gateway.domain.units import POINTS_MAX, Rate, check_unit, parse_amount
from partners.application import parse_hex
from partners.fields import Fields, read_toml
from partners.rate_card_file import check_issue_unit

_OFFER_ID = re.compile(r"[a-z0-9][a-z0-9-]{1,63}")
FUNDERS_MAX = 10


@dataclass(frozen=True, slots=True)
class OfferFile:
    """An offer, and the consents that came with it."""

    offer: Offer
    consents: tuple[Consent, ...]


def parse_offer(text: str, consent_texts: Iterable[str] = ()) -> OfferFile | tuple[str, ...]:
    """An offer with the consents of its own file and of others, or everything that is wrong with them.

    offer_id, partner_id, first_date, last_date, bonus_points, unit, minimum_amount (in major units of `unit`, such as
    "20.00"; left out: none), and a table shares of partner = fraction, which sum to 1.
    """
    content = read_toml(text)
    if isinstance(content, str):
        return (content,)
    errors: list[str] = []
    fields = Fields(content, errors)
    offer = _offer(fields)
    consents = _consents(fields)
    fields.close()
    for one in consent_texts:
        other = read_toml(one)
        consents += _consents(Fields(other, errors)) if isinstance(other, dict) else []
        if isinstance(other, str):
            errors.append(other)
    return tuple(errors) if errors else OfferFile(offer, tuple(consents))


def consent_toml(consent: Consent) -> str:
    """As `parse_offer` reads it."""
    table = {"partner_id": consent.partner_id, "key_id": consent.key_id, "signature": consent.signature.hex()}
    return tomli_w.dumps({"consents": [table]}, multiline_strings=False)


def _offer(fields: Fields) -> Offer:
    partner_id = fields.read("partner_id", check_partner_id, "")
    unit = fields.read("unit", check_unit, "EUR")
    offer = Offer(
        offer_id=fields.read("offer_id", _check_offer_id, ""),
        partner_id=partner_id,
        first_date=fields.day("first_date"),
        last_date=fields.day("last_date"),
        bonus_points=fields.number("bonus_points", least=1, most=POINTS_MAX),
        minimum_amount=fields.read("minimum_amount", lambda text: parse_amount(text, unit), 0, default="0"),
        unit=unit,
        shares=_shares(fields),
    )
    if offer.last_date < offer.first_date:
        fields.error("last_date", "lies before first_date")
    try:
        check_issue_unit(unit, partner_id)
    except InvalidValue as error:
        fields.error("unit", str(error))
    return offer


def _shares(fields: Fields) -> tuple[tuple[str, Rate], ...]:
    """In the file's order: of equal remainders the first funder gives the odd point."""
    table = fields.table("shares")
    content: Mapping[str, Any] = table.rest()
    inner = Fields(content, fields.errors, prefix="shares.")
    shares = tuple((funder, inner.read(funder, Rate.parse, Rate(0, 1))) for funder in content)
    total = sum((Fraction(share.numerator, share.denominator) for _, share in shares), Fraction(0))
    if content and (total != 1 or any(share.numerator == 0 for _, share in shares)):
        fields.error("shares", f"must be above 0 and sum to 1, not to {total}")
    if not 1 <= len(shares) <= FUNDERS_MAX:
        fields.error("shares", f'must name 1 to {FUNDERS_MAX} partners that pay, such as acme = "1/2"')
    return shares


def _consents(fields: Fields) -> list[Consent]:
    consents = []
    for one in fields.tables("consents"):
        consents.append(Consent(one.text("partner_id"), one.text("key_id"), one.read("signature", parse_hex, b"")))
        one.close()
    return consents


def _check_offer_id(text: str) -> str:
    if _OFFER_ID.fullmatch(text) is None:
        raise InvalidValue(f"offer id {text!r}: must be 2 to 64 characters of a-z, 0-9 and -")
    return text
