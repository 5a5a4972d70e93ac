"""A measurement on paper: a table for the terminal, JSON, Markdown and plots."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import matplotlib as mpl
from rich.console import Console
from rich.table import Table

from bench.figures import Row, Section, summarise
from bench.settings import Settings

mpl.use("Agg")  # before pyplot is imported: there may be no display
from matplotlib import pyplot as plt


def cell(values: list[float], *, percentiles: bool) -> str:
    """Return a table's cell: the median and the spread, or p50 / p95 / p99."""
    if not values:
        return "-"
    found = summarise(values)
    if percentiles and found.count > 1:
        return f"{_round(found.median)} / {_round(found.p95)} / {_round(found.p99)}"
    if found.count == 1 or found.low == found.high:
        return _round(found.median)
    return f"{_round(found.median)} ({_round(found.low)}-{_round(found.high)})"


def _round(value: float) -> str:
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}" if size >= 1 else f"{value:.3f}"


def ratio(section: Section, row: Row) -> str:
    """Return the row's main figure as a multiple of Roomtone's in the same situation."""
    ours = [r for r in section.rows if (r.what, r.server) == (row.what, "Roomtone")]
    if not ours or row is ours[0]:
        return ""
    own = ours[0].figures.get(section.main)
    other = row.figures.get(section.main)
    if not own or not other or not summarise(own).median:
        return ""
    return f"{summarise(other).median / summarise(own).median:.2f}"


def _headings(section: Section) -> list[str]:
    more = " (p50 / p95 / p99)" if section.show_percentiles else ""
    labels = [f"{text}{more}" for text in section.labels.values()]
    return ["", "server", *labels, "of Roomtone's", ""]


def _cells(section: Section, row: Row) -> list[str]:
    figures = [
        cell(row.figures.get(key, []), percentiles=section.show_percentiles)
        for key in section.labels
    ]
    return [row.what, row.server, *figures, ratio(section, row), row.note]


def print_tables(sections: list[Section], console: Console) -> None:
    """Print every section as a table."""
    for section in sections:
        table = Table(title=section.title, caption=section.note or None, title_justify="left")
        for number, heading in enumerate(_headings(section)):
            table.add_column(heading, justify="left" if number < 2 else "right")
        for row in section.rows:
            table.add_row(*_cells(section, row))
        console.print(table)


def markdown(sections: list[Section], facts: dict[str, str]) -> str:
    """Return the same as Markdown."""
    lines = ["# Measured", "", *(f"- {key}: {value}" for key, value in facts.items())]
    for section in sections:
        headings = _headings(section)
        lines += ["", f"## {section.title}", "", section.note, ""] if section.note else [
            "", f"## {section.title}", "",
        ]  # fmt: skip
        lines += [f"| {' | '.join(headings)} |", "|" + "---|" * len(headings)]
        lines += [f"| {' | '.join(_cells(section, row))} |" for row in section.rows]
    return "\n".join(lines) + "\n"


def as_json(sections: list[Section], facts: dict[str, str], settings: Settings) -> str:
    """Return every single value, with the facts and the settings it was measured under."""
    report: dict[str, Any] = {
        "machine": facts,
        "settings": asdict(settings),
        "sections": [
            {
                **asdict(section),
                "summaries": [
                    {
                        key: asdict(summarise(values))
                        for key, values in row.figures.items()
                        if values
                    }
                    for row in section.rows
                ],
            }
            for section in sections
        ],
    }
    return json.dumps(report, indent=1, sort_keys=True) + "\n"


def plot(section: Section, path: Path) -> None:
    """Draw a section's main metric: medians as bars, the spread as whiskers."""
    drawn = [row for row in section.rows if row.figures.get(section.main)]
    servers = list(dict.fromkeys(row.server for row in drawn))
    situations = list(dict.fromkeys(row.what for row in drawn))
    figure, axes = plt.subplots(figsize=(max(6.0, 0.9 * len(situations) + 2), 4.5))
    width = 0.8 / max(1, len(servers))
    for number, server in enumerate(servers):
        places, medians, below, above = [], [], [], []
        for place, what in enumerate(situations):
            rows = [row for row in drawn if (row.what, row.server) == (what, server)]
            if not rows:
                continue
            found = summarise(rows[0].figures[section.main])
            high = found.p95 if section.show_percentiles else found.high
            places.append(place + number * width)
            medians.append(found.median)
            below.append(found.median - found.low)
            above.append(max(0.0, high - found.median))
        axes.bar(places, medians, width, yerr=[below, above], capsize=2, label=server)
    axes.set_xticks(
        [place + width * (len(servers) - 1) / 2 for place in range(len(situations))],
        situations,
        rotation=30,
        ha="right",
    )
    axes.set_ylabel(section.labels[section.main])
    axes.set_title(section.title)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def write(sections: list[Section], facts: dict[str, str], settings: Settings, folder: Path) -> None:
    """Write everything into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.json").write_text(as_json(sections, facts, settings))
    (folder / "tables.md").write_text(markdown(sections, facts))
    for section in sections:
        if section.rows:
            plot(section, folder / f"{section.key}.png")
