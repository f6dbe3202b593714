"""Terms by effective date, expiry rules and business dates."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.errors import InvalidValue
from gateway.domain.terms import DebtPolicy, ExpiryRule, NetworkTerms, RateCard, Terms, date_at, parse_date
from gateway.domain.units import Rate


def _card(version: int, effective_from: str) -> RateCard:
    return RateCard(
        partner_id="acme",
        version=version,
        effective_from=date.fromisoformat(effective_from),
        issue_rates={"EUR": Rate(1, 2)},
        issue_price_micros=1_100_000,
        face_value_micros=1_000_000,
        reimbursement_rate_micros=960_000,
        currency="EUR",
    )


def _network(version: int, effective_from: str) -> NetworkTerms:
    return NetworkTerms(
        version=version,
        effective_from=date.fromisoformat(effective_from),
        expiry_rule=ExpiryRule(after_days=90),
        debt_policy=DebtPolicy.DEBT,
        late_days_max=3,
        redemption_element_micros=950_000,
        breakage_rebate_share=Rate(1, 2),
        par_value_micros=1_000_000,
    )


def _terms(*cards: RateCard, network: tuple[NetworkTerms, ...] = ()) -> Terms:
    return Terms(
        version=1,
        audience="coalition.example:test",
        time_zone=ZoneInfo("Europe/Berlin"),
        partners={},
        cards={"acme": cards},
        network=network,
        offers={},
        zones={"acme": ZoneInfo("America/New_York")},
    )


def _ms(text: str) -> int:
    return (datetime.fromisoformat(text).replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("on", "version"),
    [("2026-05-31", None), ("2026-06-01", 1), ("2026-06-02", 1), ("2026-06-15", 1), ("2026-06-16", 2), ("2026-06-17", 2)],
)
def test_a_rate_card_is_in_force_from_its_first_day_to_the_day_before_the_next(on: str, version: int | None) -> None:
    """Both borders, and the day on either side of each."""
    card = _terms(_card(1, "2026-06-01"), _card(2, "2026-06-16")).card_in_force("acme", date.fromisoformat(on))

    assert (card and card.version) == version


@pytest.mark.parametrize(("on", "version"), [("2026-06-09", 1), ("2026-06-10", 3), ("2026-06-16", 3), ("2026-06-17", 3)])
def test_a_version_replaces_all_earlier_ones_from_its_date(on: str, version: int) -> None:
    """Also one that was to begin later: the newest decision holds."""
    terms = _terms(_card(1, "2026-06-01"), _card(2, "2026-06-16"), _card(3, "2026-06-10"))
    card = terms.card_in_force("acme", date.fromisoformat(on))

    assert card is not None
    assert card.version == version


def test_of_two_versions_from_one_day_the_newer_holds() -> None:
    """So that a mistake can be mended on the same day."""
    card = _terms(_card(1, "2026-06-01"), _card(2, "2026-06-01")).card_in_force("acme", date(2026, 6, 1))

    assert card is not None
    assert card.version == 2


def test_an_unknown_partner_has_no_rate_card() -> None:
    """Nothing is priced by another's."""
    assert _terms(_card(1, "2026-06-01")).card_in_force("globex", date(2026, 6, 1)) is None


def test_a_version_that_priced_entries_is_found_for_ever() -> None:
    """Reversals use the original's prices."""
    terms = _terms(_card(1, "2026-06-01"), _card(2, "2026-06-16"))

    assert [terms.card("acme", version).version for version in (1, 2)] == [1, 2]


@pytest.mark.parametrize(("on", "version"), [("2020-01-01", 1), ("2026-06-01", 1), ("2026-06-30", 1), ("2026-07-01", 2)])
def test_the_networks_first_terms_also_serve_earlier_dates(on: str, version: int) -> None:
    """A late sale of the day before the network began has terms too."""
    terms = _terms(network=(_network(1, "2026-06-01"), _network(2, "2026-07-01")))

    assert terms.network_in_force(date.fromisoformat(on)).version == version


@pytest.mark.parametrize(
    ("rule", "business_date", "last_day"),
    [
        ("on 2027-06-30", "2026-06-01", "2027-06-30"),
        ("on 2027-06-30", "2028-01-01", "2027-06-30"),
        ("after 1 days", "2026-12-31", "2027-01-01"),
        ("after 1 days", "2028-02-28", "2028-02-29"),
        ("after 1 days", "2027-02-28", "2027-03-01"),
        ("after 365 days", "2027-06-01", "2028-05-31"),
        ("after 366 days", "2027-06-01", "2028-06-01"),
        ("end of month after 1 months", "2026-01-31", "2026-02-28"),
        ("end of month after 1 months", "2028-01-31", "2028-02-29"),
        ("end of month after 1 months", "2026-02-01", "2026-03-31"),
        ("end of month after 1 months", "2026-11-30", "2026-12-31"),
        ("end of month after 1 months", "2026-12-01", "2027-01-31"),
        ("end of month after 12 months", "2028-02-29", "2029-02-28"),
        ("end of month after 24 months", "2026-02-10", "2028-02-29"),
        ("end of month after 48 months", "2024-02-29", "2028-02-29"),
        ("end of month after 1 months", "2100-01-15", "2100-02-28"),
        ("end of month after 999 months", "2026-06-01", "2109-09-30"),
    ],
)
def test_an_expiry_rule_names_the_last_usable_day(rule: str, business_date: str, last_day: str) -> None:
    """Leap years and the turn of the year included."""
    assert ExpiryRule.parse(rule).last_day(date.fromisoformat(business_date)) == date.fromisoformat(last_day)


