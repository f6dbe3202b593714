"""What happens in a small world: who sells, redeems, brings back and passes on what, at random moments of a day."""

from collections.abc import Callable
from functools import partial

from partners.pos import requests
from partners.pos.requests import Booking
from tallystick.v1 import points_pb2, types_pb2
from tests.given import at
from tests.simulation.world import HOUR_MS, MINUTE_MS, Order, ShopTill, World

CARDS = tuple(f"4000-{number:04}" for number in range(6))
DAY_MS = 24 * HOUR_MS
_REVERSIBLE = (points_pb2.IssuePointsRequest, points_pb2.RedeemPointsRequest)


def opening(world: World) -> None:
    """On 1 June members are enrolled and buy; what they get expires on 20 June."""
    world.network.now_ms = at("2026-06-01", "08:00")
    for number, card in enumerate(CARDS):
        till = world.tills[number % len(world.tills)]
        till.place(requests.enrol(card, key=_key(world)))
        issuer = world.tills[number % 3]
        world.after(HOUR_MS, partial(_place, issuer, partial(_sale, card=card)))
    world.pass_time(at("2026-06-01", "20:00"))


def shopping(world: World, day: str, orders: int) -> None:
    """A day of so many orders; the gateway is restarted once, and charlie is suspended for two hours."""
    rng = world.rng
    world.pass_time(at(day, "00:10"))
    world.network.now_ms = at(day, "08:00")
    for _ in range(orders):
        world.after(rng.randrange(12 * HOUR_MS), partial(_place, rng.choice(world.tills), rng.choices(*_WANTED)[0]))
    world.after(rng.randrange(12 * HOUR_MS), world.restart)
    suspended_after_ms = rng.randrange(9 * HOUR_MS)
    world.after(suspended_after_ms, lambda: _say(world, "suspend"))
    world.after(suspended_after_ms + 2 * HOUR_MS, lambda: _say(world, "resume"))
    world.pass_time(at(day, "23:00"))


def _say(world: World, what: str) -> None:
    world.by_operator("partners", what, "charlie")


def _place(till: ShopTill, make: Callable[[ShopTill], Booking | None]) -> None:
    message = make(till)
    if message is not None:
        till.place(message)


def _key(world: World) -> str:
    return f"order-{next(world.numbers)}"


def _sale(till: ShopTill, card: str = "") -> Booking:
    world, rng = till.world, till.world.rng
    unit = "charlie:STAR" if till.partner_id == "charlie" and rng.random() < 0.2 else "EUR"
    number = f"{rng.randint(1, 200)}" if unit != "EUR" else f"{rng.randint(1, 120)}.{rng.randint(0, 99):02}"
    return requests.issue(
        requests.card(card or rng.choice(CARDS)),
        requests.amount(f"{number} {unit}"),
        key=_key(world),
        occurred_at_ms=_occurred(world),
        offer_id="bonus-500" if rng.random() < 0.05 else "",
    )


def _occurred(world: World) -> int | None:
    """Mostly now; some tills were offline, a few for too long."""
    late = world.rng.random()
    if late < 0.8 or world.now_ms < at("2026-06-05"):
        return None
    return world.now_ms - world.rng.randint(MINUTE_MS, 5 * DAY_MS if late > 0.97 else 3 * DAY_MS)


def _redemption(till: ShopTill) -> Booking:
    world, rng = till.world, till.world.rng
    quantity = rng.randint(1, 150) if rng.random() < 0.7 else requests.amount(f"{rng.randint(0, 2)}.{rng.randint(1, 99):02} EUR")
    return requests.redeem(requests.card(rng.choice(CARDS)), quantity, key=_key(world))


def _return(till: ShopTill) -> Booking | None:
    """Of anything that the partner sold or took points for, also before the last night; whole or in part."""
    world, rng = till.world, till.world.rng
    originals = [order for order in world.orders if order.key[0] == till.partner_id and isinstance(order.message, _REVERSIBLE)]
    if not originals:
        return None
    original: Order = rng.choice(originals)
    return requests.reverse(key=_key(world), original_key=original.message.idempotency_key, part=_part(world, original))


def _part(world: World, original: Order) -> int | types_pb2.Amount | None:
    if world.rng.random() < 0.4:
        return None
    if isinstance(original.message, points_pb2.IssuePointsRequest):
        eligible = original.message.eligible
        return types_pb2.Amount(unit=eligible.unit, minor_units=world.rng.randint(1, eligible.minor_units))
    return world.rng.randint(1, 60)


def _gift(till: ShopTill) -> Booking:
    world, rng = till.world, till.world.rng
    source, target = rng.sample(CARDS, 2)
    return requests.transfer(requests.card(source), requests.card(target), rng.randint(1, 80), key=_key(world))


_WANTED: tuple[list[Callable[[ShopTill], Booking | None]], list[int]] = ([_sale, _redemption, _return, _gift], [8, 6, 5, 2])
