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
from bench.figures import Row, Section
from bench.markers import SPACING_S, delays_s, marked_sound, onsets
from bench.material import Pcm
from bench.plain_hls import PlainHls
from bench.run import Run
from bench.whole_server import WholeServer
from mixer.types import FRAME_SAMPLES, SAMPLE_RATE

ROOM = "ear"
SETTLE_S = 6.0  # a player that has just begun is still finding its place
LONGEST_S = 12.0  # in whole segments
LONGEST_PARTS_S = 5.0
LISTENERS = 3  # each begins at another moment of a segment
WHOLE = "whole segments"
# What is measured, the server's part length, what the listen page is asked for, and the longest
# delay that is looked for.
OURS = (
    ("parts of 320 ms", "320", "", LONGEST_PARTS_S),
    ("parts of 192 ms", "192", "", LONGEST_PARTS_S),
    (WHOLE, "320", "classic", LONGEST_S),
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
        f"Ear to ear, {count} markers, {LISTENERS} listeners",
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
    sound = marked_sound(count)
    with tempfile.TemporaryDirectory(prefix="roomtone-bench-") as folder:
        microphone = _write(Path(folder) / "markers.wav", sound)
        for what, part_ms, wish, longest_s in OURS:
            run.said(f"ear to ear: {what}")
            async with _ours(part_ms, microphone) as (mouth, link), chromium() as browser:
                pages = [await tapped_page(browser) for _ in range(LISTENERS)]
                for page in pages:
                    await listen(page, link, wish)
                ears = [await Tap.on(page, "out") for page in pages]
                mic = await Tap.on(mouth, "in")
                given, heard = await _pass(mic, ears, count, longest_s)
                stalls = [await page.evaluate("() => window.roomtone.stalls") for page in pages]
                row = section.row(what, "Roomtone")
                _add(row, given, heard, longest_s)
                row.add(stalls=float(sum(stalls)))
    run.said("ear to ear: FFmpeg")
    async with chromium() as browser:
        await _plain(section, sound, count, browser)
    return section


@contextlib.asynccontextmanager
async def _ours(part_ms: str, microphone: Path) -> AsyncIterator[tuple[Page, str]]:
    """A server, with somebody in its room; the page of theirs, and the listen link."""
    server = WholeServer("--broadcast-part-ms", part_ms)
    try:
        await server.start()
        links = await server.new_room(ROOM)
        async with chromium(microphone) as browser:
            page = await tapped_page(browser)
            await talk(page, links["join"], "Ear")
            yield page, links["listen"]
    finally:
        await asyncio.shield(server.stop())


async def _pass(
    mouth: Tap, ears: list[Tap], count: int, longest_s: float
) -> tuple[Tapped, list[Tapped]]:
    """Let so many markers pass, once the players have found their place."""
    await asyncio.sleep(SETTLE_S)
    for tap in (mouth, *ears):
        await tap.begin()
    await asyncio.sleep(count * SPACING_S)
    given = await mouth.take()
    await asyncio.sleep(0.8 * longest_s)
    return given, [await ear.take() for ear in ears]


async def _plain(section: Section, sound: Pcm, count: int, browser: Browser) -> None:
    plain = PlainHls(sound)
    try:
        await plain.start()
        pages = [await tapped_page(browser) for _ in range(LISTENERS)]
        for page in pages:
            await page.goto(plain.url)
            await page.wait_for_function("() => window.roomtone.state === 'live'")
        ears = [await Tap.on(page, "out") for page in pages]
        await asyncio.sleep(SETTLE_S)
        first = len(plain.given_s)
        for ear in ears:
            await ear.begin()
        await asyncio.sleep(count * SPACING_S)
        given = plain.since(first)
        await asyncio.sleep(0.8 * LONGEST_S)
        heard = [await ear.take() for ear in ears]
        _add(section.row(WHOLE, plain.name), given, heard, LONGEST_S)
    finally:
        await asyncio.shield(plain.stop())


def _add(row: Row, given: Tapped, heard: list[Tapped], longest_s: float) -> None:
    said, missed = onsets(given), 0
    for one in heard:
        found = delays_s(said, onsets(one), longest_s)
        row.add(delay=found)
        missed += len(said) - len(found)
    row.add(missed=float(missed))


def _write(path: Path, sound: Pcm) -> Path:
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(SAMPLE_RATE)
        out.writeframes(sound[: len(sound) // FRAME_SAMPLES * FRAME_SAMPLES].tobytes())
    return path
