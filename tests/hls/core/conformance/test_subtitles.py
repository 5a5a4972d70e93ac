"""Every rule for subtitles, and what each rejects."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hls.core.conformance import media
from hls.core.conformance.subtitles import (
    BESIDE,
    RULES,
    SEGMENT,
    check_beside,
    check_segment,
)
from hls.core.playlist import Entry, PlaylistWriter, Window, classic
from hls.core.webvtt import Cue, segment
from hls.types import KeySpec

KEY = KeySpec(0, b"k" * 16, b"i" * 16, "/k/0/enc.key")
BREAK = 6


def entries(extension: str, first: int, end: int, init: str = "") -> tuple[Entry, ...]:
    return tuple(
        Entry(
            msn,
            f"seg-{msn}.{extension}",
            init,
            KEY,
            1_700_000_000 + 1.92 * msn,
            is_discontinuous=msn == BREAK,
        )
        for msn in range(first, end)
    )


SOUND = classic(Window(entries("m4s", 2, 10, "init.mp4")))
GOOD = PlaylistWriter().subtitles(Window(entries("vtt", 2, 11)))
TEXT = segment([Cue(0, 48_000, "Good\nmorning"), Cue(0, 96_000 * 3600, "on")], 0).decode()

BROKEN = {
    "nothing-but-subtitles": ("seg-3.vtt", "seg-3.ts"),
    "headers-are-not-elsewhere": ("#EXTINF", '#EXT-X-MAP:URI="init.vtt"\n#EXTINF'),
}
BROKEN_BESIDE = [
    ("same-target-duration", "TARGETDURATION:2", "TARGETDURATION:3"),
    ("content-differs-at-the-ends-only", "#EXT-X-PROGRAM-DATE-TIME:2023", "#EXT-X-NOTHING:2023"),
    ("content-differs-at-the-ends-only", "22:13:23", "22:13:26"),
    ("content-differs-at-the-ends-only", "\n#EXTINF:1.92000,\nseg-9.vtt", ""),
    ("discontinuities-match", "#EXT-X-DISCONTINUITY\n", ""),
]
BROKEN_SEGMENT = [
    ("begins-with-a-header", "WEBVTT\n", "WEBVTT2\n"),
    ("tells-its-time", "X-TIMESTAMP-MAP", "X-OTHER"),
    ("tells-its-time", "X-TIMESTAMP", "X-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000\nX-TIMESTAMP"),
    ("tells-its-time", "MPEGTS:0", f"MPEGTS:{2**33}"),
    ("tells-its-time", "LOCAL:00:00:00.000", "LOCAL:0"),
    ("tells-its-time", "MPEGTS:0,", ""),
    ("cues-have-times", "00:00:01.000", "1"),
    ("cues-have-times", "--> 00:00:01.000", "--> 00:00:00.000"),
]


def broken(text: str) -> set[str]:
    return {finding.rule for finding in media.check(text)}


def test_good() -> None:
    """What the writers write breaks no rule; a header may have more in it, or the map reversed."""
    assert media.check(GOOD) == check_beside(SOUND, GOOD) == check_segment(TEXT) == []
    assert check_segment("\ufeffWEBVTT x\r\nX-TIMESTAMP-MAP=LOCAL:00:00.000,MPEGTS:9\r\n") == []
    assert check_segment("WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:9,LOCAL:100:00:00.000") == []


@pytest.mark.parametrize("rule", RULES.all)
def test_broken(rule: str) -> None:
    """Every rule for playlists rejects one."""
    old, new = BROKEN[rule]
    assert old in GOOD
    assert rule in broken(GOOD.replace(old, new, 1))


@pytest.mark.parametrize(("rule", "old", "new"), BROKEN_BESIDE)
def test_broken_beside_the_sound(rule: str, old: str, new: str) -> None:
    """Every rule for playlists beside those of the sound rejects one."""
    assert old in GOOD
    late = GOOD if "seg-9" not in old else GOOD.replace("\n#EXTINF:1.92000,\nseg-10.vtt", "")
    late = late.replace("\n#EXTINF:1.92000,\nseg-8.vtt", "") if late is not GOOD else late
    assert rule in {one.rule for one in check_beside(SOUND, late.replace(old, new))}


@pytest.mark.parametrize(("rule", "old", "new"), BROKEN_SEGMENT)
def test_broken_segment(rule: str, old: str, new: str) -> None:
    """Every rule for segments rejects one."""
    assert old in TEXT
    assert rule in {one.rule for one in check_segment(TEXT.replace(old, new, 1))}


def test_all_rules() -> None:
    """No rule is without what it rejects."""
    assert BROKEN.keys() == RULES.all.keys()
    assert {rule for rule, _, _ in BROKEN_BESIDE} == BESIDE.all.keys()
    assert {rule for rule, _, _ in BROKEN_SEGMENT} == SEGMENT.all.keys()


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.sampled_from([*GOOD.splitlines(), *TEXT.splitlines()]) | st.text(max_size=30)).map(
        "\n".join
    )
)
def test_anything(text: str) -> None:
    """No text is too strange to be judged."""
    found = [*media.check(text), *check_beside(text, GOOD), *check_beside(SOUND, text)]
    assert all(finding.reason for finding in [*found, *check_segment(text)])
