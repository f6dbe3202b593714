"""Windows of coalitions as large as wanted, as facts: every number follows from the partners' numbers."""

from collections.abc import Iterator

from gateway.domain.entry import PostingKind
from gateway.domain.window import LaneRange, Window, WindowState
from settlement.instruction import instruct
from settlement.netting import net_positions, partner_to_partner
from settlement.obligation import Obligation, Total
from settlement.papers.report_figures import WindowSum
from settlement.papers.report_page import ReportFacts

HOSTILE_NAME = """<script>alert("paid")</script> & 'Söhne' <img src=x onerror=alert(1)> \u202e{{ 7 * 7 }}"""
_AUDIENCE = "coalition.example:test"


def coalition(partners: int, *, currency: str = "EUR", windows: int = 12) -> ReportFacts:
    """A window in which small partners issue what large ones redeem. The first partner's name is hostile."""
    lines = list(_obligations(partners, currency))
    positions = net_positions(lines)
    window = Window(windows, WindowState.NETTED, "2026-06-30", 0, b"", 1, (LaneRange(1, 1, 1_000_000, b"", 0, b""),))
    gross = sum(line.amount for line in lines if not line.is_own)
    net = sum(position.amount for position in positions if position.amount > 0)
    return ReportFacts(
        audience=_AUDIENCE,
        model="at_redemption",
        window=window,
        names={partner_id(number): HOSTILE_NAME if number == 0 else f"Shop {number} GmbH" for number in range(partners)},
        obligations=lines,
        positions=positions,
        instructions=instruct(
            audience=_AUDIENCE, window_id=windows, form="partner-to-partner", payments=partner_to_partner(positions)
        ),
        movements=list(_movements(lines)),
        liability={
            (currency, f"{2027 + month // 12}-{month % 12 + 1:02}"): (40_000 * (month + 1), 44_123_456_789 * (month + 1))
            for month in range(18)
        },
        windows=[
            WindowSum(number, f"2026-06-{18 + number:02}", currency, gross * (20 + number) // 32, net * (26 - number) // 14)
            for number in range(1, windows)
        ]
        + [WindowSum(windows, "2026-06-30", currency, gross, net)],
    )


def partner_id(number: int) -> str:
    """Some are as long as ids may be."""
    return f"partner-{number:03}" if number % 7 else f"a-partner-with-a-long-name-{number:05}"


def _obligations(partners: int, currency: str) -> Iterator[Obligation]:
    for payer in range(partners):
        for step in range(min(partners, 60)):
            payee = (payer * 31 + step * 17) % partners
            points = 50 + 700_000 // (1 + payee * (1 + payer % 5)) + 977 * (payer * payee % 13)
            micros = points * 960_000
            yield Obligation(
                partner_id(payer), partner_id(payee), "redemption", 1 + step % 2, currency, points, micros, micros // 10**6
            )


def _movements(lines: list[Obligation]) -> Iterator[Total]:
    for line in lines:
        yield Total(line.payer_id, line.payer_id, 1, PostingKind.ISSUE, line.points * 2)
        yield Total(line.payer_id, line.payee_id, line.rate_card_version, PostingKind.REDEEM, line.points)
