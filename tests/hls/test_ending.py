"""The end of a broadcast: all that was said is in it, to the last piece."""

import re
from dataclasses import replace

import numpy as np
import pytest

from hls.core.conformance import media
from hls.core.conformance.history import History
from hls.core.credits import TALKING
from hls.pipeline import Broadcaster
from hls.types import Container, PlaylistKind, Position
from tests.hls.listener import decode, decrypt, hear, level_db, read, spec, tone

BASE, BEGUN = 1000, 300  # whoever speaks has done so for six seconds
LOW_LATENCY, CLASSIC = PlaylistKind.LOW_LATENCY, PlaylistKind.CLASSIC
TONE_DB = level_db(tone(50) / 32768)


def spoken(ticks: int, *, part_frames: int = 15) -> Broadcaster:
    """Return a room in which somebody hummed for so many ticks, to the last moment."""
    broadcaster = Broadcaster(delay_ticks=5)
    broadcaster.apply(replace(spec(base_tick=BASE), part_frames=part_frames, title="Jazz"), BASE)
    for offset, frame in enumerate(tone(ticks)):
        broadcaster.write("blue", "floor", BASE + offset, frame)
    return broadcaster


def end(broadcaster: Broadcaster, now_tick: int) -> int:
    """End the stream as soon as all is in it that was said until now; return when that was."""
    at = broadcaster.end_tick("blue", now_tick)
    assert at is not None
    broadcaster.end("blue", at)
    return at


def mark(broadcaster: Broadcaster) -> int:
    """Return from when on the end is told."""
    at = broadcaster.marked_tick("blue")
    assert at is not None
    return at


def text(broadcaster: Broadcaster, kind: PlaylistKind, now_tick: int) -> str:
    found = broadcaster.playlist("blue", "", kind, now_tick)
    assert found is not None
    return found


def read_names(told: str) -> list[str]:
    return [line for line in told.splitlines() if not line.startswith("#")]


@pytest.mark.parametrize("more", [*range(0, 96, 7), 41, 46, 88, 95])
def test_nothing_is_lost(more: int) -> None:
    """Wherever in a segment it ends, what was said is heard to its last 20 ms, and no more."""
    ticks = BEGUN + more
    broadcaster = spoken(ticks)
    at = end(broadcaster, BASE + ticks - 1)
    assert at - (BASE + ticks - 1) <= 13  # 260 ms
    playlist, sound = hear(broadcaster, at)
    told_s = sum(map(float, re.findall(r"EXTINF:([\d.]+)", text(broadcaster, CLASSIC, at))))
    assert sound.size == pytest.approx(48_000 * told_s, abs=0.01)
    over = (ticks + 5 * 96) * 960 - playlist.first_msn * 92_160
    assert over <= sound.size < over + 2 * 3072 + 1024
    assert level_db(sound[over - 9600 : over]) == pytest.approx(TONE_DB, abs=0.2)
    assert level_db(sound[over - 960 : over]) == pytest.approx(TONE_DB, abs=0.5)


@pytest.mark.parametrize("part_frames", [9, 15])
def test_playlists(part_frames: int) -> None:
    """Both kinds follow the rules to their end mark, and change no more."""
    broadcaster = spoken(BEGUN + 31, part_frames=part_frames)
    known, classic = History(), History()
    for tick in range(BASE + 200, BASE + BEGUN + 31, 9):
        assert known.follow(text(broadcaster, LOW_LATENCY, tick)) == []
        assert classic.follow(text(broadcaster, CLASSIC, tick)) == []
    at = end(broadcaster, BASE + BEGUN + 30)
    for history, kind in ((known, LOW_LATENCY), (classic, CLASSIC)):
        assert history.follow(text(broadcaster, kind, at)) == []
    at = mark(broadcaster)
    for tick in (at, at + 1, at + 5000):
        for history, kind in ((known, LOW_LATENCY), (classic, CLASSIC)):
            told = text(broadcaster, kind, tick)
            assert told.endswith("#EXT-X-ENDLIST\n")
            assert history.follow(told) == []
    assert "PRELOAD-HINT" not in text(broadcaster, LOW_LATENCY, at)
    last = read(text(broadcaster, LOW_LATENCY, at)).last_msn
    assert broadcaster.position("blue", at) == Position(last + 1, 0)


