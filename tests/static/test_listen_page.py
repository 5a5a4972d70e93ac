"""The listen page against a real, encrypted live playlist."""

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.static.axe import complaints_of_axe
from tests.static.scripted import INVITE, Recording, ScriptedSite, go_on_air
from tests.static.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(40)]
LINK = f"/listen/studio#invite={INVITE}"
LIVE = "html[data-state=live]"


@pytest.fixture
def live(page: Page, on_air: ScriptedSite) -> Page:
    page.goto(LINK)
    page.get_by_role("button", name="Play").click()
    page.wait_for_selector(LIVE)
    return page


def test_play_decrypts_and_shows_the_latency(live: Page) -> None:
    """Pressing play plays the stream and says how far behind the room it is."""
    expect(live.locator("#latency")).to_contain_text("s after the room")
    assert 1 < live.evaluate("roomtone.latencyS") < 9
    expect(live.get_by_role("button", name="Live")).to_be_disabled()


def test_token_goes_to_keys_only(live: Page, on_air: ScriptedSite) -> None:
    """Playlists and segments are asked for without the listener's token."""
    assert live.evaluate("roomtone.state") == "live"
    assert set(on_air.key_headers) == {"Bearer listen-token"}
    assert set(on_air.open_headers) == {None}


def test_pause_lets_go_and_play_returns_to_the_edge(live: Page) -> None:
    """Pausing stops loading; playing again starts live."""
    live.get_by_role("button", name="Pause").click()
    assert live.evaluate("[roomtone.state, roomtone.hls]") == ["stopped", None]
    live.get_by_role("button", name="Play").click()
    live.wait_for_selector(LIVE)
    assert live.evaluate("roomtone.behind") is False


def test_a_long_window_is_a_bar_to_go_back_in(
    page: Page, on_air: ScriptedSite, recording: Recording
) -> None:
    """By keyboard back in time, where it stays; the chip returns to the edge."""
    go_on_air(on_air.script, recording, segments=26)
    on_air.script.window = 24
    page.goto(LINK)
    page.get_by_role("button", name="Play").press("Enter")
    page.wait_for_selector(LIVE)
    bar = page.get_by_label("Time")
    expect(bar).to_have_attribute("aria-valuetext", "live")
    expect(page.get_by_role("button", name="15 s forward")).to_be_disabled()
    bar.press("PageDown")
    until(page, "roomtone.behind && !roomtone.audio.seeking")
    expect(bar).to_have_attribute("aria-valuetext", re.compile(r"\d s ago"))
    assert page.evaluate("roomtone.latencyS") > 9
    page.get_by_role("button", name="Back to live").press("Enter")
    expect(page.get_by_role("button", name="Live", exact=True)).to_be_disabled()
    assert page.evaluate("roomtone.latencyS") < 9


def test_a_short_window_has_no_bar(live: Page) -> None:
    """Ten seconds are no past to look around in."""
    expect(live.get_by_label("Time")).to_be_hidden()


def test_who_falls_far_behind_is_taken_to_the_edge(live: Page) -> None:
    """A listener who asked for nothing stays live, after a sleep of the machine too."""
    at = live.evaluate("roomtone.audio.currentTime")
    live.evaluate("Object.defineProperty(roomtone.hls, 'latency', {value: 30, configurable: true})")
    until(live, f"roomtone.audio.currentTime > {at}")
    live.evaluate("delete roomtone.hls.latency")
    expect(live.get_by_role("button", name="Live", exact=True)).to_be_visible()


def test_the_stream_says_who_speaks(page: Page, on_air: ScriptedSite) -> None:
    """Title and speakers come from the stream, and stand on the lock screen too."""
    on_air.script.credits = (
        ("title", "TITLE", "Winterreise"),
        ("talking", "NAME", "<b>Ada</b>"),
        ("talking", "NAME", "Ben"),
    )
    page.goto(LINK)
    page.get_by_role("button", name="Play").click()
    expect(page.get_by_text("Winterreise · <b>Ada</b> and Ben")).to_be_visible()
    said = page.evaluate(
        "(({ title, artist }) => [title, artist])(navigator.mediaSession.metadata)"
    )
    assert said == ["Winterreise", "<b>Ada</b> and Ben"]
    assert page.evaluate("navigator.mediaSession.playbackState") == "playing"


