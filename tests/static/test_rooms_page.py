"""The rooms page: making, sharing and deleting rooms."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.static.scripted import ADMIN, ScriptedSite

pytestmark = pytest.mark.e2e


@pytest.fixture
def rooms(page: Page) -> Page:
    page.goto(f"/#admin={ADMIN}")
    expect(page.get_by_role("heading", name="Studio")).to_be_visible()
    return page


def test_new_room_asks_for_no_limits_and_no_pin(rooms: Page, site: ScriptedSite) -> None:
    """A room made with a click neither expires nor is limited nor has a PIN."""
    rooms.get_by_role("button", name="New room").click()
    expect(rooms.locator("article.room")).to_have_count(2)
    assert site.calls == [("create", {"pin": "", "maxAnchors": None, "expiresIn": None})]


def test_new_room_by_keyboard_alone(rooms: Page, site: ScriptedSite) -> None:
    """Name, PIN and Enter make a room without a mouse."""
    rooms.locator("#new-room").get_by_label("Name").focus()
    rooms.keyboard.type("Choir")
    rooms.keyboard.press("Tab")
    rooms.keyboard.type("abc123")
    rooms.keyboard.press("Enter")
    expect(rooms.get_by_role("heading", name="Choir")).to_be_visible()
    assert (site.calls[0][1]["name"], site.calls[0][1]["pin"]) == ("Choir", "abc123")


def test_bad_pin_is_refused_before_it_is_sent(rooms: Page, site: ScriptedSite) -> None:
    """A PIN that is not six letters or digits is explained beside the field."""
    rooms.locator("#new-room").get_by_label("PIN").fill("12")
    rooms.get_by_role("button", name="New room").click()
    expect(rooms.get_by_role("alert")).to_contain_text("exactly six letters or digits")
    assert site.calls == []


def test_links_are_whole_addresses(rooms: Page, site: ScriptedSite) -> None:
    """The invite links shown are complete and open the room's own pages."""
    link = rooms.get_by_role("textbox", name="join link of Studio")
    expect(link).to_have_value(f"{site.url}/join/studio#invite=an-invite")
    opener = rooms.get_by_role("link", name="listen link of Studio")
    expect(opener).to_have_attribute("href", f"{site.url}/listen/studio#invite=an-invite")
    live = rooms.get_by_role("link", name="live link of Studio")
    expect(live).to_have_attribute("href", f"{site.url}/listen/studio?live#invite=an-invite")


def test_no_link_without_delay_where_nobody_may(rooms: Page, site: ScriptedSite) -> None:
    """Where the server lets nobody listen without delay no room has a link for it."""
    site.script.live_listeners = 0
    rooms.reload()
    expect(rooms.get_by_role("link", name="listen link of Studio")).to_be_visible()
    expect(rooms.get_by_role("link", name="live link of Studio")).to_be_hidden()


def test_a_link_is_made_anew_by_keyboard(rooms: Page, site: ScriptedSite) -> None:
    """For who was put out and still has it: asked for twice, and its live link changes too."""
    new = rooms.get_by_role("button", name="New link (listen link of Studio)")
    new.press("Enter")
    expect(rooms.locator("#said")).to_contain_text("Press again")
    assert "renew" not in site.methods()
    rooms.get_by_role("button", name="End the old one? (listen link of Studio)").press("Enter")
    for name in ("listen link", "live link"):
        link = rooms.get_by_role("textbox", name=f"{name} of Studio")
        expect(link).to_have_value(re.compile(r"/listen/studio(\?live)?#invite=another$"))
    join = rooms.get_by_role("textbox", name="join link of Studio")
    expect(join).to_have_value(f"{site.url}/join/studio#invite=an-invite")
    copy = rooms.get_by_role("button", name="Copy link (listen link of Studio)")
    expect(copy).to_be_focused()
    assert [call for call in site.calls if call[0] == "renew"] == [("renew", {"role": "listen"})]


def test_copy_button_copies_the_link(rooms: Page, site: ScriptedSite) -> None:
    """Copy puts the whole link on the clipboard and says so."""
    rooms.context.grant_permissions(["clipboard-read", "clipboard-write"])
    rooms.get_by_role("button", name="Copy link (join link of Studio)").click()
    expect(rooms.get_by_text("Copied", exact=True)).to_be_visible()
    copied = rooms.evaluate("navigator.clipboard.readText()")
    assert copied == f"{site.url}/join/studio#invite=an-invite"


