"""The listen page without delay, and the broadcast in its place where that cannot be."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.support.chromium import chromium, wait_for_state
from tests.support.program import running
from tests.support.webrtc_client import tone
from tests.support.whip import Studio, level

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(90)]

HERTZ, PRESENT_DB = 440.0, -30.0


@contextlib.asynccontextmanager
async def listening(tmp_path: Path, *options: str) -> AsyncIterator[tuple[Studio, Page]]:
    """Somebody who opened `?live` in a room where a tone is heard, and pressed play."""
    async with (
        running(tmp_path / "state", *options) as program,
        chromium() as browser,
    ):
        studio = Studio(program)
        room = await studio.open()
        _, token = await studio.person("Radio")
        async with studio.caller("whip", token, tone(HERTZ)):
            page = await browser.new_page()
            address, _, fragment = room["links"]["listen"].partition("#")
            await page.goto(f"{address}?live#{fragment}")
            await page.get_by_role("button", name="Play").click()
            yield studio, page


async def test_a_room_is_heard_without_delay(tmp_path: Path) -> None:
    """By WHEP; pausing lets go of it, and playing again takes it up."""
    async with listening(tmp_path) as (studio, page):
        for _ in range(2):
            await wait_for_state(page, "live")
            await expect(page.get_by_text("Without delay")).to_be_visible()
            await page.evaluate("() => { window.remoteStream = roomtone.audio.srcObject; }")
            assert await level(page, HERTZ) > PRESENT_DB
            assert await studio.program.metric("roomtone_listeners") == 1
            await page.get_by_role("button", name="Pause").click()
            await wait_for_state(page, "stopped")
            await page.get_by_role("button", name="Play").click()


async def test_the_broadcast_takes_over(tmp_path: Path) -> None:
    """Where the operator lets nobody listen by WHEP: the same page, some seconds later."""
    async with listening(tmp_path, "--live-listeners", "0") as (_, page):
        await wait_for_state(page, "live", timeout_s=40)
        await expect(page.get_by_text("s after the room")).to_be_visible()
        assert await page.evaluate("() => roomtone.hls !== null")
