"""Real browsers against the real server: who hears what, and what survives a dead process."""

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page

from tests.support.chromium import chromium, heard, join, wait_for_state, write_tone
from tests.support.program import Program, running

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

ADA_HZ, BOB_HZ = 440.0, 1000.0
PRESENT_DB, ABSENT_DB = -40.0, -70.0


@dataclass(frozen=True, slots=True)
class Stage:
    """A room with two people in their own browsers and a listener in a third."""

    program: Program
    room: dict[str, Any]
    ada: Page
    bob: Page
    listener: Page


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        program = await stack.enter_async_context(running(tmp_path / "state"))
        room = await program.new_room(name="Studio")
        pages = []
        for name, hertz in (("Ada", ADA_HZ), ("Bob", BOB_HZ)):
            microphone = write_tone(tmp_path / f"{name}.wav", hertz)
            browser = await stack.enter_async_context(chromium(microphone))
            page = await browser.new_page()
            await join(page, room["links"]["join"], name)
            pages.append(page)
        browser = await stack.enter_async_context(chromium())
        listener = await browser.new_page()
        await listener.goto(room["links"]["listen"])
        await listener.click("#play")
        await wait_for_state(listener, "live")
        ada, bob = pages
        yield Stage(program, room, ada, bob, listener)


async def assert_all_hear_what_they_should(stage: Stage) -> None:
    own, other = await heard(stage.ada, ADA_HZ, BOB_HZ)
    assert own < ABSENT_DB
    assert other > PRESENT_DB
    other, own = await heard(stage.bob, ADA_HZ, BOB_HZ)
    assert own < ABSENT_DB
    assert other > PRESENT_DB
    both = await heard(stage.listener, ADA_HZ, BOB_HZ, of="broadcast")
    assert min(both) > PRESENT_DB


async def media_sequence(stage: Stage) -> int:
    async with stage.program.http.get(stage.room["hlsUrl"]) as answer:
        found = re.search(r"#EXT-X-MEDIA-SEQUENCE:(\d+)", await answer.text())
    assert found is not None
    return int(found[1])


async def wait_until_heard(page: Page, hertz: float, of: str = "remote") -> None:
    async with asyncio.timeout(40):
        while (await heard(page, hertz, of=of, seconds=0.6))[0] < PRESENT_DB:
            pass


async def test_each_hears_the_other_and_the_listener_hears_both(stage: Stage) -> None:
    """Two browsers hear each other and not themselves; a third plays the encrypted broadcast."""
    await assert_all_hear_what_they_should(stage)


async def test_a_page_survives_a_killed_mixer(stage: Stage) -> None:
    """After the mixer's death the pages reconnect by themselves and the playlist goes on."""
    before, mixer = await media_sequence(stage), stage.program.worker("mixer")
    os.kill(mixer, signal.SIGKILL)
    await stage.program.wait_for_worker("mixer", other_than=mixer)

    for page in (stage.ada, stage.bob):
        await page.wait_for_function("() => window.roomtone.counts.offers >= 2")
        await wait_for_state(page, "live")
    await wait_until_heard(stage.ada, BOB_HZ)
    await wait_until_heard(stage.bob, ADA_HZ)
    await wait_until_heard(stage.listener, ADA_HZ, of="broadcast")
    assert await media_sequence(stage) >= before
    await assert_all_hear_what_they_should(stage)


async def test_listeners_resume_after_a_killed_broadcast_process(stage: Stage) -> None:
    """The listener's page plays on after the broadcast process died; its sequence never falls."""
    before, broadcast = await media_sequence(stage), stage.program.worker("broadcast")
    os.kill(broadcast, signal.SIGKILL)
    await stage.program.wait_for_worker("broadcast", other_than=broadcast)
    played = await stage.listener.evaluate("() => window.roomtone.audio.currentTime")

    await stage.listener.wait_for_function(
        "(from) => window.roomtone.audio.currentTime > from + 12", arg=played, timeout=60_000
    )
    await wait_until_heard(stage.listener, BOB_HZ, of="broadcast")
    assert await media_sequence(stage) >= before
    assert (await heard(stage.ada, BOB_HZ))[0] > PRESENT_DB


async def test_mute_and_leave_are_seen_and_heard(stage: Stage) -> None:
    """The M key silences a person for all and marks them; who leaves is gone from the list."""
    await stage.bob.locator("body").press("m")
    await stage.ada.wait_for_function("() => window.roomtone.people.some((p) => p.muted)")
    await heard(stage.ada, BOB_HZ, seconds=0.6)  # what the browser still had buffered
    assert (await heard(stage.ada, BOB_HZ))[0] < ABSENT_DB

    await stage.bob.click("#leave")
    await stage.ada.wait_for_function("() => window.roomtone.people.length === 1")
