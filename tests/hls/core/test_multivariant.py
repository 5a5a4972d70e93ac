from dataclasses import replace

import m3u8

from hls.core.conformance import multivariant as conformance
from hls.core.multivariant import Subtitles, Variant, multivariant

HIGH = Variant("stream.m3u8", 128_000, 140_000, 131_000, label="Floor", channels=2)
LOW = Variant("64k/stream.m3u8", 64_000, 72_000, 66_000, label="Floor")
FRENCH = Variant("fr/stream.m3u8", 64_000, 73_000, 67_000, "fr", 'Fr"ançais', "fr")


def test_one() -> None:
    """One bus is its bit rates and nothing more."""
    assert multivariant([HIGH, LOW]) == (
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-INDEPENDENT-SEGMENTS\n"
        '#EXT-X-STREAM-INF:BANDWIDTH=140000,AVERAGE-BANDWIDTH=131000,CODECS="mp4a.40.2"\n'
        "stream.m3u8\n"
        '#EXT-X-STREAM-INF:BANDWIDTH=72000,AVERAGE-BANDWIDTH=66000,CODECS="mp4a.40.2"\n'
        "64k/stream.m3u8\n"
    )


def test_buses() -> None:
    """Each bit rate has a group of all languages; the default one is what the variant plays."""
    found = m3u8.loads(multivariant([HIGH, LOW, FRENCH]))
    members = [
        (one.group_id, one.name, one.language, one.default, one.autoselect, one.channels, one.uri)
        for one in found.media
    ]
    assert members == [
        ("128000", "Floor", None, "YES", "YES", "2", None),
        ("128000", "Fr″ançais", "fr", "NO", "YES", "1", "fr/stream.m3u8"),
        ("64000", "Floor", None, "YES", "YES", "1", None),
        ("64000", "Fr″ançais", "fr", "NO", "YES", "1", "fr/stream.m3u8"),
    ]
    streams = [
        (
            one.uri,
            one.stream_info.bandwidth,
            one.stream_info.average_bandwidth,
            one.media[0].group_id,
        )
        for one in found.playlists
    ]
    assert streams == [
        ("stream.m3u8", 140_000, 131_000, "128000"),
        ("64k/stream.m3u8", 73_000, 67_000, "64000"),
    ], "a stream's bandwidth is that of its greatest combination"


def test_the_same_label_twice() -> None:
    """No two members of a group are called the same, whatever their labels are."""
    labels = [
        ("fr", "Floor"),
        ("de", 'A"'),
        ("es", "A\u2033"),
        ("it", "Floor (it)"),
        ("pt", "Floor (it)"),
    ]
    others = [replace(FRENCH, bus=bus, label=label) for bus, label in labels]
    text = multivariant([HIGH, LOW, *others])
    names = [one.name for one in m3u8.loads(text).media]
    assert names == 2 * [
        "Floor",
        "Floor (fr)",
        "A\u2033",
        "A\u2033 (es)",
        "Floor (it)",
        "Floor (it) (pt)",
    ]
    assert conformance.check(text) == []


def test_nearest() -> None:
    """A language that lacks a bit rate is there in the nearest one from below, or its lowest."""
    rich = [Variant(f"fr-{rate}", rate, 1, 1, "fr") for rate in (96_000, 128_000, 32_000)]
    found = m3u8.loads(multivariant([HIGH, LOW, *rich]))
    assert [one.uri for one in found.media if one.uri] == ["fr-128000", "fr-32000"]
    found = m3u8.loads(multivariant([HIGH, LOW, rich[0]]))
    assert [one.uri for one in found.media if one.uri] == ["fr-96000", "fr-96000"]


def test_subtitles() -> None:
    """Captions are a group that every variant names."""
    captions = [Subtitles("en.m3u8", "English", "en"), Subtitles("x.m3u8", "Other")]
    found = m3u8.loads(multivariant([HIGH, LOW], captions))
    assert [(one.type, one.name, one.language, one.uri) for one in found.media] == [
        ("SUBTITLES", "English", "en", "en.m3u8"),
        ("SUBTITLES", "Other", None, "x.m3u8"),
    ]
    assert [one.stream_info.subtitles for one in found.playlists] == ["subtitles", "subtitles"]
