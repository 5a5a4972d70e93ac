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
QUERY = "token=a.b-c_d&x=1"


def test_every_address() -> None:
    """Keys, maps, segments, parts, the hint and the reports get the query, and nothing else."""
    text = Addressed(TEXT).with_query(QUERY)
    with_query = [line for line in text.splitlines() if QUERY in line]
    kinds = {line.partition(":")[0] if line.startswith("#") else "segment" for line in with_query}
    assert kinds == {
        "#EXT-X-KEY",
        "#EXT-X-MAP",
        "#EXT-X-PART",
        "#EXT-X-PRELOAD-HINT",
        "#EXT-X-RENDITION-REPORT",
        "segment",
    }
    assert '#EXT-X-MAP:URI="init-0.mp4?token=a.b-c_d&x=1"\n' in text
    assert f'METHOD=AES-128,URI="/k/11/enc.key?{QUERY}",IV=0x' in text
    assert f'#EXT-X-PART:DURATION=0.320,URI="seg-50.1.m4s?{QUERY}",INDEPENDENT=YES\n' in text
    assert f'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="seg-50.2.m4s?{QUERY}"\n' in text
    assert f'#EXT-X-RENDITION-REPORT:URI="64k/stream.m3u8?{QUERY}",LAST-MSN=50' in text
    assert f"\nseg-44.m4s?{QUERY}\n" in text
    assert text.replace(f"?{QUERY}", "") == TEXT


def test_multivariant() -> None:
    """Renditions and variants get it too; a name that looks like an address does not."""
    french = Variant("fr/stream.m3u8", 64_000, 1, 1, "fr", 'x,URI="y', "fr")
    subtitles = [Subtitles("captions.m3u8", "Captions")]
    text = multivariant([Variant("stream.m3u8", 64_000, 1, 1), french], subtitles)
    assert re.findall(r"[^\s\"]*\?q=1", Addressed(text).with_query("q=1")) == [
        "fr/stream.m3u8?q=1",
        "captions.m3u8?q=1",
        "stream.m3u8?q=1",
    ]


def test_address_with_a_query() -> None:
    """An address that has a query keeps it."""
    text = '#EXT-X-KEY:METHOD=AES-128,URI="k?v=2",IV=0x1\n#EXTINF:1,\na\n#EXTINF:1,\nb?c\n'
    assert Addressed(text).with_query("q=1") == (
        '#EXT-X-KEY:METHOD=AES-128,URI="k?v=2&q=1",IV=0x1\n#EXTINF:1,\na?q=1\n#EXTINF:1,\nb?c&q=1\n'
    )


def test_no_query() -> None:
    """Without a query the text is the very same one."""
    addressed = Addressed(TEXT)
    assert addressed.with_query("") is TEXT
    assert addressed.text is TEXT


def test_other_lines_stay() -> None:
    """Tags without an address, comments, empty lines and other line ends stay as they are."""
    text = '#EXTM3U\r\n\r\n#X:URI="a"\r\n#EXT-X-DATERANGE:ID="a\u2028b",X-URI="b"\r\n# c\r\nb\r\n'
    assert Addressed(text).with_query("q") == text.replace("\nb\r", "\nb?q\r")


def test_equality() -> None:
    """Two of the same text are the same thing."""
    assert Addressed("a") == Addressed("a")
    assert len({Addressed("a"), Addressed("a"), Addressed("b")}) == 2
    assert Addressed("a") != "a"


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60))
def test_any_token(token: str) -> None:
    """Whatever is quoted into the query cannot leave its place."""
    query = f"token={quote(token, safe='')}"
    addressed = Addressed(TEXT)
    assert addressed.with_query(query).replace(f"?{query}", "") == TEXT
    assert addressed.with_query("q=2").count("?q=2") == addressed.with_query(query).count(query)
