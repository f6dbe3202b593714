"""Plain text for files that people read: the same bytes on every machine. Pure."""

from collections.abc import Collection, Iterable, Sequence


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Collection[int] = ()) -> str:
    """Columns as wide as their widest cell, a rule below the names; columns in `right` are aligned to the right."""
    cells = [list(columns), *(list(row) for row in rows)]
    widths = [max(len(row[index]) for row in cells) for index in range(len(columns))]
    cells.insert(1, ["-" * width for width in widths])
    return "".join(_line(row, widths, right) for row in cells)


def _line(row: Sequence[str], widths: Sequence[int], right: Collection[int]) -> str:
    padded = (
        cell.rjust(width) if index in right else cell.ljust(width)
        for index, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return "  ".join(padded).rstrip() + "\n"
