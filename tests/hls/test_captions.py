"""Captions of a room on air: renditions of WebVTT beside the sound's, on its clock and its keys."""

import re
from dataclasses import replace

import m3u8
import pytest

from hls.core.conformance import multivariant
from hls.core.conformance.history import History
from hls.core.conformance.subtitles import check_beside, check_segment
from hls.pipeline import Broadcaster
from hls.types import Caption, CaptionFate, CaptionsSpec, KeySpec, PlaylistKind
from tests.hls.boxes import boxes, fragments
from tests.hls.listener import KEY, decrypt, spec

BASE = 1000
BEGAN = 1_700_000_000.0
EN, DE = CaptionsSpec("en-cc", "en"), CaptionsSpec("de-cc", "de")
LIVE, CLASSIC = PlaylistKind.LOW_LATENCY, PlaylistKind.CLASSIC
PLAN = replace(spec(), captions=(EN, DE))


def on_air(now_tick: int = BASE) -> Broadcaster:
    broadcaster = Broadcaster()
    broadcaster.apply(PLAN, now_tick)
    return broadcaster


def playlist(
    broadcaster: Broadcaster, now: int, name: str = "en-cc", kind: PlaylistKind = LIVE
) -> str:
    text = broadcaster.playlist("blue", name, kind, now)
    assert text is not None
    return text


def names(text: str) -> list[str]:
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def say(
    broadcaster: Broadcaster, now: int, offset_s: float, text: str, long_s: float = 2
) -> CaptionFate:
    start = BEGAN + (now - BASE) / 50 + offset_s
    return broadcaster.caption("blue", Caption("en", text, start, start + long_s), now)


def cues(
    broadcaster: Broadcaster, now: int, name: str, key: KeySpec = KEY
) -> list[tuple[float, str]]:
    """Return the cues of a segment with when they begin, in seconds of the sound's clock."""
    text = decrypt(broadcaster.fetch("blue", "en-cc", name, now), key).decode()
    assert check_segment(text) == []
    zero = re.search(r"MPEGTS:(\d+)", text)
    assert zero is not None
    found = re.findall(r"00:00:(\S+) --> \S+\n(.+)", text)
    return [(round(int(zero[1]) / 90_000 + float(start), 3), said) for start, said in found]


def test_there_from_the_beginning() -> None:
    """Each language is a rendition of the multivariant playlist, with empty segments."""
    broadcaster = on_air()
    whole = playlist(broadcaster, BASE, "", PlaylistKind.MULTIVARIANT)
    assert multivariant.check(whole) == []
    found = [one for one in m3u8.loads(whole).media if one.type == "SUBTITLES"]
    assert [(one.uri, one.language, one.default) for one in found] == [
        ("en-cc/stream.m3u8", "en", "NO"),
        ("de-cc/stream.m3u8", "de", "NO"),
    ]
    assert all(one.stream_info.subtitles == "subtitles" for one in m3u8.loads(whole).playlists)
    for name in names(playlist(broadcaster, BASE)):
        assert cues(broadcaster, BASE, name) == []


def test_every_playlist() -> None:
    """Over a minute of changing keys and formats: under the rules by itself, one after the other
    and beside the sound's, in both kinds; what another parser reads of both is the same.
    """  # noqa: D205
    keys = tuple(
        replace(KEY, epoch=n, uri=f"/k/{n}", iv=bytes([n] * 16), first_msn=5 * n) for n in range(12)
    )
    plan = replace(PLAN, keys=keys, window_s=23.04)
    broadcaster, history = Broadcaster(), History()
    broadcaster.apply(plan, BASE)
    for tick in range(BASE + 100, BASE + 3000, 37):
        if tick == BASE + 100 + 37 * 30:
            broadcaster.apply(replace(plan, version=2, channels=2), tick)
        sound = playlist(broadcaster, tick, "", CLASSIC)
        text = playlist(broadcaster, tick)
        assert history.follow(text) == []
        assert check_beside(sound, text) == []
        assert playlist(broadcaster, tick, kind=CLASSIC) == text
        listed, heard = m3u8.loads(text), m3u8.loads(sound)
        assert listed.media_sequence == heard.media_sequence
        assert len(listed.segments) == len(heard.segments) + 1
        for mine, theirs in zip(listed.segments, heard.segments, strict=False):
            assert mine.current_program_date_time == theirs.current_program_date_time
            assert (mine.key.uri, mine.key.iv) == (theirs.key.uri, theirs.key.iv)
            assert mine.discontinuity == theirs.discontinuity


def test_clock() -> None:
    """A caption is on the sound's clock, that of the fMP4 fragments, in the segment that is listed
    as its sound begins: with the sound's key, so that nothing can be read without it.
    """  # noqa: D205
    broadcaster, now = on_air(), BASE + 960  # the beginning of segment 15
    assert say(broadcaster, now, 3.0, "Hello") is CaptionFate.SHOWN
    before = names(playlist(broadcaster, now + 96))[-1]
    assert cues(broadcaster, now + 96, before) == []
    listed = now + 96 + 8  # segment 16 begins, 100 ms and two frames of the encoder later
    name = names(playlist(broadcaster, listed))[-1]
    assert name == "seg-16.vtt"
    ((start, said),) = cues(broadcaster, listed, name)
    fragment = decrypt(broadcaster.fetch("blue", "", "seg-16.m4s", listed + 96))
    decode_time = boxes(fragments(fragment)[0])["moof/traf/tfdt"].u64(4)
    assert (said, start) == ("Hello", round(decode_time / 48_000 + 3.0 - 1.92, 3))
    assert b"Hello" not in (broadcaster.fetch("blue", "en-cc", name, listed) or b"")
    de = decrypt(broadcaster.fetch("blue", "de-cc", name, listed)).decode()
    assert "Hello" not in de


