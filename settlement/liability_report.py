"""The liability report as a value: roll-forward, breakage by the proportional method, cover, and who redeems too much. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from gateway.domain.estimate import EnteredEstimate, place_in_force
from gateway.domain.units import Rate, div_floor
from settlement.breakage import ALL_REDEEMED, Progress, price_at_issue, price_of_points
from settlement.liability import SIGNS, Movements, Place, RollForward, roll_forward

Group = tuple[str, str, str]
"""Issuer, expiry month, currency."""
TWO_FOR_ONE = Rate(2, 1)
Estimates = Mapping[str, Sequence[EnteredEstimate]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Beyond which the report raises an alarm: cover below the first, redeemed for each point issued above the second."""

    cover_min: Rate = ALL_REDEEMED
    redeemed_per_issued_max: Rate = TWO_FOR_ONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Breakage:
    """What is carried for the points of a line, in whole minor units, and the points that it follows from.

    `recognised_before` by the estimate of the day before the period, `recognised` by that of its last day; `catch_up` is what
    of the difference comes from the change of the estimate alone.
    """

    issuer_id: str
    expiry_month: str
    currency: str
    expected_share: Rate
    to_serve_points: int
    redeemed_points: int
    expected_points: int
    price: int
    recognised_before: int
    recognised: int
    catch_up: int

    @property
    def remaining(self) -> int:
        """What is still carried: the contract liability."""
        return self.price - self.recognised


