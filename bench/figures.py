"""What was measured: rows of figures, one list entry per round or seed, and their statistics."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass(slots=True)
class Row:
    """One server in one situation. `figures` holds every value of each metric."""

    what: str
    server: str
    figures: dict[str, list[float]] = field(default_factory=dict)
    note: str = ""

    def add(self, **values: float | Sequence[float]) -> None:
        """Append one value, or several, to metrics by their key."""
        for key, value in values.items():
            kept = self.figures.setdefault(key, [])
            if isinstance(value, int | float):
                kept.append(float(value))
            else:
                kept.extend(float(entry) for entry in value)


@dataclass(slots=True)
class Section:
    """A table: rows that hold the same metrics. `labels` gives each metric's heading and unit."""

    key: str
    title: str
    labels: dict[str, str]
    rows: list[Row] = field(default_factory=list)
    main: str = ""
    note: str = ""
    show_percentiles: bool = False

    def row(self, what: str, server: str) -> Row:
        """Return the row of a server in a situation; made if it is new."""
        for row in self.rows:
            if (row.what, row.server) == (what, server):
                return row
        self.rows.append(Row(what, server))
        return self.rows[-1]


@dataclass(frozen=True, slots=True)
class Summary:
    """Statistics of some values; `p95` and `p99` by linear interpolation."""

    count: int
    median: float
    low: float
    high: float
    p95: float
    p99: float


def summarise(values: Sequence[float]) -> Summary:
    """Return the statistics of at least one value."""
    p95, p99 = np.percentile(values, [95, 99]).tolist()
    return Summary(
        len(values), float(statistics.median(values)), min(values), max(values), p95, p99
    )


def slope(first: tuple[float, float], second: tuple[float, float]) -> float:
    """Return the rise per unit between two (size, value) points."""
    return (second[1] - first[1]) / (second[0] - first[0])
