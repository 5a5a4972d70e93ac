"""From mouth to ear: a chirp into a join page's microphone, out of a listen page's player."""

import asyncio
import contextlib
import tempfile
import wave
from collections.abc import AsyncIterator
from pathlib import Path

from playwright.async_api import Browser, Page

from bench.browsers import chromium, find_chromium, listen, talk, tapped_page
from bench.eartap import Tap, Tapped
from bench.figures import Section
from bench.markers import SPACING_S, delays_s, marked_sound, onsets_s
from bench.material import Pcm
from bench.plain_hls import PlainHls
from bench.run import Run
from bench.whole_server import WholeServer
from mixer.types import FRAME_SAMPLES, SAMPLE_RATE

ROOM = "ear"
SETTLE_S = 6.0  # a player that has just begun is still finding its place
LONGEST_S = 15.0
# What is said, the server's options, and what the listen page is asked for.
OURS = (
    ("parts of 320 ms", ("--broadcast-part-ms", "320"), ""),
    ("parts of 192 ms", ("--broadcast-part-ms", "192"), ""),
    ("whole segments", ("--broadcast-part-ms", "320"), "classic"),
)


def steps(_run: Run) -> int:
    """Return how many steps the progress bar has."""
    return len(OURS) + 1


async def measure(run: Run) -> Section:
    """Measure the broadcast in parts and in segments, then FFmpeg's."""
    find_chromium()
    count = run.settings.sizes.ear_markers
    section = Section(
        "ear_to_ear",
        f"Ear to ear, {count} markers",
        {
            "delay": "s, microphone to player",
            "missed": "markers not heard",
            "stalls": "holes",
        },
        main="delay",
        note="Chromium's microphone on the join page to Chromium's player on the listen page, one"
        " machine's clock. FFmpeg gets the same sound without a microphone or a network before it,"
        " and is played by hls.js as it comes.",
        show_percentiles=True,
    )
    # As long as the measurement and its markers' way, so that no order of markers comes twice.
    sound = marked_sound(count + int(LONGEST_S + SETTLE_S))
    with tempfile.TemporaryDirectory(prefix="roomtone-bench-") as folder:
        microphone = _write(Path(folder) / "markers.wav", sound)
        for what, options, wish in OURS:
            run.said(f"ear to ear: {what}")
            async with _ours(options, microphone) as (mouth, link), chromium() as browser:
                page = await tapped_page(browser)
                await listen(page, link, wish)
                taps = await Tap.on(mouth, "in"), await Tap.on(page, "out")
                given, heard = await _both(taps, count)
                stalls = await page.evaluate("() => window.roomtone.stalls")
                _add(section, what, "Roomtone", (given, heard), stalls)
    run.said("ear to ear: FFmpeg")
    async with chromium() as browser:
        await _plain(section, sound, count, browser)
    return section


@contextlib.asynccontextmanager
async def _ours(options: tuple[str, ...], microphone: Path) -> AsyncIterator[tuple[Page, str]]:
    """A server, with somebody in its room; the page of theirs, and the listen link."""
    server = WholeServer(*options)
    try:
        await server.start()
        links = await server.new_room(ROOM)
        async with chromium(microphone) as browser:
            page = await tapped_page(browser)
            await talk(page, links["join"], "Ear")
            yield page, links["listen"]
    finally:
        await asyncio.shield(server.stop())


async def _both(taps: tuple[Tap, Tap], count: int) -> tuple[Tapped, Tapped]:
    """Let so many markers pass, once the player has found its place."""
    await asyncio.sleep(SETTLE_S)
    for tap in taps:
        await tap.begin()
    await asyncio.sleep(count * SPACING_S)
    given = await taps[0].take()
    await asyncio.sleep(_patience_s(given))
    return given, await taps[1].take()


def _patience_s(_given: Tapped) -> float:
    return 8.5  # what was said last is heard then, in whole segments too


async def _plain(section: Section, sound: Pcm, count: int, browser: Browser) -> None:
    plain = PlainHls(sound)
    try:
        await plain.start()
        page = await tapped_page(browser)
        await page.goto(plain.url)
        await page.wait_for_function("() => window.roomtone.state === 'live'")
        tap = await Tap.on(page, "out")
        await asyncio.sleep(SETTLE_S)
        first = len(plain.given_s)
        await tap.begin()
        await asyncio.sleep(count * SPACING_S)
        given = Tapped(*plain.since(first))
        await asyncio.sleep(_patience_s(given))
        _add(section, "whole segments", plain.name, (given, await tap.take()), 0)
    finally:
        await asyncio.shield(plain.stop())


def _add(
    section: Section, what: str, server: str, taps: tuple[Tapped, Tapped], stalls: int
) -> None:
    given, heard = (onsets_s(tapped) for tapped in taps)
    found = delays_s(given, heard, LONGEST_S)
    missed = float(len(given) - len(found))
    section.row(what, server).add(delay=found, missed=missed, stalls=float(stalls))


def _write(path: Path, sound: Pcm) -> Path:
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(SAMPLE_RATE)
        out.writeframes(sound[: len(sound) // FRAME_SAMPLES * FRAME_SAMPLES].tobytes())
    return path
