import re
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from hls.core.playlist import Entry, ended, media_playlist, names, with_token
from hls.types import KeySpec

KEY = KeySpec(1, b"k" * 16, bytes.fromhex("000102030405060708090a0b0c0d0eff"), "../k/1/enc.key")
NEXT_KEY = KeySpec(2, b"l" * 16, bytes(16), "../k/2/enc.key?v=2")
FIRST = Entry(41, "seg-41.m4s", "init-a.mp4", KEY, 1_700_000_000.0)
SECOND = replace(FIRST, msn=42, name="seg-42.m4s", unix_s=1_700_000_001.92)

PLAIN = """\
#EXTM3U
#EXT-X-VERSION:6
#EXT-X-TARGETDURATION:2
#EXT-X-MEDIA-SEQUENCE:41
#EXT-X-DISCONTINUITY-SEQUENCE:0
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MAP:URI="init-a.mp4"
#EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:13:20.000Z
#EXT-X-KEY:METHOD=AES-128,URI="../k/1/enc.key",IV=0x000102030405060708090A0B0C0D0EFF
#EXTINF:1.92000,
seg-41.m4s
"""


def test_plain() -> None:
    """The map stands in the clear before the key; durations are exact."""
    assert media_playlist([FIRST]) == PLAIN


def test_same_key() -> None:
    """A further segment needs its duration and name only."""
    assert media_playlist([FIRST, SECOND]) == PLAIN + "#EXTINF:1.92000,\nseg-42.m4s\n"


def test_next_key() -> None:
    """A key is named where it changes."""
    text = media_playlist([FIRST, replace(SECOND, key=NEXT_KEY)])
    assert text == PLAIN + (
        '#EXT-X-KEY:METHOD=AES-128,URI="../k/2/enc.key?v=2",IV=0x00000000000000000000000000000000\n'
        "#EXTINF:1.92000,\nseg-42.m4s\n"
    )


def test_next_map() -> None:
    """Another format is a discontinuity; its map stands behind METHOD=NONE, then the key again."""
    text = media_playlist([FIRST, replace(SECOND, init="b.mp4")], discontinuity_sequence=3)
    assert text == PLAIN.replace("QUENCE:0", "QUENCE:3") + (
        '#EXT-X-DISCONTINUITY\n#EXT-X-KEY:METHOD=NONE\n#EXT-X-MAP:URI="b.mp4"\n'
        "#EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:13:21.920Z\n"
        '#EXT-X-KEY:METHOD=AES-128,URI="../k/1/enc.key",IV=0x000102030405060708090A0B0C0D0EFF\n'
        "#EXTINF:1.92000,\nseg-42.m4s\n"
    )


def test_wall_clock_is_rounded() -> None:
    """Sums of 1.92 s do not show as 0.999 s."""
    text = media_playlist([replace(FIRST, unix_s=1_699_999_999.9999997)])
    assert "2023-11-14T22:13:20.000Z" in text


def test_token() -> None:
    """Key, map and segment addresses get the token; an address with a query keeps it."""
    text = with_token(media_playlist([FIRST, replace(SECOND, key=NEXT_KEY)]), "a.b-c_d")
    assert '#EXT-X-MAP:URI="init-a.mp4?token=a.b-c_d"\n' in text
    assert 'METHOD=AES-128,URI="../k/1/enc.key?token=a.b-c_d",IV=0x' in text
    assert 'URI="../k/2/enc.key?v=2&token=a.b-c_d",IV=0x' in text
    assert "\nseg-41.m4s?token=a.b-c_d\n" in text
    assert text.endswith("\nseg-42.m4s?token=a.b-c_d\n")


def test_token_changes_nothing_else() -> None:
    """Tags without an address and empty lines stay as they are, line ends too."""
    assert with_token('#EXTM3U\r\n\r\n#X:OTHERURI="a"\r\nb\r\n', "t") == (
        '#EXTM3U\r\n\r\n#X:OTHERURI="a"\r\nb?token=t\r\n'
    )


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=60))
def test_any_token(token: str) -> None:
    """Whatever the token, it cannot leave its place: the playlist without it is the old one."""
    text = with_token(PLAIN, token)
    assert re.sub(r"\?token=[A-Za-z0-9._~%-]*", "", text) == PLAIN


def test_ended() -> None:
    """A stream that is over says so in its last line, and names what it named."""
    entries = [Entry(n, f"seg-{n}.m4s", "init.mp4", KEY, 100.0 + n) for n in (1, 2)]
    text = ended(media_playlist(entries))
    assert text.endswith("#EXT-X-ENDLIST\n")
    assert names(text) == ["init.mp4", "seg-1.m4s", "seg-2.m4s"]
