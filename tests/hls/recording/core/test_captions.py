import pytest
from hypothesis import given
from hypothesis import strategies as st

from hls.core.webvtt import Cue
from hls.recording.core.captions import HEAD, block, in_order, path_of, seconds

ONE = b"00:00:01.000 --> 00:00:03.500\nOne\n\n"
TWO = b"00:00:02.010 --> 00:00:02.020\nTwo\nlines\n\n"
LONG = b"100:00:00.000 --> 100:00:01.000\nLong after\n\n"
CUES = st.builds(Cue, st.integers(0, 2**40), st.integers(0, 2**40), st.text(max_size=20))


def test_a_cue_is_a_block() -> None:
    """Marks are text, and a blank line ends it; who says nothing has none."""
    said = Cue(48_000, 168_000, "<i>\r\n\r\n--> &")
    assert block(said) == b"00:00:01.000 --> 00:00:03.500\n&lt;i&gt;\n--&gt; &amp;\n\n"
    assert block(Cue(0, 480, "\r\n")) == b""
    assert b"?" in block(Cue(0, 480, "\ud800"))


def test_cues_stand_by_when_they_begin() -> None:
    """Those that begin together stay as they came, also after a hundred hours."""
    other = ONE.replace(b"One", b"Other")
    assert in_order(HEAD + LONG + TWO + ONE + other) == HEAD + ONE + other + TWO + LONG
    assert seconds(HEAD + LONG + TWO) == 360_001.0
    assert seconds(HEAD) == 0.0


@pytest.mark.parametrize("half", [b"0", ONE[:20], ONE[:-1], b"\0\0"])
def test_what_is_half_written_is_cut_off(half: bytes) -> None:
    """Also amid the head; and what a broken disk left is no cue."""
    assert in_order(HEAD + ONE + half) == HEAD + ONE
    assert in_order(HEAD + b"\0\0\n\n" + ONE + half) == HEAD + ONE
    assert in_order(HEAD[:3]) == in_order(b"") == HEAD


@given(st.lists(CUES, max_size=10))
def test_whatever_is_said_is_read(cues: list[Cue]) -> None:
    """A block is one cue, and order is order."""
    blocks = [block(cue) for cue in cues]
    ordered = in_order(HEAD + b"".join(blocks))
    assert ordered.count(b" --> ") == sum(map(bool, blocks))
    assert in_order(ordered) == ordered


def test_a_file_is_named_by_its_language() -> None:
    """Beside the mix of its take, and nowhere else."""
    assert path_of("", "en") == "mix.en.vtt"
    assert path_of(".take2", "pt-BR") == "mix.take2.pt-BR.vtt"
    assert path_of("", "../x") == "mix.---x.vtt"
