"""The rooms page's desk: a room's settings and what is done to the people in it."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.static.scripted import ADMIN, ScriptedSite, participant

pytestmark = pytest.mark.e2e


@pytest.fixture
def desk(page: Page, site: ScriptedSite) -> Locator:
    """The open desk of a room with Ada, who muted herself, and Bob."""
    site.script.rooms[0] |= {
        "profile": "music",
        "pin": "abc123",
        "locked": True,
        "buses": ["fr", "green room"],
        "broadcastBuses": [{"bus": "floor", "language": "en", "label": "English"}],
        "dvrSeconds": 90,
    }
    site.script.participants = [participant("ada", selfMuted=True), participant("bob")]
    page.goto(f"/#admin={ADMIN}")
    page.get_by_text("People and settings").click()
    expect(page.locator(".member")).to_have_count(2)
    return page.locator(".desk-of-room")


def test_settings_are_shown_and_sent_whole(desk: Locator, site: ScriptedSite) -> None:
    """The form has the room as it is, and says what it shall be."""
    expect(desk.get_by_label("PIN")).to_have_value("abc123")
    expect(desk.get_by_label("Locked")).to_be_checked()
    desk.get_by_label("Name").fill("Choir")
    desk.get_by_label("People at most").fill("12")
    desk.get_by_label("Sound").select_option("voice")
    desk.get_by_label("Listeners without delay").fill("0")
    desk.get_by_label("while nobody is in it").select_option("file")
    desk.get_by_label("File with the music").fill("jazz.mp3")
    desk.get_by_label("Locked").uncheck()
    expect(desk.get_by_label("They can go back")).to_have_value("90")
    desk.get_by_label("They can go back").select_option("30 minutes")
    desk.get_by_label("Title").fill("Winterreise")
    desk.get_by_label("Captions in").fill("deutsch!, en")
    desk.get_by_role("button", name="Save").click()
    expect(desk.get_by_role("alert")).to_contain_text("de or pt-BR")
    desk.get_by_label("Captions in").fill("de, pt-BR")
    desk.get_by_label("Tell listeners who speaks").check()
    desk.get_by_label("Radio too").uncheck()
    desk.get_by_role("button", name="Save").click()
    expect(desk.page.get_by_role("heading", name="Choir")).to_be_visible()
    expected = {
        "name": "Choir",
        "pin": "abc123",
        "maxAnchors": 12,
        "loudest": 0,
        "liveListeners": 0,
        "holdMusic": "jazz.mp3",
        "profile": "voice",
        "record": None,
        "automix": False,
        "broadcast": True,
        "locked": False,
        "title": "Winterreise",
        "broadcastNames": True,
        "radio": False,
        "captions": ["de", "pt-BR"],
        "dvrSeconds": 1800,
    }
    assert [call for call in site.calls if call[0] == "change"] == [("change", expected)]


def test_upload_is_asked_where_there_is_one(desk: Locator, site: ScriptedSite) -> None:
    """Only of a server that uploads; what is not asked is not said."""
    box = desk.get_by_label("Upload recordings and broadcast")
    expect(box).to_be_hidden()
    site.script.rooms[0]["upload"] = True
    expect(box).to_be_checked(timeout=20_000)
    box.uncheck()
    desk.get_by_role("button", name="Save").click()
    expect(desk.get_by_text("Saved", exact=True)).to_be_visible()
    ((_, change),) = [call for call in site.calls if call[0] == "change"]
    assert change["upload"] is False


def test_channels_are_chosen_by_keyboard(desk: Locator, site: ScriptedSite) -> None:
    """What listeners can choose among, each with language and label, the first one unasked."""
    row = desk.locator(".channel").filter(has_text="fr")
    expect(desk.get_by_label("Language of floor")).to_have_value("en")
    expect(desk.get_by_label("Language of fr")).to_be_disabled()
    row.get_by_label("fr", exact=True).press("Space")
    row.get_by_label("Played first: fr").press("Space")
    desk.get_by_label("Language of fr").fill("français")
    desk.page.keyboard.press("Enter")
    expect(desk.get_by_role("alert")).to_contain_text("fr or pt-BR")
    expect(desk.get_by_label("Language of fr")).to_be_focused()
    desk.get_by_label("Language of fr").fill("fr")
    desk.get_by_label("What listeners see of fr").fill("Français")
    desk.page.keyboard.press("Enter")
    expect(desk.get_by_text("Saved", exact=True)).to_be_visible()
    ((_, change),) = [call for call in site.calls if call[0] == "change"]
    assert change["broadcastBuses"] == [
        {"bus": "fr", "language": "fr", "label": "Français"},
        {"bus": "floor", "language": "en", "label": "English"},
    ]


def test_the_link_without_delay_is_for_rooms_that_have_it(desk: Locator) -> None:
    """It goes as soon as nobody may listen so, and comes back with them."""
    link = desk.page.get_by_role("link", name="live link of Studio")
    for number, shown in (("0", False), ("5", True)):
        desk.get_by_label("Listeners without delay").fill(number)
        desk.page.keyboard.press("Enter")
        expect(link).to_be_visible(visible=shown)


@pytest.mark.parametrize(
    ("field", "text", "words"),
    [
        ("PIN", "12", "exactly six"),
        ("People at most", "many", "number"),
        ("Mixed", "1.5", "number"),
    ],
)
def test_wrong_settings_are_not_sent(
    desk: Locator, site: ScriptedSite, field: str, text: str, words: str
) -> None:
    """What cannot be meant is explained, and the field has the keyboard."""
    desk.get_by_label(field).fill(text)
    desk.page.keyboard.press("Enter")
    with desk.page.expect_response("**/participants"):
        pass  # the list is brought up to date, what is wrong stays
    expect(desk.get_by_role("alert")).to_contain_text(words)
    expect(desk.get_by_label(field)).to_be_focused()
    assert "change" not in site.methods()


@pytest.mark.parametrize(("music", "choice"), [(None, ""), ("", "silence"), ("a.ogg", "file")])
def test_hold_music_stays(
    desk: Locator, site: ScriptedSite, music: str | None, choice: str
) -> None:
    """As the server says, silence, or a file: it is shown and sent as it is."""
    site.script.rooms[0]["holdMusic"] = music
    expect(desk.get_by_label("while nobody is in it")).to_have_value(choice)
    expect(desk.get_by_label("File with the music")).to_be_visible(visible=choice == "file")
    desk.get_by_role("button", name="Save").click()
    expect(desk.get_by_text("Saved", exact=True)).to_be_visible()
    (sent,) = [call[1] for call in site.calls if call[0] == "change"]
    assert sent["holdMusic"] == music


def test_a_sound_file_has_a_name(desk: Locator, site: ScriptedSite) -> None:
    """Without one it is asked for."""
    desk.get_by_label("while nobody is in it").select_option("file")
    desk.get_by_role("button", name="Save").click()
    expect(desk.get_by_role("alert")).to_contain_text("Name a file")
    expect(desk.get_by_label("File with the music")).to_be_focused()
    assert "change" not in site.methods()


def test_typing_is_not_overwritten(desk: Locator) -> None:
    """The list is brought up to date while somebody types."""
    desk.get_by_label("Name").fill("Half a na")
    with desk.page.expect_response("**/participants"):
        pass
    expect(desk.get_by_label("Name")).to_have_value("Half a na")


def test_what_changes_elsewhere_overwrites_no_typing(desk: Locator, site: ScriptedSite) -> None:
    """Fields that nobody edits follow the room, those being edited wait until they are saved."""
    room = site.script.rooms[0]
    desk.get_by_label("Name").fill("Half a na")
    desk.get_by_label("fr", exact=True).check()
    room |= {"title": "Winterreise", "name": "Elsewhere", "locked": False, "broadcastBuses": []}
    expect(desk.get_by_label("Title")).to_have_value("Winterreise")
    expect(desk.get_by_label("Locked")).not_to_be_checked()
    expect(desk.get_by_label("Name")).to_have_value("Half a na")
    expect(desk.get_by_label("fr", exact=True)).to_be_checked()
    desk.get_by_role("button", name="Save").click()
    expect(desk.get_by_text("Saved", exact=True)).to_be_visible()
    assert [one["bus"] for one in room["broadcastBuses"]] == ["floor", "fr"]
    room |= {"name": "Choir", "buses": ["fr"], "broadcastBuses": []}
    expect(desk.get_by_label("Name")).to_have_value("Choir")
    expect(desk.get_by_label("fr", exact=True)).not_to_be_checked()


@pytest.mark.parametrize(
    ("act", "call"),
    [
        (
            lambda desk: desk.get_by_role("button", name="Mute Bob for everybody").click(),
            ("control", {"userId": "bob", "muted": True}),
        ),
        (
            lambda desk: desk.get_by_label("Volume of Bob").press("ArrowLeft"),
            ("control", {"userId": "bob", "gainDb": -1}),
        ),
        (
            lambda desk: desk.get_by_label("Place of Ada").press("ArrowRight"),
            ("control", {"userId": "ada", "pan": 0.1}),
        ),
        (
            lambda desk: desk.get_by_role("button", name="Ask to unmute: Ada").click(),
            ("ask", {"userId": "ada"}),
        ),
    ],
    ids=["mute", "volume", "place", "ask"],
)
def test_people(
    desk: Locator,
    site: ScriptedSite,
    act: Callable[[Locator], None],
    call: tuple[str, dict[str, object]],
) -> None:
    """Each control of a person says what it changes, and nothing else."""
    with desk.page.expect_response(lambda answer: answer.request.method in {"PATCH", "POST"}):
        act(desk)
    assert [one for one in site.calls if one[0] in {"control", "ask"}] == [call]


def test_only_who_muted_themselves_is_asked(desk: Locator) -> None:
    """Bob is open, so there is nothing to ask of him."""
    expect(desk.get_by_role("button", name="Ask to unmute: Bob")).to_be_hidden()


def test_a_dragged_slider_ends_where_it_was_let_go(desk: Locator, site: ScriptedSite) -> None:
    """Many moves are a few calls, and the last one counts."""
    slider = desk.get_by_label("Volume of Bob")
    for _ in range(12):
        slider.press("ArrowLeft")
    expect(desk.locator(".member").nth(1).locator("[data-part=gain-word]")).to_have_text("-12 dB")
    gains = [params["gainDb"] for method, params in site.calls if method == "control"]
    assert gains[-1] == -12
    assert len(gains) < 12
    expect(slider).to_have_value("-12")


@pytest.mark.parametrize(("word", "ban"), [("Take out", "false"), ("Ban", "true")])
def test_take_out(desk: Locator, site: ScriptedSite, word: str, ban: str) -> None:
    """Who shall go is named once more before they go."""
    desk.get_by_role("button", name="Take out Bob").click()
    dialog = desk.page.get_by_role("dialog")
    expect(dialog.get_by_role("heading")).to_have_text("Take Bob out of the room?")
    dialog.get_by_role("button", name=word, exact=True).click()
    expect(desk.locator(".member")).to_have_count(1)
    assert ("kick", {"userId": "bob", "ban": ban}) in site.calls


def test_escape_lets_them_stay(desk: Locator, site: ScriptedSite) -> None:
    """A dialog that is put away does nothing."""
    desk.get_by_role("button", name="Take out Bob").click()
    desk.page.keyboard.press("Escape")
    expect(desk.page.get_by_role("dialog")).to_be_hidden()
    assert "kick" not in site.methods()


def test_desk_fits_a_narrow_phone(desk: Locator, site: ScriptedSite) -> None:
    """320 px and a long name show it whole."""
    site.script.participants.append(participant("x" * 80))
    desk.page.set_viewport_size({"width": 320, "height": 640})
    expect(desk.locator(".member")).to_have_count(3)
    assert desk.page.evaluate("document.documentElement.scrollWidth") <= 320
