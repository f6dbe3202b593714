"""On which days money is to move, and banks move it. Pure."""

from datetime import date, timedelta

_SATURDAY = 5


def payment_date(*, cut_off_date: str, due_days: int) -> date:
    """When money is to move: on the day that it is due by the rules of its window, or the next on which banks settle."""
    return business_day(date.fromisoformat(cut_off_date) + timedelta(days=due_days))


def business_day(day: date) -> date:
    """The day itself, or the next on which the euro's banks settle: no weekend, and no holiday of T2."""
    while day.weekday() >= _SATURDAY or _is_holiday(day):
        day += timedelta(days=1)
    return day


def _is_holiday(day: date) -> bool:
    easter = _easter_sunday(day.year)
    fixed = {(1, 1), (5, 1), (12, 25), (12, 26)}
    return (day.month, day.day) in fixed or day in (easter - timedelta(days=2), easter + timedelta(days=1))


def _easter_sunday(year: int) -> date:
    """By the anonymous Gregorian computus; its letters are those under which it is found in books."""
    a, b, c = year % 19, year // 100, year % 100
    d = (19 * a + b - b // 4 - (b - (b + 8) // 25 + 1) // 3 + 15) % 30
    e = (32 + 2 * (b % 4) + 2 * (c // 4) - d - c % 4) % 7
    month, day = divmod(d + e - 7 * ((a + 11 * d + 22 * e) // 451) + 114, 31)
    return date(year, month, day + 1)
