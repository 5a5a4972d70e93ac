"""The interface page in Chromium, against a real edge."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect

from tests.server.edge.conftest import Edge
from tests.support.chromium import chromium

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(60)]


@pytest.fixture
async def page(edge: Edge) -> AsyncIterator[Page]:
    await edge.new_room()
    await edge.node.settle()
    async with chromium() as browser:
        page = await browser.new_page()
        await page.goto(str(edge.http.make_url("/api")))
        await page.get_by_label("Key or token").fill(edge.node.keyring.admin_key)
        yield page


async def opened(page: Page, text: str) -> Locator:
    """Unfold one call."""
    await page.get_by_label("Find a call").fill(text)
    call = page.locator("details.call:not([hidden])").first
    await call.locator("summary").first.click()
    return call


async def sent(call: Locator) -> tuple[str, Any]:
    """Send it; return the status and the answer."""
    await call.get_by_role("button", name="Send").click()
    status = call.locator("[data-part=status]")
    await expect(status).to_contain_text("ms")
    text = await call.locator("[data-part=text]").text_content()
    return (await status.text_content() or "")[:3], json.loads(text or "null")


async def test_send_a_sound(page: Page, edge: Edge, tmp_path: Path) -> None:
    """A form with a file and fields, the file alone, or JSON: each as the document has it."""
    (tmp_path / "gong.wav").write_bytes(b"RIFF")
    call = await opened(page, "POST /api/rooms/{room}/announcements")
    await call.get_by_label("room", exact=True).fill("demo")
    kind = call.get_by_label("Body as")
    await kind.select_option("multipart/form-data")
    fields = call.locator("[data-part=fields]")
    await fields.get_by_label("file", exact=True).set_input_files(tmp_path / "gong.wav")
    await fields.get_by_label("gainDb (may be empty)").fill("-6")
    status, answer = await sent(call)
    assert status == "201", answer
    assert (answer["announcement"]["name"], answer["announcement"]["gainDb"]) == ("gong.wav", -6.0)
    await kind.select_option("audio/wav")
    await fields.get_by_label("The file").set_input_files(tmp_path / "gong.wav")
    assert (await sent(call))[0] == "201"
    await kind.select_option("application/json")
    status, answer = await sent(call)
    assert (status, answer["code"]) == ("409", "not_enabled")


async def test_send_json(page: Page) -> None:
    """Where there is one kind of body nothing is asked."""
    call = await opened(page, "POST /api/rooms make")
    await expect(call.get_by_label("Body as")).to_be_hidden()
    await call.get_by_label("Body (JSON)").fill('{"roomId": "fresh"}')
    status, answer = await sent(call)
    assert (status, answer["room"]["roomId"]) == ("201", "fresh")
