"""The rooms page's panel of other outputs: radio addresses, and publishing by RTMP."""

import time

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.static.scripted import ADMIN, ScriptedSite

pytestmark = pytest.mark.e2e


@pytest.fixture
def panel(page: Page) -> Locator:
    page.goto(f"/#admin={ADMIN}")
    page.get_by_text("Radio and RTMP").press("Enter")
    return page.locator(".outputs-of-room")


def test_an_output_is_added_and_removed_by_keyboard(panel: Locator, site: ScriptedSite) -> None:
    """Its key is not shown again; it says how it is; who removes it keeps the keyboard."""
    field = panel.get_by_label("Publish by RTMP")
    field.fill("rtmp://live.example.org/app/secret")
    field.press("Enter")
    row = panel.get_by_role("listitem")
    expect(row).to_contain_text("rtmp://live.example.org/app/")
    expect(row).to_contain_text("connecting")
    expect(row).not_to_contain_text("secret")
    expect(field).to_have_value("")
    stop = panel.get_by_role("button", name="Stop publishing to rtmp://live.example.org/app/")
    stop.focus()
    site.script.outputs[0] |= {"state": "failed", "reason": "nobody answers there"}
    expect(row).to_contain_text("not reached: nobody answers there")
    expect(stop).to_be_focused()
    stop.press("Enter")
    expect(panel.get_by_role("listitem")).to_have_count(0)
    expect(field).to_be_focused()
    assert site.methods() == ["publish", "unpublish"]


def test_a_wrong_address_is_answered_with_a_right_one(panel: Locator, site: ScriptedSite) -> None:
    """The server's own sentence, beside the field, until the next try; what was typed stays."""
    field = panel.get_by_label("Publish by RTMP")
    field.fill("https://example.org")
    panel.get_by_role("button", name="Publish").click()
    problem = panel.get_by_role("alert")
    expect(problem).to_contain_text("such as rtmp://live.example.org/app/key")
    expect(field).to_be_focused()
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_value("https://example.org")
    field.fill("rtmps://live.example.org/app/key")
    field.press("Enter")
    expect(panel.get_by_role("listitem")).to_have_count(1)
    expect(problem).to_be_hidden()
    expect(field).to_have_attribute("aria-invalid", "false")


def test_radio_addresses_are_made_on_wish(panel: Locator, site: ScriptedSite) -> None:
    """With a token of their own, whole, so that any player can open them."""
    expect(panel.get_by_label("MP3")).to_be_hidden()
    panel.get_by_role("button", name="Make radio addresses").click()
    address = f"{site.url}/radio/studio.{{}}?token=listen-token"
    expect(panel.get_by_label("MP3")).to_have_value(address.format("mp3"))
    expect(panel.get_by_label("AAC")).to_have_value(address.format("aac"))


def test_radio_addresses_say_when_they_end(panel: Locator, site: ScriptedSite) -> None:
    """The end of the token in them, in the reader's own time."""
    site.script.expires_in_s = 40 * 86_400
    panel.get_by_role("button", name="Make radio addresses").click()
    until = panel.locator("[data-part=radio-until]")
    expect(until).to_be_visible()
    told = until.evaluate("(box) => Date.parse(box.textContent.replace(' at ', ' '))") / 1000
    assert abs(told - time.time() - 40 * 86_400) < 120