def test_channels_are_a_choice(page: Page, on_air: ScriptedSite) -> None:
    """Several languages are a list; the one that is chosen plays on after a pause."""
    on_air.script.channels = ("English", "Deutsch")
    page.goto(LINK)
    page.get_by_role("button", name="Play").click()
    page.get_by_label("Channel").select_option("Deutsch")
    until(page, "roomtone.hls?.audioTrack === 1")
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Play").click()
    page.wait_for_selector(LIVE)
    until(page, "roomtone.hls?.audioTrack === 1")


def test_one_channel_is_no_choice(live: Page) -> None:
    """There is no list of one."""
    expect(live.get_by_label("Channel")).to_be_hidden()


def test_early_is_said(page: Page, site: ScriptedSite) -> None:
    """Before the room is on air the page says so, before and after a click."""
    site.script.rooms[0]["broadcast"] = False
    page.goto(LINK)
    expect(page.get_by_text("Not on air yet. Press play")).to_be_visible()
    page.get_by_role("button", name="Play").click()
    expect(page.get_by_text("Not on air yet. It starts by itself")).to_be_visible()
    page.wait_for_selector("html[data-state=off_air]", timeout=15_000)


def test_a_right_that_was_lost_is_renewed(page: Page, on_air: ScriptedSite) -> None:
    """A key that is refused is asked for again, with a fresh token."""
    on_air.script.key_status = 403
    page.goto(LINK)
    page.get_by_role("button", name="Play").click()
    expect(page.get_by_text("your right to listen is being renewed")).to_be_visible()
    on_air.script.key_status = 200
    page.wait_for_selector(LIVE, timeout=20_000)
    assert sum(method == "trade" for method in on_air.methods()) > 1


def test_a_damaged_buffer_is_mended(live: Page) -> None:
    """An error of the media does not end it; the next one begins anew."""
    for _ in range(2):
        live.evaluate(
            "roomtone.hls.trigger('hlsError', {type: 'mediaError', details: 'bufferAppendError',"
            " fatal: true, error: new Error('by a test')})"
        )
        at = live.evaluate("roomtone.audio.currentTime")
        until(live, f"roomtone.state === 'live' && roomtone.audio.currentTime !== {at}")


def test_in_a_frame(page: Page, on_air: ScriptedSite) -> None:
    """`?embed` is the player alone, on whatever is behind it."""
    page.set_viewport_size({"width": 300, "height": 200})
    page.goto(LINK.replace("#", "?embed#"))
    page.get_by_role("button", name="Play").click()
    page.wait_for_selector(LIVE)
    expect(page.locator("header")).to_be_hidden()
    expect(page.get_by_role("button", name="Raise your hand")).to_be_hidden()
    expect(page.get_by_role("heading", name="Studio")).to_be_visible()
    look = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(look) == "rgba(0, 0, 0, 0)"
    assert page.evaluate("document.documentElement.scrollWidth") <= 300


