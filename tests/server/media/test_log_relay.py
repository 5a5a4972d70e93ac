import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from server.media.log_relay import MAX_LINES_PER_S, log_line, relay_log


def stream(data: bytes, limit: int = 100) -> asyncio.StreamReader:
    """A stream that holds `data` and ends."""
    reader = asyncio.StreamReader(limit=limit)
    reader.feed_data(data)
    reader.feed_eof()
    return reader


def test_a_worker_keeps_its_level_and_fields() -> None:
    """A JSON line of ours is logged as it was meant."""
    with capture_logs() as logs:
        log_line(b'{"event":"late","level":"error","ticks":3}\n', process="mixer")
    assert logs == [{"event": "late", "log_level": "error", "ticks": 3, "process": "mixer"}]


@pytest.mark.parametrize("line", [b"Fatal Python error\n", b"[1]", b'{"level":"error"}', b"\xff"])
def test_anything_else_is_logged_as_text(line: bytes) -> None:
    """Crashes of the interpreter and other people's prints are not lost."""
    with capture_logs() as logs:
        log_line(line, process="mixer")
    assert [entry["event"] for entry in logs] == ["worker_said"]


def test_an_unknown_level_is_no_method() -> None:
    """A level is looked up among levels only."""
    with capture_logs() as logs:
        log_line(b'{"event":"x","level":"bind"}', process="mixer")
    assert [entry["log_level"] for entry in logs] == ["info"]


json_values = st.recursive(
    st.none() | st.integers() | st.text(),
    lambda inner: st.dictionaries(
        st.text() | st.sampled_from(["event", "self", "exc_info", "_x"]), inner
    ),
)


@given(st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_line_is_logged_or_ignored(line: bytes) -> None:
    """No line raises."""
    with capture_logs():
        log_line(line, process="mixer")


async def test_a_flood_is_counted_instead() -> None:
    """Beyond the rate lines are dropped; those before it are logged."""
    with capture_logs() as logs:
        await relay_log(stream(b"x\n" * 1000), process="mixer")
    assert len(logs) <= MAX_LINES_PER_S + 1


async def test_a_line_without_end_stops_nothing() -> None:
    """What follows a line longer than the buffer is still logged."""
    with capture_logs() as logs:
        await relay_log(stream(b"x" * 1000 + b"\nshort\n"), process="mixer")
    assert [entry.get("line") for entry in logs] == ["short"]
