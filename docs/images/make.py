# ruff: noqa: INP001 - a script beside its pictures, in no package
"""Take the screenshots of the README: `python docs/images/make.py` (needs what the tests need)."""

import asyncio
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from tests.support.chromium import chromium, join, wait_for_state, write_tone  # noqa: E402 - the tree is no package
from tests.support.program import running  # noqa: E402

PEOPLE = (("Ada", 220.0), ("Grace", 330.0), ("Edsger", 0.0))


async def make() -> None:
    """Fill a room with people and look at it from each page."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = await stack.enter_async_context(running(folder / "state"))
        room = await server.new_room(name="Friday talk")
        await server.new_room(name="Choir rehearsal")
        pages = []
        for name, hertz in PEOPLE:
            microphone = write_tone(folder / f"{name}.wav", hertz)
            browser = await stack.enter_async_context(chromium(microphone))
            page = await browser.new_page(viewport={"width": 1000, "height": 720})
            await join(page, room["links"]["join"], name)
            pages.append(page)
        await pages[-1].click("#mute")
        browser = await stack.enter_async_context(chromium())
        listener = await browser.new_page(viewport={"width": 1000, "height": 720})
        await listener.goto(room["links"]["listen"])
        await listener.click("#play")
        await wait_for_state(listener, "live")
        office = await browser.new_page(viewport={"width": 1000, "height": 720})
        await office.goto(f"{server.url}/#admin={server.admin_key}")
        await office.wait_for_selector("article.room")
        await asyncio.sleep(3)
        await pages[0].screenshot(path=HERE / "room.png")
        await listener.screenshot(path=HERE / "listen.png")
        await office.screenshot(path=HERE / "rooms.png")
        for page, name in ((pages[0], "room"), (listener, "listen"), (office, "rooms")):
            await page.emulate_media(color_scheme="dark")
            await page.set_viewport_size({"width": 390, "height": 844})
            await page.screenshot(path=folder.parent / f"{name}-narrow-dark.png")


if __name__ == "__main__":
    asyncio.run(make())
