"""Playlists as a listener reads them."""

from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hls.core.playlist import Entry, Window, classic
from hls.types import KeySpec
from server.client.playlist import Key, read_playlist

KEY = KeySpec(epoch=1, key=b"k" * 16, iv=bytes(range(16)), uri="enc.key")


def test_ours() -> None:
    """What the broadcaster lists is read as it was meant."""
    entries = [Entry(7 + n, f"s{n}.m4s", "init.mp4", KEY, 1_700_000_000.0 + n) for n in range(3)]
    window = Window(tuple(entries))
    playlist = read_playlist(classic(window))
    assert [(one.msn, one.uri) for one in playlist.segments] == [
        (7, "s0.m4s"),
        (8, "s1.m4s"),
        (9, "s2.m4s"),
    ]
    assert {one.init for one in playlist.segments} == {"init.mp4"}
    assert playlist.segments[0].key == Key("enc.key", KEY.iv)
    assert playlist.segments[0].iv == KEY.iv
    assert not playlist.is_over
    assert read_playlist(classic(replace(window, is_ended=True))).is_over


def test_iv_of_the_number() -> None:
    """Without an IV it is the media sequence number (RFC 8216 §5.2)."""
    text = '#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:258\n#EXT-X-KEY:METHOD=AES-128,URI="k"\n#EXTINF:2,\na'
    (segment,) = read_playlist(text).segments
    assert segment.iv == bytes(14) + b"\x01\x02"


def test_clear() -> None:
    """METHOD=NONE ends the encryption."""
    text = '#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="k"\na\n#EXT-X-KEY:METHOD=NONE\nb'
    first, second = read_playlist(text).segments
    assert (first.key is None, second.key is None) == (False, True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html>",
        "#EXTM3U\n#EXT-X-KEY:METHOD=SAMPLE-AES,URI=x\na",
        "#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI=x,IV=12\na",
        "#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI=x,IV=0x" + "1" * 40,
        "#EXTM3U\n#EXTINF:two,\na",
        "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:nan\na",
        "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:inf\na",
        "#EXTM3U\n" + "a\n" * 10_001,
    ],
)
def test_refused(text: str) -> None:
    """What is no playlist, or encrypted in another way, is refused."""
    with pytest.raises(ValueError, match=r"."):
        read_playlist(text)


@given(st.text(alphabet='#EXTMUKY:=,"0x19.-\naINF', max_size=80))
def test_hostile(text: str) -> None:
    """Whatever follows the first line is read or refused, and nothing else happens."""
    with suppress(ValueError):
        read_playlist("#EXTM3U\n" + text)
