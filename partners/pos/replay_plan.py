"""What a replay plays: from rows of a file to the events of each household, by decisions that depend on nothing else.

Pure. `docs/replay.md` states the rule in words, so that anybody can compute the same events without this code.
"""

import csv
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from gateway.domain.errors import InvalidValue
from gateway.domain.ids import CARD_NUMBER, IDEMPOTENCY_KEY
from gateway.domain.units import AMOUNT_MINOR_UNITS_MAX, Rate, div_ceil, div_floor, parse_amount
from partners.pos.errors import ProfileError

ROWS_MAX = 5_000_000  # all rows are kept in memory, some 300 bytes each
ERRORS_SHOWN_MAX = 20
QUARTERS = 4
DELAYS = 4  # a return comes with the basket itself, or up to three baskets later
_MILLION = 1_000_000
_UNQUOTED = re.compile(r"[^A-Za-z0-9.-]")


@dataclass(frozen=True, slots=True)
class Columns:
    """Names of the file's columns. `discount` may be empty: then nothing is taken off the sales."""

    occurred: str = "occurred_at_utc"
    basket: str = "basket_id"
    store: str = "store_id"
    household: str = "household_id"
    sales: str = "sales_usd"
    discount: str = "coupon_usd"


@dataclass(frozen=True, slots=True)
class Naming:
    """How the file's ids become card numbers and idempotency keys. Another `run` books the same file once more."""

    run: str = "replay"
    card_prefix: str = "hh-"

    def card(self, household_id: str) -> str:
        """The household's card number."""
        return self.card_prefix + household_id

    def key(self, subject_id: str, action: str) -> str:
        """The idempotency key of what happens to a basket or a household; what a key cannot hold stands in it as _2B."""
        return f"{self.run}:{_UNQUOTED.sub(_quoted, subject_id)}:{action}"


@dataclass(frozen=True, slots=True)
class Basket:
    """A row. `eligible` in minor units: sales less discount, at least 0. `occurred_at` as the file has it."""

    basket_id: str
    household_id: str
    store_id: str
    occurred_at: str
    eligible: int

    @property
    def day(self) -> date:
        """The date in the file."""
        return datetime.fromisoformat(self.occurred_at).date()


@dataclass(frozen=True, slots=True)
class Rule:
    """How many baskets redeem and return, as shares of one; and the seed of all chance."""

    redeem_share: Rate
    return_share: Rate
    seed: int

    def draws(self, basket_id: str) -> tuple[bool, int, int]:
        """Whether points are redeemed; how many quarters come back (0: none); how many baskets later."""
        digest = hashlib.sha256(f"{self.seed}:{basket_id}".encode()).digest()
        redeem, back, quarters, later = (int.from_bytes(digest[i : i + 4], "big") for i in (0, 4, 8, 12))
        returns = _is_within(back, self.return_share)
        return _is_within(redeem, self.redeem_share), quarters % QUARTERS + 1 if returns else 0, later % DELAYS


@dataclass(frozen=True, slots=True)
class Event:
    """A sale (`quarters_back` 0), or the return of a part of it. `day` is that of the basket it is played with."""

    basket: Basket
    day: date
    redeems: bool = False
    quarters_back: int = 0


