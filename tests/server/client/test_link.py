"""Links people are sent."""

import pytest

from server.client.errors import ClientError, Exit
from server.client.link import Link, read_link


@pytest.mark.parametrize(
    ("text", "link"),
    [
        ("https://a.example/join/demo#invite=x_-1", Link("https://a.example", "demo", "x_-1")),
        ("http://h:8080/listen/demo#invite=y", Link("http://h:8080", "demo", "y")),
        ("http://h/hls/demo/stream.m3u8?token=t.u.v", Link("http://h", "demo", "", "t.u.v")),
        ("wss://h/ws?token=t", Link("https://h", "", "", "t")),
        ("http://h/join/demo", Link("http://h", "demo")),
    ],
)
def test_read(text: str, link: Link) -> None:
    """Every address that Roomtone gives out is understood."""
    assert read_link(text) == link


@pytest.mark.parametrize(
    "text", ["", "demo", "ftp://h/join/demo", "http://h/", "http:///join/demo", "http://[x/join/d"]
)
def test_no_link(text: str) -> None:
    """Anything else is refused with what a link looks like."""
    with pytest.raises(ClientError, match="looks like https://") as caught:
        read_link(text)
    assert caught.value.exit_status is Exit.MISTAKE


def test_secrets_stay() -> None:
    """Neither a refusal nor the value itself shows what the link holds."""
    with pytest.raises(ClientError) as caught:
        read_link("http://h/other#invite=secret")
    assert "secret" not in str(caught.value)
    assert "secret" not in repr(read_link("http://h/join/demo#invite=secret"))
