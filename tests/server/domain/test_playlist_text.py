import gzip
import re

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


def test_each_key_gets_the_query_of_its_epoch() -> None:
    """Keys are known by their address; of any other nothing is asked, and the text stays."""
    keys = [f'#EXT-X-KEY:METHOD=AES-128,URI="/hls/rooms/demo/{n}/enc.key"\n' for n in (7, 8, 7)]
    text = PlaylistText(TEXT + "".join(keys) + '#EXT-X-KEY:METHOD=AES-128,URI="other"\n')
    asked: list[int] = []

    def key(epoch: int) -> bytes:
        asked.append(epoch)
        return b"?%d" % epoch

    told = text.with_queries(b"?own", key).decode()
    assert asked == [7, 8]
    assert re.findall(r"([78])/enc.key\?([78])", told) == [("7", "7"), ("8", "8"), ("7", "7")]
    assert re.sub(r"\?[78]", "", told) == text.text == text.plain.decode()
