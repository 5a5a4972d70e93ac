import json
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from server.media.worker_log import MAX_LINE_BYTES, encode_line

PROGRAM = """
import logging, structlog
from server.media import worker_log
worker_log.configure()
structlog.get_logger().info("own", number=1)
logging.getLogger("library").warning("theirs %d", 2)
for _ in range({flood}):
    structlog.get_logger().info("flood", text="x" * 1000)
raise ValueError("crash")
"""


def lines_of(flood: int) -> list[dict[str, object]]:
    """Run the program and read its stderr only after it ended."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(flood=flood)], stderr=subprocess.PIPE
    ) as run:
        run.wait()
        assert run.stderr is not None
        return [json.loads(line) for line in run.stderr]


def test_everything_is_said_in_json_lines() -> None:
    """Our log, a library's log and a crash come out alike."""
    own, theirs, crash = lines_of(flood=0)
    assert own == {"event": "own", "level": "info", "number": 1}
    assert theirs == {"event": "theirs 2", "level": "warning", "logger": "library"}
    assert "ValueError: crash" in str(crash["exception"])


def test_a_reader_that_sleeps_blocks_nobody() -> None:
    """A full pipe loses lines; the process goes on, and each line that came is whole."""
    assert 3 < len(lines_of(flood=1000)) < 100


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.binary()), st.integers(0, 9000))
def test_a_line_fits_the_pipe(fields: dict[str, object], length: int) -> None:
    """Whatever is logged is one JSON line short enough to be written at once."""
    line = encode_line({"event": "e" * length, "exception": "x" * length, **fields})
    assert len(line) <= MAX_LINE_BYTES
    assert isinstance(json.loads(line), dict)
