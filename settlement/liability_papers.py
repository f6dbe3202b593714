"""The liability report as canonical JSON, as CSV, and as tables for people: the same facts, the same bytes each time. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from zoneinfo import ZoneInfo

from gateway.domain.canonical import Plain, canonical
from gateway.domain.estimate import EnteredEstimate
from gateway.domain.terms import date_at
from gateway.domain.units import MICROS, div_half_even, format_amount, format_micros
from settlement.liability import SIGNS, RollForward, columns_of
from settlement.liability_report import Breakage, Cover, Liability, Redeemer
from settlement.plain import plain
from settlement.report import Sheet
from settlement.text import table

_CARRIED = (
    "expected_share",
    "to_serve_points",
    "redeemed_points",
    "expected_points",
    "price",
    "recognised_before",
    "recognised",
    "catch_up",
    "remaining",
)
_SHOWN = tuple(name for name in SIGNS if not name.startswith("transferred"))
CSV_COLUMNS = (
    "issuer_id",
    "expiry_month",
    "currency",
    "opening_points",
    *(f"{name}_points" for name in SIGNS),
    "closing_points",
    "opening_value_micros",
    "opening_value",
    "closing_value_micros",
    "closing_value",
    *(f"breakage_{name}" for name in _CARRIED),
)


def liability_document(report: Liability) -> bytes:
    """All of the report, as canonical JSON."""
    return canonical(
        {
            "format": "tallystick-liability-1",
            "audience": report.audience,
            "time_zone": report.time_zone,
            "dates_are": "of booking",
            "from": report.first_date.isoformat(),
            "at": report.last_date.isoformat(),
            "entries": [{"lane": lane, "last": report.ends[lane]} for lane in sorted(report.ends)],
            "roll_forward": [_line_plain(line) for line in report.lines],
            "issuers": [_sum_plain(issuer, _of(report.lines, issuer)) for issuer in _issuers(report.lines)],
            "network": _sum_plain("", report.lines),
            "breakage": [_breakage_plain(line) for line in report.breakage],
            "estimates": [_estimate_plain(one) for known in report.estimates.values() for one in known],
            "cover": [{**plain(one), "basis_points": one.basis_points} for one in report.covers],
            "redeemers": [{**plain(one), "basis_points": one.basis_points} for one in report.redeemers],
            "thresholds": {
                "cover_min": str(report.thresholds.cover_min),
                "redeemed_per_issued_max": str(report.thresholds.redeemed_per_issued_max),
            },
            "alarms": list(report.alarms()),
        }
    )


def liability_csv(report: Liability) -> str:
    """A row for each line of the roll-forward, with what is carried for it; no value can need quotes."""
    carried = {(one.issuer_id, one.expiry_month, one.currency): one for one in report.breakage}
    rows = [",".join(CSV_COLUMNS) + "\n"]
    for line in report.lines:
        breakage = carried.get((line.issuer_id, line.expiry_month, line.currency))
        values = (
            line.issuer_id,
            line.expiry_month,
            line.currency,
            line.opening_points,
            *line.columns.values(),
            line.closing_points,
            line.opening_value_micros,
            _rounded(line.opening_value_micros),
            line.closing_value_micros,
            _rounded(line.closing_value_micros),
            *("" if breakage is None else getattr(breakage, name) for name in _CARRIED),
        )
        rows.append(",".join(map(str, values)) + "\n")
    return "".join(rows)


def liability_text(report: Liability) -> str:
    """The report as a text file."""
    parts = [title(report)]
    for sheet in liability_sheets(report):
        parts.append(f"\n{sheet.title}\n\n")
        parts.append(table(sheet.columns, sheet.rows, right=sheet.right) if sheet.rows else "Nothing.\n")
    parts.append("\nAlarms\n\n" + ("".join(f"! {alarm}\n" for alarm in report.alarms()) or "None.\n"))
    return "".join(parts)


def title(report: Liability) -> str:
    """What the report is about, in two lines."""
    return (
        f"Liability of {report.audience} on {report.last_date}, rolled forward from {report.first_date}\n"
        f"By date of booking, in {report.time_zone}, both days included; proved against open lots less debt.\n"
    )


def liability_sheets(report: Liability) -> list[Sheet]:
    """The report as tables."""
    return [
        _roll_forward_sheet(report.lines),
        _breakage_sheet(report.breakage),
        estimates_sheet([one for known in report.estimates.values() for one in known], ZoneInfo(report.time_zone)),
        _cover_sheet(report.covers),
        _redeemers_sheet(report.redeemers),
    ]


def _issuers(lines: Iterable[RollForward]) -> list[str]:
    return sorted({line.issuer_id for line in lines})


def _of(lines: Iterable[RollForward], issuer_id: str) -> list[RollForward]:
    return [line for line in lines if line.issuer_id == issuer_id]


def _line_plain(line: RollForward) -> dict[str, Plain]:
    return {
        "issuer_id": line.issuer_id,
        "expiry_month": line.expiry_month,
        "currency": line.currency,
        "opening_points": line.opening_points,
        **{f"{column}_points": moved for column, moved in line.columns.items()},
        "closing_points": line.closing_points,
        "opening_value_micros": line.opening_value_micros,
        "opening_value": _rounded(line.opening_value_micros),
        "closing_value_micros": line.closing_value_micros,
        "closing_value": _rounded(line.closing_value_micros),
    }


def _sum_plain(issuer_id: str, lines: Sequence[RollForward]) -> dict[str, Plain]:
    """Lines summed up: points over all months, values by currency, each rounded from its exact sum."""
    return {
        **({"issuer_id": issuer_id} if issuer_id else {}),
        "opening_points": sum(line.opening_points for line in lines),
        **{f"{column}_points": moved for column, moved in columns_of(lines).items()},
        "closing_points": sum(line.closing_points for line in lines),
        "values": [
            {
                "currency": currency,
                "opening_value_micros": opening,
                "opening_value": _rounded(opening),
                "closing_value_micros": closing,
                "closing_value": _rounded(closing),
            }
            for currency, (opening, closing) in _values(lines).items()
        ],
    }


def _values(lines: Iterable[RollForward]) -> dict[str, tuple[int, int]]:
    sums: dict[str, tuple[int, int]] = {}
    for line in lines:
        opening, closing = sums.get(line.currency, (0, 0))
        sums[line.currency] = opening + line.opening_value_micros, closing + line.closing_value_micros
    return {currency: sums[currency] for currency in sorted(sums)}


def _breakage_plain(line: Breakage) -> dict[str, Plain]:
    return {**plain(line), "expected_share": str(line.expected_share), "remaining": line.remaining}


def _estimate_plain(one: EnteredEstimate) -> dict[str, Plain]:
    return {
        "issuer_id": one.estimate.partner_id,
        "effective_from": one.estimate.effective_from.isoformat(),
        "expected_share": str(one.estimate.expected_share),
        "point_value_micros": one.estimate.point_value_micros,
        "decision_id": one.decision_id,
        "proposed_by": one.proposed_by,
        "approved_by": one.approved_by,
        "entered_at_ms": one.entered_at_ms,
    }


def _rounded(micros: int) -> int:
    """Minor units, half to even: of each line and each sum by itself, so that sums may differ from their rounded parts."""
    return div_half_even(micros, MICROS)


def _money(micros: int, currency: str) -> str:
    return format_amount(_rounded(micros), currency)


def _roll_forward_sheet(lines: Sequence[RollForward]) -> Sheet:
    rows: list[tuple[str, ...]] = []
    for issuer_id in _issuers(lines):
        own = _of(lines, issuer_id)
        rows += [
            (
                issuer_id,
                line.expiry_month,
                str(line.opening_points),
                *_shown(line.columns),
                str(line.closing_points),
                _money(line.closing_value_micros, line.currency),
                line.currency,
            )
            for line in own
        ]
        if len(own) > 1:
            rows += _sum_rows(issuer_id, own)
    if len(_issuers(lines)) > 1:
        rows += _sum_rows("all", lines)
    columns = ("issuer", "expires", "opening", *_SHOWN, "transferred", "closing", "value at issue price", "")
    return Sheet("Points, rolled forward", columns, rows, frozenset(range(2, len(columns) - 1)))


def _sum_rows(name: str, lines: Sequence[RollForward]) -> list[tuple[str, ...]]:
    """Points once, and the value of each currency."""
    points = (
        str(sum(line.opening_points for line in lines)),
        *_shown(columns_of(lines)),
        str(sum(line.closing_points for line in lines)),
    )
    empty = ("",) * len(points)
    values = _values(lines).items()
    return [
        (name, "all" if number == 0 else "", *(points if number == 0 else empty), _money(closing, currency), currency)
        for number, (currency, (_, closing)) in enumerate(values)
    ]


def _shown(columns: Mapping[str, int]) -> list[str]:
    """What was transferred, in one column: as much as left one member came to another."""
    return [*(str(columns[name]) for name in _SHOWN), f"±{columns['transferred_in']}"]


def _breakage_sheet(lines: Sequence[Breakage]) -> Sheet:
    rows = [
        (
            one.issuer_id,
            one.expiry_month,
            str(one.to_serve_points),
            str(one.expected_share),
            str(one.expected_points),
            str(one.redeemed_points),
            format_amount(one.price, one.currency),
            format_amount(one.recognised_before, one.currency),
            format_amount(one.recognised - one.recognised_before, one.currency),
            format_amount(one.catch_up, one.currency),
            format_amount(one.remaining, one.currency),
            one.currency,
        )
        for one in lines
    ]
    columns = (
        *("issuer", "expires", "points", "share", "expected", "redeemed", "price"),
        *("recognised before", "in the period", "of it catch-up", "remaining", ""),
    )
    return Sheet("Breakage, by the proportional method", columns, rows, frozenset(range(2, len(columns) - 1)))


def estimates_sheet(known: Sequence[EnteredEstimate], zone: ZoneInfo) -> Sheet:
    """Estimates as given; when they were entered, by the dates of a time zone."""
    rows = [
        (
            one.estimate.partner_id,
            one.estimate.effective_from.isoformat(),
            date_at(one.entered_at_ms, zone).isoformat(),
            str(one.estimate.expected_share),
            format_micros(one.estimate.point_value_micros) if one.estimate.point_value_micros else "issue price",
            one.decision_id,
            f"{one.proposed_by}, {one.approved_by}",
        )
        for one in known
    ]
    columns = ("issuer", "holds from", "entered", "redeemed in the end", "value of a point", "decision", "signed by")
    return Sheet("Breakage estimates", columns, rows, frozenset({3, 4}))


def _cover_sheet(covers: Sequence[Cover]) -> Sheet:
    rows = [
        (
            one.issuer_id,
            _money(one.priced_micros, one.currency),
            _money(one.reimbursed_micros, one.currency),
            _money(one.open_micros, one.currency),
            _percent(one.basis_points),
            one.currency,
            "ALARM" if one.is_alarming else "",
        )
        for one in covers
    ]
    columns = ("issuer", "priced", "reimbursed", "open", "cover", "", "note")
    return Sheet("Cover of what is open", columns, rows, frozenset({1, 2, 3, 4}))


def _redeemers_sheet(redeemers: Sequence[Redeemer]) -> Sheet:
    rows = [
        (
            one.partner_id,
            str(one.issued_points),
            str(one.redeemed_points),
            _percent(one.basis_points),
            "ALARM" if one.is_alarming else "",
        )
        for one in redeemers
    ]
    columns = ("partner", "issued", "redeemed here", "for each issued", "note")
    return Sheet("Who redeems whose points, in the period", columns, rows, frozenset({1, 2, 3}))


def _percent(basis_points: int | None) -> str:
    return "-" if basis_points is None else f"{format_amount(basis_points, 'EUR')} %"
