"""Every rule for multivariant playlists, and one that it rejects."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hls.core.conformance.multivariant import RULES, check
from hls.core.multivariant import Subtitles, Variant, multivariant

VARIANTS = [
    Variant("stream.m3u8", 128_000, 140_000, 131_000, label="Floor"),
    Variant("64k/stream.m3u8", 64_000, 72_000, 66_000, label="Floor"),
    Variant("fr/stream.m3u8", 64_000, 72_000, 66_000, "fr", "Français", "fr"),
]
GOOD = multivariant(VARIANTS, [Subtitles("captions/stream.m3u8", "Captions", "en")])

BROKEN = {
    "begins-with-extm3u": ("#EXTM3U\n", ""),
    "one-kind": ("#EXT-X-STREAM", "#EXT-X-ENDLIST\n#EXT-X-STREAM"),
    "attribute-lists": ("DEFAULT=YES,", "DEFAULT=YES,,"),
    "streams-have-addresses": ("\nstream.m3u8", ""),
    "bandwidths": ("AVERAGE-BANDWIDTH=131000", "AVERAGE-BANDWIDTH=141000"),
    "codecs": (',CODECS="mp4a.40.2"', ""),
    "groups-exist": ('AUDIO="64000"', 'AUDIO="65000"'),
    "renditions-are-complete": ('NAME="Floor",', ""),
    "members-differ": ('NAME="Français"', 'NAME="Floor"'),
    "groups-are-alike": ('LANGUAGE="fr"', 'LANGUAGE="en"'),
}

ALSO_BROKEN = [
    ("streams-have-addresses", "#EXT-X-STREAM", "#"),
    ("bandwidths", ":BANDWIDTH", ":X-BANDWIDTH"),
    ("renditions-are-complete", ',URI="captions/stream.m3u8"', ""),
    ("renditions-are-complete", "TYPE=SUBTITLES", "TYPE=CLOSED-CAPTIONS"),
    ("renditions-are-complete", 'CHANNELS="1"', 'CHANNELS="1",FORCED=YES'),
    ("renditions-are-complete", "AUTOSELECT=YES", "AUTOSELECT=NO"),
    ("members-differ", "DEFAULT=NO", "DEFAULT=YES"),
]


def broken_rules(text: str) -> set[str]:
    return {finding.rule for finding in check(text)}


def test_good() -> None:
    """What the writer writes breaks no rule."""
    assert check(GOOD) == []
    assert check(multivariant(VARIANTS[:1])) == []


@pytest.mark.parametrize("rule", RULES.all)
def test_broken(rule: str) -> None:
    """Every rule rejects a playlist."""
    old, new = BROKEN[rule]
    assert old in GOOD
    assert rule in broken_rules(GOOD.replace(old, new, 1))


@pytest.mark.parametrize(("rule", "old", "new"), ALSO_BROKEN)
def test_also_broken(rule: str, old: str, new: str) -> None:
    """A rule rejects each of the ways to break it."""
    assert old in GOOD
    assert rule in broken_rules(GOOD.replace(old, new))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(GOOD.splitlines()) | st.text(max_size=30)).map("\n".join))
def test_anything(text: str) -> None:
    """No text is too strange to be judged."""
    assert all(finding.reason for finding in check(text))
