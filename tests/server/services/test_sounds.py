"""Files that are sent, and files of a folder."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server.errors import BadInput, NotEnabled, NotFound, StoreLost, TooLarge
from server.services.sounds import Sounds


async def pieces(*data: bytes) -> AsyncIterator[bytes]:
    for piece in data:
        yield piece


def made(tmp_path: Path, limit_bytes: int = 1_000_000) -> Sounds:
    (tmp_path / "spool").mkdir()
    folder = tmp_path / "jingles"
    folder.mkdir()
    (folder / "gong.wav").write_bytes(b"RIFF")
    (folder / ".hidden").write_bytes(b"RIFF")
    (folder / "below").mkdir()
    (folder / "below" / "deep.wav").write_bytes(b"RIFF")
    (tmp_path / "secret").write_bytes(b"key")
    (folder / "link.wav").symlink_to(tmp_path / "secret")
    os.mkfifo(folder / "pipe.wav")
    return Sounds(tmp_path / "spool", folder, limit_bytes)


async def test_what_is_sent_has_no_name(tmp_path: Path) -> None:
    """It can be read by its descriptor, and there is nothing in the folder."""
    sounds = made(tmp_path)
    with await sounds.receive(pieces(b"ab" * 200_000, b"", b"c")) as file:
        assert os.pread(file.fileno(), 1 << 20, 0) == b"ab" * 200_000 + b"c"
        assert list((tmp_path / "spool").iterdir()) == []


async def test_too_large(tmp_path: Path) -> None:
    """By its claim, and by what really comes; the sentence says how much is allowed."""
    sounds = made(tmp_path)
    sounds.check_size(None)
    sounds.check_size(1_000_000)
    with pytest.raises(TooLarge, match="at most 1 MB"):
        sounds.check_size(1_000_001)
    with pytest.raises(TooLarge):
        await sounds.receive(pieces(*[bytes(100_000)] * 11))


async def test_nothing_is_no_file(tmp_path: Path) -> None:
    """An empty body is a mistake of who sent it."""
    with pytest.raises(BadInput):
        await made(tmp_path).receive(pieces())


async def test_a_disk_that_cannot_be_written(tmp_path: Path) -> None:
    """The reason is told; it is no bug."""
    with pytest.raises(StoreLost, match="No such file"):
        await Sounds(tmp_path / "gone", None, 10).receive(pieces(b"x"))


async def test_a_file_of_the_folder(tmp_path: Path) -> None:
    """By its name alone."""
    with await made(tmp_path).open("gong.wav") as file:
        assert file.read() == b"RIFF"


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        ".hidden",
        "../secret",
        "/etc/passwd",
        "below",
        "below/deep.wav",
        "below\\deep.wav",
        "link.wav",
        "pipe.wav",
        "gong.wav\0.mp3",
        "nothing.wav",
        "x" * 300,
        "\udcff",
    ],
)
async def test_no_other_file(tmp_path: Path, name: str) -> None:
    """No path, no link, no pipe, nothing hidden; no descriptor is left open."""
    sounds = made(tmp_path)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - numbers, no paths
    with pytest.raises(NotFound):
        await sounds.open(name)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - numbers, no paths


async def test_without_a_folder(tmp_path: Path) -> None:
    """The setting is named."""
    with pytest.raises(NotEnabled, match="announcements_dir"):
        await Sounds(tmp_path, None, 10).open("gong.wav")