@pytest.mark.parametrize("more", [31, 17, 0])
def test_the_last_part_comes_before_the_end(more: int) -> None:
    """A player hears of the last part, of its whole segment too, half a second before the end mark.

    hls.js loads no more parts of a segment it has begun once it knows that this is the end.
    """
    broadcaster = spoken(BEGUN + more)
    end(broadcaster, BASE + BEGUN + more - 1)
    at = mark(broadcaster)
    assert broadcaster.marked_tick("red") is None
    kinds = (LOW_LATENCY, CLASSIC)
    before, later, after = (
        [text(broadcaster, kind, tick) for kind in kinds] for tick in (at - 25, at - 1, at)
    )
    assert before == later
    report = '#EXT-X-RENDITION-REPORT:URI="64k/stream.m3u8",LAST-MSN='
    assert report + f"{read(after[0]).last_msn}," in before[0]
    assert [told.partition(report)[0] + "#EXT-X-ENDLIST\n" for told in before] == after


def test_whole_and_in_parts() -> None:
    """The last segment is its parts in a row; there is none beyond."""
    broadcaster = spoken(BEGUN + 31)
    at = end(broadcaster, BASE + BEGUN + 30)
    told = text(broadcaster, LOW_LATENCY, at)
    last = read(told).last_msn
    names = re.findall(rf'EXT-X-PART:DURATION=[\d.]+,URI="(seg-{last}\.\d\.m4s)"', told)
    parts = [decrypt(broadcaster.fetch("blue", "", name, at)) for name in names]
    assert b"".join(parts) == decrypt(broadcaster.fetch("blue", "", f"seg-{last}.m4s", at))
    assert 1 < len(parts) < 6
    for name in (f"seg-{last}.{len(parts)}.m4s", f"seg-{last + 1}.0.m4s", f"seg-{last + 1}.m4s"):
        assert broadcaster.fetch("blue", "", name, at) is None
    sound = [broadcaster.sound("blue", Position(last, n), at) for n in range(len(parts) + 1)]
    assert [len(one.frames) if one else 0 for one in sound[-3:]] == [15, 12, 0]


@pytest.mark.parametrize("container", [Container.TS, Container.ADTS])
def test_containers(container: Container) -> None:
    """Segments of other containers are as short, and rightly listed."""
    broadcaster = Broadcaster()
    broadcaster.apply(replace(spec(base_tick=BASE), container=container), BASE)
    broadcaster.end("blue", BASE + 250)
    told = text(broadcaster, CLASSIC, BASE + 275)
    assert media.check(told) == []
    *_, whole, last = [line for line in told.splitlines() if not line.startswith("#")]
    sizes = [
        len(decrypt(broadcaster.fetch("blue", "", name, BASE + 275))) for name in (whole, last)
    ]
    assert 0.4 < sizes[1] / sizes[0] < 0.7  # 45 of 90 frames, of a fixed size where it is silent
    assert told.endswith(f"#EXTINF:0.96000,\n{last}\n#EXT-X-ENDLIST\n")


def test_on_the_border() -> None:
    """What ends with a segment has no shorter one."""
    broadcaster = Broadcaster(delay_ticks=0)
    broadcaster.apply(spec(base_tick=BASE), BASE)
    broadcaster.end("blue", BASE + 96 + 3)
    at = mark(broadcaster)
    told = text(broadcaster, CLASSIC, at)
    assert told.endswith("#EXTINF:1.92000,\nseg-5.m4s\n#EXT-X-ENDLIST\n")
    assert text(broadcaster, LOW_LATENCY, at).endswith("seg-5.m4s\n#EXT-X-ENDLIST\n")
    window = broadcaster.finished("blue", "", 4, at)
    assert window is not None
    assert [entry.frames for entry in window.entries] == [90, 90]


