from dataclasses import replace

import pytest

from hls.core.speccheck import check_spec
from hls.errors import BadSpec
from hls.types import BroadcastSpec, CaptionsSpec, RenditionSpec
from tests.hls.listener import KEY, spec

LANGUAGES = (RenditionSpec("64k", 64_000), RenditionSpec("fr", 64_000, "fr", "fr-CA", "Français"))


@pytest.mark.parametrize(
    "good",
    [
        spec(),
        replace(spec(), renditions=LANGUAGES, channels=2, part_frames=9),
        replace(spec(), captions=(CaptionsSpec("en-cc", "en"), CaptionsSpec("pt-cc", "pt-BR"))),
        replace(spec(), stream="abcdefghij234567"),
        replace(spec(), window_s=86_400.0, keys=(KEY, replace(KEY, epoch=2, first_msn=7))),
        *(replace(spec(), part_frames=frames) for frames in (3, 6, 9, 15, 18, 30, 45, 90)),
    ],
)
def test_good(good: BroadcastSpec) -> None:
    """What can be broadcast is not refused."""
    check_spec(good)


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        ("key", spec(key=replace(KEY, key=b"short"))),
        ("iv", spec(key=replace(KEY, iv=bytes(17)))),
        ("uri", spec(key=replace(KEY, uri=""))),
        ("uri", spec(key=replace(KEY, uri='k"\n#EXT-X-ENDLIST'))),
        ("keys", replace(spec(), keys=())),
        ("keys", replace(spec(), keys=(KEY, KEY))),
        ("keys", replace(spec(), keys=(KEY,) * 10_001)),
        ("base_tick", spec(base_tick=-(10**18))),
        ("base_unix_s", replace(spec(), base_unix_s=float("nan"))),
        ("base_unix_s", replace(spec(), base_unix_s=1e20)),
        ("renditions", replace(spec(), renditions=())),
        ("renditions", replace(spec(), renditions=LANGUAGES[:1] * 2)),
        ("captions", replace(spec(), captions=(CaptionsSpec("64k", "en"),))),
        ("captions", replace(spec(), captions=(CaptionsSpec("a", "en"), CaptionsSpec("a", "de")))),
        ("captions", replace(spec(), captions=(CaptionsSpec("a", "en"), CaptionsSpec("b", "en")))),
        ("captions", replace(spec(), captions=(CaptionsSpec("A", "en"),))),
        ("captions", replace(spec(), captions=(CaptionsSpec("a", ""),))),
        ("captions", replace(spec(), captions=(CaptionsSpec("a", 'e"n'),))),
        (
            "captions",
            replace(spec(), captions=tuple(CaptionsSpec(f"c{n}", f"l{n}") for n in range(17))),
        ),
        ("channels", replace(spec(), channels=0)),
        ("channels", replace(spec(), channels=3)),
        ("part_frames", replace(spec(), part_frames=0)),
        ("part_frames", replace(spec(), part_frames=-3)),
        ("part_frames", replace(spec(), part_frames=10)),
        ("part_frames", replace(spec(), part_frames=12)),
        ("part_frames", replace(spec(), part_frames=180)),
        *(("stream", replace(spec(), stream=bad)) for bad in ("A", "a-b", '"', "a" * 17)),
        ("title", replace(spec(), title="x" * 1001)),
        ("hold", replace(spec(), hold="/" + "x" * 4096)),
        ("hold", replace(spec(), hold="/a\0b")),
        ("window_s", replace(spec(), window_s=0.0)),
        ("window_s", replace(spec(), window_s=1e6)),
        ("window_s", replace(spec(), window_s=float("nan"))),
    ],
)
def test_bad(field: str, bad: BroadcastSpec) -> None:
    """What cannot be is refused by the name of its field."""
    with pytest.raises(BadSpec) as caught:
        check_spec(bad)
    assert caught.value.field == field


@pytest.mark.parametrize(
    "bad",
    [
        RenditionSpec("", 64_000),
        RenditionSpec("../a", 64_000),
        RenditionSpec("a" * 33, 64_000),
        RenditionSpec("a\n", 64_000),
        RenditionSpec("a", 15_999),
        RenditionSpec("a", 288_001),
        RenditionSpec("a", 64_000, language='fr"'),
        RenditionSpec("a", 64_000, label='"\n#EXT-X-ENDLIST'),
    ],
)
def test_bad_rendition(bad: RenditionSpec) -> None:
    """A rendition whose name is no part of an address, or that would break the playlist."""
    with pytest.raises(BadSpec, match="renditions"):
        check_spec(replace(spec(), renditions=(LANGUAGES[0], bad)))
