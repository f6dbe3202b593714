"""How many points a command spends, and what they are worth: the same at once and by a hold."""

from gateway.domain.command import AmountAsked
from gateway.domain.limits import Room
from gateway.domain.outcome import Reason, Refusal
from gateway.domain.pricing import points_for_value, value_of
from gateway.domain.terms import RateCard


def points_asked(
    usable: int, points: int | None, up_to: AmountAsked | None, card: RateCard, room: Room
) -> tuple[int, int] | Refusal:
    """Points and their value: as many as were asked for, or as a value takes, there are, and limits leave.

    BELOW_MINIMUM, NOT_A_MULTIPLE, ENTRY_LIMIT, INSUFFICIENT_POINTS; up to a value also MEMBER_DAILY_LIMIT and
    TERMINAL_DAILY_LIMIT, which for a number of points the caller asks by `room.refuses_today`.
    """
    if up_to is not None:
        return _up_to(usable, up_to.minor_units, card, room)
    points = points or 0
    refusal = room.refuses(points)
    if refusal is not None:
        return refusal
    return (points, value_of(points, card)) if points <= usable else Refusal(Reason.INSUFFICIENT_POINTS)


def _up_to(usable: int, value: int, card: RateCard, room: Room) -> tuple[int, int] | Refusal:
    """Rounded down to the multiple."""
    points = needed = points_for_value(value, card)
    for bound, refusal in room.bounds(needed=needed, usable=usable):
        points = min(points, bound)
        if not room.whole(points):
            return refusal
    points = room.whole(points)
    return points, min(value, value_of(points, card))
