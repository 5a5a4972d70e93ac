import gzip

from server.domain.playlist_text import PlaylistText

TEXT = '#EXTM3U\n#EXT-X-MAP:URI="init-1.mp4"\nseg-1.m4s\n'


def test_what_is_shared_is_made_once() -> None:
    """Everybody is given the same bytes, and gzip opens to the same."""
    text = PlaylistText(TEXT)
    assert text.plain == TEXT.encode()
    assert gzip.decompress(text.zipped) == text.plain
    assert text.plain is text.plain
    assert text.zipped is text.zipped
    assert text.zipped == PlaylistText(TEXT).zipped


def test_a_token_stands_on_every_address() -> None:
    """It is quoted; the shared text stays without it."""
    text = PlaylistText(TEXT)
    assert text.with_token("a&b").decode() == TEXT.replace(
        "init-1.mp4", "init-1.mp4?token=a%26b"
    ).replace("seg-1.m4s", "seg-1.m4s?token=a%26b")
    assert text.plain == TEXT.encode()
