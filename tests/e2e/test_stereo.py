"""A music room in real browsers: each person has their place."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from playwright.async_api import Page

from tests.support.chromium import chromium, join, write_tone
from tests.support.program import running

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(90)]

ADA_HZ = 440.0
PRESENT_DB, ABSENT_DB = -40.0, -70.0
# The loudest bins around Ada's pitch, left and right, in what the page plays.
_SIDES = """
async (hertz) => {
  const context = new AudioContext({ sampleRate: 48000 });
  await context.resume();
  const splitter = context.createChannelSplitter(2);
  context.createMediaStreamSource(window.roomtone.remoteStream).connect(splitter);
  const sides = [0, 1].map((side) => {
    const analyser = new AnalyserNode(context, { fftSize: 8192, smoothingTimeConstant: 0 });
    splitter.connect(analyser, side);
    return analyser;
  });
  await new Promise((resolve) => setTimeout(resolve, 600));
  const levels = sides.map((analyser) => {
    const bins = new Float32Array(analyser.frequencyBinCount);
    analyser.getFloatFrequencyData(bins);
    const at = Math.round((hertz * analyser.fftSize) / context.sampleRate);
    return Math.max(-200, ...bins.slice(at - 1, at + 2).filter(Number.isFinite));
  });
  await context.close();
  return levels;
}
"""


async def sides(page: Page) -> tuple[bool, bool]:
    """Return whether Ada is heard left, and right; nothing between there and not there."""
    await asyncio.sleep(1)  # sleep: what is on its way is played first
    levels = [float(level) for level in await page.evaluate(_SIDES, ADA_HZ)]
    assert all(level > PRESENT_DB or level < ABSENT_DB for level in levels), levels
    left, right = (level > PRESENT_DB for level in levels)
    return left, right


async def test_places(tmp_path: Path) -> None:
    """Ada is left, then right for Bob; in the middle where he or the room has one channel."""
    async with AsyncExitStack() as stack:
        program = await stack.enter_async_context(running(tmp_path / "state"))
        room = await program.new_room(name="Studio", profile="music")
        path = f"/api/rooms/{room['roomId']}"
        pages = []
        for name, hertz in (("Ada", ADA_HZ), ("Bob", 0.0)):
            microphone = write_tone(tmp_path / f"{name}.wav", hertz)
            browser = await stack.enter_async_context(chromium(microphone))
            page = await browser.new_page()
            await join(page, room["links"]["join"], name)
            pages.append(page)
        ada, bob = [
            f"{path}/participants/{await page.evaluate('roomtone.userId')}" for page in pages
        ]
        heard = []
        for address, change in (
            (ada, {"pan": -1}),
            (ada, {"pan": 1}),
            (bob, {"profile": "voice"}),
            (bob, {"profile": None}),
            (path, {"profile": "voice"}),
        ):
            status, _ = await program.call("PATCH", address, change)
            assert status == 200
            heard.append(await sides(pages[1]))
    left, right, both = (True, False), (False, True), (True, True)
    assert heard == [left, right, both, right, both]
