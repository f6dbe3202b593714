"""A picture with the table that says the same beside it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from settlement.report import Sheet


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """`name` is unique in its page. `lead` says what to see; `notes` say what was left out or folded."""

    name: str
    title: str
    lead: str
    pictures: Sequence[Markup]
    sheet: Sheet
    notes: Sequence[str] = ()
    is_wide: bool = False
