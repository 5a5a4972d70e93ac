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
        "00:00:00.010 --> 00:00:00.020\na\n\n"
        "00:00:01.080 --> 00:00:02.080\nb\n"
    )


def test_over_the_end() -> None:
    """A cue over a segment's end is in both, at the same time; not in one that it only touches."""
    cue = Cue(SEGMENT - 4800, 2 * SEGMENT, "so")
    assert segment([cue], 0).decode().endswith("00:00:01.820 --> 00:00:03.840\nso\n")
    assert segment([cue], 1).decode() == (
        "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:163800,LOCAL:00:00:00.000\n\n"
        "00:00:00.000 --> 00:00:02.020\nso\n"
    )
    assert "-->" not in segment([cue], 2).decode()


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
