"""The window of a broadcast: a minute in memory, hours on disk."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hls.disk import DiskWindow
from hls.pipeline import Broadcaster
from hls.shelf import MEMORY_SEGMENTS
from hls.types import BroadcastSpec, Container, PlaylistKind
from tests.hls.boxes import samples
from tests.hls.listener import decrypt, read, spec, tone

CLASSIC = PlaylistKind.CLASSIC
BASE = 1000
SEGMENTS = 60
MOST_BYTES = 22_000
END = BASE + 96 * SEGMENTS + 10
MINUTES = replace(spec(), window_s=120.0)  # 63 segments


def spoken(disk: DiskWindow | None, wanted: BroadcastSpec = MINUTES) -> Broadcaster:
    """Return a broadcaster that heard a syllable in each but every fifth of 60 segments."""
    broadcaster, pcm = Broadcaster(disk=disk), tone(8)
    broadcaster.apply(wanted, BASE)
    for segment in range(SEGMENTS):
        if segment % 5:
            for offset, frame in enumerate(pcm):
                broadcaster.write("blue", "floor", BASE + 96 * segment + 20 + offset, frame)
    return broadcaster


def media(broadcaster: Broadcaster, now_tick: int = END) -> dict[int, list[bytes]]:
    """Return the frames of all segments that are listed."""
    playlist = read(broadcaster.playlist("blue", "", CLASSIC, now_tick))
    names = enumerate(playlist.names, playlist.first_msn)
    return {
        msn: samples(decrypt(broadcaster.fetch("blue", "", name, now_tick))) for msn, name in names
    }


def sounds(frames: list[bytes]) -> bool:
    """Whether not all frames are the same."""
    return len(set(frames)) > 1


def test_old_sound_is_on_disk(tmp_path: Path) -> None:
    """Every segment of the window is heard as it was, wherever it is; silence is nowhere."""
    disk = DiskWindow(tmp_path)
    broadcaster = spoken(disk)
    found = media(broadcaster)
    assert len(found) == 63
    assert [msn for msn in found if sounds(found[msn])] == [5 + n for n in range(60) if n % 5]
    early = spoken(None)  # the same sound, never on disk
    assert broadcaster.statistics()["segments_held"] <= 2 * MEMORY_SEGMENTS
    assert len(disk) == sum(1 for n in range(60) if n % 5 and n + 5 < 65 - MEMORY_SEGMENTS) * 2
    assert broadcaster.statistics()["disk_bytes"] == disk.held_bytes > 0
    for msn, frames in media(early).items():
        assert frames == found[msn]


def test_old_sound_in_another_container(tmp_path: Path) -> None:
    """What is on disk is wrapped as it is asked for."""
    broadcaster = spoken(DiskWindow(tmp_path), replace(MINUTES, container=Container.ADTS))
    assert decrypt(broadcaster.fetch("blue", "", "seg-6.aac", END)).startswith(b"ID3")


def test_without_a_disk() -> None:
    """The window is as long as the memory."""
    assert len(media(spoken(None))) == MEMORY_SEGMENTS - 4


def test_parts_are_of_now(tmp_path: Path) -> None:
    """Of segments on disk there are no parts any more."""
    broadcaster = spoken(DiskWindow(tmp_path))
    assert broadcaster.fetch("blue", "", "seg-6.m4s", END) is not None
    assert broadcaster.fetch("blue", "", "seg-6.0.m4s", END) is None


def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is counted, the window is what memory holds, and what is live knows nothing of it."""
    monkeypatch.setattr(Path, "write_bytes", _no_space)
    broadcaster = spoken(DiskWindow(tmp_path))
    found = media(broadcaster)
    assert MEMORY_SEGMENTS <= len(found) <= MEMORY_SEGMENTS + 2
    assert sum(map(sounds, found.values())) > 20
    assert broadcaster.statistics()["disk_failures_total"] > 0


def test_the_disk_is_bounded(tmp_path: Path) -> None:
    """With less room for it the window is shorter; its beginning never goes back."""
    disk = DiskWindow(tmp_path, max_bytes=MOST_BYTES)
    broadcaster = spoken(disk)
    found = media(broadcaster)
    assert disk.held_bytes <= MOST_BYTES
    assert MEMORY_SEGMENTS < len(found) < 63
    assert all(sounds(frames) == bool((msn - 5) % 5) for msn, frames in found.items())
    broadcaster.apply(replace(MINUTES, version=2, window_s=3600.0), END)
    assert min(media(broadcaster)) == min(found)


