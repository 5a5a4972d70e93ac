"""The join page told of people by changes, and what it lets a host do."""

import pytest
from playwright.sync_api import Page, expect

from tests.static.scripted import INVITE, ScriptedSite

pytestmark = pytest.mark.e2e
ME = {"userId": "me", "role": "host", "status": "onair", "displayName": "Me", "canSpeak": True}
BO = {"userId": "bo", "role": "anchor", "status": "onair", "displayName": "Bo", "canSpeak": True}
CY = {"userId": "cy", "role": "guest", "status": "onair", "displayName": "Cy", "canSpeak": False}
NOTICE = {"roomId": "studio", "name": "Studio", "locked": True, "lobby": False, "chat": True}
ALL = ("admit", "chat", "kick", "manage", "mute")


@pytest.fixture
def room(page: Page, site: ScriptedSite) -> Page:
    """A host's call in a room with Bo in it."""
    site.script.people = [ME, BO]
    site.script.grants = ALL
    page.goto(f"/join/studio#invite={INVITE}")
    page.get_by_label("Your name").fill("Ada")
    page.get_by_role("button", name="Join the room").click()
    page.wait_for_selector("html[data-state=live]")
    return page


def asked(site: ScriptedSite, method: str) -> list[dict[str, object]]:
    return [params for one, params in site.calls if one == method]


def test_changes(room: Page, site: ScriptedSite) -> None:
    """Changes in order are drawn; an old one is passed over, a gap makes the page ask."""
    people = room.locator(".person")
    site.notify("participants", {"version": 2, "changes": [CY]})
    expect(people).to_have_count(3)
    site.notify("participants", {"version": 3, "changes": [{"userId": "bo", "gone": True}]})
    expect(people).to_have_count(2)
    site.notify("participants", {"version": 3, "changes": [BO]})
    expect(people).to_have_count(2)
    assert "resync" not in site.methods()
    site.script.people = [ME]
    site.notify("participants", {"version": 5, "changes": [BO]})
    expect(people).to_have_count(1)
    assert site.methods().count("resync") == 1


def test_run_people(room: Page, site: ScriptedSite) -> None:
    """A host silences, undoes it, takes off the stage and out, each by a button with a name."""
    for verb in ("Mute for all", "Off the stage", "Take out"):
        room.get_by_role("button", name=f"{verb}: Bo").press("Enter")
    muted = {**BO, "muted": True, "serverMuted": True, "canSpeak": False}
    site.notify("participants", {"version": 2, "changes": [muted]})
    room.get_by_role("button", name="Undo mute: Bo").click()
    room.get_by_role("button", name="Let speak: Bo").click()
    expect(room.locator(".person").last).to_contain_text("muted by the room")
    assert asked(site, "control") == [
        {"userId": "bo", "muted": True},
        {"userId": "bo", "role": "listener"},
        {"userId": "bo", "muted": False},
        {"userId": "bo", "role": "guest"},
    ]
    assert asked(site, "kick") == [{"userId": "bo"}]


def test_door(room: Page, site: ScriptedSite) -> None:
    """Who waits is announced and let in or turned away; the switches show and change the room."""
    site.notify("lobby", {"waiting": [CY], "hands": [], "listening": 0})
    expect(room.locator("#said")).to_have_text("Cy waits to come in")
    room.get_by_text("Run the room").click()
    room.get_by_role("button", name="Let in: Cy").click()
    room.get_by_role("button", name="Turn away: Cy").click()
    site.notify("roomChanged", NOTICE)
    expect(room.get_by_label("Locked")).to_be_checked()
    room.get_by_label("Locked").uncheck()
    expect(room.locator("#nobody-waits")).to_be_hidden()
    site.notify("lobby", {"waiting": [], "hands": [], "listening": 0})
    expect(room.locator("#nobody-waits")).to_be_visible()
    assert asked(site, "admit") == asked(site, "deny") == [{"userId": "cy"}]
    assert asked(site, "changeRoom") == [{"locked": False}]


def test_chat_is_text(room: Page, site: ScriptedSite, complaints: list[str]) -> None:
    """What others write is text, whatever they write, and each message is there once."""
    site.notify("roomChanged", NOTICE)
    room.locator("#chat summary").click()
    evil = "<img src=x onerror=alert(1)>"
    message = {"id": 1, "at": "2026-01-02T12:00:00Z", "userId": "bo", "displayName": evil}
    for _ in range(2):
        site.notify("chat", {**message, "text": evil, "to": None})
    expect(room.get_by_role("log").locator("li")).to_have_count(1)
    expect(room.get_by_role("log")).to_contain_text(evil)
    assert room.get_by_role("log").locator("img").count() == 0
    room.get_by_label("Message", exact=True).fill("two\nlines")
    room.keyboard.press("Enter")
    expect(room.get_by_label("Message", exact=True)).to_have_value("")
    room.keyboard.press("m")
    expect(room.get_by_label("Message", exact=True)).to_have_value("m")
    assert asked(site, "chat") == [{"text": "two\nlines"}]
    assert complaints == []


def test_write_to_one(room: Page, site: ScriptedSite, complaints: list[str]) -> None:
    """A message is for whom it says, here or gone; also for who wrote from outside the stage."""
    site.notify("roomChanged", NOTICE)
    room.locator("#chat summary").click()
    whom, text = room.get_by_label("For", exact=True), room.get_by_label("Message", exact=True)
    whom.select_option("Bo alone")
    expect(text).to_have_attribute("placeholder", "Write to Bo alone")
    text.fill("psst")
    room.keyboard.press("Enter")
    expect(text).to_have_value("")
    said = {"at": "2026-01-02T12:00:00Z", "displayName": "Me", "userId": "me"}
    site.notify("chat", {**said, "id": 1, "text": "psst", "to": "bo"})
    outside = {"userId": "dee", "displayName": "Dee", "at": said["at"]}
    site.notify("chat", {**outside, "id": 2, "text": "hello", "to": "me"})
    expect(room.get_by_role("log").locator("li").first).to_contain_text("to Bo alone")
    expect(room.get_by_role("log").locator("li").last).to_contain_text("to you alone")
    site.notify("participants", {"version": 2, "changes": [{"userId": "bo", "gone": True}]})
    expect(room.locator(".person")).to_have_count(1)
    expect(whom).to_have_value("bo")
    whom.select_option("Dee alone")
    text.fill("welcome")
    room.keyboard.press("Enter")
    expect(text).to_have_value("")
    whom.select_option("everybody")
    text.fill("all")
    room.keyboard.press("Enter")
    expect(text).to_have_value("")
    assert asked(site, "chat") == [
        {"text": "psst", "to": "bo"}, {"text": "welcome", "to": "dee"}, {"text": "all"}
    ]  # fmt: skip
    assert complaints == []


@pytest.mark.parametrize(
    ("code", "title"), [(4005, "You were taken out of the room"), (4002, "You are in another room")]
)
def test_final_closes(room: Page, site: ScriptedSite, code: int, title: str) -> None:
    """After these the page does not come back by itself, and says why."""
    site.close_sockets(code)
    expect(room.get_by_role("heading", name=title)).to_be_visible()


def test_off_the_stage(room: Page, site: ScriptedSite) -> None:
    """Who is taken off the stage is shown the way to listen on."""
    site.notify("offStage", {})
    link = room.get_by_role("link", name="Go on listening")
    expect(link).to_have_attribute("href", f"/listen/studio#invite={INVITE}")