@pytest.mark.parametrize(
    "text", ["on 2027-06-30", "after 1 days", "after 9999 days", "end of month after 1 months", "end of month after 999 months"]
)
def test_an_expiry_rule_is_read_as_it_was_written(text: str) -> None:
    """It stands so in signed documents."""
    assert str(ExpiryRule.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "never", "on 2027-02-29", "on 2027-6-30", "on 20270630", "after 0 days", "after 01 days",
     "after 10000 days", "after -1 days", "after 1 day", "after 1 months", "end of month after 0 months",
     "end of month after 1000 months", "After 1 days", "after 1 days\n"],
)  # fmt: skip
def test_an_expiry_rule_of_another_form_is_refused(text: str) -> None:
    """Points that never expire take the longest rule there is."""
    with pytest.raises(InvalidValue):
        ExpiryRule.parse(text)


@pytest.mark.parametrize(
    "text",
    ["", "20270630", "2027-W26-3", "2027-6-30", "2027-02-29", "2027-13-01", "0000-01-01", "2027-06-30 ", "2027-06-30T00:00",
     "٢٠٢٧-٠٦-٣٠"],
)  # fmt: skip
def test_a_date_of_another_form_is_refused(text: str) -> None:
    """Each date has one spelling, since documents are compared as bytes."""
    with pytest.raises(InvalidValue, match="date"):
        parse_date(text)


@given(st.dates(date(1970, 1, 1), date(9000, 12, 31)))
def test_a_date_is_read_as_it_was_written(day: date) -> None:
    """Any from the first to the last year."""
    assert parse_date(day.isoformat()) == day


@pytest.mark.parametrize("text", ["0001-01-01", "1969-12-31", "9001-01-01", "9999-12-31"])
def test_a_date_out_of_bounds_is_refused(text: str) -> None:
    """Whoever reckons with a date must find days before and after it."""
    with pytest.raises(InvalidValue, match="1970 to 9000"):
        parse_date(text)


@pytest.mark.parametrize(
    ("zone", "utc", "day"),
    [
        ("Europe/Berlin", "2026-03-28T22:59:59.999", "2026-03-28"),
        ("Europe/Berlin", "2026-03-28T23:00:00.000", "2026-03-29"),
        ("Europe/Berlin", "2026-03-29T21:59:59.999", "2026-03-29"),
        ("Europe/Berlin", "2026-03-29T22:00:00.000", "2026-03-30"),
        ("Europe/Berlin", "2026-10-24T22:00:00.000", "2026-10-25"),
        ("Europe/Berlin", "2026-10-25T22:59:59.999", "2026-10-25"),
        ("Europe/Berlin", "2026-10-25T23:00:00.000", "2026-10-26"),
        ("America/New_York", "2026-07-01T03:59:59.999", "2026-06-30"),
        ("America/New_York", "2026-07-01T04:00:00.000", "2026-07-01"),
        ("America/New_York", "2026-12-01T04:59:59.999", "2026-11-30"),
        ("America/New_York", "2026-12-01T05:00:00.000", "2026-12-01"),
        ("Asia/Kolkata", "2026-06-14T18:29:59.999", "2026-06-14"),
        ("Asia/Kolkata", "2026-06-14T18:30:00.000", "2026-06-15"),
        ("Pacific/Kiritimati", "2026-06-14T10:00:00.000", "2026-06-15"),
        ("Pacific/Pago_Pago", "2026-06-15T10:59:59.999", "2026-06-14"),
        ("Pacific/Apia", "2011-12-30T09:59:59.999", "2011-12-29"),
        ("Pacific/Apia", "2011-12-30T10:00:00.000", "2011-12-31"),
        ("UTC", "2026-12-31T23:59:59.999", "2026-12-31"),
        ("UTC", "2027-01-01T00:00:00.000", "2027-01-01"),
    ],
)
def test_a_business_date_changes_at_local_midnight(zone: str, utc: str, day: str) -> None:
    """Through the changes to and from summer time, and where a whole day was left out."""
    assert date_at(_ms(utc), ZoneInfo(zone)) == date.fromisoformat(day)


def test_the_partners_date_prices_and_the_networks_date_expires() -> None:
    """One instant, two dates."""
    terms = _terms()
    at_ms = _ms("2026-06-15T23:30:00")

    assert terms.business_date("acme", at_ms) == date(2026, 6, 15)
    assert terms.network_date(at_ms) == date(2026, 6, 16)