def test_delete_asks_first(rooms: Page, site: ScriptedSite) -> None:
    """Deleting a room asks; Escape keeps it."""
    rooms.get_by_role("button", name="Delete Studio").click()
    rooms.keyboard.press("Escape")
    assert [room["roomId"] for room in site.script.rooms] == ["studio"]


def test_delete_removes_the_room(rooms: Page, site: ScriptedSite) -> None:
    """A confirmed delete ends the room and empties the list."""
    rooms.get_by_role("button", name="Delete Studio").click()
    rooms.get_by_role("button", name="Delete room").click()
    expect(rooms.get_by_role("heading", name="No rooms yet")).to_be_visible()
    assert site.script.rooms == []


def test_list_refreshes_by_itself(rooms: Page, site: ScriptedSite) -> None:
    """People who came in since show up without a reload."""
    expect(rooms.get_by_text("empty", exact=True)).to_be_visible()
    site.script.rooms[0]["anchors"] = 2
    expect(rooms.get_by_text("2 people in it")).to_be_visible()


def test_names_are_text_never_markup(page: Page, site: ScriptedSite) -> None:
    """A room's name cannot bring elements into the page."""
    site.script.rooms[0]["name"] = "<img src=x onerror=alert(1)>"
    page.goto(f"/#admin={ADMIN}")
    expect(page.get_by_role("heading", name="<img src=x")).to_be_visible()
    assert page.locator("article.room img").count() == 0


WAV = {"name": "gong.wav", "mimeType": "audio/wav", "buffer": b"RIFF"}


def play(rooms: Page, *, loop: bool = False) -> None:
    """Open the box, choose a file and press Enter; no mouse."""
    rooms.get_by_text("Play a sound into this room").focus()
    rooms.keyboard.press("Enter")
    if loop:
        rooms.get_by_label("Again and again").focus()
        rooms.keyboard.press("Space")
    rooms.locator("input[type=file]").set_input_files(WAV)  # type: ignore[arg-type]
    expect(rooms.get_by_role("button", name="Play", exact=True)).to_be_focused()
    rooms.keyboard.press("Enter")


def test_a_sound_is_played_by_keyboard_alone(rooms: Page, site: ScriptedSite) -> None:
    """Its name, how far it is, its volume and its end; the focus does not get lost."""
    play(rooms, loop=True)
    expect(rooms.get_by_text("gong.wav").first).to_be_visible()
    expect(rooms.get_by_text("0:12 of 1:03, again and again")).to_be_visible()
    assert site.calls == [("play", {"gainDb": "0", "loop": "true"})]
    rooms.get_by_role("slider", name="Volume of gong.wav").focus()
    rooms.keyboard.press("ArrowLeft")
    expect(rooms.get_by_text("-1 dB")).to_be_visible()
    rooms.get_by_role("button", name="Stop gong.wav").focus()
    rooms.keyboard.press("Enter")
    expect(rooms.get_by_role("button", name="Stop gong.wav")).to_have_count(0)
    assert site.calls[1:] == [("turn", {"gainDb": -1}), ("silence", {"id": "a0"})]
    expect(rooms.locator(".sounds summary")).to_be_focused()


def test_a_file_that_is_no_sound_is_explained(rooms: Page, site: ScriptedSite) -> None:
    """The server's own sentence, beside the button."""
    site.script.refuse_sound = "There is no sound in this file."
    play(rooms)
    expect(rooms.get_by_role("alert")).to_have_text(
        "It is not played. There is no sound in this file."
    )


def test_a_sound_that_breaks_off_says_why(rooms: Page, site: ScriptedSite) -> None:
    """It stays until it is dismissed."""
    play(rooms)
    expect(rooms.get_by_role("button", name="Stop gong.wav")).to_be_visible()
    site.script.sounds[0] |= {"state": "failed", "reason": "The decoder broke on this file"}
    expect(rooms.get_by_text("It broke off. The decoder broke on this file.")).to_be_visible()
    rooms.get_by_role("button", name="Dismiss gong.wav").click()
    expect(rooms.get_by_text("It broke off.")).to_have_count(0)


def test_sounds_of_others_show_up(rooms: Page, site: ScriptedSite) -> None:
    """What somebody else began is in the list within seconds."""
    play(rooms)
    expect(rooms.get_by_role("button", name="Stop gong.wav")).to_be_visible()
    site.script.rooms[0]["announcements"] = 1
    rooms.reload()
    expect(rooms.get_by_role("button", name="Stop gong.wav")).to_be_visible()