def test_late() -> None:
    """What is said of sound whose segment is listed goes into the next; that one never changes."""
    broadcaster, now = on_air(), BASE + 960 + 40  # in segment 15
    last = names(playlist(broadcaster, now))[-1]
    before = broadcaster.fetch("blue", "en-cc", last, now)
    assert say(broadcaster, now, -2.5, "Well") is CaptionFate.LATE
    assert broadcaster.fetch("blue", "en-cc", last, now) == before
    assert broadcaster.fetch("blue", "en-cc", "seg-16.vtt", now) is None
    later = now + 100
    ((start, said),) = cues(broadcaster, later, names(playlist(broadcaster, later))[-1])
    assert said == "Well"
    assert start == round(15 * 1.92 + 40 / 50 - 2.5, 3)


def test_unknown() -> None:
    """Of a room or in a language that is not captioned nothing is shown, and it is counted."""
    broadcaster = on_air()
    here = Caption("fr", "non", BEGAN, BEGAN + 1)
    assert broadcaster.caption("blue", here, BASE) is CaptionFate.UNKNOWN
    assert broadcaster.caption("red", replace(here, language="en"), BASE) is CaptionFate.UNKNOWN
    assert broadcaster.statistics()["captions_unknown_total"] == 2
    for name in ("seg-0.m4s", "seg-3.0.m4s", "seg-03.vtt", "seg-99.vtt", "", "../seg-0.vtt"):
        assert broadcaster.fetch("blue", "en-cc", name, BASE) is None
    assert broadcaster.fetch("blue", "", "seg-0.vtt", BASE) is None
    assert broadcaster.playlist("blue", "fr-cc", LIVE, BASE) is None
    assert broadcaster.playlist("blue", "fr-cc", PlaylistKind.MULTIVARIANT, BASE) is None


def test_before_the_beginning() -> None:
    """A caption of before the stream began is shown; before its first segment there is no list."""
    broadcaster = Broadcaster()
    broadcaster.apply(replace(PLAN, base_tick=BASE + 480), BASE)
    assert broadcaster.playlist("blue", "en-cc", LIVE, BASE) is None
    early = Caption("en", "So", BEGAN - 9.6 - 1, BEGAN - 9.6 + 1)
    assert broadcaster.caption("blue", early, BASE) is CaptionFate.LATE
    later = BASE + 200
    assert cues(broadcaster, later, names(playlist(broadcaster, later))[1]) == [(0.0, "So")]


def test_changed_languages() -> None:
    """A language that stays keeps its captions; one that is new has none."""
    broadcaster, now = on_air(), BASE + 960
    say(broadcaster, now, 4.0, "Hello")
    french = CaptionsSpec("fr-cc", "fr")
    broadcaster.apply(replace(PLAN, version=2, captions=(french, EN)), now + 10)
    later = now + 300
    found = [cues(broadcaster, later, name) for name in names(playlist(broadcaster, later))]
    assert [said for listed in found for _, said in listed] == ["Hello", "Hello"]
    assert broadcaster.playlist("blue", "de-cc", LIVE, later) is None
    empty = decrypt(broadcaster.fetch("blue", "fr-cc", "seg-17.vtt", later)).decode()
    assert "-->" not in empty


def test_bounded() -> None:
    """Captions are kept as long as their segments, which a slow player may still fetch."""
    broadcaster = on_air()
    for second in range(0, 200, 2):
        say(broadcaster, BASE + 50 * second, 0.5, str(second), 1.0)
    assert 8 < broadcaster.statistics()["captions_held"] <= 2 * 13
    assert broadcaster.playlist("blue", "", CLASSIC, BASE + 50 * 400) is not None
    assert broadcaster.statistics()["captions_held"] == 0


def test_complete_ones() -> None:
    """What is complete can be had for an upload, like the sound's."""
    broadcaster, now = on_air(), BASE + 960
    window = broadcaster.finished("blue", "en-cc", 12, now)
    assert window is not None
    assert [one.name for one in window.entries] == [f"seg-{msn}.vtt" for msn in (12, 13, 14)][:2]
    assert broadcaster.finished("blue", "en-cc", 99, now) is None


@pytest.mark.parametrize("now", [BASE + 300, BASE + 96 * 3 + 8])
def test_the_end(now: int) -> None:
    """They end with the stream, in a segment or between two; what was listed stays as it is."""
    broadcaster, history = on_air(), History()
    assert history.follow(playlist(broadcaster, now)) == []
    broadcaster.end("blue", now)
    marked = broadcaster.marked_tick("blue")
    assert marked is not None
    for at in (now, marked, now + 500):
        text = playlist(broadcaster, at)
        assert text.endswith("#EXT-X-ENDLIST\n") == (at >= marked)
        assert history.follow(text) == []
    assert cues(broadcaster, now, names(playlist(broadcaster, now))[-1]) == []
    assert playlist(broadcaster, marked, kind=CLASSIC).endswith("#EXT-X-ENDLIST\n")


def test_after_the_end() -> None:
    """What is said then is shown nowhere, and the sender is told."""
    broadcaster, now = on_air(), BASE + 960
    broadcaster.end("blue", now)
    assert say(broadcaster, now + 10, 0.0, "Hello") is CaptionFate.UNKNOWN
    assert broadcaster.statistics()["captions_held"] == 0
