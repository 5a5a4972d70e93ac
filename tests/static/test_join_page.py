"""The join page: lobby, room, repair and end."""

import math
import struct
import wave
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.static.scripted import INVITE, ScriptedSite

pytestmark = pytest.mark.e2e
LINK = f"/join/studio#invite={INVITE}"
LIVE = "html[data-state=live]"


@pytest.fixture
def lobby(page: Page) -> Page:
    page.goto(LINK)
    expect(page.get_by_role("heading", name="Studio")).to_be_visible()
    return page


@pytest.fixture
def room(lobby: Page) -> Page:
    lobby.get_by_label("Your name").fill("Ada")
    lobby.get_by_role("button", name="Join the room").click()
    lobby.wait_for_selector(LIVE)
    return lobby


def test_microphone_is_asked_for_only_after_a_click(lobby: Page) -> None:
    """No device is opened before somebody presses the button."""
    assert lobby.evaluate("roomtone.localTrack") is None
    lobby.get_by_role("button", name="Allow microphone").click()
    expect(lobby.get_by_label("Microphone", exact=True).last).to_be_visible()
    assert lobby.evaluate("roomtone.localTrack.kind") == "audio"


# The fake device beeps twice a second; asked now and then, a page may be silent every time.
SOUND_AND_SILENCE = """
() => new Promise((resolve) => {
  const meter = document.querySelector("#meter");
  const seen = new Set();
  new MutationObserver(() => {
    seen.add(meter.getAttribute("aria-valuetext").split(" ").at(-1));
    if (seen.size === 2) resolve([...seen].sort());
  }).observe(meter, { attributes: true });
})
"""


def test_meter_moves_with_the_microphone(lobby: Page) -> None:
    """The level of the chosen microphone is shown before joining."""
    lobby.get_by_role("button", name="Allow microphone").click()
    assert lobby.evaluate(SOUND_AND_SILENCE) == ["decibels", "silent"]


@pytest.mark.parametrize(("query", "processed"), [("", True), ("?raw=1", False)])
def test_raw_turns_every_filter_off(page: Page, query: str, processed: bool) -> None:  # noqa: FBT001 - a table's column
    """With ?raw the browser neither cancels echo nor noise nor rides the gain."""
    page.goto(f"/join/studio{query}#invite={INVITE}")
    page.get_by_role("button", name="Allow microphone").click()
    expect(page.locator("#mic-chosen")).to_be_visible()
    settings = page.evaluate("roomtone.localTrack.getSettings()")
    names = ("echoCancellation", "noiseSuppression", "autoGainControl")
    assert [bool(settings[name]) for name in names] == [processed] * 3


def test_denied_microphone_is_explained(page: Page) -> None:
    """A refused permission is answered with the way to give it."""
    page.add_init_script(
        "navigator.mediaDevices.getUserMedia = () => "
        "Promise.reject(new DOMException('no', 'NotAllowedError'))"
    )
    page.goto(LINK)
    page.get_by_role("button", name="Allow microphone").click()
    expect(page.get_by_role("alert")).to_contain_text("Press the icon left of the address")


def test_missing_https_is_explained(page: Page) -> None:
    """Where the browser hides microphones the page asks for the https address."""
    page.add_init_script(
        "Object.defineProperty(Navigator.prototype, 'mediaDevices', {value: undefined})"
    )
    page.goto(LINK)
    expect(page.get_by_role("alert")).to_contain_text("--tls self-signed")


def test_name_is_asked_for_and_remembered(lobby: Page) -> None:
    """Joining without a name points at the field; a name given once is filled in next time."""
    lobby.get_by_role("button", name="Join the room").click()
    expect(lobby.get_by_label("Your name")).to_be_focused()
    lobby.keyboard.type("Ada")
    lobby.keyboard.press("Enter")
    lobby.wait_for_selector(LIVE)
    lobby.reload()
    expect(lobby.get_by_label("Your name")).to_have_value("Ada")


