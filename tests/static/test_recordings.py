"""Recordings on the pages: everybody sees them, and those who may begin and end them."""

import re

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
    rooms.get_by_text("2 recordings, 1 broke off", exact=True).click()
    items = rooms.locator("article .recorded-one")
    expect(items.first).to_contain_text("It broke off. The disk is full.")
    expect(rooms.get_by_text("5.2 GB left on the server's disk")).to_be_visible()
    link = items.last.get_by_role("link")
    expect(link).to_have_attribute("href", "/api/rooms/studio/recordings/older/files.zip")
    delete = items.last.get_by_role("button", name="Delete")
    delete.press("Enter")
    expect(delete).to_have_text("Delete for good?")
    assert "unrecord" not in site.methods()
    delete.press("Enter")
    expect(items).to_have_count(1)
    assert ("unrecord", {"name": "older"}) in site.calls


def test_captions_of_what_was_recorded(page: Page, site: ScriptedSite) -> None:
    """A link for each language and take; they are looked for when somebody sees the recording."""
    names = ["manifest.json", "mix.en.vtt", "mix.ogg", "mix.take2.pt-BR.vtt", "tracks/1-mix.en.vtt"]
    files = [{"name": name, "bytes": 9, "type": ""} for name in names]
    site.script.recordings = [
        recording("studio", "plain", "done"),
        recording("studio", "captioned", "done", files=files),
    ]
    page.goto(f"/#admin={ADMIN}")
    shown = page.get_by_text("2 recordings", exact=True)
    expect(shown).to_be_visible()
    assert "recording" not in site.methods()
    shown.click()
    links = page.locator("article .recorded-one a", has_text="Captions")
    expect(links).to_have_text(["Captions (en)", "Captions (pt-BR, take 2)"])
    at = "/api/rooms/studio/recordings/captioned/files/"
    expect(links.first).to_have_attribute("href", at + "mix.en.vtt")
    expect(links.last).to_have_attribute("href", at + "mix.take2.pt-BR.vtt")
    expect(links.first).to_have_accessible_name(
        re.compile(r"^Captions \(en\) of the recording of ")
    )
    assert site.methods().count("recording") == 2


def test_the_rooms_page_says_that_the_last_one_broke_off(rooms: Page, site: ScriptedSite) -> None:
    """Beside the button, with the reason, until there is another; to screen readers once."""
    broke, said = rooms.locator("[data-part=rec-broke]"), rooms.locator("#said")
    expect(broke).to_have_text("The last recording, 1:23 long, broke off. The disk is full.")
    expect(said).to_have_text("")
    rooms.get_by_role("button", name="Record this room").click()
    expect(rooms.get_by_role("button", name="Stop")).to_be_visible()
    expect(broke).to_be_hidden()
    site.script.recordings[-1] |= {"state": "failed", "reason": "The disk is slow"}
    site.script.rooms[0]["recording"] = None
    expect(broke).to_have_text("The last recording, 1:23 long, broke off. The disk is slow.")
    expect(said).to_have_text("The last recording, 1:23 long, broke off. The disk is slow.")


def test_every_take_can_be_played(page: Page, site: ScriptedSite) -> None:
    """One behind the other, in their order, or as one chooses."""
    names = ["1-Ada.ogg", "mix.ogg", "mix.take10.ogg", "mix.take2.ogg"]
    files = [{"name": name, "bytes": 9, "type": "audio/ogg"} for name in names]
    site.script.recordings = [recording("studio", "torn", "done", files=files)]
    page.goto(f"/#admin={ADMIN}")
    page.get_by_text("1 recording", exact=True).click()
    page.get_by_role("button", name="Play the recording").click()
    choice, sound = page.get_by_label("Take"), page.locator("[data-part=rec-sound]")
    at = f"{site.url}/api/rooms/studio/recordings/torn/files/"
    expect(choice.locator("option")).to_have_text(["1 of 3", "2 of 3", "3 of 3"])
    expect(sound).to_have_js_property("src", f"{at}mix.ogg")
    sound.dispatch_event("ended")
    expect(sound).to_have_js_property("src", f"{at}mix.take2.ogg")
    choice.select_option("3 of 3")
    expect(sound).to_have_js_property("src", f"{at}mix.take10.ogg")


def test_how_far_an_upload_is(page: Page, site: ScriptedSite) -> None:
    """A word and a bar, and why it waits; nothing where nothing is uploaded."""
    upload = {"state": "uploading", "sent": 3, "total": 4, "reason": ""}
    waits = {**upload, "state": "waiting", "reason": "The bucket cannot be reached."}
    site.script.recordings = [
        recording("studio", "d", "done"),
        recording("studio", "c", "done", upload=upload | {"state": "done", "sent": 4}),
        recording("studio", "b", "done", upload=waits),
        recording("studio", "a", "done", upload=upload),
    ]
    page.goto(f"/#admin={ADMIN}")
    page.get_by_text("4 recordings", exact=True).click()
    items = page.locator("article .recorded-one")
    expect(items.nth(0)).to_contain_text("Uploading, 75 %")
    expect(items.nth(0).locator("progress")).to_have_js_property("value", 0.75)
    expect(items.nth(1)).to_contain_text("Waiting to be uploaded. The bucket cannot be reached")
    expect(items.nth(2)).to_contain_text("Uploaded")
    expect(items.nth(2).locator("progress")).to_be_hidden()
    expect(items.nth(3).locator(".rec-upload")).to_be_hidden()


def test_recordings_outlive_their_room(rooms: Page) -> None:
    """Those of rooms that are gone stand below, with the room's id."""
    rooms.get_by_text("1 recording of rooms that are gone").click()
    expect(rooms.locator("#left-list")).to_contain_text("Room gone")


def test_an_upload_outlives_its_room_too(rooms: Page, site: ScriptedSite) -> None:
    """How far it is goes on, without loading the page again."""
    upload = {"state": "uploading", "sent": 2, "total": 5, "reason": ""}
    site.script.recordings[-1]["upload"] = upload
    rooms.get_by_text("1 recording of rooms that are gone").click()
    expect(rooms.locator("#left-list")).to_contain_text("Uploading, 40 %")
    site.script.recordings[-1]["upload"] = upload | {"state": "done", "sent": 5}
    expect(rooms.locator("#left-list")).to_contain_text("Uploaded")


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


def test_a_failure_stays_in_sight(room: Page, site: ScriptedSite) -> None:
    """With its reason, for whoever looks later, until they hide it or another begins."""
    said, row = room.locator("#said"), room.locator("#broke-row")
    site.notify("recording", {**NOTICE, "state": "recording"})
    expect(said).to_have_text("This room is being recorded")
    expect(row).to_be_hidden()
    site.notify("recording", {**NOTICE, "state": "failed", "reason": "The disk is full"})
    expect(row).to_contain_text("The recording broke off. The disk is full.")
    expect(said).to_have_text("The recording broke off. The disk is full.")
    row.get_by_role("button", name="Hide").press("Enter")
    expect(row).to_be_hidden()
    site.notify("recording", {**NOTICE, "state": "failed", "reason": "The disk is full"})
    expect(row).to_be_visible()
    site.notify("recording", {**NOTICE, "state": "recording", "name": "next"})
    expect(row).to_be_hidden()


def test_an_end_that_was_missed_is_told(room: Page, site: ScriptedSite) -> None:
    """Who was not connected when the recording broke off sees that there is none."""
    site.notify("recording", {**NOTICE, "state": "recording"})
    expect(room.locator("#recording")).to_be_visible()
    site.close_sockets(1012)
    expect(room.locator("#broke-row")).to_contain_text("ended while you were not connected")


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
