"""Every rule for one playlist, and a playlist that it rejects."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hls.core.conformance import media, parts
from hls.core.playlist import classic, low_latency
from tests.hls.windows import Stream

STREAM = Stream(
    breaks={45: True, 48: False}, gaps=frozenset({47}), talks=((79.0, 90.0), (85.5, 99))
)
GOOD = low_latency(STREAM.window(50, 2))
DELTA = low_latency(STREAM.window(50, 2), skip=True)
ENDED = low_latency(STREAM.window(50, 2, is_ended=True))
LATEST = low_latency(Stream().window(50, 0))
SECOND = 'DURATION=0.320,URI="seg-48.1.m4s"'
CLASSIC = classic(STREAM.window(50, 2))

# rule: the playlist, what in it is replaced once, by what
BROKEN = {
    "begins-with-extm3u": (GOOD, "#EXTM3U\n", "\n#EXTM3U\n"),
    "plain-characters": (GOOD, "#EXTM3U", "#EXTM3U\n#a\x07"),
    "one-kind": (GOOD, "#EXTINF", "#EXT-X-STREAM-INF:BANDWIDTH=1\n#EXTINF"),
    "once": (GOOD, "#EXT-X-MEDIA-SEQUENCE:42\n", "#EXT-X-MEDIA-SEQUENCE:42\n" * 2),
    "attribute-lists": (GOOD, "TYPE=PART,", "TYPE=PART,TYPE=PART,"),
    "version-suffices": (GOOD, "VERSION:6", "VERSION:5"),
    "version-not-greater-than-needed": (GOOD, "VERSION:6", "VERSION:9"),
    "target-duration": (GOOD, "TARGETDURATION:2", "TARGETDURATION:2.5"),
    "within-target-duration": (GOOD, "TARGETDURATION:2", "TARGETDURATION:1"),
    "sequence-before-segments": (GOOD, "SEQUENCE:42", "SEQUENCE:x"),
    "discontinuity-sequence-first": (GOOD, "#EXT-X-DISC", "#EXT-X-DISCONTINUITY\n#EXT-X-DISC"),
    "discontinuity-sequence-of-live": (GOOD, "#EXT-X-DISCONTINUITY-SEQUENCE:0\n", ""),
    "live-has-no-type": (GOOD, "#EXT-X-MEDIA-S", "#EXT-X-PLAYLIST-TYPE:EVENT\n#EXT-X-MEDIA-S"),
    "live-is-long-enough": (classic(Stream(listed=3).window(9, 0)), "", ""),
    "every-segment-has-a-duration": (GOOD, "#EXTINF:1.92000,\nseg-42.m4s", "seg-42.m4s"),
    "key-is-complete": (GOOD, "IV=0x0", "IV=0"),
    "map-is-complete": (GOOD, '#EXT-X-MAP:URI="init-0.mp4"', '#EXT-X-MAP:URI=""'),
    "map-in-the-clear": (GOOD, "#EXT-X-KEY:METHOD=NONE\n", ""),
    "fragments-have-a-map": (GOOD, '#EXT-X-MAP:URI="init-0.mp4"\n', ""),
    "dates-are-dates": (GOOD, ".640Z", ".640"),
    "dates-are-unambiguous": (GOOD, "TIME:2023-11-14T22:14:46", "TIME:2023-11-14T22:14:44"),
    "dates-at-discontinuities": (GOOD, "#EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:14:46.400Z\n", ""),
    "names-are-used-once": (GOOD, "seg-43.m4s", "seg-42.m4s"),
    "date-ranges-are-complete": (GOOD, 'START-DATE="2023', 'STARTS="2023'),
    "date-ranges-agree": (GOOD, 'ID="talk-1"', 'ID="talk-0"'),
    "part-target": (GOOD, "PART-TARGET=0.320", "PART-TARGET=0.000"),
    "part-is-complete": (GOOD, 'URI="seg-48.1.m4s",', ""),
    "part-within-target": (GOOD, "PART-TARGET=0.320", "PART-TARGET=0.300"),
    "part-not-much-shorter": (GOOD, SECOND, SECOND.replace("320", "200")),
    "parts-are-the-segment": (GOOD, "DURATION=0.320", "DURATION=0.300"),
    "parts-are-near-the-end": (LATEST, "seg-49.m4s\n", "seg-49.m4s\n#EXTINF:2,\nx\n"),
    "hold-back": (GOOD, "HOLD-BACK=6.0", "HOLD-BACK=5.9"),
    "part-hold-back": (GOOD, "PART-HOLD-BACK=0.960", "PART-HOLD-BACK=0.900"),
    "skip-boundary": (GOOD, "CAN-SKIP-UNTIL=12.0", "CAN-SKIP-UNTIL=11.9"),
    "parts-can-be-waited-for": (GOOD, "CAN-BLOCK-RELOAD=YES,", ""),
    "parts-have-dates": (GOOD.replace("PROGRAM-DATE-TIME", "X"), "", ""),
    "skip-is-complete": (DELTA, "SKIPPED-SEGMENTS=1", "SKIPPED-SEGMENTS=0"),
    "skip-is-allowed": (DELTA, "1.92000,\nseg-44.m4s", "0.1,\nseg-44.m4s"),
    "hint-is-complete": (GOOD, "TYPE=PART", "TYPE=WHOLE"),
    "hint-is-of-the-future": (GOOD, 'PART,URI="seg-50.2.m4s"', 'PART,URI="seg-50.1.m4s"'),
    "report-is-complete": (GOOD, ",LAST-PART=1", ""),
}  # fmt: skip

# More ways to break a rule.
ALSO_BROKEN = [
    ("target-duration", GOOD, "#EXT-X-TARGETDURATION:2\n", ""),
    ("sequence-before-segments", GOOD, "seg-42.m4s\n", "seg-42.m4s\n#EXT-X-MEDIA-SEQUENCE:42\n"),
    ("every-segment-has-a-duration", GOOD, "seg-42.m4s\n", ""),
    ("every-segment-has-a-duration", GOOD, "#EXTINF:1.92", "#EXTINF:-1.92"),
    ("key-is-complete", GOOD, "METHOD=AES-128", "METHOD=AES-129"),
    ("key-is-complete", GOOD, "METHOD=NONE", "METHOD=NONE,IV=0x0"),
    ("key-is-complete", GOOD, 'URI="/k/10/enc.key",', ""),
    ("dates-are-dates", GOOD, "TIME:2023-11-14T", "TIME:0001-01-01T00:00:00+23:59 "),
    ("date-ranges-are-complete", GOOD, 'ID="talk-0",', ""),
    ("date-ranges-are-complete", GOOD, "DURATION=11.000", "DURATION=long"),
    ("date-ranges-are-complete", GOOD, "DURATION=11.000", "DURATION=11.000,END-ON-NEXT=YES"),
    ("date-ranges-are-complete", CLASSIC.replace("PROGRAM-DATE-TIME", "X"), "", ""),
    ("parts-are-the-segment", ENDED, "#EXTINF:0.64000,\nseg-50.m4s\n", ""),
    ("part-hold-back", GOOD, ",PART-HOLD-BACK=0.960", ""),
    ("skip-is-complete", DELTA, "#EXT-X-SKIP", "#EXTINF:1,\na\n#EXT-X-SKIP"),
    ("skip-is-allowed", DELTA, "CAN-SKIP-UNTIL=12.0,", ""),
    ("skip-is-allowed", DELTA + "#EXT-X-ENDLIST\n", "", ""),
    ("hint-is-of-the-future", ENDED + '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="x"\n', "", ""),
    ("hint-is-of-the-future", GOOD + '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="x"\n', "", ""),
    ("report-is-complete", GOOD, 'REPORT:URI="', 'REPORT:URI="https://other.example/'),
    ("report-is-complete", GOOD, "LAST-MSN=50", "LAST-MSN=none"),
    ("version-suffices", GOOD, "#EXT-X-VERSION:6\n", ""),
]  # fmt: skip

VERSIONS = {
    1: "",
    2: '#EXT-X-KEY:METHOD=AES-128,URI="k",IV=0x1\n',
    4: "#EXT-X-BYTERANGE:1@2\n",
    5: '#EXT-X-KEY:METHOD=AES-128,URI="k",KEYFORMAT="identity"\n',
    6: '#EXT-X-MAP:URI="m"\n',
    8: '#EXT-X-DEFINE:NAME="a",VALUE="b"\n',
    10: '#EXT-X-SKIP:SKIPPED-SEGMENTS=1,RECENTLY-REMOVED-DATERANGES="a"\n',
}


def broken_rules(text: str) -> set[str]:
    return {finding.rule for finding in media.check(text)}


@pytest.mark.parametrize("text", [GOOD, DELTA, ENDED, CLASSIC, GOOD.replace("\n", "\r\n")])
def test_good(text: str) -> None:
    """What the writer writes breaks no rule."""
    assert media.check(text) == []


@pytest.mark.parametrize("rule", [*media.RULES.all, *parts.RULES.all])
def test_broken(rule: str) -> None:
    """Every rule rejects a playlist that another would not be asked about."""
    text, old, new = BROKEN[rule]
    assert old in text
    assert rule in broken_rules(text.replace(old, new, 1))


@pytest.mark.parametrize(("rule", "text", "old", "new"), ALSO_BROKEN)
def test_also_broken(rule: str, text: str, old: str, new: str) -> None:
    """A rule rejects each of the ways to break it."""
    assert old in text
    assert rule in broken_rules(text.replace(old, new, 1))


@pytest.mark.parametrize("version", VERSIONS)
def test_versions(version: int) -> None:
    """Each version is asked for by what it brought, and by nothing else (§8)."""
    text = f"#EXTM3U\n#EXT-X-VERSION:{version}\n{VERSIONS[version]}#EXTINF:1,\na\n"
    assert not broken_rules(text) & {"version-suffices", "version-not-greater-than-needed"}
    assert "version-not-greater-than-needed" in broken_rules(text.replace("N:", "N:1", 1))


def test_finding() -> None:
    """A finding names the line, the reason and the section."""
    finding = media.check(GOOD.replace("EXTM3U", "EXTM3U8", 1))[0]
    assert str(finding) == "line 1: the first line is not #EXTM3U (§4.4.1.1, begins-with-extm3u)"


lines = st.sampled_from([*GOOD.splitlines(), *DELTA.splitlines(), *ENDED.splitlines()])


texts = st.one_of(lines, st.text(max_size=30), st.tuples(lines, st.text(max_size=9)).map("".join))


@settings(max_examples=50, deadline=None)
@given(st.lists(texts, max_size=30).map("\n".join))
def test_anything(text: str) -> None:
    """No text is too strange to be judged."""
    assert all(finding.reason for finding in media.check(text))
