"""Rows of text under their titles, for people; no library is needed for what has no colours."""

from collections.abc import Iterator, Sequence

import click

GAP = "  "


def table(titles: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    """Yield a line for the titles and one for each row, columns as wide as they need."""
    texts = [[_text(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(titles, *texts, strict=True)]
    yield click.style(_line(titles, widths), bold=True)
    yield from (_line(row, widths) for row in texts)


def pairs(rows: Sequence[tuple[str, object]]) -> Iterator[str]:
    """Yield a line for each name and value."""
    width = max(len(name) for name, _ in rows)
    yield from (f"{name.ljust(width)}{GAP}{_text(value)}" for name, value in rows)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return GAP.join(padded).rstrip()


def _text(cell: object) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    # What somebody named a room must not move the cursor of who lists it.
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(cell))
