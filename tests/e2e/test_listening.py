"""The listen page at low latency, on the real server: a tone into a microphone, out of a player.

Twenty seconds by default; `LISTEN_S=3600 make test ARGS="-k without_a_hole"` listens for an hour.
"""

import contextlib
import os
import signal
import statistics
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import numpy as np
import pytest
from playwright.async_api import Page, expect

from bench.browsers import chromium, listen, talk, tapped_page
from bench.eartap import Tap, Tapped, tapped_at
from tests.support.chromium import wait_for_state, write_tone
from tests.support.program import Program, running

LISTEN_S = float(os.environ.get("LISTEN_S", "20"))
ATTEMPTS = 3
CHUNK_S = 5.0
HERTZ = 440.0
WINDOW = 240  # samples, 5 ms: two periods of the tone
QUIET = 0.25  # of the usual level: a hole, and not the edge of one packet
LONGEST_HOLE_S = 0.02

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120 + (ATTEMPTS + 0.5) * LISTEN_S)]

_LOOK = """() => {
  const { buffered, currentTime } = roomtone.audio;
  const held = [...Array(buffered.length).keys()].reduce((sum, i) => sum + buffered.end(i) - buffered.start(i), 0);
  const ahead = buffered.length ? buffered.end(buffered.length - 1) - currentTime : 0;
  return { latency: roomtone.latencyS, held, ahead, state: roomtone.state, stalls: roomtone.stalls,
           late: window.lateMs };
}"""  # noqa: E501 - a line of JavaScript
# How late timers of the page were at most: nobody plays on time where those are late.
_WITNESS = """() => {
  let last = performance.now();
  window.lateMs = 0;
  setInterval(() => {
    const now = performance.now();
    window.lateMs = Math.max(window.lateMs, now - last - 20);
    last = now;
  }, 20);
}"""
TOO_LATE_MS = 150.0
MORE_HEAP_BYTES = 6 << 20  # in an hour: most of it is compiled code


@dataclass(frozen=True, slots=True)
class Ears:
    """Somebody who listens to a tone."""

    program: Program
    page: Page
    tap: Tap


@contextlib.asynccontextmanager
async def listening(tmp_path: Path, *options: str) -> AsyncIterator[Ears]:
    microphone = write_tone(tmp_path / "tone.wav", HERTZ)
    async with (
        running(tmp_path / "state", *options) as program,
        chromium(microphone) as mouth,
        chromium() as ear,
    ):
        links = (await program.new_room(name="Studio"))["links"]
        await talk(await tapped_page(mouth), whole(program, links["join"]), "Ada")
        page = await tapped_page(ear)
        await listen(page, whole(program, links["listen"]))
        await page.evaluate(_WITNESS)
        yield Ears(program, page, await Tap.on(page, "out"))


def whole(program: Program, link: str) -> str:
    return urljoin(program.url, link)