def test_lost_on_disk(tmp_path: Path) -> None:
    """A segment that somebody deleted is not there, nor listed; it is not silence instead."""
    broadcaster = spoken(DiskWindow(tmp_path))
    for path in list(tmp_path.rglob("6.*")):
        path.unlink()
    assert broadcaster.fetch("blue", "", "seg-6.m4s", END) is None
    assert broadcaster.fetch("blue", "", "seg-7.m4s", END) is not None
    assert min(media(broadcaster)) == 7


@pytest.mark.parametrize("is_on_disk", [True, False])
def test_a_window_that_grows(tmp_path: Path, *, is_on_disk: bool) -> None:
    """What was forgotten does not come back as silence, whether anybody asked before or not."""
    short = replace(MINUTES, window_s=8.0)  # 5 segments, and 6 more that are kept
    broadcaster = spoken(DiskWindow(tmp_path) if is_on_disk else None, short)
    broadcaster.apply(replace(MINUTES, version=2), END)
    assert list(media(broadcaster)) == list(range(65 - 11, 65))
    assert broadcaster.fetch("blue", "", "seg-45.m4s", END) is None
    window = broadcaster.finished("blue", "", 0, END)
    assert window is not None
    assert window.first.msn == 65 - 11
    assert min(media(broadcaster, END + 96 * 5)) == 65 - 11


@pytest.mark.parametrize("ends", ["off air", "anew", "one rendition"])
def test_what_is_over_is_deleted(tmp_path: Path, ends: str) -> None:
    """Nothing is left on disk of a stream that is no more."""
    disk = DiskWindow(tmp_path)
    broadcaster = spoken(disk)
    broadcaster.playlist("blue", "", CLASSIC, END)
    before = len(disk)
    changed = {
        "off air": replace(MINUTES, version=2, on_air=False),
        "anew": replace(MINUTES, version=2, base_tick=END),
        "one rendition": replace(MINUTES, version=2, renditions=MINUTES.renditions[:1]),
    }
    broadcaster.apply(changed[ends], END)
    assert len(disk) == (before // 2 if ends == "one rendition" else 0)
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == len(disk)


def test_keys_are_kept_as_long(tmp_path: Path) -> None:
    """A segment on disk is given with the key it was announced with."""
    keys = tuple(
        replace(spec().keys[0], epoch=n, first_msn=10 * n, key=bytes([n] * 16)) for n in range(8)
    )
    broadcaster = spoken(DiskWindow(tmp_path), replace(MINUTES, keys=keys))
    for msn in (6, 17, 23, 64):
        data = broadcaster.fetch("blue", "", f"seg-{msn}.m4s", END)
        assert len(samples(decrypt(data, keys[msn // 10]))) == 90


def test_an_hour_costs_no_more_a_part(tmp_path: Path) -> None:
    """The entries of a long window are made once, however often it is asked for."""
    hour = replace(spec(), window_s=3600.0)
    broadcaster, later = Broadcaster(disk=DiskWindow(tmp_path)), BASE + 96 * 1875
    broadcaster.apply(hour, BASE)
    room = broadcaster._rooms["blue"]
    catalogue = room._programs["128k"].catalogue
    broadcaster.playlist("blue", "", PlaylistKind.LOW_LATENCY, later + 60)
    listing, _ = catalogue._texts[Container.FMP4]
    before = listing._entries
    broadcaster.playlist("blue", "", PlaylistKind.LOW_LATENCY, later + 80)
    assert listing._entries is before
    broadcaster.playlist("blue", "", PlaylistKind.LOW_LATENCY, later + 170)
    after = listing._entries
    assert len(after) == 1875
    assert sum(one is not other for one, other in zip(after, before[1:], strict=False)) <= 2
    assert np.mean([bool(entry.parts) for entry in after]) < 0.01


def _no_space(_path: Path, _data: bytes) -> int:
    raise OSError(28, "No space left on device")
