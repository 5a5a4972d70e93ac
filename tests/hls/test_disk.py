from pathlib import Path

import pytest

from hls.disk import DiskWindow

SIZE = 16 + 16  # of a segment of ten bytes: its IV and a block
TEN = b"0123456789"


def files(folder: Path) -> list[Path]:
    """Return everything that is written below a folder."""
    return [path for path in folder.rglob("*") if path.is_file()]


def test_there_and_back(tmp_path: Path) -> None:
    """A segment comes back; on disk nobody else can read it."""
    window = DiskWindow(tmp_path)
    window.put("a", 3, TEN)
    assert window.get("a", 3) == TEN
    assert window.get("a", 4) is window.get("b", 3) is None
    assert (len(window), window.held_bytes, window.floor("a")) == (1, SIZE, 0)
    [path] = files(tmp_path)
    assert TEN not in path.read_bytes()
    assert path.parent.parent.stat().st_mode & 0o777 == 0o700


def test_an_earlier_process(tmp_path: Path) -> None:
    """What it left is deleted; what others have in the folder is not."""
    DiskWindow(tmp_path).put("a", 3, TEN)
    (tmp_path / "mine").write_text("")
    assert DiskWindow(tmp_path).get("a", 3) is None
    assert files(tmp_path) == [tmp_path / "mine"]


def test_bound(tmp_path: Path) -> None:
    """The oldest segment of any stream goes; its window begins behind it."""
    window = DiskWindow(tmp_path, max_bytes=3 * SIZE)
    for stream, msn in (("a", 0), ("b", 7), ("a", 1), ("b", 8)):
        window.put(stream, msn, TEN)
    assert [window.has("a", 0), window.has("b", 7), window.has("a", 1)] == [False, True, True]
    assert (window.floor("a"), window.floor("b"), window.held_bytes) == (1, 0, 3 * SIZE)
    window.drop_before("a", 2)
    window.put("b", 9, TEN)
    assert (window.floor("b"), window.held_bytes) == (0, 3 * SIZE)
    window.put("b", 10, TEN)
    assert (window.floor("a"), window.floor("b")) == (1, 8)
    assert len(files(tmp_path)) == len(window) == 3


def test_beside_a_stream_that_stands_still(tmp_path: Path) -> None:
    """What is remembered of others does not grow with all that they ever had."""
    window = DiskWindow(tmp_path, max_bytes=4 * SIZE, run=lambda _: True)
    window.put("a", 0, TEN)
    for msn in range(2500):
        window.put("b", msn, TEN)
        window.drop_before("b", msn - 1)
    assert len(window) == 3
    assert len(window._order) < 1010
    window.put("c", 0, TEN)
    window.put("c", 1, TEN)
    assert [window.floor(stream) for stream in "abc"] == [1, 0, 0]


def test_dropped(tmp_path: Path) -> None:
    """What left the window is deleted, and what was dropped is no longer counted."""
    window = DiskWindow(tmp_path)
    for msn in range(5):
        window.put("a", msn, TEN)
    window.drop_before("a", 3)
    assert (len(window), window.held_bytes, len(files(tmp_path))) == (2, 2 * SIZE, 2)
    window.forget("a")
    assert (len(window), window.held_bytes, files(tmp_path)) == (0, 0, [])
    window.forget("a")


def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A segment that cannot be written is counted, and the window begins behind it."""
    window = DiskWindow(tmp_path)
    window.put("a", 0, TEN)
    with monkeypatch.context() as full:
        full.setattr(Path, "write_bytes", _no_space)
        window.put("a", 1, TEN)
    assert (window.failures, window.floor("a"), len(window)) == (1, 2, 0)
    window.put("a", 2, TEN)
    assert window.get("a", 2) == TEN


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    """A path that is a file, or a disk that is gone, is a failure as well."""
    (tmp_path / "file").write_text("")
    window = DiskWindow(tmp_path / "file")
    window.put("a", 0, TEN)
    assert window.failures > 0
    assert window.get("a", 0) is None
    window.forget("a")


def test_somebody_else_wrote(tmp_path: Path) -> None:
    """What was changed or deleted on disk is lost, counted."""
    window = DiskWindow(tmp_path)
    for msn in range(3):
        window.put("a", msn, TEN)
    paths = sorted(files(tmp_path))
    paths[0].write_bytes(b"short")
    paths[1].unlink()
    assert window.get("a", 0) is window.get("a", 1) is None
    assert window.failures == 2
    window.drop_before("a", 2)
    assert window.failures == 2


def _no_space(_path: Path, _data: bytes) -> int:
    raise OSError(28, "No space left on device")
