"""Rulings about a partner itself: joining, standing, leaving, and its cap."""

from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from gateway.domain.canonical import canonical
from gateway.domain.decision import DecisionKind
from gateway.domain.derivation import STATUS_AFTER
from gateway.domain.documents import Document, applicant_of, base_of, key_of, rate_card_of, starts_as
from gateway.domain.errors import DecisionRefused
from gateway.domain.partner import PARTNER_TRANSITIONS, PartnerStatus
from gateway.domain.units import MICROS, div_ceil, format_amount
from gateway.storage.figures import load_exposures
from gateway.storage.tables_directory import partners
from partners.conformance_rule import status_after_onboarding
from partners.rulings_keys import check_unregistered, insert_key
from partners.rulings_terms import insert_rate_card

_NOT_RESUMED = {
    PartnerStatus.APPLIED: "its onboarding must be approved",
    PartnerStatus.REHEARSING: "'tallystick partners activate' proposes its beginning",
}


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a partner stands, and by which decision."""

    status: PartnerStatus
    decision_id: str
    application: bytes


def load_standing(connection: Connection, partner_id: str) -> Standing | None:
    """A partner's standing; None if nobody of that id ever applied."""
    row = connection.execute(
        select(partners.c.status, partners.c.decision_id, partners.c.application).where(partners.c.partner_id == partner_id)
    ).one_or_none()
    return None if row is None else Standing(PartnerStatus(row.status), row.decision_id, row.application)


def known_standing(connection: Connection, partner_id: str) -> Standing:
    """The same; raises DecisionRefused with UNKNOWN_PARTNER instead of None."""
    standing = load_standing(connection, partner_id)
    if standing is None:
        raise DecisionRefused("UNKNOWN_PARTNER", f"{partner_id} is no partner: see 'tallystick partners list'")
    return standing


def load_currency(connection: Connection, partner_id: str) -> str:
    """Settlement currency of a partner that exists."""
    return str(connection.execute(select(partners.c.settlement_currency).where(partners.c.partner_id == partner_id)).scalar_one())


def insert_applicant(connection: Connection, application: Document, decision_id: str) -> None:
    """Keeps a partner that has applied, beside the proposal to take it in."""
    partner = applicant_of(application, status=PartnerStatus.APPLIED)
    connection.execute(
        insert(partners).values(
            partner_id=partner.partner_id,
            legal_name=partner.legal_name,
            status=partner.status.value,
            settlement_currency=partner.settlement_currency,
            time_zone=partner.time_zone,
            net_debit_cap=None,
            application=canonical(application),
            decision_id=decision_id,
        )
    )


def stale_onboarding(connection: Connection, document: Document, decision_id: str, _at_ms: int) -> str | None:
    """The proposal must still be the partner's last word, and its key nobody's."""
    application = document["application"]
    standing = load_standing(connection, application["partner_id"])
    if standing is not None and (standing.status, standing.decision_id) != (PartnerStatus.APPLIED, decision_id):
        return f"{application['partner_id']} has applied anew since, or is {standing.status} already"
    starts, must_start = starts_as(document), status_after_onboarding(connection)
    if starts is not must_start:
        raise DecisionRefused(
            "NOT_POSSIBLE",
            f"{application['partner_id']} would be {starts}, and whoever is taken in now is {must_start}: onboard it anew",
        )
    check_unregistered(connection, application["key"]["key_id"], bytes.fromhex(application["key"]["public_key"]))
    return None


def apply_onboarding(connection: Connection, document: Document, decision_id: str, at_ms: int) -> None:
    """The partner becomes active, or rehearses first, with version 1 of its rate card and its first key."""
    application = document["application"]
    change_partner(connection, application["partner_id"], decision_id, status=starts_as(document).value)
    insert_key(connection, key_of(application["key"], valid_from_ms=at_ms))
    insert_rate_card(connection, rate_card_of(application["rate_card"]), decision_id)


