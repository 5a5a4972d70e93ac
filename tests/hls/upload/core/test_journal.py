from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hls.core.playlist import Entry
from hls.upload.core.journal import MAX_LINE, Listed, listed, read_line, read_lines, write_line
from tests.hls.listener import KEY

ONE = Listed(7, "seg-7.m4s", "init-1.mp4", 1_700_000_000.25, 1, "/k", bytes(range(16)), 2, True)


def test_round_trip() -> None:
    """What was written is read."""
    assert read_line(write_line(ONE)) == ONE
    turned = replace(ONE, msn=8, is_turn=False)
    short = replace(ONE, msn=9, frames=33)
    lines = b"".join(map(write_line, (turned, ONE, short)))
    assert read_lines(lines) == {7: ONE, 8: turned, 9: short}
    assert short.entry("k").frames == 33
    before = write_line(ONE).replace(b',"frames":90', b"")
    assert read_line(before) == ONE, "of a version that knew whole ones only"


def test_entry() -> None:
    """An entry comes back as a playlist names it, without its key."""
    entry = Entry(7, "seg-7.m4s", "init.mp4", KEY, 1.5, is_discontinuous=True)
    again = listed(entry, 3).entry("keys/1.key")
    assert (again.msn, again.name, again.init, again.unix_s) == (7, "seg-7.m4s", "init.mp4", 1.5)
    assert again.is_discontinuous
    assert again.key is not None
    assert (again.key.uri, again.key.iv, again.key.key) == ("keys/1.key", KEY.iv, b"")


@given(st.binary(max_size=300))
def test_rubbish(data: bytes) -> None:
    """Whatever is in a journal, it is read or left out."""
    assert isinstance(read_lines(data), dict)


@pytest.mark.parametrize(
    "change",
    [
        b'"msn":-1',
        b'"msn":true',
        b'"name":"../x"',
        b'"name":""',
        b'"name":".x"',
        b'"name":5',
        b'"iv":"00"',
        b'"frames":0',
        b'"frames":91',
        b'"unix_s":NaN',
        b'"uri":"a\\"b"',
        b'"uri":"a\\nb"',
        b'"init":"a\\"b"',
    ],
)
def test_foul(change: bytes) -> None:
    """A line that would break a playlist, or lead elsewhere, is none."""
    assert read_line(write_line(ONE)[:-2] + b"," + change + b"}") is None


def test_long_and_torn() -> None:
    """A line that is too long, or half of one, is none; those around it count."""
    line = write_line(ONE)
    assert read_line(b" " * MAX_LINE + line) is None
    assert read_lines(line[:20]) == {}
    assert read_lines(line + line[:20]) == {7: ONE}
