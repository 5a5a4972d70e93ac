"""A disk that takes half of each file, by the kernel's own word: the stream goes on."""

import contextlib
import resource
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hls.core.conformance.history import History
from hls.disk import DiskWindow
from hls.pipeline import Broadcaster
from hls.shelf import MEMORY_SEGMENTS
from hls.types import PlaylistKind
from tests.hls.listener import read, spec, tone

pytestmark = pytest.mark.timeout(60)  # three minutes of sound are encoded twice

BASE = 1000
SEGMENTS = 90
FULL = range(40, 60)  # segments in which no file may be longer than a few hundred bytes
ROOM_BYTES = 500


@contextlib.contextmanager
def no_long_files() -> Iterator[None]:
    """Let the kernel write the beginning of each file only (EFBIG)."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM_BYTES, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_is_full_for_a_while(tmp_path: Path) -> None:
    """No playlist breaks a rule, what is live is all there, no half of a file is left, and with
    room again the window grows again.
    """  # noqa: D205
    disk, pcm = DiskWindow(tmp_path), tone(8)
    broadcaster, history = Broadcaster(disk=disk), History()
    broadcaster.apply(replace(spec(base_tick=BASE), window_s=100.0), BASE)
    listed, failures = [], []
    for segment in range(SEGMENTS):
        begin = BASE + 96 * segment
        for offset, frame in enumerate(pcm):
            broadcaster.write("blue", "floor", begin + offset, frame)
        with no_long_files() if segment in FULL else contextlib.nullcontext():
            text = broadcaster.playlist("blue", "", PlaylistKind.CLASSIC, begin + 95)
        assert text is not None
        assert history.follow(text) == []
        newest = read(text).names[-1]
        assert broadcaster.fetch("blue", "", newest, begin + 95)
        listed.append(len(read(text).names))
        failures.append(disk.failures)
    assert failures[FULL.start - 1] == 0
    assert failures[FULL.stop] == failures[-1] > 10
    assert listed[FULL.start - 1] > MEMORY_SEGMENTS
    assert MEMORY_SEGMENTS - 1 <= listed[FULL.stop - 1] <= MEMORY_SEGMENTS + 2
    assert listed[-1] > listed[FULL.stop - 1] + 5
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(left) == len(disk)
    assert min(path.stat().st_size for path in left) > ROOM_BYTES
