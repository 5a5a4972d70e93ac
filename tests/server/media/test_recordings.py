"""Chunks of recordings into files."""

import asyncio
import contextlib
import io
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from mixer.core.recording import Header, Lost, Tick, read_header, read_records, write_header
from server.media.recordings import RecordingFolder, RecordingPipe
from server.media.wire import WireError, read_recording, recording_body
from server.rpc.framing import FrameKind

CHUNK = write_header(Header("room"))


@contextlib.asynccontextmanager
async def writing(folder: RecordingFolder) -> AsyncIterator[None]:
    """A folder whose writer runs; at the end all is written."""
    task = asyncio.create_task(folder.run())
    await asyncio.sleep(0)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_chunks_of_a_recording_are_one_file(tmp_path: Path) -> None:
    """In order, several recordings side by side, readable by their user alone."""
    folder = RecordingFolder(tmp_path)
    async with writing(folder):
        for chunk in (b"a", b"b", b"c"):
            folder.take("one-1", chunk)
            folder.take("two-2", chunk * 2)
    assert (tmp_path / "one-1.arrivals").read_bytes() == b"abc"
    assert (tmp_path / "two-2.arrivals").read_bytes() == b"aabbcc"
    assert stat.S_IMODE((tmp_path / "one-1.arrivals").stat().st_mode) == 0o600
    assert folder.counters["recording_bytes_written"] == 9


@pytest.mark.parametrize("name", ["", "../up", "a/b", "x" * 65, "é"])
async def test_names_are_names(tmp_path: Path, name: str) -> None:
    """Nothing is written outside the folder."""
    folder = RecordingFolder(tmp_path)
    async with writing(folder):
        folder.take(name, b"a")
    assert folder.counters == {}


async def test_what_finds_no_place_is_marked(tmp_path: Path) -> None:
    """Before the next chunk of that recording."""
    folder = RecordingFolder(tmp_path, max_waiting_bytes=len(CHUNK) + 4)
    folder.take("r-1", CHUNK)
    folder.take("r-1", b"lost!")
    folder.take("r-1", b"lost too")
    async with writing(folder):
        while folder._waiting:  # noqa: ASYNC110 - a thread empties it
            await asyncio.sleep(0)
        folder.take("r-1", b"")
    stream = io.BytesIO((tmp_path / "r-1.arrivals").read_bytes())
    read_header(stream.read)
    assert list(read_records(stream.read)) == [Lost(2)]
    assert folder.counters["recording_chunks_lost"] == 2


async def test_a_file_that_cannot_be_written_is_given_up(tmp_path: Path) -> None:
    """Said once; others go on. A link in its place is not followed."""
    (tmp_path / "r-1.arrivals").symlink_to(tmp_path / "elsewhere")
    folder = RecordingFolder(tmp_path)
    with capture_logs() as logs:
        async with writing(folder):
            for _ in range(3):
                folder.take("r-1", b"a")
            folder.take("r-2", b"b")
    assert not (tmp_path / "elsewhere").exists()
    assert (tmp_path / "r-2.arrivals").read_bytes() == b"b"
    assert [entry["event"] for entry in logs] == ["recording_failed"]
    assert folder.counters["recordings_failed"] == 1


class Narrow:
    """A transport that takes frames until it is full."""

    def __init__(self) -> None:
        self.frames: list[tuple[FrameKind, bytes]] = []
        self.is_full = False

    def offer_frame(self, kind: FrameKind, body: bytes) -> bool:
        if not self.is_full:
            self.frames.append((kind, body))
        return not self.is_full


def test_the_pipe_tells_what_is_lost() -> None:
    """A chunk is taken whole or not at all."""
    transport = Narrow()
    pipe = RecordingPipe(transport)  # type: ignore[arg-type]
    assert pipe.write("r-1", b"chunk")
    transport.is_full = True
    assert not pipe.write("r-1", b"more")
    assert [read_recording(*frame) for frame in transport.frames] == [("r-1", b"chunk")]


@pytest.mark.parametrize("body", [b"", b"\x05abc", b"\x01\xff"])
def test_a_frame_without_a_name_is_refused(body: bytes) -> None:
    """Too short, or no text."""
    if body:
        with pytest.raises(WireError):
            read_recording(FrameKind.RECORDING, body)
    with pytest.raises(WireError):
        read_recording(FrameKind.AUDIO, recording_body("r", b""))


def test_ticks_are_small() -> None:
    """An hour of an idle room with a person in it takes less than 4 MB."""
    assert 3600 * 50 * (3 + 16) < 4_000_000
    assert Tick(1, 1.0).tick == 1
