"""The ruling about a partner's own limits: a version replaces the last one from a date on, never from a past one."""

from datetime import date
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Row, insert, select

from gateway.domain.documents import Document, base_of, partner_limits_of
from gateway.domain.errors import DecisionRefused
from gateway.domain.limits import LIMIT_NAMES, check_limits
from gateway.domain.partner import PartnerStatus
from gateway.domain.terms import date_at
from gateway.network_terms import too_early
from gateway.storage.tables_directory import partner_limits, partners


def last_limits(connection: Connection, partner_id: str) -> Row[int, str, str] | None:
    """Version, decision_id and effective_from of a partner's newest limits."""
    return connection.execute(
        select(partner_limits.c.version, partner_limits.c.decision_id, partner_limits.c.effective_from)
        .where(partner_limits.c.partner_id == partner_id)
        .order_by(partner_limits.c.version.desc())
        .limit(1)
    ).first()


def stale_limits(connection: Connection, document: Document, _decision_id: str, at_ms: int) -> str | None:
    """They must be the next version, in range, and begin neither before the last one nor in the past."""
    own = partner_limits_of(document["partner_limits"])
    check_limits(own.limits)
    last = last_limits(connection, own.partner_id)
    so_far = (last.decision_id, last.version) if last else ("", 0)
    if so_far != (base_of(document), own.version - 1):
        return f"{own.partner_id} has newer limits than those that this document replaces: propose it anew"
    partner = connection.execute(
        select(partners.c.status, partners.c.time_zone).where(partners.c.partner_id == own.partner_id)
    ).one()
    if partner.status in (PartnerStatus.APPLIED, PartnerStatus.CLOSED):
        raise DecisionRefused("NOT_POSSIBLE", f"{own.partner_id} is {partner.status}")
    today = date_at(at_ms, ZoneInfo(partner.time_zone))
    began = date.fromisoformat(last.effective_from) if last else date.min
    return too_early(connection, own.effective_from, last=began, today=today)


def apply_limits(connection: Connection, document: Document, decision_id: str, _at_ms: int) -> None:
    """They hold from their first business date on."""
    own = partner_limits_of(document["partner_limits"])
    connection.execute(
        insert(partner_limits).values(
            partner_id=own.partner_id,
            version=own.version,
            effective_from=own.effective_from.isoformat(),
            decision_id=decision_id,
            **{name: getattr(own.limits, name) for name in LIMIT_NAMES},
        )
    )
