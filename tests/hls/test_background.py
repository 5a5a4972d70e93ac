"""What waits for a disk in a thread of its own, and a window whose disk hangs."""

import threading
from functools import partial
from pathlib import Path

import pytest

from hls import disk
from hls.background import Background
from hls.disk import DiskWindow

SEGMENT = b"0123456789"
LONG_S = 10.0


class Gate:
    """A disk that hangs until it is opened."""

    def __init__(self, background: Background) -> None:
        self._opened = threading.Event()
        self._background = background
        assert background(partial(self._opened.wait, LONG_S))

    def open(self) -> None:
        """Let everything be done that waits."""
        self._opened.set()
        assert self._background.join(LONG_S)


def test_in_order() -> None:
    """Jobs are done one after the other; one that fails spoils none of the others."""
    background, done = Background("test"), list[int]()
    for number in range(100):
        assert background(partial(done.append, number))
        assert background(partial(divmod, number, 0))
    assert background.join(LONG_S)
    assert done == list(range(100))


def test_too_many_wait() -> None:
    """More than it may keep are refused at once, and never done."""
    background, done = Background("test", max_waiting=3), list[int]()
    started, gate = threading.Event(), threading.Event()

    def hang() -> None:
        started.set()
        gate.wait(LONG_S)

    background(hang)
    assert started.wait(LONG_S)
    assert [background(partial(done.append, number)) for number in range(5)] == [True] * 3 + [
        False
    ] * 2
    assert not background.join(0.01)
    gate.set()
    assert background.join(LONG_S)
    assert done == [0, 1, 2]


def test_a_disk_that_hangs(tmp_path: Path) -> None:
    """Nobody waits for it: what is not yet written comes from memory; what leaves, leaves."""
    background = Background("test")
    window, gate = DiskWindow(tmp_path, run=background), Gate(background)
    for msn in range(4):
        window.put("a", msn, SEGMENT)
    assert window.unread("a", 3) is None
    assert [window.get("a", msn) for msn in range(4)] == [SEGMENT] * 4
    window.drop_before("a", 2)
    window.forget("b")
    assert (window.get("a", 1), window.get("a", 2)) == (None, SEGMENT)
    gate.open()
    assert window.get("a", 3) == SEGMENT
    assert (window.failures, len(list(tmp_path.rglob("*.*")))) == (0, 2)


def test_it_hangs_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory does not grow: the window begins behind what finds no room, until there is some."""
    monkeypatch.setattr(disk, "MAX_UNWRITTEN_BYTES", 96)
    background = Background("test")
    window, gate = DiskWindow(tmp_path, run=background), Gate(background)
    for msn in range(50):
        window.put("a", msn, SEGMENT)
    assert (window.failures, window.floor("a"), len(window)) == (47, 50, 0)
    gate.open()
    window.put("a", 50, SEGMENT)
    assert background.join(LONG_S)
    assert (window.failures, window.get("a", 50), len(window)) == (47, SEGMENT, 1)


def test_no_more_jobs(tmp_path: Path) -> None:
    """A thread that takes no more is as a full disk."""
    window = DiskWindow(tmp_path, run=lambda _: False)
    window.put("a", 5, SEGMENT)
    assert (window.failures, window.floor("a"), window.get("a", 5)) == (1, 6, None)


def test_it_could_not_be_written(tmp_path: Path) -> None:
    """That is learnt later, and the window then begins behind it."""
    (tmp_path / "file").write_text("")
    background = Background("test")
    window, gate = DiskWindow(tmp_path / "file", run=background), Gate(background)
    window.put("a", 5, SEGMENT)
    assert (window.floor("a"), window.get("a", 5)) == (0, SEGMENT)
    gate.open()
    assert (window.floor("a"), window.get("a", 5)) == (6, None)
    assert window.failures > 0


def test_read_ahead(tmp_path: Path) -> None:
    """What was read in another thread is not read again, and is never mistaken for another's."""
    window = DiskWindow(tmp_path)
    window.put("a", 1, SEGMENT)
    job = window.unread("a", 1)
    assert job is not None
    job()
    assert window.unread("a", 1) is window.unread("a", 2) is None
    for path in tmp_path.rglob("1.*"):
        path.unlink()
    assert window.get("a", 1) == SEGMENT
    window.put("b", 1, SEGMENT)
    late = window.unread("b", 1)
    assert late is not None
    window.forget("b")
    late()
    window.put("b", 1, b"another")
    assert window.get("b", 1) == b"another"


def test_read_ahead_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what was read only the newest is kept in memory."""
    monkeypatch.setattr(disk, "MAX_READ_BYTES", 96)
    window = DiskWindow(tmp_path)
    for msn in range(5):
        window.put("a", msn, SEGMENT)
    for msn in (0, 1, 2, 3, 4, 3):
        job = window.unread("a", msn)
        if job is not None:
            job()
    assert [window.unread("a", msn) is None for msn in range(5)] == [False, False, True, True, True]


def test_gone_when_it_is_read(tmp_path: Path) -> None:
    """A file that somebody deleted is found to be lost by who wants it."""
    window = DiskWindow(tmp_path)
    window.put("a", 1, SEGMENT)
    job = window.unread("a", 1)
    for path in tmp_path.rglob("1.*"):
        path.unlink()
    assert job is not None
    job()
    assert (window.get("a", 1), window.failures) == (None, 1)
