from dataclasses import replace

import m3u8

from hls.core.conformance import media
from hls.upload.core.journal import Listed
from hls.upload.core.playlists import LIVE_SEGMENTS, broadcast_playlist, file_playlist

ONE = Listed(0, "seg-0.m4s", "init-1.mp4", 1_700_000_000.0, 1, "/hls/k", bytes(16))


def segments(*numbers: int) -> list[Listed]:
    return [
        replace(ONE, msn=msn, name=f"seg-{msn}.m4s", unix_s=ONE.unix_s + msn * 1.92)
        for msn in numbers
    ]


def test_live() -> None:
    """The live playlist lists the newest segments and conforms."""
    text = broadcast_playlist(segments(*range(5, 100)), lambda one: one.uri, segments=LIVE_SEGMENTS)
    assert not media.check(text)
    parsed = m3u8.loads(text)
    assert (parsed.media_sequence, len(parsed.segments)) == (70, LIVE_SEGMENTS)
    assert not parsed.is_endlist
    assert parsed.keys[-1].uri == "/hls/k"


def test_whole_with_gaps() -> None:
    """What was lost on the way is a gap, so that every number is there; the end is said."""
    text = broadcast_playlist(segments(3, 4, 7), lambda one: f"keys/{one.epoch}.key", is_ended=True)
    assert not media.check(text)
    assert text.count("#EXT-X-GAP\n") == 2
    assert [one.uri for one in m3u8.loads(text).segments] == [f"seg-{n}.m4s" for n in range(3, 8)]
    assert m3u8.loads(text).is_endlist
    assert 'URI="keys/1.key"' in text


def test_after_a_short_one() -> None:
    """A gap is as long as what is missing; the last segment as it is."""
    known = segments(3, 5)
    text = broadcast_playlist(
        [replace(known[0], frames=30), replace(known[1], frames=45)], lambda one: one.uri
    )
    assert [one.duration for one in m3u8.loads(text).segments] == [0.64, 1.92, 0.96]


def test_turns() -> None:
    """The discontinuity sequence is that of the first segment that is listed."""
    known = segments(*range(50))
    known[10:] = [replace(one, turns=1, init="init-2.mp4") for one in known[10:]]
    known[10] = replace(known[10], is_turn=True)
    whole = broadcast_playlist(known, lambda one: one.uri)
    live = broadcast_playlist(known, lambda one: one.uri, segments=LIVE_SEGMENTS)
    assert "#EXT-X-DISCONTINUITY-SEQUENCE:0\n" in whole
    assert whole.count("#EXT-X-DISCONTINUITY\n") == 1
    assert "#EXT-X-DISCONTINUITY-SEQUENCE:1\n" in live
    assert "#EXT-X-DISCONTINUITY\n" not in live


def test_file() -> None:
    """A playlist of one file names each of its bytes once, in order."""
    text = file_playlist("listen.mp4", 700, [(1000, 282), (400, 90)], 1_700_000_000.0)
    parsed = m3u8.loads(text)
    assert [one.byterange for one in parsed.segments] == ["1000@700", "400@1700"]
    assert parsed.segment_map[0].byterange == "700@0"
    assert (parsed.target_duration, parsed.is_endlist, parsed.playlist_type) == (6, True, "vod")


def test_file_of_nothing() -> None:
    """A recording without sound is an empty playlist."""
    assert "#EXTINF" not in file_playlist("listen.mp4", 700, [], 0.0)