def test_wrong_pin_keeps_the_lobby(page: Page, site: ScriptedSite) -> None:
    """A wrong PIN is explained in the lobby and the right one then joins."""
    site.script.pin = "abc123"
    page.goto(LINK)
    page.get_by_label("Your name").fill("Ada")
    page.get_by_label("PIN").fill("wrong1")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("not the PIN")
    page.get_by_label("PIN").fill("abc123")
    page.keyboard.press("Enter")
    page.wait_for_selector(LIVE)


def test_full_room_is_explained(lobby: Page, site: ScriptedSite) -> None:
    """A refusal of `join` becomes a sentence in the lobby."""
    site.script.refuse_join = {"code": "room_full", "retryable": False, "retryAfterMs": None}
    lobby.get_by_label("Your name").fill("Ada")
    lobby.keyboard.press("Enter")
    expect(lobby.get_by_role("alert")).to_contain_text("The room is full")


def test_offer_is_opus_audio_alone(room: Page) -> None:
    """The offer carries one audio section with Opus and its redundancy, and no ICE server."""
    sdp = room.evaluate("roomtone.peer.localDescription.sdp")
    codecs = {line.split()[1].split("/")[0] for line in sdp.splitlines() if "a=rtpmap" in line}
    assert (sdp.count("m="), codecs) == (1, {"opus", "red"})
    assert room.evaluate("roomtone.peer.getConfiguration().iceServers.length") == 0


def test_people_keep_their_places(room: Page, site: ScriptedSite) -> None:
    """Oneself first, then others in the order they came, whatever order the list has."""
    me = site.script.people[0]
    bo, cy = ({"userId": n, "status": "onair", "displayName": n.title()} for n in ("bo", "cy"))
    site.notify("roomStatus", [bo, me])
    site.notify("roomStatus", [cy, bo, me])
    expect(room.locator(".person .name")).to_have_text(["Me", "Bo", "Cy"])


def test_talking_draws_a_ring(room: Page, site: ScriptedSite) -> None:
    """Who the server hears is marked talking, and unmarked when it is over."""
    site.notify("talking", {"levels": {"me": -20}})
    expect(room.locator(".person.talking")).to_have_count(1)
    site.notify("talking", {"levels": {}})
    expect(room.locator(".person.talking")).to_have_count(0)


def test_mute_by_button_and_key(room: Page, site: ScriptedSite) -> None:
    """The button mutes, M unmutes; the track is silenced here and the server told."""
    room.get_by_role("button", name="Mute").click()
    assert room.evaluate("roomtone.localTrack.enabled") is False
    room.keyboard.press("m")
    assert room.evaluate("roomtone.localTrack.enabled") is True
    expect(room.locator(".badge")).to_be_hidden()
    told = [params["muted"] for method, params in site.calls if method == "mute"]
    assert told == [False, True, False]


def test_m_typed_into_a_field_does_not_mute(room: Page) -> None:
    """M is a letter while somebody types or chooses."""
    room.get_by_text("Your sound").click()
    room.locator("#mic").focus()
    room.keyboard.press("m")
    assert room.evaluate("roomtone.muted") is False


def test_switching_to_a_file_replaces_the_track_in_place(room: Page, tmp_path: Path) -> None:
    """A file chosen in the room is sent over the same connection."""
    tone = [int(9000 * math.sin(n * 0.06)) for n in range(48_000)]
    with wave.open(str(tmp_path / "tone.wav"), "wb") as sound:
        sound.setparams((1, 2, 48_000, 0, "NONE", ""))
        sound.writeframes(struct.pack(f"<{len(tone)}h", *tone))
    room.get_by_text("Your sound").click()
    room.get_by_text("Play a file").click()
    room.locator("#file").set_input_files(tmp_path / "tone.wav")
    expect(room.locator("#source-name")).to_have_text("· tone.wav")
    same = "roomtone.peer.getSenders()[0].track === roomtone.localTrack"
    assert (room.evaluate(same), room.evaluate("roomtone.counts.offers")) == (True, 1)


