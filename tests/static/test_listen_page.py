"""The listen page against a real, encrypted live playlist."""

import pytest
from playwright.sync_api import Page, expect

from tests.static.scripted import INVITE, Recording, ScriptedSite, go_on_air, record

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(40)]
LINK = f"/listen/studio#invite={INVITE}"
LIVE = "html[data-state=live]"


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return record(tmp_path_factory.mktemp("broadcast"))


@pytest.fixture
def on_air(site: ScriptedSite, recording: Recording) -> ScriptedSite:
    go_on_air(site.script, recording)
    return site


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


def test_being_behind_is_shown_and_a_click_returns(live: Page) -> None:
    """The live chip turns grey when the edge is far ahead; a click goes there."""
    live.evaluate("Object.defineProperty(roomtone.hls, 'latency', {value: 30, configurable: true})")
    chip = live.get_by_role("button", name="Behind: go live")
    chip.click()
    live.evaluate("delete roomtone.hls.latency")
    expect(live.get_by_role("button", name="Live", exact=True)).to_be_visible()


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


def test_pin_is_asked_for_before_playing(page: Page, on_air: ScriptedSite) -> None:
    """A room with a PIN plays after the right one and explains the wrong one."""
    on_air.script.pin = "abc123"
    page.goto(LINK)
    page.get_by_label("PIN").fill("wrong1")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("not the PIN")
    page.get_by_label("PIN").fill("abc123")
    page.keyboard.press("Enter")
    page.wait_for_selector(LIVE)


def test_volume_is_remembered(live: Page) -> None:
    """The volume set once is there after a reload."""
    live.get_by_label("Volume").fill("0.3")
    live.reload()
    expect(live.get_by_label("Volume")).to_have_value("0.3")
    assert live.evaluate("roomtone.audio.volume") == pytest.approx(0.3)
