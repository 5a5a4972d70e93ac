"""The listen page when a broadcast ends, breaks or is paused, against a scripted playlist."""

import re
import time
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.static.scripted import INVITE, Recording, ScriptedSite, go_on_air
from tests.static.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(60)]
LINK = f"/listen/studio#invite={INVITE}"
LIVE = "html[data-state=live]"
OFF_AIR = "html[data-state=off_air]"
IPHONE = (
    "delete window.MediaSource; delete window.ManagedMediaSource;"
    "HTMLMediaElement.prototype.canPlayType = () => 'maybe'"
)
COUNT_PLAYING = """window.played = 0;
  roomtone.audio.addEventListener("playing", () => (window.played += 1)); null"""


@pytest.fixture
def live(page: Page, on_air: ScriptedSite) -> Page:
    page.goto(LINK)
    page.get_by_role("button", name="Play").click()
    page.wait_for_selector(LIVE)
    return page


@pytest.fixture
def in_the_past(page: Page, on_air: ScriptedSite, recording: Recording) -> Page:
    """Somebody who hears what was said half a minute ago."""
    go_on_air(on_air.script, recording, segments=26)
    on_air.script.window = 24
    page.goto(LINK)
    page.get_by_role("button", name="Play").press("Enter")
    page.wait_for_selector(LIVE)
    page.get_by_label("Time").fill("-30")
    until(page, "roomtone.behind && !roomtone.audio.seeking && roomtone.latencyS > 25")
    expect(page.get_by_role("button", name="Back to live")).to_be_visible()
    return page


def trades(site: ScriptedSite) -> int:
    return site.methods().count("trade")


def polled(page: Page, site: ScriptedSite, times: int) -> None:
    """Wait until the playlist was asked for so many times more."""
    had = site.asked.count("stream.m3u8")
    until(page, lambda: site.asked.count("stream.m3u8") >= had + times)


def test_what_is_over_is_heard_once(live: Page, on_air: ScriptedSite) -> None:
    """A broadcast that was turned off is not played again; its playlist tells when it goes on."""
    on_air.script.over_at = time.time()
    live.wait_for_selector(OFF_AIR, timeout=20_000)
    live.evaluate(COUNT_PLAYING)
    traded = trades(on_air)
    on_air.asked.clear()
    polled(live, on_air, 3)
    assert set(on_air.asked) == {"stream.m3u8"}
    assert live.evaluate("[window.played, roomtone.hls, roomtone.state]") == [0, None, "off_air"]
    assert trades(on_air) == traded
    on_air.script.over_at = 0
    live.wait_for_selector(LIVE, timeout=20_000)


def test_what_is_over_already_is_not_played_as_live(page: Page, on_air: ScriptedSite) -> None:
    """Who comes too late hears nothing, and is told so."""
    on_air.script.over_at = time.time()
    page.goto(LINK)
    page.evaluate(COUNT_PLAYING)
    page.get_by_role("button", name="Play").click()
    page.wait_for_selector(OFF_AIR, timeout=20_000)
    assert page.evaluate("window.played") == 0


def test_waiting_is_cheap(page: Page, site: ScriptedSite) -> None:
    """Who waits for a room asks for one small text at a time, and for no token."""
    page.goto(LINK)
    page.get_by_role("button", name="Play").click()
    page.wait_for_selector(OFF_AIR, timeout=30_000)
    site.asked.clear()
    polled(page, site, 2)
    assert set(site.asked) == {"stream.m3u8"}
    assert trades(site) == 1


def test_an_iphone_says_that_a_room_is_not_on_air(page: Page, site: ScriptedSite) -> None:
    """A browser that plays by itself gives no reason; the playlist does."""
    page.add_init_script(IPHONE)
    page.goto(LINK)
    page.get_by_role("button", name="Play").click()
    page.wait_for_selector(OFF_AIR, timeout=30_000)


@pytest.mark.parametrize(
    ("protocol", "playlist"), [("http/1.1", "classic-master.m3u8"), ("h2", "master.m3u8")]
)
def test_an_iphone_gets_low_latency_by_http_2(
    page: Page, on_air: ScriptedSite, protocol: str, playlist: str
) -> None:
    """As Apple's player wants it; on a direct connection it gets whole segments."""
    page.add_init_script(IPHONE)
    if protocol == "h2":
        page.add_init_script("performance.getEntriesByType = () => [{ nextHopProtocol: 'h2' }]")
    page.goto(LINK)
    page.get_by_role("button", name="Play").click()
    page.wait_for_function("() => roomtone.audio.src !== ''")
    assert urlsplit(page.evaluate("roomtone.audio.src")).path == f"/hls/studio/{playlist}"


