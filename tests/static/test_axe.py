"""axe-core finds nothing on the pages of those who run rooms and of those who talk in them."""

import pytest
from playwright.sync_api import Page, expect

from tests.static.axe import complaints_in_light_and_dark
from tests.static.scripted import ADMIN, INVITE, ScriptedSite, participant, recording

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(60)]


def test_rooms_page(page: Page, site: ScriptedSite) -> None:
    """Locked, with everything of a room unfolded, and with a question to be answered."""
    page.goto("/")
    expect(page.get_by_label("Admin key")).to_be_visible()
    assert complaints_in_light_and_dark(page) == []
    site.script.rooms[0] |= {"buses": ["fr"], "profile": "music", "announcements": 1}
    site.script.participants = [participant("ada", selfMuted=True), participant("bob", muted=True)]
    files = [
        {"name": name, "bytes": 9, "type": "audio/ogg"} for name in ("mix.ogg", "mix.take2.ogg")
    ]
    site.script.recordings = [
        recording("studio", "done", "done"),
        recording("studio", "failed", "failed", reason="The disk is full", files=files),
        recording("gone", "left", "done"),
    ]
    page.goto("about:blank")
    page.goto(f"/#admin={ADMIN}")
    for words in ("People and settings", "Radio and RTMP", "Play a sound", "2 recordings", "gone"):
        page.locator("summary").filter(has_text=words).click()
    expect(page.locator(".member")).to_have_count(2)
    page.get_by_label("Publish by RTMP").fill("nowhere")
    page.get_by_role("button", name="Publish").click()
    expect(page.locator("[data-part=output-problem]")).to_be_visible()
    page.get_by_role("button", name="Make radio addresses").click()
    page.locator("article").get_by_role("button", name="Play the recording").first.click()
    expect(page.locator("[data-part=rec-takes]").first).to_be_visible()
    page.get_by_label("People at most").fill("many")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("[data-part=settings-problem]")).to_be_visible()
    assert complaints_in_light_and_dark(page) == []
    page.get_by_role("button", name="Take out Bob").click()
    assert complaints_in_light_and_dark(page) == []


def test_join_page(page: Page, site: ScriptedSite) -> None:
    """Before, inside as a host with everything unfolded, and after."""
    site.script.grants = ("manage", "record", "admit", "mute", "kick", "chat")
    site.script.people += [
        {"userId": "bob", "status": "onair", "displayName": "Bob", "muted": True},
        {"userId": "eve", "status": "idle", "displayName": "Eve", "hand": 1},
    ]
    page.goto(f"/join/studio#invite={INVITE}")
    page.get_by_role("button", name="Allow microphone").click()
    expect(page.locator("#mic-chosen")).to_be_visible()
    assert complaints_in_light_and_dark(page) == []
    page.get_by_label("Your name").fill("Ada")
    page.get_by_role("button", name="Join the room").click()
    page.wait_for_selector("html[data-state=live]")
    wanda, hans = ({"userId": name, "displayName": name} for name in ("Wanda", "Hans"))
    site.notify("lobby", {"waiting": [wanda], "hands": [hans]})
    changed = {"roomId": "studio", "name": "Studio", "chat": True, "captions": ["en", "de"]}
    site.notify("roomChanged", changed)
    page.get_by_role("button", name="Captions").click()
    said = {"language": "en", "text": "Good morning", "startsInMs": 0, "durationMs": 30_000}
    site.notify("caption", said)
    expect(page.locator("#captions-text")).to_have_text("Good morning")
    site.notify("recording", {"name": "now", "state": "recording", "seconds": 61.0})
    site.notify("roomClosing", {"seconds": 60})
    for words in ("Run the room", "Chat", "Your sound"):
        page.locator("summary").filter(has_text=words).click()
    site.notify("talking", {"levels": {"me": -20}})
    page.locator("#mute").click()
    expect(page.locator("#mute")).to_contain_text("You are muted")
    assert complaints_in_light_and_dark(page) == []
    failed = {"name": "now", "state": "failed", "seconds": 61.0, "reason": "The disk is full"}
    site.notify("recording", failed)
    expect(page.locator("#broke-row")).to_be_visible()
    assert complaints_in_light_and_dark(page) == []
    page.get_by_role("button", name="Leave").click()
    expect(page.get_by_role("button", name="Rejoin")).to_be_visible()
    assert complaints_in_light_and_dark(page) == []
