"""A file of real baskets, played by the real ledger on the file's own days, with nights in between; and what people do besides.

Whose till it is goes by the store's number; what happens there is drawn from the basket's own number, so a file always
plays in the same way. Partners have cards that change, and three currencies.
"""

import csv
import gzip
import random
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from gateway.domain.command import (
    AmountAsked,
    BasketLine,
    Checkout,
    Command,
    Issue,
    PlaceHold,
    Redeem,
    Refund,
    Reverse,
)
from gateway.domain.outcome import Refusal
from gateway.domain.receipt import Answer
from gateway.domain.terms import DebtPolicy, ExpiryRule, Offer
from gateway.domain.units import Rate, parse_micros
from gateway.network_terms import TermsChange
from gateway.settlement_rules import RulesChange
from tests.given import GivenNetwork, at, create_network
from tests.ledger.books import card
from tests.ledger.busy import BusyBooks

FIRST_DAY = "2026-06-01"
_FILE_BEGINS = "2017-01-01"
# Partner, currency, and from when which rates hold: points for a unit of money, then issue price, face value and reimbursement.
CARDS: dict[str, tuple[str, tuple[tuple[int, str, tuple[str, str, str]], ...]]] = {
    "alpha": (
        "EUR",
        ((0, "1/2", ("1.10", "1.00", "0.96")), (15, "1/2", ("1.15", "1.00", "0.955")), (200, "2/3", ("1.2", "1", "1"))),
    ),
    "bravo": ("EUR", ((0, "1", ("1.20", "1.25", "0.905")), (19, "1", ("1.20", "1.25", "0.895")))),
    "charlie": (
        "EUR",
        ((0, "2", ("1.05", "0.80", "1.00")), (15, "2", ("1.05", "0.80", "0.98")), (90, "3", ("1.0", "0.8", "0.97"))),
    ),
    "hill": ("CHF", ((0, "3/2", ("0.95", "0.90", "0.85")), (12, "3/2", ("0.955", "0.90", "0.875")))),
    "isle": ("JPY", ((0, "1/40", ("1.5", "1.6", "1.45")), (60, "1/30", ("1.55", "1.6", "1.405")))),
}
CHARITY = "hope"
_TILLS = tuple(CARDS)


@dataclass(frozen=True, slots=True)
class Basket:
    """A row of the file, moved to the days that are played; amounts in cents."""

    basket_id: str
    day: int
    store: int
    household: str
    sales: int
    coupon: int


@dataclass
class Played:
    """What came of it."""

    network: GivenNetwork
    baskets: int
    results: Counter[str]
    last_day: str


