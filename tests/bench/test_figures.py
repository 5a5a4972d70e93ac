import json
from pathlib import Path

import pytest

from bench.figures import Section, slope, summarise
from bench.report import as_json, cell, markdown, ratio, write
from bench.settings import Settings


def _section() -> Section:
    section = Section("cpu", "CPU", {"cpu": "%"}, main="cpu", note="Note.")
    section.row("40/3", "Roomtone").add(cpu=[0.1, 0.3, 0.2])
    section.row("40/3", "Janus").add(cpu=2.0)
    return section


def test_summary_of_known_values() -> None:
    """Median, ends and percentiles are those of the values, whatever their order."""
    found = summarise([5, 1, 4, 2, 3])
    assert (found.count, found.median, found.low, found.high) == (5, 3, 1, 5)
    assert (found.p95, found.p99) == pytest.approx((4.8, 4.96))


def test_slope() -> None:
    """What one more costs is the rise between two sizes."""
    assert slope((200, 0.3), (600, 0.5)) == pytest.approx(0.0005)


def test_a_row_is_made_once() -> None:
    """Rounds of the same server in the same situation come together."""
    section = _section()
    section.row("40/3", "Janus").add(cpu=4.0)
    assert len(section.rows) == 2
    assert section.rows[1].figures["cpu"] == [2.0, 4.0]


def test_cells() -> None:
    """A cell tells the median with its spread, or percentiles, or that there is nothing."""
    assert cell([0.1, 0.3, 0.2], percentiles=False) == "0.200 (0.100-0.300)"
    assert cell([20.0, 30.0, 40.0], percentiles=True).startswith("30.0 / ")
    assert cell([1234.0], percentiles=True) == "1,234"
    assert cell([], percentiles=False) == "-"


def test_ratio_to_roomtone() -> None:
    """A rival's figure stands as a multiple of ours in the same situation; ours has none."""
    section = _section()
    assert ratio(section, section.rows[1]) == "10.00"
    assert ratio(section, section.rows[0]) == ""
    assert ratio(section, section.row("100/3", "Janus")) == ""


def test_markdown() -> None:
    """The tables as Markdown hold the machine and every row."""
    text = markdown([_section()], {"CPU": "a fast one"})
    assert "- CPU: a fast one" in text
    assert "| 40/3 | Janus | 2.00 | 10.00 |  |" in text


def test_json_holds_every_value() -> None:
    """The JSON holds each value, its statistics, the machine and the settings."""
    found = json.loads(as_json([_section()], {"CPU": "x"}, Settings()))
    assert found["sections"][0]["rows"][0]["figures"]["cpu"] == [0.1, 0.3, 0.2]
    assert found["sections"][0]["summaries"][0]["cpu"]["median"] == 0.2
    assert found["settings"]["mix"]["bitrate_bps"] == 96_000


@pytest.mark.slow
def test_files(tmp_path: Path) -> None:
    """A result is a folder with JSON, tables and a picture of each section."""
    write([_section()], {}, Settings(), tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "result.json", "tables.md", "cpu.png",
    }  # fmt: skip
    assert (tmp_path / "out" / "cpu.png").read_bytes().startswith(b"\x89PNG")