def test_parts_are_left_out_on_wish(page: Page, on_air: ScriptedSite) -> None:
    """`?classic` asks for whole segments, where requests may not wait, with the same choice."""
    on_air.script.channels = ("English", "Deutsch")
    page.goto(LINK.replace("#", "?classic#"))
    page.get_by_role("button", name="Play").click()
    page.wait_for_selector(LIVE)
    assert page.evaluate("roomtone.hls.url").endswith("/hls/studio/classic-master.m3u8")
    expect(page.get_by_label("Channel")).to_be_visible()
    asked = {name for name in on_air.asked if name.endswith(".m3u8")}
    assert asked == {"classic-master.m3u8", "classic.m3u8"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(
    page: Page, on_air: ScriptedSite, recording: Recording, scheme: Any
) -> None:
    """axe-core has no complaint: before, while everything is shown, and in a frame."""
    go_on_air(on_air.script, recording, segments=26)
    on_air.script.window = 24
    on_air.script.channels = ("English", "Deutsch")
    on_air.script.credits = (("talking", "NAME", "Ada"),)
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    for link in (LINK, LINK.replace("#", "?embed#")):
        page.goto("about:blank")
        page.goto(link)
        expect(page.get_by_role("button", name="Play")).to_be_visible()
        assert complaints_of_axe(page) == []
        page.get_by_role("button", name="Play").click()
        expect(page.get_by_label("Time")).to_be_visible(timeout=15_000)
        expect(page.get_by_label("Channel")).to_be_visible()
        assert complaints_of_axe(page) == []


@pytest.mark.parametrize(
    ("excesses", "rates"),
    [
        ([0.0, 0.05, -0.05], [1, 1, 1]),
        ([0.3, 0.3, 0.0, 0.0, 0.0], [1.02, 1.02, 1.02, 1.02, 1.02]),
        ([0.1, -0.5], [1.02, 1]),
        ([2.0, 0.0], [1.06, 1.06]),
        ([0.7, 0.0], [1.06, 1.02]),
        ([-0.2, -0.2], [0.98, 0.98]),
        ([-0.1, 0.5], [0.98, 1]),
    ],
)
def test_pace(page: Page, excesses: list[float], rates: list[float]) -> None:
    """Faster, slower, and as it is again only where it should be: it does not hunt."""
    page.goto(LINK)
    found = page.evaluate(
        """async (said) => {
          const { Pace } = await import("/static/js/pace.js");
          const pace = new Pace();
          return said.map((one) => pace.next(one));
        }""",
        excesses,
    )
    assert found == rates


def test_the_clock_of_a_server(page: Page) -> None:
    """Whole seconds tell how far two clocks are apart, if there are many."""
    page.goto(LINK)
    found = page.evaluate(
        """async () => {
          const { ServerClock } = await import("/static/js/serverclock.js");
          const clock = new ServerClock(), found = [clock.aheadMs];
          for (const ahead of [400, 400, 5000, -3000])
            for (let at = 0; at < 2000; at += 90) {
              clock.note(Math.floor((1e9 + at + ahead) / 1000) * 1000, 1e9 + at, 1e9 + at + 20);
              if (at === 0 || at > 1890) found.push(clock.aheadMs);
            }
          return found;
        }"""
    )
    assert found[0] == 0
    assert [300 <= one <= 400 for one in (found[2], found[4])] == [True, True]
    assert 4880 <= found[6] <= 5000
    assert -3100 <= found[8] <= -2900


def test_page_waits_for_a_room_that_is_not_on_air(
    page: Page, site: ScriptedSite, recording: Recording
) -> None:
    """A stream that is not ready yet starts by itself once it is."""
    page.goto(LINK)
    page.get_by_role("button", name="Play").click()
    page.wait_for_selector("html[data-state=starting]")
    go_on_air(site.script, recording)
    page.wait_for_selector(LIVE, timeout=20_000)


def test_room_that_is_gone_ends(live: Page, on_air: ScriptedSite) -> None:
    """A deleted room ends the broadcast instead of trying for ever."""
    on_air.script.rooms.clear()
    on_air.script.on_air_since = 0
    live.wait_for_selector("html[data-state=ended]", timeout=30_000)
    expect(live.get_by_text("This broadcast has ended.")).to_be_visible()
    expect(live.get_by_role("button", name="Raise your hand")).to_be_hidden()


def test_pin_is_asked_for_before_playing(page: Page, on_air: ScriptedSite) -> None:
    """A room with a PIN plays after the right one and explains the wrong one."""
    on_air.script.pin = "abc123"
    page.goto(LINK)
    for early in ("Volume", "Your name"):
        expect(page.get_by_label(early)).to_be_hidden()
    page.get_by_label("PIN").fill("wrong1")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("not the PIN")
    page.get_by_label("PIN").fill("abc123")
    page.keyboard.press("Enter")
    page.wait_for_selector(LIVE)


def test_a_browser_that_holds_the_sound_back_is_explained(page: Page, on_air: ScriptedSite) -> None:
    """Where a press was not enough the page asks for another one, and that one plays."""
    page.add_init_script(
        "window.play = HTMLMediaElement.prototype.play; HTMLMediaElement.prototype.play = () => "
        "Promise.reject(new DOMException('no', 'NotAllowedError'))"
    )
    page.goto(LINK)
    page.get_by_role("button", name="Play").click()
    expect(page.get_by_text("Press play once more")).to_be_visible()
    page.evaluate("HTMLMediaElement.prototype.play = window.play; null")
    page.get_by_role("button", name="Play").press("Enter")
    page.wait_for_selector(LIVE)


def test_volume_is_remembered(live: Page) -> None:
    """The volume set once is there after a reload."""
    live.get_by_label("Volume").fill("0.3")
    live.reload()
    expect(live.get_by_label("Volume")).to_have_value("0.3")
    assert live.evaluate("roomtone.audio.volume") == pytest.approx(0.3)