def read(file: Path, *, days: int | None = None) -> list[Basket]:
    """Of the file's first days, in order."""
    with (gzip.open if file.suffix == ".gz" else open)(file, "rt", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    begins = date.fromisoformat(_FILE_BEGINS).toordinal()
    baskets = [
        Basket(
            row["basket_id"],
            date.fromisoformat(row["occurred_at_utc"][:10]).toordinal() - begins,
            int(row["store_id"]),
            f"hh-{row['household_id']}",
            _cents(row["sales_usd"]),
            _cents(row["coupon_usd"]),
        )
        for row in rows
    ]
    kept = [one for one in baskets if days is None or one.day < days]
    return sorted(kept, key=lambda one: one.day)


def founded(folder: Path, model: str, *, lanes: int = 1) -> GivenNetwork:
    """The network with all that will be decided of prices: a window's are those that were decided before its cut-off."""
    change = TermsChange(
        redemption_element_micros=parse_micros("0.95"), breakage_rebate_share=Rate(1, 3), par_value_micros=parse_micros("1.005")
    )
    network = create_network(folder, expiry="after 9 days", model=model, change=change, lanes=lanes)
    for partner_id, (currency, cards) in CARDS.items():
        for number, (first, rate, (price, face, reimbursed)) in enumerate(cards):
            take = network.rates if number else network.onboard
            take(
                partner_id,
                {currency: rate} | ({"charlie:STAR": "5/2"} if partner_id == "charlie" else {}),
                currency=currency,
                effective_from=day_of(first),
                issue_price=price,
                face_value=face,
                reimbursement_rate=reimbursed,
            )
    network.onboard(CHARITY, {}, roles="charity", issue_price="0", face_value="0.50", reimbursement_rate="0.805")
    network.network_terms(day_of(20), TermsChange(expiry_rule=ExpiryRule(after_days=12), par_value_micros=parse_micros("0.995")))
    network.network_terms(day_of(70), TermsChange(breakage_rebate_share=Rate(1, 2), expiry_rule=ExpiryRule(after_days=60)))
    network.network_terms(day_of(240), TermsChange(debt_policy=DebtPolicy.WITHHOLD_CASH))
    thirds = (("alpha", Rate(1, 3)), ("hill", Rate(1, 3)), ("bravo", Rate(1, 3)))
    for partner_id, points, shares in (("alpha", 40, thirds), ("isle", 25, (("isle", Rate(1, 2)), ("charlie", Rate(1, 2))))):
        days = date.fromisoformat(day_of(0)), date.fromisoformat(day_of(300))
        network.offer(Offer(f"more-{partner_id}", partner_id, *days, points, 0, CARDS[partner_id][0], shares))
    return network


def play(network: GivenNetwork, baskets: Iterable[Basket], *, days_a_window: int = 1) -> Played:
    """All baskets, day by day, and a night after so many days; from the fourth week on there are fees and a minimum."""
    by_day: defaultdict[int, list[Basket]] = defaultdict(list)
    for one in baskets:
        by_day[one.day].append(one)
    last = max(by_day) + days_a_window - max(by_day) % days_a_window - 1
    people = _People(network)
    for day in range(last + 1):
        people.live(day, by_day[day])
        if day == 22:
            network.now_ms = at(day_of(day), "21:00")
            network.settlement_rules(RulesChange(fixed_fee=12_34, entry_fee_micros=1_250_500, minimum_amount=50))
        if (day + 1) % days_a_window == 0:
            people.night(day_of(day))
    people.connection.close()
    network.now_ms = at(day_of(last), "23:59:59")
    return Played(network, sum(map(len, by_day.values())), people.results, day_of(last))


def day_of(number: int) -> str:
    """A day that is played, from 0."""
    return (date.fromisoformat(FIRST_DAY) + timedelta(days=number)).isoformat()


class _People(BusyBooks):
    """What tills send on a day: the day's baskets, and what people made up their minds about before."""

    def __init__(self, network: GivenNetwork) -> None:
        super().__init__(network)
        self.results: Counter[str] = Counter()
        self._known: list[str] = []
        self._later: defaultdict[int, list[Command]] = defaultdict(list)
        self._day = 0

    def live(self, day: int, baskets: list[Basket]) -> None:
        """Batches of forty; who is new is enrolled first."""
        self._day, self.now_ms = day, at(day_of(day))
        commands = self._later.pop(day, [])
        for basket in baskets:
            numbers = random.Random(basket.basket_id)
            if basket.household not in self._known:
                self._known.append(basket.household)
                commands.append(self.enrolment(basket.household, _till_of(basket)))
            commands += self._buys(basket, numbers)
            commands += self._besides(basket, numbers)
        for first in range(0, len(commands), 40):
            for command, result in zip(commands[first : first + 40], self.run(*commands[first : first + 40]), strict=True):
                refused = result if isinstance(result, Refusal) else result.refusal
                assert isinstance(result, Answer | Refusal), result
                self.results[f"{type(command).__name__} {refused.reason.name}" if refused else type(command).__name__] += 1

    def _buys(self, basket: Basket, numbers: random.Random) -> list[Command]:
        """A basket by one of the ways of a till, and perhaps its return within days."""
        partner_id, money = _till_of(basket), _money(basket)
        caller = self._caller(partner_id) | {"member": card(basket.household)}
        caller["occurred_at_ms"] = self._late(numbers)
        offer = f"more-{partner_id}" if partner_id in ("alpha", "isle") and numbers.random() < 0.4 else None
        eligible, by_points = (
            money - min(basket.coupon, money),
            AmountAsked(CARDS[partner_id][0], money * numbers.randint(1, 10) // 20),
        )
        total = AmountAsked(CARDS[partner_id][0], money)
        way = numbers.random()
        if way < 0.25 or by_points.minor_units == 0:
            bought: Command = Issue(**caller, eligible=AmountAsked(total.unit, eligible), offer_id=offer)
            self._perhaps(numbers, 0.3, self._returned(bought, total, numbers))
            return [bought]
        if way < 0.4:
            spent = Redeem(**caller, up_to_value=by_points)
            self._perhaps(numbers, 0.4, self._cancelled(spent, numbers))
            return [spent, Issue(**self._caller(partner_id), member=caller["member"], eligible=total)]
        if way < 0.55:
            return self._set_aside(caller, total, by_points, numbers)
        lines = (BasketLine("a", eligible, is_eligible=True), BasketLine("b", money - eligible, is_eligible=False))
        how: dict[str, Any] = {"up_to_value": by_points} if numbers.random() < 0.5 else {"offer_id": offer}
        sold = Checkout(**caller, total=total, eligible=eligible, lines=lines, **how)
        self._perhaps(numbers, 0.3, self._refunded(sold, total, numbers))
        return [sold]

    def _set_aside(
        self, caller: dict[str, Any], total: AmountAsked, by_points: AmountAsked, numbers: random.Random
    ) -> list[Command]:
        """A hold that is captured after days, by then perhaps at another card; or let go, or forgotten."""
        partner_id = caller["partner_id"]
        hold = PlaceHold(**caller, up_to_value=by_points, ttl_s=numbers.choice((3_600, 86_400 * 3, 86_400 * 6)))
        later = self._later[self._day + numbers.randint(0, 3) or self._day + 1]
        if numbers.random() < 0.7:
            taken = Checkout(**self._caller(partner_id), member=caller["member"], total=total, hold_id=hold.entry_id)
            later.append(taken)
            self._perhaps(numbers, 0.3, self._refunded(taken, total, numbers), after=4)
        elif numbers.random() < 0.7:
            later.append(self.void(hold))
        return [hold]

    def _besides(self, basket: Basket, numbers: random.Random) -> Iterable[Command]:
        """Gifts, donations, stars; seldom two cards turn out to be one person's."""
        other, member = numbers.choice(self._known), card(basket.household)
        if other != basket.household and numbers.random() < 0.06:
            yield self.transfer(member, card(other), numbers.randint(1, 40), partner=_till_of(basket))
        if other != basket.household and numbers.random() < 0.008:
            yield self.merge(member, card(other))
        if numbers.random() < 0.04:
            yield self.donate(member, numbers.randint(1, 12), charity=CHARITY, partner=_till_of(basket))
        if numbers.random() < 0.05:
            stars = AmountAsked("charlie:STAR", numbers.randint(1, 30))
            yield Issue(**self._caller("charlie"), member=member, eligible=stars)

    def _returned(self, bought: Command, total: AmountAsked, numbers: random.Random) -> list[Command]:
        part = AmountAsked(total.unit, numbers.randint(1, max(total.minor_units, 1))) if numbers.random() < 0.6 else None
        again = [Reverse(**self._caller(bought.partner_id), original_entry_id=bought.entry_id, eligible=part)]
        rest = Reverse(**self._caller(bought.partner_id), original_entry_id=bought.entry_id)
        return [*again, rest] if numbers.random() < 0.3 else [*again]

    def _cancelled(self, spent: Command, numbers: random.Random) -> list[Command]:
        part = numbers.randint(1, 20) if numbers.random() < 0.5 else None
        return [Reverse(**self._caller(spent.partner_id), original_entry_id=spent.entry_id, points=part)]

    def _refunded(self, sold: Command, total: AmountAsked, numbers: random.Random) -> list[Command]:
        part = AmountAsked(total.unit, numbers.randint(1, max(total.minor_units, 1))) if numbers.random() < 0.5 else None
        return [Refund(**self._caller(sold.partner_id), checkout_id=sold.entry_id, amount=part)]

    def _perhaps(self, numbers: random.Random, chance: float, commands: list[Command], *, after: int = 0) -> None:
        """Within three weeks; some on the next day, some when the points have expired."""
        if numbers.random() < chance:
            self._later[self._day + after + numbers.choice((1, 1, 2, 5, 14, 21))] += commands

    def _late(self, numbers: random.Random) -> int | None:
        """Mostly now; some tills were offline."""
        if self._day < 4 or numbers.random() < 0.85:
            return None
        return self.now_ms - 86_400_000 * numbers.randint(1, 3)


def _till_of(basket: Basket) -> str:
    return _TILLS[basket.store % len(_TILLS)]


def _money(basket: Basket) -> int:
    """Cents, rappen, or yen at a hundred and fifty to the dollar."""
    return basket.sales * 3 // 2 if CARDS[_till_of(basket)][0] == "JPY" else basket.sales


def _cents(text: str) -> int:
    whole, _, rest = text.partition(".")
    return int(whole) * 100 + int(rest.ljust(2, "0"))
