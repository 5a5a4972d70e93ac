import re

from hypothesis import given
from hypothesis import strategies as st

from hls.core.webvtt import Cue, segment

SEGMENT = 92_160


def test_empty() -> None:
    """A segment in which nobody says anything still tells its time: 90 kHz at its beginning."""
    assert segment([], 7) == (b"WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:1209600,LOCAL:00:00:00.000\n")


def test_cues() -> None:
    """Cues stand in order of time, told from the segment's beginning on."""
    cues = [Cue(48_000 * 3, 48_000 * 4, "b"), Cue(SEGMENT + 480, SEGMENT + 960, "a")]
    assert segment(cues, 1).decode() == (
        "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:172800,LOCAL:00:00:00.000\n\n"
        "1930-1940-e8b7be43\n00:00:00.010 --> 00:00:00.020\na\n\n"
        "3000-4000-71beeff9\n00:00:01.080 --> 00:00:02.080\nb\n"
    )


def test_over_the_end() -> None:
    """A cue over a segment's end is in both, at the same time; not in one that it only touches."""
    cue = Cue(SEGMENT - 4800, 2 * SEGMENT, "so")
    assert segment([cue], 0).decode().endswith("00:00:01.820 --> 00:00:03.840\nso\n")
    assert segment([cue], 1).decode() == (
        "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:163800,LOCAL:00:00:00.000\n\n"
        f"{_ids(cue, 0)[0]}\n00:00:00.000 --> 00:00:02.020\nso\n"
    )
    assert "-->" not in segment([cue], 2).decode()


_TIMES = st.integers(0, 8 * SEGMENT)


@given(st.lists(st.tuples(_TIMES, _TIMES, st.sampled_from(["a", "b", "c"])), max_size=12))
def test_known_again(said: list[tuple[int, int, str]]) -> None:
    """A cue has one id and, on the players' clock, one time in all segments it is in; no other cue
    has that id. What was said twice stands there once.
    """  # noqa: D205
    cues = [Cue(min(one, other), max(one, other), text) for one, other, text in said]
    known: dict[str, tuple[int, str]] = {}
    shown: set[tuple[int, int, str]] = set()
    for msn in range(9):
        text = segment(cues, msn).decode()
        zero = int(re.findall(r"MPEGTS:(\d+)", text)[0])
        found = re.findall(r"(\S+)\n00:(\d\d):(\d\d)\.(\d+) --> .+\n(.+)", text)
        for name, minutes, seconds, ms, line in found:
            at = zero + 90 * (60_000 * int(minutes) + 1000 * int(seconds) + int(ms))
            assert known.setdefault(name, (at, line)) == (at, line)
        ids = [name for name, *_ in found]
        assert len(set(ids)) == len(ids)
        begin, end = msn * SEGMENT, (msn + 1) * SEGMENT
        shown |= {
            (cue.start // 48, cue.end // 48, cue.text)
            for cue in cues
            if max(cue.start // 48 * 48, begin) < min(cue.end // 48 * 48, end)
        }
    assert len(known) == len(shown)


def _ids(cue: Cue, msn: int) -> list[str]:
    return re.findall(r"\n\n(.+)\n00:", segment([cue], msn).decode())


def test_wrap() -> None:
    """The clock wraps after 26.5 hours; a cue may be longer than an hour."""
    (stamp,) = re.findall(r"MPEGTS:(\d+)", segment([], 2**40).decode())
    assert int(stamp) == 2**40 * 172_800 % 2**33
    text = segment([Cue(0, 48_000 * 3_725, "long")], 0).decode()
    assert "00:00:00.000 --> 01:02:05.000" in text


def test_text() -> None:
    """Marks are text, and an empty line does not end a cue."""
    text = segment([Cue(0, 480, "\n<b> & -->\r\n\r\nc\n")], 0).decode()
    assert text.endswith("00:00:00.010\n&lt;b&gt; &amp; --&gt;\nc\n")


@given(st.text(st.characters(), max_size=40))
def test_any_text(said: str) -> None:
    """Whatever somebody says, it is one cue; nothing is none."""
    text = segment([Cue(0, 480, said)], 0).decode()
    cues = 1 if said.strip("\r\n\0") else 0
    assert text.count("-->") == cues
    assert text.count("\n\n") == cues