def test_a_server_that_starts_again_is_not_off_air(live: Page, on_air: ScriptedSite) -> None:
    """Only a playlist that is not ready means that a room is off the air."""
    on_air.script.playlist_status = 503
    expect(live.get_by_text("Reconnecting: the server is busy")).to_be_visible(timeout=30_000)
    assert live.evaluate("roomtone.state") == "reconnecting"
    on_air.script.playlist_status = 200
    live.wait_for_selector(LIVE, timeout=30_000)


def test_a_pause_keeps_the_systems_buttons(live: Page, on_air: ScriptedSite) -> None:
    """Paused from a lock screen there is still something to play; it loads nothing."""
    live.evaluate("roomtone.audio.pause()")
    live.wait_for_selector("html[data-state=stopped]")
    assert live.evaluate("roomtone.audio.src").startswith("blob:")
    on_air.asked.clear()
    live.get_by_role("button", name="Play").click()
    live.wait_for_selector(LIVE)
    assert on_air.asked[0] == "master.m3u8"
    assert live.evaluate("roomtone.behind") is False


def test_a_system_pause_is_kept_while_the_sound_is_away(live: Page, on_air: ScriptedSite) -> None:
    """Who pauses while the page reconnects is not played to when it has."""
    on_air.script.playlist_status = 503
    live.wait_for_selector("html[data-state=reconnecting]", timeout=30_000)
    until(live, "roomtone.hls !== null || roomtone.state === 'stopped'")
    live.evaluate("roomtone.audio.pause()")
    live.wait_for_selector("html[data-state=stopped]")


def test_the_past_is_gone_back_to(in_the_past: Page) -> None:
    """A stream that had to be begun anew, and a pause, leave who listens to the past there."""
    lose = (
        "roomtone.hls.trigger('hlsError', {type: 'otherError', details: 'internalException',"
        " fatal: true, error: new Error('by a test')})"
    )
    for leave in (f"window.was = roomtone.hls; {lose}", "window.was = roomtone.hls; null"):
        before = in_the_past.evaluate("roomtone.hls.playingDate.getTime()")
        in_the_past.evaluate(leave)
        if leave.endswith("null"):
            in_the_past.get_by_role("button", name="Pause").click()
            in_the_past.get_by_role("button", name="Play").click()
        until(
            in_the_past, "roomtone.hls && roomtone.hls !== window.was && roomtone.hls.playingDate"
        )
        in_the_past.wait_for_selector(LIVE)
        after = in_the_past.evaluate("roomtone.hls.playingDate.getTime()")
        assert -500 < after - before < 6_000
        assert in_the_past.evaluate("roomtone.behind") is True


def test_three_presses_are_three_steps(in_the_past: Page) -> None:
    """Each step begins where the last one went, however fast they come."""
    in_the_past.get_by_label("Time").fill("0")
    until(in_the_past, "!roomtone.behind && !roomtone.audio.seeking")
    went = in_the_past.evaluate(
        """() => {
          const at = roomtone.audio.currentTime;
          const back = document.getElementById("shift-back");
          back.click(); back.click();
          return at - roomtone.audio.currentTime;
        }"""
    )
    assert went == pytest.approx(30, abs=1)


def test_at_the_edge_it_is_live(in_the_past: Page) -> None:
    """Who was taken to the edge, for the window had left them, follows it from then on."""
    in_the_past.evaluate("roomtone.audio.currentTime = roomtone.hls.liveSyncPosition; null")
    expect(in_the_past.get_by_role("button", name="Live", exact=True)).to_be_disabled()


def test_a_bar_that_was_moved_and_brought_back_is_let_go(in_the_past: Page) -> None:
    """It shows the time again when the finger is gone, whether it went anywhere or not."""
    bar = in_the_past.get_by_label("Time")
    bar.evaluate(
        """(bar) => {
          bar.value = "-20";
          bar.dispatchEvent(new Event("input"));
          bar.dispatchEvent(new PointerEvent("pointerup"));
        }"""
    )
    expect(bar).to_have_attribute("aria-valuetext", re.compile(r"(2[5-9]|3\d) s ago"))


def test_the_buffer_has_a_bound(live: Page) -> None:
    """hls.js loads half a minute ahead, not all of a long past."""
    assert live.evaluate("roomtone.hls.maxBufferLength") == 30
    assert live.evaluate("roomtone.hls.config.maxMaxBufferLength") == 30


def test_system_buttons_offer_what_there_is(page: Page, on_air: ScriptedSite) -> None:
    """A lock screen has no button to go back where there is no past."""
    page.add_init_script(
        """window.offered = {};
        navigator.mediaSession.setActionHandler = (name, does) => {
          window.offered[name] = does !== null;
        };"""
    )
    page.goto(LINK)
    page.get_by_role("button", name="Play").click()
    page.wait_for_selector(LIVE)
    assert page.evaluate("window.offered.seekbackward") is None
    on_air.script.on_air_since -= 100
    on_air.script.window = 40
    until(page, "window.offered.seekbackward === true")
    page.get_by_role("button", name="Pause").click()
    until(page, "window.offered.seekbackward === false")
