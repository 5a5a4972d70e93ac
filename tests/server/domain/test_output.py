"""RTMP outputs: their addresses, and how they are stored."""

import pytest

from server.domain.output import Output, decode_outputs, encode_outputs, read_url
from server.errors import BadInput, BadRecord

URL = "rtmps://Live.example.org:443/rtmp/part/FB-1?s_bl=1&a=b"


def test_parts() -> None:
    """The last part of the path is the key, with the query; the rest may be seen."""
    found = read_url(URL)
    assert (found.scheme, found.host, found.port) == ("rtmps", "live.example.org", 443)
    assert (found.app, found.key) == ("rtmp/part", "FB-1?s_bl=1&a=b")
    assert found.base == "rtmps://live.example.org/rtmp/part"
    assert found.shown == "rtmps://live.example.org/rtmp/part/\N{HORIZONTAL ELLIPSIS}"
    assert read_url("rtmp://[2001:db8::1]:1936/a/k").base == "rtmp://[2001:db8::1]:1936/a"
    assert read_url("rtmp://example.org/a/k").port == 1935


@pytest.mark.parametrize(
    "url",
    [
        *("http://a.example/b/c", "rtmp://a.example/key", "rtmp://a.example/app/", "rtmp:///a/b"),
        *("rtmp://me:secret@a.example/b/c", "rtmp://a.example:0/b/c", "rtmp://a.example/b/c#d"),
        *("rtmp://[::1/b/c", "rtmp://a.example/b/c d", "rtmp://a.example/b/\u00e4"),
        *("rtmp://a.example:99999/b/c", "rtmp://a.example/b/" + 2048 * "c", ""),
    ],
)
def test_wrong_addresses(url: str) -> None:
    """What cannot be published to is refused, without being repeated."""
    with pytest.raises(BadInput) as refused:
        read_url(url)
    assert not url or url not in str(refused.value)


def test_stored() -> None:
    """Outputs are read back as they were."""
    outputs = (Output("0" * 16, URL, "Ours", enabled=False), Output("1" * 16, "rtmp://a.b/c/d"))
    assert decode_outputs("/x", encode_outputs(outputs)) == outputs


@pytest.mark.parametrize(
    "value",
    [
        *(b"", b"{}", b'{"outputs":[],"version":2}', b'{"outputs":[{"id":"x","url":"y"}]}'),
        b'{"outputs":[{"id":"0000000000000000","url":"http://a.b/c/d"}]}',
    ],
)
def test_bad_records(value: bytes) -> None:
    """A record that is none of ours is refused."""
    with pytest.raises(BadRecord):
        decode_outputs("/rooms/demo/outputs", value)
