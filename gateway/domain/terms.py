"""Terms by effective date: rate cards, network terms and offers, and the snapshot that a batch decides by.

Nothing here is ever edited: a new version replaces the old one from a date on.
"""

import enum
import re
from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from gateway.domain.errors import InvalidValue
from gateway.domain.limits import NO_LIMITS, Limits, PartnerLimits
from gateway.domain.partner import Partner
from gateway.domain.units import Rate

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_YEAR, _LAST_YEAR = 1970, 9000
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_EXPIRY_RULE = re.compile(
    r"on ([0-9]{4}-[0-9]{2}-[0-9]{2})|after ([1-9][0-9]{0,3}) days|end of month after ([1-9][0-9]{0,2}) months"
)


CLAIM_DAYS = 30  # within which a paper receipt can be claimed, where the network says nothing


class DebtPolicy(enum.StrEnum):
    """What becomes of points that a reversal should take back and that are gone."""

    DEBT = "debt"
    WITHHOLD_CASH = "withhold cash"


@dataclass(frozen=True, slots=True)
class RateCard:
    """One version of a partner's prices, in millionths of a minor unit of `currency` per point; covers all its units."""

    partner_id: str
    version: int
    effective_from: date
    issue_rates: Mapping[str, Rate]
    issue_price_micros: int
    face_value_micros: int
    reimbursement_rate_micros: int
    currency: str


@dataclass(frozen=True, slots=True)
class ExpiryRule:
    """When points issued on a business date can be used for the last time. Exactly one field is set."""

    on: date | None = None
    after_days: int | None = None
    after_months: int | None = None

    @classmethod
    def parse(cls, text: str) -> "ExpiryRule":
        """Reads "on 2027-06-30", "after 90 days" or "end of month after 24 months". Raises InvalidValue."""
        match = _EXPIRY_RULE.fullmatch(text)
        if match is None:
            raise InvalidValue(f"expiry rule {text!r}: write 'on 2027-06-30', 'after 90 days' or 'end of month after 24 months'")
        on, days, months = match.groups()
        return cls(
            on=parse_date(on) if on else None,
            after_days=int(days) if days else None,
            after_months=int(months) if months else None,
        )

    def __str__(self) -> str:
        """As `parse` reads it."""
        if self.on is not None:
            return f"on {self.on.isoformat()}"
        return (
            f"after {self.after_days} days" if self.after_days is not None else f"end of month after {self.after_months} months"
        )

    def last_day(self, business_date: date) -> date:
        """The last date on which points of this business date are usable."""
        if self.on is not None:
            return self.on
        if self.after_days is not None:
            return business_date + timedelta(days=self.after_days)
        months = business_date.month - 1 + (self.after_months or 0)
        year, month = business_date.year + months // 12, months % 12 + 1
        return date(year, month, monthrange(year, month)[1])


@dataclass(frozen=True, slots=True)
class NetworkTerms:
    """What holds for the whole network from a date on.

    `usable_after_days`: how long points wait after their business date until they can be spent. `claim_days_max`: how far
    back a purchase may lie whose paper receipt is claimed.
    """

    version: int
    effective_from: date
    expiry_rule: ExpiryRule
    debt_policy: DebtPolicy
    late_days_max: int
    redemption_element_micros: int
    breakage_rebate_share: Rate
    par_value_micros: int
    usable_after_days: int = 0
    claim_days_max: int = CLAIM_DAYS
    limits: Limits = NO_LIMITS

    def usable_from(self, business_date: date) -> str:
        """The first date on which points of a business date can be spent, at the latest their last; empty: at once."""
        if not self.usable_after_days:
            return ""
        first = business_date + timedelta(days=self.usable_after_days)
        return min(first, self.expiry_rule.last_day(business_date)).isoformat()


@dataclass(frozen=True, slots=True)
class Offer:
    """A bonus at one partner's tills, paid for by funders that have each signed it. `shares` sum to one."""

    offer_id: str
    partner_id: str
    first_date: date
    last_date: date
    bonus_points: int
    minimum_amount: int
    unit: str
    shares: tuple[tuple[str, Rate], ...]


@dataclass(frozen=True, slots=True)
class Terms:
    """A snapshot of partners and terms; a batch decides by one, as of its own transaction.

    Cards and network terms stand by version, from 1. A version replaces all earlier ones from its date on.
    """

    version: int
    audience: str
    time_zone: ZoneInfo
    partners: Mapping[str, Partner]
    cards: Mapping[str, tuple[RateCard, ...]]
    network: tuple[NetworkTerms, ...]
    offers: Mapping[str, Offer]
    zones: Mapping[str, ZoneInfo] = field(default_factory=dict)
    partner_limits: Mapping[str, tuple[PartnerLimits, ...]] = field(default_factory=dict)

    def card_in_force(self, partner_id: str, on: date) -> RateCard | None:
        """The partner's rate card of a business date: the newest version effective by then; None before the first."""
        for card in reversed(self.cards.get(partner_id, ())):  # a generator would cost three times as much, a few times a command
            if card.effective_from <= on:
                return card
        return None

    def card(self, partner_id: str, version: int) -> RateCard:
        """A version that entries were priced by."""
        return self.cards[partner_id][version - 1]

    def network_in_force(self, on: date) -> NetworkTerms:
        """The network's terms of a date; the first version also serves dates before it."""
        for terms in reversed(self.network):
            if terms.effective_from <= on:
                return terms
        return self.network[0]

    def limits_in_force(self, partner_id: str, on: date) -> tuple[Limits, Limits]:
        """The network's and the partner's own limits of a business date."""
        own = NO_LIMITS
        for version in self.partner_limits.get(partner_id, ()):
            if version.effective_from <= on:
                own = version.limits
        return self.network_in_force(on).limits, own

    @property
    def has_limits_by_day(self) -> bool:
        """Whether there are or were any: else nobody needs to know what a day has seen."""
        versions = (one.limits for own in self.partner_limits.values() for one in own)
        return any(one.is_by_member or one.is_by_terminal for one in (*(terms.limits for terms in self.network), *versions))

    def business_date(self, partner_id: str, at_ms: int) -> date:
        """Date of an instant in the partner's time zone."""
        return date_at(at_ms, self.zones[partner_id])

    def network_date(self, at_ms: int) -> date:
        """Date of an instant in the network's time zone, by which points expire."""
        return date_at(at_ms, self.time_zone)


def date_at(at_ms: int, zone: ZoneInfo) -> date:
    """Date of an instant in a time zone."""
    return (_EPOCH + timedelta(milliseconds=at_ms)).astimezone(zone).date()


def day_ends_at_ms(on: date, zone: ZoneInfo) -> int:
    """When the next date begins in a time zone, in unix milliseconds."""
    return (datetime.combine(on + timedelta(days=1), time.min, zone) - _EPOCH) // timedelta(milliseconds=1)


def parse_date(text: str) -> date:
    """Reads YYYY-MM-DD, from 1970 to 9000: so that whoever reckons with it finds days before and after. Raises InvalidValue."""
    try:
        # The library alone would also read 20270630 and 2027-W26-3, and one date would have several spellings.
        found = date.fromisoformat(text if _DATE.fullmatch(text) else "")
    except ValueError:
        raise InvalidValue(f"date {text!r}: must be YYYY-MM-DD") from None
    if not _FIRST_YEAR <= found.year <= _LAST_YEAR:
        raise InvalidValue(f"date {text!r}: must be from {_FIRST_YEAR} to {_LAST_YEAR}")
    return found