def stale_suspension(connection: Connection, document: Document, _decision_id: str, _at_ms: int) -> str | None:
    """Only an active partner can be suspended."""
    return stale_transition(connection, document, PartnerStatus.SUSPENDED)


def apply_suspension(connection: Connection, document: Document, decision_id: str, _at_ms: int) -> None:
    """The partner can neither issue nor redeem for the time being."""
    change_partner(connection, document["partner_id"], decision_id, status=STATUS_AFTER[DecisionKind.SUSPEND_PARTNER].value)


def stale_resumption(connection: Connection, document: Document, _decision_id: str, _at_ms: int) -> str | None:
    """Only a suspended partner can be resumed: what makes another one active takes two operators."""
    status = load_standing_status(connection, document)
    if status in _NOT_RESUMED:
        raise DecisionRefused("NOT_POSSIBLE", f"{document['partner_id']} is {status}: {_NOT_RESUMED[status]}")
    return stale_transition(connection, document, PartnerStatus.ACTIVE)


def apply_resumption(connection: Connection, document: Document, decision_id: str, _at_ms: int) -> None:
    """The partner issues and redeems again."""
    change_partner(connection, document["partner_id"], decision_id, status=STATUS_AFTER[DecisionKind.RESUME_PARTNER].value)


def stale_closure(connection: Connection, document: Document, _decision_id: str, _at_ms: int) -> str | None:
    """Anybody who has not left can leave."""
    return stale_transition(connection, document, PartnerStatus.CLOSED)


def apply_closure(connection: Connection, document: Document, decision_id: str, _at_ms: int) -> None:
    """The partner has left for good; its points stay valid elsewhere, and it stays liable for them."""
    change_partner(connection, document["partner_id"], decision_id, status=STATUS_AFTER[DecisionKind.CLOSE_PARTNER].value)


def stale_cap(connection: Connection, document: Document, _decision_id: str, _at_ms: int) -> str | None:
    """The cap must have been proposed for the partner as it stands."""
    standing = known_standing(connection, document["partner_id"])
    if standing.status is PartnerStatus.CLOSED:
        raise DecisionRefused("NOT_POSSIBLE", f"{document['partner_id']} is CLOSED")
    cap, currency = document["net_debit_cap"], document["currency"]
    own = next((one for one in load_exposures(connection) if one.partner_id == document["partner_id"]), None)
    if own is not None and cap is not None and own.exposure_micros > cap * MICROS:
        exposure = format_amount(div_ceil(own.exposure_micros, MICROS), currency)
        raise DecisionRefused("CAP_BELOW_EXPOSURE", f"{own.partner_id} has an exposure of {exposure} {currency} already")
    return _moved_on(standing, document)


def apply_cap(connection: Connection, document: Document, decision_id: str, _at_ms: int) -> None:
    """Sets or lifts the cap."""
    change_partner(connection, document["partner_id"], decision_id, net_debit_cap=document["net_debit_cap"])


def load_standing_status(connection: Connection, document: Document) -> PartnerStatus:
    """Status of the partner that a document is about."""
    return known_standing(connection, document["partner_id"]).status


def stale_transition(connection: Connection, document: Document, target: PartnerStatus) -> str | None:
    """Why the document no longer fits the partner as it stands. Raises DecisionRefused if it cannot get there from here."""
    standing = known_standing(connection, document["partner_id"])
    moved_on = _moved_on(standing, document)
    if moved_on is None and target not in PARTNER_TRANSITIONS[standing.status]:
        raise DecisionRefused("NOT_POSSIBLE", f"{document['partner_id']} is {standing.status} and cannot become {target}")
    return moved_on


def _moved_on(standing: Standing, document: Document) -> str | None:
    if standing.decision_id == base_of(document):
        return None
    return f"something else was decided about {document['partner_id']} since: propose it anew"


def change_partner(connection: Connection, partner_id: str, decision_id: str, **values: object) -> None:
    """Sets columns of the partner's row, and the decision that did."""
    connection.execute(update(partners).where(partners.c.partner_id == partner_id).values(decision_id=decision_id, **values))
