"""Takes partners in: judges applications against the directory, all errors at once, then proposes them one by one.

Safe to repeat: what was proposed or approved already is left as it is; a corrected application replaces a waiting one.
"""

import enum
import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, delete, select

from gateway.domain.canonical import Plain
from gateway.domain.decision import Decision, DecisionKind
from gateway.domain.documents import read_document, starts_as
from gateway.domain.errors import DecisionRefused
from gateway.domain.partner import PartnerStatus
from gateway.governance import Hand, propose
from gateway.storage.decisions import load_decision, mark_stale
from gateway.storage.directory import bump_directory_version, load_network
from gateway.storage.tables_directory import partners
from partners.application import Application, parse_application
from partners.conformance_rule import status_after_onboarding
from partners.rulings import RULINGS
from partners.rulings_keys import check_unregistered
from partners.rulings_partner import Standing, insert_applicant, load_standing


class Step(enum.StrEnum):
    """What is to be done about an application that is in order."""

    PROPOSE = "propose"
    REPLACE = "replace the waiting one"
    WAITING = "waits for approval already"
    DONE = "taken in already"


@dataclass(frozen=True, slots=True)
class Judged:
    """An application file: either in order, with what is to be done, or what is wrong with it."""

    file: str
    application: Application | None
    step: Step | None
    errors: tuple[str, ...]


def judge(connection: Connection, texts: Mapping[str, str]) -> list[Judged]:
    """Judges application files (name to content), alone, against each other and against the directory. Writes nothing."""
    audience = load_network(connection).audience
    waiting = _waiting_keys(connection)
    parsed = {file: parse_application(text, audience=audience) for file, text in texts.items()}
    files: defaultdict[str, list[str]] = defaultdict(list)
    for file, application in parsed.items():
        for fact in () if isinstance(application, tuple) else _unique_facts(application):
            files[fact].append(file)
    judged = []
    for file, application in parsed.items():
        if isinstance(application, tuple):
            judged.append(Judged(file, None, None, application))
            continue
        standing = load_standing(connection, application.partner_id)
        step, errors = _step(connection, standing, application)
        if step in (Step.PROPOSE, Step.REPLACE):
            errors += _key_errors(connection, application, waiting)
        for fact in _unique_facts(application):  # all files that share it: which one is the right one, nobody here can know
            errors += [f"{fact}: stands in {other} too" for other in files[fact] if other != file]
        judged.append(Judged(file, None if errors else application, None if errors else step, tuple(errors)))
    return judged


def onboard(connection: Connection, application: Application, *, hand: Hand, now_ms: int) -> Decision:
    """Keeps the partner as APPLIED and proposes to take it in. Raises DecisionRefused, InvalidValue.

    To be called for what `judge` found in order, with step PROPOSE or REPLACE.
    """
    standing = load_standing(connection, application.partner_id)
    if standing is not None:
        if standing.status is not PartnerStatus.APPLIED:
            raise DecisionRefused("NOT_POSSIBLE", f"{application.partner_id} is {standing.status}")
        mark_stale(connection, [standing.decision_id])
        connection.execute(delete(partners).where(partners.c.partner_id == application.partner_id))
    document: dict[str, Plain] = {"base": "", "application": application.plain(), "proof": application.signature.hex()}
    begins = status_after_onboarding(connection)
    if begins is not PartnerStatus.ACTIVE:
        document["starts_as"] = begins.value
    decision = propose(connection, RULINGS, DecisionKind.ONBOARD_PARTNER, document, hand=hand, now_ms=now_ms)
    insert_applicant(connection, application.plain(), decision.decision_id)
    bump_directory_version(connection)
    return decision


def _unique_facts(application: Application) -> tuple[str, str]:
    return f"partner {application.partner_id}", f"key {application.key.public_key.hex()}"


def _step(connection: Connection, standing: Standing | None, application: Application) -> tuple[Step | None, list[str]]:
    if standing is None:
        return Step.PROPOSE, []
    is_same = standing.application == application.document()
    if standing.status is PartnerStatus.APPLIED:
        return Step.WAITING if is_same and _fits_the_rule(connection, standing) else Step.REPLACE, []
    if is_same:
        return Step.DONE, []
    return None, [f"partner_id: {application.partner_id} is {standing.status} already; see 'partners rates' and 'partners keys'"]


def _fits_the_rule(connection: Connection, standing: Standing) -> bool:
    """Whether a waiting proposal would let the partner begin as those do that are taken in now."""
    decision = load_decision(connection, standing.decision_id)
    return decision is not None and starts_as(read_document(decision.document)) is status_after_onboarding(connection)


def _key_errors(connection: Connection, application: Application, waiting: Mapping[str, str]) -> list[str]:
    try:
        check_unregistered(connection, application.key.key_id, application.key.public_key)
    except DecisionRefused as error:
        return [f"key.public_key: {error}"]
    holder = waiting.get(application.key.public_key.hex(), application.partner_id)
    if holder != application.partner_id:
        return [f"key.public_key: KEY_ALREADY_REGISTERED: {holder} has applied with this key"]
    return []


def _waiting_keys(connection: Connection) -> dict[str, str]:
    """Public keys of applications that wait for approval, in hex, and who applied with them."""
    rows = connection.execute(
        select(partners.c.partner_id, partners.c.application).where(partners.c.status == PartnerStatus.APPLIED.value)
    )
    return {json.loads(row.application)["key"]["public_key"]: row.partner_id for row in rows}