def holes_s(tapped: Tapped, usual: float) -> list[float]:
    """Return how long each stretch was in which the tone could not be heard."""
    pcm = tapped.pcm[: len(tapped.pcm) // WINDOW * WINDOW].astype(np.float64)
    level = np.sqrt(np.mean(pcm.reshape(-1, WINDOW) ** 2, axis=1))
    found, run = [], 0
    for quiet in [*(level < QUIET * usual), False]:
        if quiet:
            run += 1
        elif run:
            found.append(run * WINDOW / 48_000)
            run = 0
    return found


async def hear(ears: Ears, usual: float = 0.0) -> tuple[dict[str, Any], list[float], float]:
    """Listen for a chunk: what the player says of itself, the holes, the level of the tone."""
    await ears.tap.begin()
    await ears.page.wait_for_timeout(1000 * CHUNK_S)
    tapped = await ears.tap.take()
    look = await ears.page.evaluate(_LOOK)
    usual = usual or float(np.sqrt(np.mean(tapped.pcm.astype(np.float64) ** 2)))
    assert usual > 100, "the tone is heard"
    return look, [hole for hole in holes_s(tapped, usual) if hole > LONGEST_HOLE_S], usual


@pytest.mark.parametrize(("length", "found"), [(2400, [0.045]), (240, []), (0, [])])
def test_holes(length: int, found: list[float]) -> None:
    """What these tests listen for: 50 ms of silence in a tone are a hole, a click is none."""
    pcm = (8000 * np.sin(2 * np.pi * HERTZ * np.arange(48_000) / 48_000)).astype(np.int16)
    pcm[10_000 : 10_000 + length] = 0
    holes = holes_s(tapped_at(pcm, 0.0), 8000 / 2**0.5)
    assert [hole for hole in holes if hole > LONGEST_HOLE_S] == pytest.approx(found, abs=0.006)


async def test_a_tone_without_a_hole(tmp_path: Path) -> None:
    """Through changes of the key nothing is missing and nothing piles up; then back in time."""
    options = ("--broadcast-key-segments", "5", "--broadcast-window-s", "120")
    async with listening(tmp_path, *options) as ears:
        await ears.page.wait_for_timeout(4000)  # the distance from the edge settles
        await hear(ears)  # and what a page makes once is made
        before = await heap_bytes(ears.page)
        looks, torn = await hear_all(ears)
        more = await heap_bytes(ears.page) - before
        sys.stderr.write(f"heap of the page {before >> 10} kB, at the end {more >> 10} kB more\n")
        assert more < MORE_HEAP_BYTES
        assert {look["state"] for look in looks} == {"live"}
        keys = await ears.program.metric("roomtone_stream_keys_given_total")
        assert keys >= LISTEN_S / 9.6 - 1  # the first and the last are not whole
        nothing_piles_up(looks, torn)
        await back_in_time(ears.page)
        await to_the_end(ears)


async def hear_all(ears: Ears) -> tuple[list[dict[str, Any]], int]:
    """Listen until enough chunks were whole; return what the player said, and how many were not.

    A hole is forgiven only where the machine was late as well, in the same chunk or the one before
    it: that is known from the mixer's ticks and the page's own timers, which do not hear the
    stream. A machine that is late all the time may have a hole for each time it was.
    """
    looks: list[dict[str, Any]] = []
    whole_chunks, torn, usual, late_before = 0, 0, 0.0, 0.0
    late, stalls = await late_ticks(ears), 0
    while whole_chunks < LISTEN_S / CHUNK_S and len(looks) < ATTEMPTS * LISTEN_S / CHUNK_S:
        await ears.page.evaluate("window.lateMs = 0")
        look, holes, usual = await hear(ears, usual)
        looks.append(look)
        now_late = await late_ticks(ears)
        late_here = now_late - late + look["late"] // TOO_LATE_MS
        heard_not = len(holes) + look["stalls"] - stalls
        if heard_not:
            torn += 1
            at = CHUNK_S * len(looks)
            sys.stderr.write(f"{at:.0f} s: {holes} s not heard, {late_here:.0f} times late\n")
            assert heard_not <= late_before + late_here, holes
        whole_chunks += not heard_not
        late, late_before, stalls = now_late, late_here, look["stalls"]
    sys.stderr.write(f"{whole_chunks} chunks of {CHUNK_S:.0f} s without a hole, {torn} with one\n")
    return looks, torn


async def heap_bytes(page: Page) -> int:
    """Return what the page's scripts hold."""
    session = await page.context.new_cdp_session(page)
    await session.send("HeapProfiler.collectGarbage")
    used: dict[str, float] = await session.send("Runtime.getHeapUsage")
    await session.detach()
    return round(used["usedSize"])


async def late_ticks(ears: Ears) -> float:
    return await ears.program.metric("roomtone_ticks_late_total")


def nothing_piles_up(looks: list[dict[str, Any]], torn: int) -> None:
    """Neither delay nor buffer is more at the end than at the beginning.

    After each hole the page keeps a part more, and has to catch up with what it stood still for.
    """
    latencies = [look["latency"] for look in looks]
    third = max(1, len(latencies) // 3)
    drift = statistics.median(latencies[-third:]) - statistics.median(latencies[:third])
    sys.stderr.write(f"latency drift {1000 * drift:.0f} ms\n")
    assert abs(drift) < 0.1 + 0.32 * torn
    assert max(latencies) < (6.0 if torn else 2.0)
    assert max(look["ahead"] for look in looks) < 2.0
    assert max(look["held"] for look in looks) < 70


async def back_in_time(page: Page) -> None:
    """By keyboard a quarter of a minute back, and by the chip to the edge again."""
    bar = page.get_by_label("Time")
    await expect(bar).to_be_visible(timeout=20_000)
    await page.get_by_role("button", name="15 s back").click()
    await expect(page.get_by_role("button", name="Back to live")).to_be_enabled()
    await page.wait_for_function("() => roomtone.latencyS > 12 && roomtone.latencyS < 20")
    before = await page.evaluate("roomtone.audio.currentTime")
    await page.wait_for_function("(at) => roomtone.audio.currentTime > at + 1", arg=before)
    await page.get_by_role("button", name="Back to live").click()
    await page.wait_for_function("() => roomtone.latencyS !== null && roomtone.latencyS < 2.5")
    await expect(page.get_by_role("button", name="Live", exact=True)).to_be_disabled()


_OVER = """() => {
  window.over = null;
  roomtone.audio.addEventListener("ended", () => {
    const details = roomtone.hls.latestLevelDetails;
    const last = details.fragments.at(-1).duration;
    window.over = { at: roomtone.audio.currentTime, end: details.edge, last, live: details.live };
  }, { capture: true });
}"""


async def to_the_end(ears: Ears) -> None:
    """The room is removed: what was said last is played, a short segment; then it is over."""
    await ears.page.evaluate(_OVER)
    status, _ = await ears.program.call("DELETE", f"/api/rooms/{await room_of(ears.program)}")
    assert status == 200
    await wait_for_state(ears.page, "ended", timeout_s=20)
    over = await ears.page.evaluate("window.over")
    assert not over["live"]
    assert abs(over["at"] - over["end"]) < 0.1
    assert 0 < over["last"] <= 1.92
    assert over["last"] * 1000 % 64 < 0.01 or over["last"] * 1000 % 64 > 63.99


async def room_of(program: Program) -> str:
    """Return the id of the only room."""
    _, answer = await program.call("GET", "/api/rooms")
    (room,) = answer["rooms"]
    return str(room["roomId"])


_TRIM = """async () => {
  const { BackBuffer } = await import("/static/js/backbuffer.js");
  roomtone.hls.on("hlsBufferFlushing", () => { window.trims = (window.trims ?? 0) + 1; });
  new BackBuffer(roomtone.hls, { keptS: 1, mostS: 1.5 });
}"""


async def test_the_broadcast_process_dies(tmp_path: Path) -> None:
    """The page goes on by itself, close to the edge, as soon as there is another one.

    Before that: letting go of what was played disturbs nothing, however often it is done.
    """
    async with listening(tmp_path) as ears:
        await hear(ears)
        await ears.page.evaluate(_TRIM)
        look, _, _ = await hear(ears)
        assert (look["stalls"], look["held"] < 5) == (0, True)
        assert await ears.page.evaluate("window.trims") >= 5
        pid = ears.program.worker("broadcast")
        os.kill(pid, signal.SIGKILL)
        await ears.program.wait_for_worker("broadcast", other_than=pid)
        await ears.page.wait_for_function(
            "() => new Promise((resolve) => setTimeout(() => resolve(roomtone.state === 'live' &&"
            " roomtone.latencyS < 3.5 && !roomtone.behind), 300))",
            timeout=40_000,
        )
        await wait_for_state(ears.page, "live")
        look, _, _ = await hear(ears)
        assert look["latency"] < 3.5
