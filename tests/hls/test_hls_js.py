"""hls.js, its own parser and merge, as the reader of our playlists and delta updates."""

import json
import subprocess
from pathlib import Path
from random import Random
from typing import Any

import pytest

from hls.core.playlist import PlaylistWriter, Window
from tests.hls.windows import Stream

BUNDLE = Path("static/vendor/hls.mjs")
PROGRAM = Path(__file__).with_name("merge.mjs")
SEED = 8216

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not BUNDLE.is_file(), reason="run make static/vendor/hls.mjs"),
]


def follow(tmp_path: Path, sequences: list[list[str]]) -> list[list[Any]]:
    """Return what hls.js knows after each text of each sequence."""
    done = subprocess.run(
        ["node", PROGRAM, BUNDLE, tmp_path / "hls.mjs"],
        input=json.dumps(sequences).encode(),
        capture_output=True,
        check=True,
    )
    found: list[list[Any]] = json.loads(done.stdout)
    return found


def moments(chance: Random, stream: Stream) -> list[tuple[int, int]]:
    """Return how a player may ask: mostly each part, sometimes a few seconds later."""
    at, found = 30 * stream.parts_each + chance.randrange(stream.parts_each), []
    for _ in range(40):
        found.append(divmod(at, stream.parts_each))
        at += chance.choice([1, 1, 1, 2, stream.parts_each, 3 * stream.parts_each])
    return found


def told(window: Window) -> list[dict[str, Any]]:
    """Return what hls.js should know of a window."""
    found, cc = [], window.discontinuity_sequence
    entries = [*window.entries, *([window.open] if window.open else [])]
    for before, entry in zip([None, *entries], entries, strict=False):
        is_break = entry.is_discontinuous or (before and before.init != entry.init)
        cc += bool(before is not None and is_break)
        assert entry.key is not None
        found.append(
            {
                "sn": entry.msn,
                "name": "" if entry is window.open else entry.name,
                "cc": cc,
                "map": entry.init,
                "key": f"https://example.org{entry.key.uri}",
                "iv": entry.key.iv.hex(),
                "date": round(entry.unix_s * 1000),
                "gap": entry.is_gap,
            }
        )
    return found


def test_whole_and_delta(tmp_path: Path) -> None:
    """After every delta update hls.js knows each segment, part, key, map, date and discontinuity
    as after the whole playlist: over rotations at each segment and at every 20th, over changes of
    format, with a window of 15 s and of a minute.
    """  # noqa: D205
    chance = Random(SEED)
    streams = [
        Stream(
            part_frames, listed, rotate, {35: True, 41: False, 46: True}, talks=((60, 66), (80, 90))
        )
        for part_frames in (15, 9)
        for listed in (8, 30)
        for rotate in (1, 4, 20)
    ]
    windows = [[stream.window(*at) for at in moments(chance, stream)] for stream in streams]
    whole, delta = [], []
    for sequence in windows:
        writer = PlaylistWriter()
        whole.append([writer.low_latency(window) for window in sequence])
        delta.append(
            [writer.low_latency(window, skip=number > 0) for number, window in enumerate(sequence)]
        )
    assert sum("EXT-X-SKIP" in text for texts in delta for text in texts) > 400
    found = follow(tmp_path, whole + delta)
    for number, (after_whole, after_delta) in enumerate(
        zip(found[: len(streams)], found[len(streams) :], strict=True)
    ):
        for window, one, other in zip(windows[number], after_whole, after_delta, strict=True):
            where = f"seed {SEED}, {streams[number]}, at {window.open and window.open.msn}"
            expected = told(window)
            assert (one["error"], other["error"], other["failed"]) == ("", "", False), where
            assert one["fragments"] == expected[:-1], where
            assert other["fragments"] == expected[:-1], where
            assert other["hint"] == one["hint"], where
            assert one["hint"]["cc"] == expected[-1]["cc"], where
            assert one["hint"]["key"] == expected[-1]["key"], where
            assert one["hint"]["map"] == expected[-1]["map"], where
            assert other["parts"] == one["parts"], where
            assert other["dates"] == one["dates"], where
            assert other["next"] == one["next"] == window.hint, where


def test_end(tmp_path: Path) -> None:
    """The end of a stream is its end for hls.js: the last, shorter segment, and nothing hinted."""
    stream, writer = Stream(), PlaylistWriter()
    texts = [
        writer.low_latency(stream.window(50, 2)),
        writer.low_latency(stream.window(50, 3, is_ended=True), skip=True),
    ]
    ((_, last),) = follow(tmp_path, [texts])
    assert (last["error"], last["live"], last["next"]) == ("", False, "")
    assert last["fragments"][-1]["name"] == "seg-50.m4s"
