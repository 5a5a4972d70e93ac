import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from hls.upload.core.journal import Listed, write_line
from hls.upload.spool import (
    HEAD,
    MEDIA,
    SENT,
    Head,
    Sent,
    SpoolWriter,
    close_stream,
    forget_stream,
    journal_path,
    read_head,
    read_segment,
    sent_streams,
    streams,
    waiting_segments,
    write_whole,
)

ONE = Listed(7, "seg-7.m4s", "init-1.mp4", 1_700_000_000.25, 1, "/k", bytes(16))
STREAM = Head("blue", "monday", ("128k",), "#EXTM3U\n")
AT = (STREAM.id, "128k")


def put(writer: SpoolWriter, *numbers: int, size: int = 1000) -> None:
    for msn in numbers:
        writer.put(*AT, replace(ONE, msn=msn), bytes(size))


def waiting(folder: Path) -> list[int]:
    return [msn for msn, _ in waiting_segments(folder / STREAM.id / MEDIA / "128k")]


def test_handed_over(tmp_path: Path) -> None:
    """What one process puts into the spool the other finds, for nobody else to read."""
    writer = SpoolWriter(tmp_path, 1 << 20)
    writer.begin(STREAM)
    put(writer, 8, 7, 10)
    (stream,) = streams(tmp_path)
    assert read_head(stream) == STREAM
    assert waiting(tmp_path) == [7, 8, 10]
    _, path = waiting_segments(stream / MEDIA / "128k")[0]
    assert read_segment(path) == (ONE, bytes(1000))
    assert path.stat().st_mode & 0o077 == 0
    assert stream.stat().st_mode & 0o077 == 0
    writer.end(STREAM.id)
    assert writer.streams() == []
    assert writer.has(STREAM.id)
    forget_stream(stream)
    assert streams(tmp_path) == []
    assert not writer.has(STREAM.id)


def test_full(tmp_path: Path) -> None:
    """When no more may be held the oldest segment goes, counted; what was sent is not missed."""
    writer = SpoolWriter(tmp_path, 5000)
    put(writer, 1, 2, 3)
    put(writer, 4, 5)
    assert waiting(tmp_path) == [2, 3, 4, 5]
    assert writer.counters["upload_spool_dropped"] == 1
    for _, path in waiting_segments(tmp_path / STREAM.id / MEDIA / "128k"):
        path.unlink()
    put(writer, 6, 7, 8, 9)
    assert waiting(tmp_path) == [6, 7, 8, 9]
    assert writer.counters["upload_spool_dropped"] == 1
    put(writer, 10, size=6000)
    assert writer.counters["upload_spool_dropped"] == 6  # and nothing else is held


def test_goes_on(tmp_path: Path) -> None:
    """A process that is started again knows what waits, what was sent, and how much that is."""
    put(SpoolWriter(tmp_path, 5000), 1, 2, 3)
    again = SpoolWriter(tmp_path, 5000)
    assert again.last_msn(*AT) == 3
    put(again, 4, 5)
    assert waiting(tmp_path) == [2, 3, 4, 5]
    journal = journal_path(tmp_path / STREAM.id, "128k")
    journal.parent.mkdir()
    lines = [write_line(replace(ONE, msn=msn)) for msn in range(200)]
    journal.write_bytes(b"".join(lines) + b'{"msn": 20')
    assert again.last_msn(*AT) == 199
    assert again.last_msn("other", "128k") == -1


def test_disk_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that takes nothing is counted; nothing is raised and no half file is left."""
    writer = SpoolWriter(tmp_path, 1 << 20)

    def full(path: Path, _data: bytes) -> None:
        path.with_name(path.name + ".draft").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hls.upload.spool.write_whole", full)
    writer.begin(STREAM)
    put(writer, 1)
    writer.put_init(*AT, "init-1.mp4", b"init")
    writer.put_key(STREAM.id, 1, b"key")
    writer.end(STREAM.id)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert writer.counters["upload_spool_failures"] == 5
    assert writer.counters["upload_spool_dropped"] == 1


def test_once(tmp_path: Path) -> None:
    """An init segment and a key are written once."""
    writer = SpoolWriter(tmp_path, 1 << 20)
    for data in (b"one", b"two"):
        writer.put_init(*AT, "init-1.mp4", data)
        writer.put_key(STREAM.id, 1, data)
    assert {path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == {b"one"}


@pytest.mark.parametrize(
    "change", [{"room": "other"}, {"renditions": []}, {"renditions": ["../x"]}, {"renditions": 5}]
)
def test_foul_head(tmp_path: Path, change: dict[str, object]) -> None:
    """A stream that says what cannot be, or nothing, is none."""
    folder = tmp_path / STREAM.id
    folder.mkdir()
    assert read_head(folder) is None
    write_whole(folder / HEAD, json.dumps(asdict(STREAM) | change).encode())
    assert read_head(folder) is None
    write_whole(folder / HEAD, b"{")
    assert read_head(folder) is None


def test_sent(tmp_path: Path) -> None:
    """Of what was sent its place is kept, and where it began; a note that is none is none."""
    writer = SpoolWriter(tmp_path, 1 << 20)
    writer.begin(STREAM)
    put(writer, 7)
    (stream,) = streams(tmp_path)
    sent = Sent("blue", 7, 1_700_000_000.0)
    close_stream(stream, sent)
    assert streams(tmp_path) == []
    assert waiting(tmp_path) == []
    assert sent_streams(tmp_path) == {STREAM.id: sent}
    for foul in (b"{", b"[]", b'{"room": "blue", "first_msn": Infinity, "unix_s": 1}'):
        write_whole(stream / SENT, foul)
        assert sent_streams(tmp_path) == {}


def test_damaged(tmp_path: Path) -> None:
    """A segment without its line, or without its data, is none."""
    path = tmp_path / "1.seg"
    for content in (b"", b"no line", b"{}\ndata", write_line(ONE)):
        path.write_bytes(content)
        assert read_segment(path) is None
    assert waiting_segments(tmp_path / "none") == []
    assert streams(tmp_path / "none") == []