def test_lost_socket_resumes_without_touching_media(room: Page, site: ScriptedSite) -> None:
    """A socket that comes back with `resume` keeps the media connection."""
    site.close_sockets(1001)
    room.wait_for_selector("html[data-state=reconnecting]")
    room.wait_for_selector(LIVE)
    assert room.evaluate("roomtone.counts") == {"sockets": 2, "offers": 1, "resumes": 1}
    assert [p.get("jtoken") for m, p in site.calls if m == "join"] == [None, "a-jtoken"]


def test_lost_socket_without_resume_offers_again(room: Page, site: ScriptedSite) -> None:
    """Without `resume` the page offers a new media connection on the new socket."""
    site.script.resume = False
    site.close_sockets(1001)
    room.wait_for_selector("html[data-state=reconnecting]")
    room.wait_for_selector(LIVE)
    assert room.evaluate("roomtone.counts") == {"sockets": 2, "offers": 2, "resumes": 0}


def test_turned_away_waits_as_told(room: Page, site: ScriptedSite) -> None:
    """A page whose socket is turned away comes back no earlier than the close says."""
    site.script.turn_away_ms = [2500]
    site.close_sockets(1001)
    room.wait_for_selector("html[data-state=reconnecting]")
    room.wait_for_selector(LIVE)
    away, back = site.sockets_at[-2:]
    assert room.evaluate("roomtone.counts.sockets") == 3
    assert back - away > 2.4


def test_reconnect_offers_again_on_the_same_socket(room: Page, site: ScriptedSite) -> None:
    """`reconnect` makes a new media connection while the socket stays."""
    site.notify("reconnect", {"reason": "mixer_restarted", "retryAfterMs": 50})
    room.wait_for_selector("html[data-state=reconnecting]")
    room.wait_for_selector(LIVE)
    assert room.evaluate("roomtone.counts") == {"sockets": 1, "offers": 2, "resumes": 0}


@pytest.mark.parametrize(
    ("code", "title"),
    [
        (4001, "You joined from somewhere else"),
        (4003, "Your right to be here has run out"),
        (4004, "The room was closed"),
    ],
)
def test_final_close_codes_end_and_say_why(
    room: Page, site: ScriptedSite, code: int, title: str
) -> None:
    """After these codes the page does not come back by itself, and names the reason."""
    site.close_sockets(code)
    expect(room.get_by_role("heading", name=title)).to_be_visible()
    assert room.evaluate("[roomtone.state, roomtone.localTrack]") == ["ended", None]


def test_leave_ends_at_once_and_rejoin_comes_back(room: Page, site: ScriptedSite) -> None:
    """Leave asks nothing and releases the microphone; Rejoin is one press."""
    room.get_by_role("button", name="Leave").click()
    expect(room.get_by_role("heading", name="You left the room")).to_be_focused()
    assert "leave" in site.methods()
    room.get_by_role("button", name="Rejoin").click()
    room.wait_for_selector(LIVE)


def test_closing_the_tab_leaves(room: Page, site: ScriptedSite) -> None:
    """A page that goes away says so instead of timing out."""
    room.goto("/")
    expect(room.get_by_role("heading", name="Rooms to talk in")).to_be_visible()
    assert site.methods()[-1] == "leave"


def test_refused_token_is_renewed(room: Page, site: ScriptedSite) -> None:
    """A server that is up and refuses the socket makes the page trade its invite again."""
    site.calls.clear()
    site.script.refuse_sockets = True
    site.close_sockets(1001)
    with room.expect_response("**/users"):
        pass
    site.script.refuse_sockets = False
    room.wait_for_selector(LIVE)
    assert site.methods().count("trade") >= 1


def test_whole_call_by_keyboard(lobby: Page) -> None:
    """Somebody without a mouse joins, mutes and leaves."""
    lobby.get_by_label("Your name").focus()
    lobby.keyboard.type("Ada")
    lobby.keyboard.press("Enter")
    lobby.wait_for_selector(LIVE)
    lobby.keyboard.press("M")
    expect(lobby.get_by_role("button", name="You are muted")).to_be_visible()
    lobby.get_by_role("button", name="Leave").focus()
    lobby.keyboard.press("Enter")
    expect(lobby.get_by_role("heading", name="You left the room")).to_be_visible()
