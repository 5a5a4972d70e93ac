"""Every rule for consecutive playlists, and two that it rejects."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hls.core.conformance.history import RULES, History
from hls.core.playlist import PlaylistWriter, low_latency
from tests.hls.windows import Stream, positions, streams

STREAM = Stream(breaks={45: True}, talks=((79.0, 84.0), (85.5, 99.0)))
BEFORE = low_latency(STREAM.window(50, 2))
AFTER = low_latency(STREAM.window(50, 3))
LATER = low_latency(STREAM.window(53, 0))
BARE = re.sub("#EXT-X-PART:.*seg-49.*", "#", AFTER)
NEXT = low_latency(STREAM.window(51, 0)).replace("#EXT-X-PART:", "#")
UNDATED = BEFORE.replace("T22:14:39.000Z", "never")
SILENT = AFTER.replace("#EXT-X-DATERANGE", "#")
ENDED = low_latency(STREAM.window(50, 2, is_ended=True))

# rule: the playlists one after the other, and what in the last one is replaced once, by what
BROKEN = {
    "target-duration-stays": (BEFORE, AFTER, "TARGETDURATION:2", "TARGETDURATION:3"),
    "control-stays": (BEFORE, AFTER, "HOLD-BACK=6.0", "HOLD-BACK=7.0"),
    "media-sequence-never-falls": (BEFORE, AFTER, "MEDIA-SEQUENCE:42", "MEDIA-SEQUENCE:41"),
    "discontinuity-sequence-never-falls": (LATER, LATER, "Y-SEQUENCE:1", "Y-SEQUENCE:0"),
    "segments-stay": (BEFORE, AFTER, "seg-43.m4s", "seg-x.m4s"),
    "names-stay": (BEFORE, LATER, "seg-51.m4s", "seg-44.m4s"),
    "keys-stay": (BEFORE, AFTER, "/k/10/", "/k/20/"),
    "maps-stay": (BEFORE, AFTER, "init-0", "init-9"),
    "dates-stay": (BEFORE, AFTER, "T22:14:40.640Z", "T22:14:40.650Z"),
    "discontinuities-stay": (BEFORE, AFTER, "Y-SEQUENCE:0", "Y-SEQUENCE:1"),
    "nothing-is-taken-back": (AFTER, BEFORE, "", ""),
    "parts-stay": (BEFORE, AFTER, "seg-50.1.m4s", "seg-50.x.m4s"),
    "parts-are-kept": (BEFORE, BARE, "", ""),
    "hint-comes-true": (BEFORE, AFTER, "seg-50.2.m4s", "seg-50.x.m4s"),
    "date-ranges-stay": (BEFORE, AFTER, 'X-NAME="', 'X-NAME="B'),
    "end-is-the-end": (ENDED, ENDED, "seg-43", "seg-44"),
    "delta-follows": (BEFORE, low_latency(Stream().window(70, 0), skip=True), "", ""),
}

ALSO_BROKEN = [
    ("maps-stay", BEFORE, AFTER, '#EXT-X-MAP:URI="init-0.mp4"\n', ""),
    ("keys-stay", BEFORE, AFTER, "#EXT-X-KEY:METHOD=A", "#EXT-X-NOKEY:METHOD=A"),
    ("segments-stay", BEFORE, AFTER, "#EXTINF:1.92000", "#EXTINF:1.90000"),
    ("nothing-is-taken-back", LATER, AFTER, "", ""),
    ("parts-are-kept", BEFORE, LATER, "#EXT-X-PART:", "#"),
    ("parts-are-kept", BEFORE, NEXT, "", ""),
    ("date-ranges-stay", BEFORE, AFTER, "#EXT-X-DATERANGE", "#"),
    ("date-ranges-stay", UNDATED, SILENT, "", ""),
    ("date-ranges-stay", BEFORE, SILENT, "PROGRAM-DATE", "X"),
]  # fmt: skip


def broken_rules(*texts: str) -> set[str]:
    history = History()
    findings = [history.follow(text) for text in texts]
    return {finding.rule for finding in findings[-1]}


def test_good() -> None:
    """A stream that goes on, stands still or comes to its end breaks no rule."""
    history = History()
    assert history.segments == ()
    for text in (BEFORE, BEFORE, AFTER):
        assert history.follow(text) == []
    for text in (LATER, low_latency(STREAM.window(53, 1, is_ended=True))):
        assert history.follow(text) == []
        assert history.follow(text) == []


@pytest.mark.parametrize("rule", RULES.all)
def test_broken(rule: str) -> None:
    """Every rule rejects a playlist that would be right without the one before."""
    first, second, old, new = BROKEN[rule]
    assert old in second
    assert rule in broken_rules(first, second.replace(old, new, 1))


@pytest.mark.parametrize(("rule", "first", "second", "old", "new"), ALSO_BROKEN)
def test_also_broken(rule: str, first: str, second: str, old: str, new: str) -> None:
    """A rule rejects each of the ways to break it."""
    assert old in second
    assert rule in broken_rules(first, second.replace(old, new))


def test_range_that_is_over_may_go() -> None:
    """A date range that no longer reaches into the window needs not be told."""
    stream = Stream(talks=((70.0, 82.0),))
    texts = [low_latency(stream.window(msn, 0)) for msn in (50, 52)]
    assert "DATERANGE" in texts[0]
    assert "DATERANGE" not in texts[1]
    assert broken_rules(*texts) == set()


def test_range_without_dates() -> None:
    """Without any date nobody can say which ranges are over: they stay."""
    bare = [text.replace("PROGRAM-DATE-TIME", "X") for text in (BEFORE, AFTER)]
    assert "date-ranges-stay" not in broken_rules(*bare)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_any_stream(data: st.DataObject) -> None:
    """Whatever changes, no rule is broken, and a delta update says what the whole playlist does."""
    stream = data.draw(streams())
    writer, whole, delta = PlaylistWriter(), History(), History()
    for msn, part in data.draw(positions(stream)):
        window = stream.window(msn, part)
        assert whole.follow(writer.low_latency(window)) == []
        if delta.segments and delta.segments[-1].msn < msn - 8:
            delta = History()  # as a player does that was away for longer than the skip boundary
        text = writer.low_latency(window, skip=bool(delta.segments))
        assert delta.follow(text) == []
        differs = [
            one.msn
            for one, other in zip(delta.segments, whole.segments, strict=True)
            if one != other
        ]
        assert not differs, text


@pytest.mark.parametrize("rotate", [20, 1])
def test_delta_over_rotation_and_discontinuity(rotate: int) -> None:
    """A delta update that skips keys and discontinuities leaves the rest what it was."""
    stream = Stream(listed=24, rotate=rotate, breaks={31: True, 36: False, 41: True})
    history = History()
    history.follow(low_latency(stream.window(50, 0)))
    text = low_latency(stream.window(52, 1), skip=True)
    assert "#EXT-X-SKIP:SKIPPED-SEGMENTS=17\n" in text
    assert history.follow(text) == []
    assert [fact.discontinuity for fact in history.segments[:4]] == [0, 0, 0, 1]
    assert history.segments[-1].discontinuity == 3


HUGE = "#EXT-X-MEDIA-SEQUENCE:1\n#EXT-X-SKIP:SKIPPED-SEGMENTS=99999999999999999999\na"


@pytest.mark.parametrize("first", [BEFORE, LATER, ENDED, "", HUGE])
@pytest.mark.parametrize("second", [AFTER, "", HUGE])
def test_anything(first: str, second: str) -> None:
    """No order of playlists is too strange to be judged, and no number too large."""
    history = History()
    assert all(finding.reason for text in (first, second) for finding in history.follow(text))
