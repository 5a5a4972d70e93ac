"""Recordings on the pages: everybody sees them, and those who may begin and end them."""

import pytest
from playwright.sync_api import Page, expect

from tests.static.scripted import ADMIN, INVITE, ScriptedSite, recording

pytestmark = pytest.mark.e2e
NOTICE = {"roomId": "studio", "name": "now", "seconds": 61.0}


@pytest.fixture
def rooms(page: Page, site: ScriptedSite) -> Page:
    site.script.recordings = [
        recording("studio", "older", "done"),
        recording("studio", "newer", "failed", reason="The disk is full"),
        recording("gone", "left", "done"),
    ]
    page.goto(f"/#admin={ADMIN}")
    expect(page.get_by_role("heading", name="Studio")).to_be_visible()
    return page


@pytest.fixture
def room(page: Page, site: ScriptedSite) -> Page:
    """A host's call."""
    site.script.grants = ("manage", "record")
    page.goto(f"/join/studio#invite={INVITE}")
    page.get_by_label("Your name").fill("Ada")
    page.get_by_role("button", name="Join the room").click()
    page.wait_for_selector("html[data-state=live]")
    return page


def test_begun_and_ended_by_keyboard(rooms: Page, site: ScriptedSite) -> None:
    """Each button takes the focus of the one it replaces, and each step is said."""
    said = rooms.locator("#said")
    rooms.get_by_role("button", name="Record this room").press("Enter")
    pause = rooms.get_by_role("button", name="Pause")
    expect(pause).to_be_focused()
    expect(rooms.locator("[data-part=rec-dot]")).to_have_text("Recording 1:23")
    expect(rooms.locator("[data-part=rec-size]")).to_have_text("4.2 MB")
    pause.press("Enter")
    expect(said).to_have_text("The recording is paused")
    rooms.get_by_role("button", name="Go on").press("Enter")
    expect(said).to_have_text("Recording again")
    rooms.get_by_role("button", name="Stop").press("Enter")
    expect(rooms.get_by_role("button", name="Record this room")).to_be_focused()
    assert site.methods() == ["record", "pause", "resume", "stop"]


def test_a_refusal_is_said_in_the_servers_words(rooms: Page, site: ScriptedSite) -> None:
    """They say how much space there is."""
    site.script.refuse_recording = "There are 3 MB left on the disk"
    rooms.get_by_role("button", name="Record this room").click()
    expect(rooms.get_by_role("alert")).to_have_text("There are 3 MB left on the disk.")


def test_what_was_recorded(rooms: Page, site: ScriptedSite) -> None:
    """Newest first, with what can be done; a deletion asks again, a failure says why."""
    rooms.get_by_text("2 recordings", exact=True).click()
    items = rooms.locator("article .recorded-one")
    expect(items.first).to_contain_text("It broke off. The disk is full.")
    expect(rooms.get_by_text("5.2 GB left on the server's disk")).to_be_visible()
    link = items.last.get_by_role("link")
    expect(link).to_have_attribute("href", "/api/rooms/studio/recordings/older/files.zip")
    delete = items.last.get_by_role("button", name="Delete")
    delete.press("Enter")
    expect(delete).to_have_text("Delete for good?")
    assert site.calls == []
    delete.press("Enter")
    expect(items).to_have_count(1)
    assert site.calls == [("unrecord", {"name": "older"})]


def test_recordings_outlive_their_room(rooms: Page) -> None:
    """Those of rooms that are gone stand below, with the room's id."""
    rooms.get_by_text("1 recording of rooms that are gone").click()
    expect(rooms.locator("#left-list")).to_contain_text("Room gone")


def test_who_comes_sees_it_before_they_join(page: Page, site: ScriptedSite) -> None:
    """In words beside the button, and as a sign."""
    site.script.rooms[0]["recording"] = {**NOTICE, "state": "recording"}
    page.goto(f"/join/studio#invite={INVITE}")
    expect(page.get_by_text("This room is being recorded.")).to_be_visible()
    expect(page.locator("#recording")).to_contain_text("Recording")


def test_everybody_in_the_room_sees_and_hears_of_it(room: Page, site: ScriptedSite) -> None:
    """A dot, a word and the time; each change is said once."""
    sign, said = room.locator("#recording"), room.locator("#said")
    expect(sign).to_be_hidden()
    site.notify("recording", {**NOTICE, "state": "recording"})
    expect(sign).to_contain_text("Recording 1:0")
    expect(said).to_have_text("This room is being recorded")
    site.notify("recording", {**NOTICE, "state": "paused"})
    expect(sign).to_have_text("Recording paused 1:01")
    expect(said).to_have_text("The recording is paused")
    site.notify("recording", {**NOTICE, "state": "recording"})
    expect(said).to_have_text("The recording goes on")
    site.notify("recording", {**NOTICE, "state": "stopping"})
    expect(sign).to_be_hidden()
    expect(said).to_have_text("This room is not being recorded any more")
    site.notify("recording", {**NOTICE, "state": "recording", "name": "next"})
    site.notify("recording", {**NOTICE, "state": "failed", "name": "next"})
    expect(said).to_have_text("The recording broke off")


def test_a_host_records_from_inside(room: Page, site: ScriptedSite) -> None:
    """Under “Run the room”, by keyboard; the buttons follow what the server says."""
    room.locator("#run summary").click()
    room.get_by_role("button", name="Record the room").press("Enter")
    site.notify("recording", {**NOTICE, "state": "recording"})
    pause = room.get_by_role("button", name="Pause recording")
    expect(pause).to_be_focused()
    pause.press("Enter")
    site.notify("recording", {**NOTICE, "state": "paused"})
    room.get_by_role("button", name="Go on recording").press("Enter")
    room.get_by_role("button", name="Stop recording").press("Enter")
    site.notify("recording", {**NOTICE, "state": "done"})
    expect(room.get_by_role("button", name="Record the room")).to_be_focused()
    methods = [one for one in site.methods() if one.endswith("Recording")]
    assert methods == ["startRecording", "pauseRecording", "resumeRecording", "stopRecording"]


def test_listeners_see_it(page: Page, site: ScriptedSite) -> None:
    """On the listen page."""
    site.script.rooms[0]["recording"] = {**NOTICE, "state": "recording"}
    page.goto(f"/listen/studio#invite={INVITE}")
    expect(page.locator("#recording")).to_contain_text("Recording")
