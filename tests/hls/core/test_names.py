"""Names of media: one stream's, one place's, and nobody else's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hls.core.names import Names, beside
from hls.types import Position

STREAMS = st.from_regex(r"[a-z0-9]{0,16}", fullmatch=True)
MSNS = st.integers(0, 10**15 - 1)


def test_names() -> None:
    """A name tells stream, segment and part."""
    names = Names("ab2c")
    assert names.segment(7, "ts") == "seg-ab2c-7.ts"
    assert names.part(7, 0) == "seg-ab2c-7.0.m4s"
    assert Names().segment(7, "m4s") == "seg-7.m4s"


@given(STREAMS, MSNS, st.integers(0, 99), st.sampled_from(["m4s", "ts", "aac", "vtt"]))
def test_read_back(stream: str, msn: int, part: int, extension: str) -> None:
    """What is written is read, by names of the same stream, as what it is and nothing else."""
    names = Names(stream)
    segment, piece = names.segment(msn, extension), names.part(msn, part)
    assert names.read_segment(segment) == (msn, extension)
    assert names.read_part(piece) == Position(msn, part)
    assert (names.read_segment(piece), names.read_part(segment)) == (None, None)


@given(STREAMS, STREAMS, MSNS)
def test_another_stream(stream: str, other: str, msn: int) -> None:
    """No name of one stream is one of another's."""
    segment, piece = Names(stream).segment(msn, "m4s"), Names(stream).part(msn, 0)
    found = Names(other).read_segment(segment), Names(other).read_part(piece)
    assert (found == (None, None)) == (stream != other)


@pytest.mark.parametrize(
    "name",
    [
        *("", "seg-", "seg-7", "seg-07.m4s", "seg-7.mp4", "seg--7.m4s", "seg-7.m4s\n"),
        *("seg-7.00.m4s", "seg-7.0.ts", "seg-7.100.m4s", "SEG-7.m4s", "seg-\u0667.m4s"),
        *("a/seg-7.m4s", "seg-1234567890123456.m4s", "init-7.mp4", "seg-A-7.m4s"),
    ],
)
def test_no_name(name: str) -> None:
    """Everything else is no name at all."""
    assert (Names().read_segment(name), Names().read_part(name)) == (None, None)


@given(STREAMS, MSNS, MSNS, st.sampled_from(["", "a/", "../a/b/"]))
def test_beside(stream: str, msn: int, other: int, folder: str) -> None:
    """The name of a segment that is not there is as its neighbours' are."""
    name = Names(stream).segment(msn, "aac")
    assert beside(folder + name, other) == folder + Names(stream).segment(other, "aac")


def test_beside_a_stranger() -> None:
    """What is no name of ours stays as it is."""
    assert beside("a/other.m4s", 8) == "a/other.m4s"
