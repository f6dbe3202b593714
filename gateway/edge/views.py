"""What partners read, as messages: members' points, quotes, their record, rate cards, windows and lines of statements."""

from datetime import date

from gateway.domain.identifiers import masked
from gateway.domain.limits import LIMIT_NAMES, Limits
from gateway.domain.member import KnownIdentifier
from gateway.domain.partner import Partner
from gateway.domain.quoting import Quote
from gateway.domain.standing import Standing
from gateway.domain.statement import StatementLine
from gateway.domain.terms import RateCard
from gateway.domain.window import Window
from gateway.storage.member_reads import OpenLot
from tallystick.v1 import errors_pb2, member_pb2, partner_pb2, statement_pb2, till_pb2, types_pb2


def standing_message(standing: Standing) -> types_pb2.Standing:
    """How a member stands."""
    value = standing.value
    return types_pb2.Standing(
        version=standing.version,
        available_points=standing.available_points,
        held_points=standing.held_points,
        debt_points=standing.debt_points,
        next_expiry_on=standing.next_expiry_on,
        next_expiry_points=standing.next_expiry_points,
        expiring_points=standing.expiring_points,
        value=None if value is None else types_pb2.Amount(unit=value[0], minor_units=value[1]),
        pending_points=standing.pending_points,
    )


def balance_message(standing: Standing, *, now_ms: int) -> member_pb2.GetBalanceResponse:
    """A member's points."""
    return member_pb2.GetBalanceResponse(
        member_id=standing.member_id,
        balance_points=standing.balance_points,
        available_points=standing.available_points,
        debt_points=standing.debt_points,
        version=standing.version,
        server_time_ms=now_ms,
        standing=standing_message(standing),
    )


def lot_message(lot: OpenLot) -> member_pb2.OpenLot:
    """Points of a lot."""
    return member_pb2.OpenLot(issuer_id=lot.issuer_id, points=lot.points, expires_on=lot.expires_on, usable_from=lot.usable_from)


def quote_message(quote: Quote, *, now_ms: int) -> till_pb2.QuoteResponse:
    """What a checkout would do."""
    return till_pb2.QuoteResponse(
        points_to_issue=quote.points_to_issue,
        points_max=quote.points_max,
        points_step=quote.points_step,
        value_max=types_pb2.Amount(unit=quote.unit, minor_units=quote.value_max),
        face_value_micros=quote.face_value_micros,
        limited_by=errors_pb2.ErrorReason.ValueType(quote.limited_by.value if quote.limited_by is not None else 0),
        rate_card_version=quote.rate_card_version,
        business_date=quote.business_date,
        standing=standing_message(quote.standing),
        member_id=quote.standing.member_id,
        server_time_ms=now_ms,
    )


def partner_message(partner: Partner) -> partner_pb2.Partner:
    """A partner's record."""
    return partner_pb2.Partner(
        partner_id=partner.partner_id,
        legal_name=partner.legal_name,
        status=partner_pb2.PartnerStatus.Value(f"PARTNER_STATUS_{partner.status.value}"),
        settlement_currency=partner.settlement_currency,
        time_zone=partner.time_zone,
        net_debit_cap_minor_units=partner.net_debit_cap,
    )


def rate_card_message(card: RateCard) -> partner_pb2.RateCard:
    """A version of a rate card."""
    return partner_pb2.RateCard(
        version=card.version,
        effective_from=card.effective_from.isoformat(),
        issue_rates=[
            partner_pb2.IssueRate(unit=unit, numerator=rate.numerator, denominator=rate.denominator)
            for unit, rate in sorted(card.issue_rates.items())
        ],
        issue_price_micros=card.issue_price_micros,
        face_value_micros=card.face_value_micros,
        reimbursement_rate_micros=card.reimbursement_rate_micros,
        currency=card.currency,
    )


def limits_message(effective_from: date, limits: Limits) -> partner_pb2.LimitsVersion:
    """A version of limits."""
    return partner_pb2.LimitsVersion(
        effective_from=effective_from.isoformat(), **{name: getattr(limits, name) for name in LIMIT_NAMES}
    )


def window_message(window: Window) -> statement_pb2.Window:
    """A settlement window."""
    return statement_pb2.Window(
        window_id=window.window_id,
        state=statement_pb2.WindowState.Value(f"WINDOW_STATE_{window.state.value}"),
        cut_off_date=window.cut_off_date,
        closed_at_ms=window.closed_at_ms,
    )


def line_message(line: StatementLine) -> statement_pb2.StatementLine:
    """A line behind a statement."""
    return statement_pb2.StatementLine(
        line_number=line.line_number,
        kind=line.kind,
        payer_id=line.payer_id,
        payee_id=line.payee_id,
        points=line.points,
        amount_micros=line.amount_micros,
        currency=line.currency,
        business_date=line.business_date,
        rate_card_version=line.rate_card_version,
        own_entry_id=line.own_entry_id,
        receipt_sha256=line.receipt_sha256,
    )


def identifier_message(known: KnownIdentifier) -> member_pb2.MaskedIdentifier:
    """An identifier as it may be shown."""
    return member_pb2.MaskedIdentifier(
        kind=types_pb2.IdentifierKind.Value(f"IDENTIFIER_KIND_{known.kind.name}"),
        masked=masked(known.kind, known.tail),
        identifier_id=known.identifier_id,
        valid_until_ms=known.valid_until_ms,
        used=known.used_by != "",
    )
