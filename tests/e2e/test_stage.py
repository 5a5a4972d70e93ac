"""The lobby, hands, chat and moves, in real browsers on the real server."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from tests.support.chromium import chromium
from tests.support.program import Program, running

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

LIVE = "html[data-state=live]"


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as opened:
        yield opened


@pytest.fixture
async def program(tmp_path: Path) -> AsyncIterator[Program]:
    async with running(tmp_path / "state") as started:
        yield started


async def opened(browser: Browser, program: Program, *, admin: bool = False) -> Page:
    """Return a page of a profile of its own; an admin's joins as host."""
    context = await browser.new_context(base_url=program.url, permissions=["microphone"])
    context.set_default_timeout(20_000)
    if admin:
        await context.request.post("/api/session", data={"secret": program.admin_key})
    return await context.new_page()


async def knock(page: Page, room: dict[str, Any], name: str) -> None:
    """Ask to come in."""
    await page.goto(room["links"]["join"])
    await page.get_by_label("Your name").fill(name)
    await page.get_by_role("button", name="Allow microphone").click()
    await page.get_by_role("button", name="Join the room").click()


async def test_lobby_chat_and_move(browser: Browser, program: Program) -> None:
    """A host lets somebody in, who raises a hand by keyboard, writes, and is moved elsewhere."""
    room, other = await program.new_room(name="Studio", lobby=True), await program.new_room()
    host = await opened(browser, program, admin=True)
    ada = await opened(browser, program)
    await knock(host, room, "Hanna")
    await host.wait_for_selector(LIVE)
    await knock(ada, room, "Ada")
    await expect(ada.get_by_text("Somebody inside lets you in")).to_be_visible()
    await host.get_by_text("Run the room").click()
    await host.get_by_role("button", name="Let in: Ada").press("Enter")
    await ada.wait_for_selector(LIVE)
    await ada.keyboard.press("h")
    await expect(ada.get_by_role("button", name="Hand")).to_have_attribute("aria-pressed", "true")
    await expect(host.locator(".person .raised:visible")).to_have_count(1)
    await ada.locator("#chat summary").click()
    await ada.get_by_label("Message", exact=True).fill("<img src=x> hello")
    await ada.keyboard.press("Enter")
    await expect(host.locator("#chat [data-part=unread]")).to_have_text("1 new")
    await host.locator("#chat summary").click()
    await expect(host.get_by_role("log")).to_contain_text("<img src=x> hello")
    await host.get_by_role("button", name="Mute for all: Ada").click()
    await expect(ada.locator("#silenced")).to_be_visible()
    user = await ada.evaluate("roomtone.userId")
    path = f"/api/rooms/{room['roomId']}/participants/{user}/move"
    assert (await program.call("POST", path, {"roomId": other["roomId"]}))[0] == 200
    await expect(ada.locator("#room-title")).to_have_text(f"Room {other['roomId']}")
    await expect(host.locator(".person")).to_have_count(1)
    assert await ada.evaluate("[roomtone.state, roomtone.moves]") == ["live", 1]


async def test_listener_on_the_stage(browser: Browser, program: Program) -> None:
    """A listener raises a hand, speaks on the same page, and listens again afterwards."""
    room = await program.new_room(name="Studio")
    host = await opened(browser, program, admin=True)
    lena = await opened(browser, program)
    await knock(host, room, "Hanna")
    await host.wait_for_selector(LIVE)
    await host.get_by_text("Run the room").click()
    await lena.goto(room["links"]["listen"])
    await lena.get_by_label("Your name").fill("Lena")
    await lena.get_by_role("button", name="Raise your hand").click()
    await host.get_by_role("button", name="Bring up: Lena").click()
    await lena.get_by_role("button", name="Turn on the microphone").click()
    await lena.wait_for_selector("html[data-stage=live]")
    await expect(host.locator(".person")).to_have_count(2)
    await expect(lena.get_by_role("button", name="Play")).to_be_hidden()
    await lena.get_by_role("button", name="Leave the stage").click()
    await expect(lena.get_by_role("button", name="Raise your hand")).to_be_visible()
    await expect(host.locator(".person")).to_have_count(1)
    assert await lena.evaluate("document.querySelector('#stage-audio').srcObject") is None
