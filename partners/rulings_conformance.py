"""Rulings about conformance: whether new partners rehearse first, and when one that did may begin."""

from sqlalchemy import Connection

from gateway.domain.documents import Document, base_of
from gateway.domain.errors import DecisionRefused
from gateway.domain.partner import PartnerStatus
from partners.conformance import CHECKS
from partners.conformance_rule import conformance_rule
from partners.rulings_partner import change_partner, known_standing, stale_transition


def stale_rule(connection: Connection, document: Document, _decision_id: str, _at_ms: int) -> str | None:
    """The rule must replace the one in force."""
    if base_of(document) != conformance_rule(connection)[0]:
        return "something else was decided about conformance since: propose it anew"
    return None


def apply_rule(_connection: Connection, _document: Document, _decision_id: str, _at_ms: int) -> None:
    """Nothing changes but what is decided from now on: the decision itself is the rule."""


def stale_activation(connection: Connection, document: Document, _decision_id: str, _at_ms: int) -> str | None:
    """Only a partner that rehearses, whose till has passed every check, or for whom two operators say why it need not."""
    partner_id = document["partner_id"]
    status = known_standing(connection, partner_id).status
    if status is not PartnerStatus.REHEARSING:
        raise DecisionRefused("NOT_POSSIBLE", f"{partner_id} is {status}: only a partner that rehearses is activated")
    passed = {check["check"] for check in document.get("conformance", {}).get("checks", ())}
    if not document.get("override") and passed != {check.name for check in CHECKS}:
        raise DecisionRefused("CONFORMANCE_MISSING", f"{partner_id}: the document shows no pass, and no override")
    return stale_transition(connection, document, PartnerStatus.ACTIVE)


def apply_activation(connection: Connection, document: Document, decision_id: str, _at_ms: int) -> None:
    """The partner issues and redeems."""
    change_partner(connection, document["partner_id"], decision_id, status=PartnerStatus.ACTIVE.value)
