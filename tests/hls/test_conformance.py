"""The broadcaster's own playlists under the rules, over a minute of a stream that changes."""

from dataclasses import replace

from hls.core.conformance import multivariant
from hls.core.conformance.history import History
from hls.pipeline import Broadcaster
from hls.types import PlaylistKind, RenditionSpec
from tests.hls.listener import spec

BASE = 1000
RENDITIONS = (
    RenditionSpec("128k", 128_000),
    RenditionSpec("64k", 64_000),
    RenditionSpec("fr", 64_000, "fr", "fr", "Français"),
)


def test_every_playlist() -> None:
    """Every playlist of every rendition, whole, as a delta update and without parts, breaks no rule
    by itself or after the one before, while keys, the format and speakers change.
    """  # noqa: D205
    plan = replace(
        spec(base_tick=BASE),
        renditions=RENDITIONS,
        keys=tuple(
            replace(spec().keys[0], epoch=n, uri=f"/k/{n}", iv=bytes([n] * 16), first_msn=5 * n)
            for n in range(12)
        ),
        window_s=23.04,
    )
    broadcaster = Broadcaster()
    broadcaster.apply(plan, BASE)
    whole, delta, classic = ({one.name: History() for one in RENDITIONS} for _ in range(3))
    for tick in range(BASE + 100, BASE + 3000, 37):
        if tick == BASE + 100 + 37 * 30:
            broadcaster.apply(replace(plan, version=2, channels=2), tick)
        broadcaster.talk("blue", ["Ann"] if tick // 300 % 2 else ["Ben", "Cem"], tick)
        for name in whole:
            asked = [
                (whole, PlaylistKind.LOW_LATENCY, False),
                (delta, PlaylistKind.LOW_LATENCY, bool(delta[name].segments)),
                (classic, PlaylistKind.CLASSIC, False),
            ]
            for histories, kind, skip in asked:
                text = broadcaster.playlist("blue", name, kind, tick, skip=skip)
                assert text is not None
                assert histories[name].follow(text) == []
            assert delta[name].segments == whole[name].segments
    text = broadcaster.playlist("blue", "", PlaylistKind.MULTIVARIANT, BASE + 3000)
    assert text is not None
    assert multivariant.check(text) == []
