"""How many points a command spends, and what they are worth: the same at once and by a hold."""

from gateway.domain.command import AmountAsked
from gateway.domain.outcome import Reason, Refusal
from gateway.domain.pricing import points_for_value, value_of
from gateway.domain.terms import RateCard


def points_asked(usable: int, points: int | None, up_to: AmountAsked | None, card: RateCard) -> tuple[int, int] | Refusal:
    """Points and their value: as many as were asked for, or as a value takes and there are. INSUFFICIENT_POINTS."""
    if up_to is not None:
        points = min(points_for_value(up_to.minor_units, card), usable)
        value = min(up_to.minor_units, value_of(points, card))
    else:
        points = points or 0
        value = value_of(points, card)
    return (points, value) if 0 < points <= usable else Refusal(Reason.INSUFFICIENT_POINTS)
