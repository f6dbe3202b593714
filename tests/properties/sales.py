"""Sales, to the model, and what may come back of them."""

from dataclasses import dataclass

from gateway.domain.command import BasketLine, Refund
from tests.properties.purses import Issued, Redeemed

Part = tuple[int, int, dict[str, int]]
"""An amount, how much of it earned points, and what came back of each line."""


@dataclass
class Sold:
    """A checkout, and what of it came back."""

    member: str
    partner: str
    total: int
    earning: int
    lines: dict[str, BasketLine]
    redeemed: Redeemed | None
    issued: Issued | None
    left: int
    earning_left: int
    lines_left: dict[str, int]

    @property
    def paid(self) -> int:
        """In money."""
        return self.total - (self.redeemed.value if self.redeemed else 0)


def amount_back(sold: Sold, asked: Refund) -> Part | None:
    """An amount takes what earned first."""
    amount = sold.left if asked.amount is None else asked.amount.minor_units
    return (amount, min(amount, sold.earning_left), {}) if 0 < amount <= sold.left else None


def lines_back(sold: Sold, asked: Refund) -> Part | None:
    """Of each line what was asked for, or all that is left."""
    lines: dict[str, int] = {}
    for line in asked.lines or ():
        left = sold.lines_left.get(line.line_id, 0)
        part = left if line.minor_units is None else line.minor_units
        if not 0 < part <= left:
            return None
        lines[line.line_id] = part
    amount = sum(lines.values())
    earning = sum(part for line_id, part in lines.items() if sold.lines[line_id].is_eligible)
    return (amount, earning, lines) if amount <= sold.left and earning <= sold.earning_left else None
