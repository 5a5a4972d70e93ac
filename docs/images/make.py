# ruff: noqa: INP001 - a script beside its pictures, in no package
"""Take the documents' screenshots: `python docs/images/make.py` (needs what the tests need)."""

import asyncio
import subprocess
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

from playwright.async_api import Page, expect

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from tests.support.chromium import chromium, join, wait_for_state, write_tone  # noqa: E402 - the tree is no package
from tests.support.program import Program, running  # noqa: E402

PEOPLE = ("Ada", "Grace", "Edsger")
WIDE = {"width": 1000, "height": 720}
PHONE = {"width": 390, "height": 844}
AIR = {
    "title": "Winter lectures, third evening",
    "broadcastNames": True,
    "dvrSeconds": 1800,
    "buses": ["français"],
    "broadcastBuses": [
        {"bus": "floor", "language": "en", "label": "English"},
        {"bus": "français", "language": "fr", "label": "Français"},
    ],
}
# 256 colours of a page are all it has; the size is a third.
QUANTISE = "split[a][b];[a]palettegen=stats_mode=single[p];[b][p]paletteuse=dither=none"


async def make() -> None:
    """Fill a room with people and look at it from each page."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = await stack.enter_async_context(running(folder / "state"))
        room = await server.new_room(name="Friday talk", **AIR)
        await server.new_room(name="Choir rehearsal")
        # One browser for all: several would keep a small machine from mixing in time.
        browser = await stack.enter_async_context(chromium(write_tone(folder / "a.wav", 220.0)))

        async def opened() -> Page:
            return await (await browser.new_context(viewport=WIDE)).new_page()  # type: ignore[arg-type]

        pages = [await opened() for _ in PEOPLE]
        for page, name in zip(pages, PEOPLE, strict=True):
            await join(page, room["links"]["join"], name)
        await pages[-1].click("#mute")
        await _listen(await opened(), room["links"]["listen"])
        await _shoot(pages[0], "room")
        await _manage(await opened(), server)


async def _listen(page: Page, link: str) -> None:
    await page.emulate_media(reduced_motion="reduce")
    await page.goto(link)
    await page.click("#play")
    await wait_for_state(page, "live", timeout_s=60)
    await expect(page.locator("#shift-row")).to_be_visible(timeout=120_000)
    await expect(page.locator("#credits")).to_contain_text("Ada")
    await page.mouse.move(0, 0)
    await _shoot(page, "listen")
    await page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    await page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    await page.click("#shift-back")
    await expect(page.get_by_role("button", name="Back to live")).to_be_visible()
    await page.mouse.move(0, 0)
    await _shoot(page, "listen-phone")


async def _manage(page: Page, server: Program) -> None:
    await page.goto(f"{server.url}/#admin={server.admin_key}")
    await expect(page.locator("article.room .link")).to_have_count(6)
    await _shoot(page, "rooms")
    desk = page.locator("article.room").filter(has_text="Friday talk").locator(".desk-of-room")
    await desk.locator("summary").click()
    await expect(desk.locator(".member")).to_have_count(len(PEOPLE))
    heading = desk.get_by_role("heading", name="For listeners")
    await heading.evaluate("(one) => one.scrollIntoView()")
    await _shoot(page, "settings")


async def _shoot(page: Page, name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "whole.png"
        await page.screenshot(path=whole)
        command = (
            "ffmpeg",
            "-v",
            "error",
            "-y",
            "-i",
            whole,
            "-vf",
            QUANTISE,
            HERE / f"{name}.png",
        )
        subprocess.run(command, check=True)  # noqa: ASYNC221, S603 - nothing else is to be done meanwhile


if __name__ == "__main__":
    asyncio.run(make())