@dataclass(frozen=True, slots=True, kw_only=True)
class Cover:
    """What an issuer's points were priced at since the first day, less what redeeming them has cost, against what is open.

    `priced_micros` at issue prices, `reimbursed_micros` at the redeemers' reimbursement rates, `open_micros` at issue prices,
    less debt; all in millionths of a minor unit of `currency`.
    """

    issuer_id: str
    currency: str
    priced_micros: int
    reimbursed_micros: int
    open_micros: int
    is_alarming: bool

    @property
    def basis_points(self) -> int | None:
        """The ratio in ten-thousandths, rounded down; None where nothing is open."""
        left = self.priced_micros - self.reimbursed_micros
        return div_floor(left * 10_000, self.open_micros) if self.open_micros > 0 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Redeemer:
    """What a partner issued in the period, less what it took back, and what was redeemed at its tills, less what it restored."""

    partner_id: str
    issued_points: int
    redeemed_points: int
    is_alarming: bool

    @property
    def basis_points(self) -> int | None:
        """Redeemed for each point issued, in ten-thousandths, rounded down; None where nothing was issued."""
        return div_floor(self.redeemed_points * 10_000, self.issued_points) if self.issued_points > 0 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Liability:
    """The report. `ends`: the last sequence of each lane that it counts; dates are the network's, of booking, both included."""

    audience: str
    time_zone: str
    first_date: date
    last_date: date
    ends: Mapping[int, int]
    thresholds: Thresholds
    lines: Sequence[RollForward]
    breakage: Sequence[Breakage]
    estimates: Estimates
    covers: Sequence[Cover]
    redeemers: Sequence[Redeemer]

    def alarms(self) -> Iterator[str]:
        """What somebody should look at, in a sentence each."""
        for cover in self.covers:
            if cover.is_alarming:
                yield f"{cover.issuer_id}: cover in {cover.currency} is below {self.thresholds.cover_min}"
        for one in self.redeemers:
            if one.is_alarming:
                most = self.thresholds.redeemed_per_issued_max
                yield (
                    f"{one.partner_id}: {one.redeemed_points} points redeemed here against {one.issued_points} issued, "
                    f"more than {most} for each"
                )
        open_points = {(line.issuer_id, line.expiry_month, line.currency): line.closing_points for line in self.lines}
        for one_line in self.breakage:
            group = (one_line.issuer_id, one_line.expiry_month, one_line.currency)
            if one_line.redeemed_points >= one_line.expected_points and open_points.get(group, 0) > 0:
                yield (
                    f"{one_line.issuer_id}, {one_line.expiry_month}: all {one_line.expected_points} points that were expected "
                    f"are redeemed, and {open_points[group]} are still open: the estimate is too low"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a report is made of: `before` moved before the period, `within` in it; `issuers` may issue points."""

    audience: str
    time_zone: str
    first_date: date
    last_date: date
    ends: Mapping[int, int]
    before: Movements
    within: Movements
    estimates: Estimates
    issuers: frozenset[str]
    thresholds: Thresholds


def make_report(facts: Facts) -> Liability:
    """The report; lines ordered by issuer, expiry month and currency."""
    whole = facts.before + facts.within
    lines = roll_forward(facts.before, facts.within)
    return Liability(
        audience=facts.audience,
        time_zone=facts.time_zone,
        first_date=facts.first_date,
        last_date=facts.last_date,
        ends=facts.ends,
        thresholds=facts.thresholds,
        lines=lines,
        breakage=list(_breakage(facts, whole)),
        estimates=facts.estimates,
        covers=list(_covers(whole, facts.thresholds.cover_min)),
        redeemers=list(_redeemers(facts)),
    )


def _breakage(facts: Facts, whole: Movements) -> Iterator[Breakage]:
    before = _progress(facts.before, facts.estimates)
    for group, after in sorted(_progress(whole, facts.estimates).items()):
        old, new = _shares(facts, group[0])
        recognised_before = before[group].recognised(old) if group in before else 0
        recognised = after.recognised(new)
        is_gone = not after.open_points and recognised_before == recognised
        if is_gone:
            continue  # nothing is carried any more, and nothing happened in the period
        yield Breakage(
            issuer_id=group[0],
            expiry_month=group[1],
            currency=group[2],
            expected_share=new,
            to_serve_points=after.to_serve_points,
            redeemed_points=after.redeemed_points,
            expected_points=after.expected_points(new),
            price=after.price,
            recognised_before=recognised_before,
            recognised=recognised,
            catch_up=recognised - after.recognised(old),
        )


def _shares(facts: Facts, issuer_id: str) -> tuple[Rate, Rate]:
    """What is expected on the day before the period, and on its last day."""
    known = facts.estimates.get(issuer_id, ())

    def share(on: date) -> Rate:
        place = place_in_force(known, on)
        return known[place].estimate.expected_share if place >= 0 else ALL_REDEEMED

    return share(facts.first_date - timedelta(days=1)), share(facts.last_date)


def _progress(movements: Movements, estimates: Estimates) -> dict[Group, Progress]:
    """By line. What points were carried at is fixed by the estimate in force when they were issued."""
    found: dict[Group, Progress] = {}
    for place, columns in _by_place(movements):
        to_serve = columns["issued"] - columns["reversed"] + columns["substituted"]
        redeemed = columns["redeemed"] - columns["restored"]
        so_far = found.get(place.group, Progress(0, 0, 0, 0))
        found[place.group] = Progress(
            so_far.price + _price(place, to_serve, movements.sales[place], estimates),
            so_far.to_serve_points + to_serve,
            so_far.redeemed_points + redeemed,
            so_far.open_points + to_serve - redeemed - columns["expired"],
        )
    return found


def _price(place: Place, points: int, sales: int, estimates: Estimates) -> int:
    known = estimates.get(place.issuer_id, ())
    if place.estimate >= 0 and (value_micros := known[place.estimate].estimate.point_value_micros):
        share = known[place.estimate].estimate.expected_share
        return price_of_points(sales=sales, points=points, point_value_micros=value_micros, expected_share=share)
    return price_at_issue(points=points, price_micros=place.price_micros)


def _covers(whole: Movements, least: Rate) -> Iterator[Cover]:
    priced: dict[tuple[str, str], int] = {}
    opened: dict[tuple[str, str], int] = {}
    for place, columns in _by_place(whole):
        key = place.issuer_id, place.currency
        to_serve = columns["issued"] - columns["reversed"] + columns["substituted"]
        priced[key] = priced.get(key, 0) + to_serve * place.price_micros
    for place, points in whole.open_points().items():
        key = place.issuer_id, place.currency
        opened[key] = opened.get(key, 0) + points * place.price_micros
    for key in sorted({*priced, *opened, *whole.reimbursed_micros}):
        left, open_micros = priced.get(key, 0) - whole.reimbursed_micros[key], opened.get(key, 0)
        yield Cover(
            issuer_id=key[0],
            currency=key[1],
            priced_micros=priced.get(key, 0),
            reimbursed_micros=whole.reimbursed_micros[key],
            open_micros=open_micros,
            is_alarming=open_micros > 0 and left * least.denominator < open_micros * least.numerator,
        )


def _redeemers(facts: Facts) -> Iterator[Redeemer]:
    issued: dict[str, int] = {}
    for place, columns in _by_place(facts.within):
        issued[place.issuer_id] = issued.get(place.issuer_id, 0) + columns["issued"] - columns["reversed"]
    most = facts.thresholds.redeemed_per_issued_max
    for partner_id in sorted({*issued, *facts.within.redeemed_at}):
        redeemed, own = facts.within.redeemed_at[partner_id], issued.get(partner_id, 0)
        is_over = redeemed > 0 and redeemed * most.denominator > max(own, 0) * most.numerator
        yield Redeemer(
            partner_id=partner_id,
            issued_points=own,
            redeemed_points=redeemed,
            # Who issues nothing, such as a charity, is there to redeem.
            is_alarming=is_over and partner_id in facts.issuers,
        )


def _by_place(movements: Movements) -> Iterable[tuple[Place, Mapping[str, int]]]:
    found: dict[Place, dict[str, int]] = {}
    for (place, column), moved in movements.points.items():
        columns = found.setdefault(place, dict.fromkeys(SIGNS, 0))
        columns[column] += moved
    return sorted(found.items())
