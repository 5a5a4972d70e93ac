import re
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st

from hls.core.addressed import Addressed
from hls.core.multivariant import Subtitles, Variant, multivariant
from hls.core.playlist import low_latency
from tests.hls.windows import Stream

STREAM = Stream(breaks={45: True}, talks=((79.0, 90.0),))
TEXT = low_latency(STREAM.window(50, 2))
OWN = b"?token=a.b-c_d&x=1"


def keyed(addressed: Addressed) -> dict[str, bytes]:
    """Return a query for each key."""
    return {key: b"?k=%d" % number for number, key in enumerate(addressed.keys)}


def test_what_needs_a_query() -> None:
    """Keys get each its own, reports the listener's, and nothing else any."""
    addressed = Addressed(TEXT)
    queries = keyed(addressed)
    text = addressed.with_queries(OWN, queries).decode()
    changed = [line for line in text.splitlines() if line not in TEXT.splitlines()]
    assert {line.partition(":")[0] for line in changed} == {"#EXT-X-KEY", "#EXT-X-RENDITION-REPORT"}
    assert addressed.keys == tuple(dict.fromkeys(re.findall(r'KEY:.*URI="([^"]+)"', TEXT)))
    assert len(addressed.keys) > 1
    for key, query in queries.items():
        assert f'METHOD=AES-128,URI="{key}{query.decode()}",IV=0x' in text
    assert f'#EXT-X-RENDITION-REPORT:URI="64k/stream.m3u8{OWN.decode()}",LAST-MSN=50' in text
    assert re.sub(r'\?[^"\n]+', "", text) == TEXT


def test_multivariant() -> None:
    """Renditions and variants are playlists; a name that looks like an address is none."""
    french = Variant("fr/stream.m3u8", 64_000, 1, 1, "fr", 'x,URI="y', "fr")
    subtitles = [Subtitles("captions.m3u8", "Captions")]
    text = multivariant([Variant("stream.m3u8", 64_000, 1, 1), french], subtitles)
    told = Addressed(text).with_queries(b"?q=1", {}).decode()
    assert re.findall(r"[^\s\"]*\?q=1", told) == [
        "fr/stream.m3u8?q=1",
        "captions.m3u8?q=1",
        "stream.m3u8?q=1",
    ]


def test_address_with_a_query() -> None:
    """An address that has a query already is left alone."""
    text = '#EXT-X-KEY:METHOD=AES-128,URI="k?v=2"\n#EXT-X-STREAM-INF:BANDWIDTH=1\na?b=1\n'
    addressed = Addressed(text)
    assert addressed.keys == ()
    assert addressed.with_queries(b"?q=1", {"k": b"?q=2", "k?v=2": b"?q=3"}) == text.encode()


def test_a_key_without_a_query() -> None:
    """A key that nothing is known for keeps its address."""
    text = '#EXT-X-KEY:METHOD=AES-128,URI="a"\n#EXT-X-KEY:METHOD=AES-128,URI="b"\n'
    told = Addressed(text).with_queries(b"", {"b": b"?q"})
    assert told.decode() == text.replace('"b"', '"b?q"')


def test_other_lines_stay() -> None:
    """Other tags, comments, empty lines, what only looks like a tag and line ends stay."""
    text = (
        '#EXTM3U\r\n\r\n#X:URI="a"\r\n#EXT-X-DATERANGE:ID="a\u2028b",X-URI="b"\r\n# c\r\nb\r\n'
        '#EXT-X-DATERANGE:ID="1",X-TITLE=#EXT-X-KEY:URI="k"\n#EXT-X-KEY:METHOD=NONE\n'
        "#EXT-X-STREAM-INF:BANDWIDTH=1\n#EXTINF:1,\nc\n"
    )
    assert Addressed(text).with_queries(b"?q", {"k": b"?q"}) == text.encode()
    variant = "#EXT-X-STREAM-INF:BANDWIDTH=1\r\na"
    assert Addressed(variant).with_queries(b"?q", {}).decode() == variant + "?q"
    assert Addressed(variant + "\r\n").with_queries(b"?q", {}).decode() == variant + "?q\r\n"


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60))
def test_any_token(token: str) -> None:
    """Whatever is quoted into the query cannot leave its place."""
    query = f"?token={quote(token, safe='')}".encode()
    addressed = Addressed(TEXT)
    assert addressed.with_queries(query, {}).replace(query, b"").decode() == TEXT


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text(text: str) -> None:
    """Without queries any text is what it was."""
    assert Addressed(text).with_queries(b"", {}).decode() == text
