"""Rulings about terms: rate cards and offers. Nothing is edited; a version replaces the last one from a date on."""

from datetime import date
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Row, insert, select

from gateway.domain.derivation import consents_of
from gateway.domain.documents import Document, base_of, consent_string, offer_of, rate_card_of
from gateway.domain.errors import DecisionRefused, SignatureError
from gateway.domain.partner import KeyScope, PartnerStatus
from gateway.domain.signing import load_verifier
from gateway.domain.terms import RateCard, date_at
from gateway.network_terms import too_early
from gateway.storage.directory import load_keys, load_network
from gateway.storage.tables_directory import issue_rates, offer_shares, offers, partners, rate_cards


def insert_rate_card(connection: Connection, card: RateCard, decision_id: str) -> None:
    """Keeps a version of a partner's prices."""
    connection.execute(
        insert(rate_cards).values(
            partner_id=card.partner_id,
            version=card.version,
            effective_from=card.effective_from.isoformat(),
            issue_price_micros=card.issue_price_micros,
            face_value_micros=card.face_value_micros,
            reimbursement_rate_micros=card.reimbursement_rate_micros,
            currency=card.currency,
            decision_id=decision_id,
        )
    )
    rates = [
        {
            "partner_id": card.partner_id,
            "version": card.version,
            "unit": unit,
            "numerator": rate.numerator,
            "denominator": rate.denominator,
        }
        for unit, rate in card.issue_rates.items()
    ]
    if rates:
        connection.execute(insert(issue_rates), rates)


def last_card(connection: Connection, partner_id: str) -> Row[int, str, str] | None:
    """Version, decision_id and effective_from of a partner's newest rate card."""
    return connection.execute(
        select(rate_cards.c.version, rate_cards.c.decision_id, rate_cards.c.effective_from)
        .where(rate_cards.c.partner_id == partner_id)
        .order_by(rate_cards.c.version.desc())
        .limit(1)
    ).first()


def stale_rate_card(connection: Connection, document: Document, _decision_id: str, at_ms: int) -> str | None:
    """The card must be the next version, and begin neither before the last one nor in the past."""
    card = rate_card_of(document["rate_card"])
    last = last_card(connection, card.partner_id)
    if last is None:
        raise DecisionRefused("NOT_POSSIBLE", f"{card.partner_id} has no rate card yet: its onboarding brings the first")
    if (last.decision_id, last.version) != (base_of(document), card.version - 1):
        return f"{card.partner_id} has a newer rate card than the one that this document replaces: propose it anew"
    partner = connection.execute(
        select(partners.c.status, partners.c.time_zone).where(partners.c.partner_id == card.partner_id)
    ).one()
    if partner.status == PartnerStatus.CLOSED:
        raise DecisionRefused("NOT_POSSIBLE", f"{card.partner_id} is CLOSED")
    today = date_at(at_ms, ZoneInfo(partner.time_zone))
    return too_early(connection, card.effective_from, last=date.fromisoformat(last.effective_from), today=today)


def apply_rate_card(connection: Connection, document: Document, decision_id: str, _at_ms: int) -> None:
    """The card prices entries from its first business date on."""
    insert_rate_card(connection, rate_card_of(document["rate_card"]), decision_id)


def stale_offer(connection: Connection, document: Document, _decision_id: str, at_ms: int) -> str | None:
    """The offer's id must be new, and each funder's consent hold at this moment, by a key of its office."""
    offer = offer_of(document["offer"])
    if connection.execute(select(offers.c.partner_id).where(offers.c.offer_id == offer.offer_id)).first():
        raise DecisionRefused("OFFER_EXISTS", f"{offer.offer_id} exists already; an offer is never changed, so make a new one")
    audience = load_network(connection).audience
    keys = load_keys(connection)
    is_active = partners.c.status == PartnerStatus.ACTIVE.value
    active = set(connection.execute(select(partners.c.partner_id).where(is_active)).scalars())
    for party in (offer.partner_id, *(partner_id for partner_id, _ in offer.shares)):
        if party not in active:
            raise DecisionRefused("PARTNER_NOT_ACTIVE", f"{party} is no active partner")
    consents = {consent.partner_id: consent for consent in consents_of(document)}
    for funder, _ in offer.shares:
        consent = consents.get(funder)
        key = keys.get(consent.key_id) if consent else None
        if consent is None or key is None or key.partner_id != funder or KeyScope.OFFICE not in key.scopes:
            raise DecisionRefused("CONSENT_MISSING", f"{funder} has not signed the offer with a key of its office")
        unusable = key.unusable_because(at_ms)
        if unusable is not None:
            raise DecisionRefused("CONSENT_INVALID", f"{funder}: {consent.key_id}: {unusable}")
        try:
            load_verifier(key.algorithm, key.public_key)(
                consent.signature, consent_string(audience=audience, key_id=consent.key_id, offer=offer)
            )
        except SignatureError as error:
            raise DecisionRefused("CONSENT_INVALID", f"{funder}: {error.cause}; was it another text of the offer?") from None
    return None


def apply_offer(connection: Connection, document: Document, decision_id: str, _at_ms: int) -> None:
    """Tills may name the offer on its dates."""
    offer = offer_of(document["offer"])
    connection.execute(
        insert(offers).values(
            offer_id=offer.offer_id,
            partner_id=offer.partner_id,
            first_date=offer.first_date.isoformat(),
            last_date=offer.last_date.isoformat(),
            bonus_points=offer.bonus_points,
            minimum_amount=offer.minimum_amount,
            unit=offer.unit,
            decision_id=decision_id,
        )
    )
    consents = {consent.partner_id: consent for consent in consents_of(document)}
    connection.execute(
        insert(offer_shares),
        [
            {
                "offer_id": offer.offer_id,
                "partner_id": partner_id,
                "position": position,
                "share": str(share),
                "consent_key_id": consents[partner_id].key_id,
                "consent_signature": consents[partner_id].signature,
            }
            for position, (partner_id, share) in enumerate(offer.shares)
        ],
    )
