"""Chromium as the bench's ears and mouth: a WAV file is its microphone."""

import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

from playwright.async_api import Browser, Page, async_playwright

from bench.errors import BenchMistake

_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
)
_PATIENCE_MS = 40_000


def find_chromium() -> str:
    """Return the program's path. Raises BenchMistake."""
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        raise BenchMistake("Chromium is not installed: apt-get install chromium")
    return found


@contextlib.asynccontextmanager
async def chromium(microphone: Path | None = None) -> AsyncIterator[Browser]:
    """A browser with a profile of its own."""
    source = () if microphone is None else (f"--use-file-for-fake-audio-capture={microphone}",)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=find_chromium(),
            args=[*_ARGUMENTS, *source],
            ignore_default_args=["--mute-audio"],
        )
        try:
            yield browser
        finally:
            await browser.close()


async def tapped_page(browser: Browser) -> Page:
    """Return a page that a `Tap` may be put on."""
    context = await browser.new_context(bypass_csp=True, permissions=["microphone"])
    context.set_default_timeout(_PATIENCE_MS)
    return await context.new_page()


async def talk(page: Page, link: str, name: str) -> None:
    """Walk through a join page, without processing of the microphone, until the call is live."""
    address, _, fragment = link.partition("#")
    await page.goto(f"{address}?raw=1#{fragment}")
    await page.fill("#name", name)
    await page.click("#mic-allow")
    await page.wait_for_function("() => window.roomtone.localTrack !== null")
    await page.click("#join")
    await page.wait_for_function("() => window.roomtone.state === 'live'")


async def listen(page: Page, link: str, wish: str = "") -> None:
    """Open a listen page, press play, and wait until it plays."""
    address, _, fragment = link.partition("#")
    await page.goto(f"{address}?{wish}#{fragment}")
    await page.click("#play")
    await page.wait_for_function("() => window.roomtone.state === 'live'")
