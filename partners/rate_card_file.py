"""Rate cards as people write them: rates as fractions, prices as decimals of a minor unit per point.

Pure. The same table stands in an application and in a file that proposes new rates.
"""

from gateway.domain.errors import InvalidValue
from gateway.domain.terms import RateCard
from gateway.domain.units import PRICE_MICROS_MAX, Rate, check_unit, format_micros, is_currency, parse_micros
from partners.fields import Fields, read_toml

UNITS_MAX = 20


def read_rate_card(fields: Fields, *, partner_id: str, currency: str, version: int) -> RateCard:
    """A rate card from its table; worth using only if no error was kept.

    effective_from, issue_price, face_value and reimbursement_rate (minor units per point, such as "1.10"), and a table
    issue_rates of points per unit (such as EUR = "1/2"). All rates must be written in the partner's settlement currency.
    """
    card = RateCard(
        partner_id=partner_id,
        version=version,
        effective_from=fields.day("effective_from"),
        issue_rates=read_issue_rates(fields.table("issue_rates"), partner_id),
        issue_price_micros=fields.read("issue_price", parse_micros, 0),
        face_value_micros=fields.read("face_value", parse_micros, PRICE_MICROS_MAX),
        reimbursement_rate_micros=fields.read("reimbursement_rate", parse_micros, 0),
        currency=currency,
    )
    if not card.face_value_micros:
        fields.error("face_value", "must be above 0")
    fields.close()
    return card


def read_issue_rates(fields: Fields, partner_id: str) -> dict[str, Rate]:
    """Points per unit; a unit is a currency or the partner's own points."""
    rates: dict[str, Rate] = {}
    units = fields.rest()
    for unit in units:
        try:
            check_issue_unit(unit, partner_id)
        except InvalidValue as error:
            fields.error(unit, str(error))
        rates[unit] = Fields(units, fields.errors, prefix="issue_rates.").read(unit, Rate.parse, Rate(0, 1))
    if len(rates) > UNITS_MAX:
        fields.error("*", f"has {len(rates)} units; at most {UNITS_MAX}")
    return rates


def check_issue_unit(unit: str, partner_id: str) -> str:
    """Returns the unit; raises InvalidValue unless it is a currency or the partner's own points."""
    check_unit(unit)
    if not is_currency(unit) and not unit.startswith(f"{partner_id}:"):
        raise InvalidValue(f"unit {unit!r}: belongs to another partner; own points are {partner_id}:CODE")
    return unit


def parse_rate_card(text: str, *, partner_id: str, currency: str, version: int) -> RateCard | tuple[str, ...]:
    """A rate card from a file of its own, or all that is wrong with it."""
    content = read_toml(text)
    if isinstance(content, str):
        return (content,)
    errors: list[str] = []
    card = read_rate_card(Fields(content, errors), partner_id=partner_id, currency=currency, version=version)
    return tuple(errors) if errors else card


def rate_card_table(card: RateCard) -> dict[str, object]:
    """The inverse of `read_rate_card`."""
    return {
        "effective_from": card.effective_from.isoformat(),
        "issue_price": format_micros(card.issue_price_micros),
        "face_value": format_micros(card.face_value_micros),
        "reimbursement_rate": format_micros(card.reimbursement_rate_micros),
        "issue_rates": {unit: str(rate) for unit, rate in sorted(card.issue_rates.items())},
    }