@dataclass(frozen=True, slots=True)
class Stores:
    """Which partner a store belongs to: as mapped, else by hash, with half of the stores for the anchor if there is one."""

    partner_ids: tuple[str, ...]
    mapped: Mapping[str, str] | None = None
    anchor: str | None = None

    def partner_of(self, store_id: str) -> str:
        """Raises ProfileError for a store that the mapping leaves out."""
        if self.mapped is not None:
            try:
                return self.mapped[store_id]
            except KeyError:
                raise ProfileError(f"store {store_id} stands in no line of the mapping") from None
        number = _number_of(f"store:{store_id}")
        if self.anchor is None:
            return self.partner_ids[number % len(self.partner_ids)]
        others = [partner_id for partner_id in self.partner_ids if partner_id != self.anchor]
        return others[number // 2 % len(others)] if number % 2 and others else self.anchor


def redeem_limit(eligible: int) -> int:
    """Minor units that points may pay: half of the basket, rounded down."""
    return div_floor(eligible, 2)


def returned_amount(total: int, quarters: int) -> int:
    """Minor units that come back of a basket, rounded up."""
    return div_ceil(total * quarters, QUARTERS)


def events_of(baskets: Sequence[Basket], rule: Rule) -> Iterator[Event]:
    """One household's events, given its baskets in the file's order.

    A return follows the basket that comes so many baskets later, or the last one; returns due at once go by their sales.
    """
    due: list[tuple[int, Basket, int]] = []
    last = len(baskets) - 1
    for index, basket in enumerate(baskets):
        redeems, quarters, later = rule.draws(basket.basket_id)
        yield Event(basket, basket.day, redeems=redeems)
        if quarters:
            due.append((min(index + later, last), basket, quarters))
        for _, sold, back in [one for one in due if one[0] == index]:
            yield Event(sold, basket.day, quarters_back=back)
        due = [one for one in due if one[0] > index]


def by_household(baskets: Iterable[Basket], *, part: int = 0, parts: int = 1) -> dict[str, list[Basket]]:
    """Baskets of the households of one part, in the file's order."""
    households: dict[str, list[Basket]] = {}
    for basket in baskets:
        if _number_of(f"household:{basket.household_id}") % parts == part:
            households.setdefault(basket.household_id, []).append(basket)
    return households


def week_of(day: date) -> str:
    """ISO week, such as 2017-W05; weeks sort as texts."""
    year, week, _ = day.isocalendar()
    return f"{year:04d}-W{week:02d}"


def read_baskets(lines: Iterable[str], columns: Columns, *, unit: str, naming: Naming) -> list[Basket]:
    """All rows of a CSV file. Raises ProfileError with what is wrong, line by line."""
    reader = csv.DictReader(lines)
    named = [getattr(columns, name) for name in Columns.__slots__]
    missing = [name for name in named if name and name not in (reader.fieldnames or ())]
    if missing:
        raise ProfileError(f"no column {', '.join(missing)}; the file has {', '.join(reader.fieldnames or ('none',))}")
    baskets: list[Basket] = []
    errors: list[str] = []
    seen: set[str] = set()
    for row in reader:
        try:
            baskets.append(_read_row(row, columns, unit, naming, seen))
        except (InvalidValue, ValueError) as error:
            errors.append(f"line {reader.line_num}: {error}")
        if len(baskets) > ROWS_MAX:
            raise ProfileError(f"more than {ROWS_MAX} rows; split the file")
    if errors:
        more = f"\n  and {len(errors) - ERRORS_SHOWN_MAX} more" if len(errors) > ERRORS_SHOWN_MAX else ""
        raise ProfileError(f"{len(errors)} lines cannot be played:\n  " + "\n  ".join(errors[:ERRORS_SHOWN_MAX]) + more)
    return sorted(baskets, key=lambda basket: basket.day)  # stable: the file's order within a day


def _read_row(row: Mapping[str, str | None], columns: Columns, unit: str, naming: Naming, seen: set[str]) -> Basket:
    def text(name: str) -> str:
        value = row.get(name)
        if value is None:
            raise InvalidValue(f"{name} is missing")
        return value

    sales = parse_amount(text(columns.sales), unit)
    discount = parse_amount(text(columns.discount), unit) if columns.discount else 0
    basket = Basket(
        basket_id=text(columns.basket),
        household_id=text(columns.household),
        store_id=text(columns.store),
        occurred_at=text(columns.occurred),
        eligible=max(sales - discount, 0),
    )
    if basket.eligible > AMOUNT_MINOR_UNITS_MAX:
        raise InvalidValue(f"{columns.sales}: more than a basket may cost")
    if CARD_NUMBER.fullmatch(naming.card(basket.household_id)) is None:
        raise InvalidValue(f"card number {naming.card(basket.household_id)!r}: must be 4 to 32 of A-Z, a-z, 0-9 and -")
    if IDEMPOTENCY_KEY.fullmatch(naming.key(basket.basket_id, "checkout")) is None:
        raise InvalidValue(f"basket {basket.basket_id!r}: is too long for an idempotency key")
    if basket.basket_id in seen:
        raise InvalidValue(f"basket {basket.basket_id} stands in the file twice")
    seen.add(basket.basket_id)
    _ = basket.day  # raises ValueError unless it is a date
    return basket


def _quoted(match: re.Match[str]) -> str:
    return "".join(f"_{byte:02X}" for byte in match[0].encode())


def _is_within(number: int, share: Rate) -> bool:
    return number % _MILLION * share.denominator < share.numerator * _MILLION


def _number_of(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