def test_as_it_is_spooled() -> None:
    """The last segment is among those that are complete, with its length; once."""
    broadcaster = spoken(BEGUN + 31)
    at = end(broadcaster, BASE + BEGUN + 30)
    window = broadcaster.finished("blue", "", 7, at)
    assert window is not None
    assert [(one.msn, one.frames) for one in window.entries] == [(7, 90), (8, 42)]
    assert broadcaster.finished("blue", "", 9, at) is None


def test_nobody_was_there() -> None:
    """A room to which no mixer sends anything is not waited for."""
    broadcaster = spoken(10)
    assert broadcaster.end_tick("blue", BASE + 200) == BASE + 200
    assert broadcaster.end_tick("red", BASE) is None
    broadcaster.end("red", BASE)


def test_credits_end() -> None:
    """Who spoke to the last did so until then; the title was so until then."""
    broadcaster = spoken(BEGUN)
    broadcaster.talk("blue", ["Ann"], BASE + 100)
    at = end(broadcaster, BASE + BEGUN - 1)
    told = text(broadcaster, LOW_LATENCY, at)
    ranges = re.findall(r'CLASS="([\w.]+)",START-DATE="[^"]+",DURATION=([\d.]+)', told)
    assert [float(duration) for name, duration in ranges if name == TALKING] == [
        pytest.approx((at - BASE - 100) / 50)
    ]
    assert len(ranges) == told.count("DATERANGE") == 2


def test_who_speaks_after_the_end() -> None:
    """They are in no playlist: no date range is left open by a stream that is over."""
    broadcaster = spoken(BEGUN)
    at = end(broadcaster, BASE + BEGUN - 1)
    before = text(broadcaster, LOW_LATENCY, mark(broadcaster))
    broadcaster.talk("blue", ["Ann"], at + 5)
    assert text(broadcaster, LOW_LATENCY, at + 300) == before


def test_late_ticks_change_nothing() -> None:
    """What is sent after the end is counted and not kept."""
    broadcaster = spoken(BEGUN + 31)
    at = end(broadcaster, BASE + BEGUN + 30)
    before = text(broadcaster, LOW_LATENCY, mark(broadcaster))
    for offset, frame in enumerate(tone(200)):
        broadcaster.write("blue", "floor", at + offset, frame)
    broadcaster.end("blue", at + 300)
    assert text(broadcaster, LOW_LATENCY, at + 300) == before
    assert broadcaster.statistics()["ticks_late_total"] == 200


def test_on_air_again() -> None:
    """A newer spec lets it go on where the clock is, with silence in its past."""
    broadcaster = spoken(BEGUN + 31)
    at = end(broadcaster, BASE + BEGUN + 30)
    broadcaster.apply(spec(base_tick=BASE, version=2), at + 10)
    told = text(broadcaster, LOW_LATENCY, at + 10)
    assert "ENDLIST" not in told
    for offset, frame in enumerate(tone(200)):
        broadcaster.write("blue", "floor", at + 10 + offset, frame)
    _, sound = hear(broadcaster, at + 200)
    assert np.abs(sound[-20_000:]).max() > 0.2


def test_decodable_alone() -> None:
    """The last, short segment plays by itself."""
    broadcaster = spoken(BEGUN + 31)
    at = end(broadcaster, BASE + BEGUN + 30)
    playlist = read(text(broadcaster, CLASSIC, at))
    init = broadcaster.fetch("blue", "", playlist.init, at)
    assert init is not None
    sound = decode(init, [decrypt(broadcaster.fetch("blue", "", playlist.names[-1], at))])
    assert sound.size == 42 * 1024
