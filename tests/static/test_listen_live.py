"""The listen page without delay (`?live`), against a scripted WHEP endpoint."""

import pytest
from playwright.sync_api import Page, expect

from tests.static.scripted import INVITE, Recording, ScriptedSite, go_on_air
from tests.static.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(60)]
LINK = f"/listen/studio?live#invite={INVITE}"
LIVE = "html[data-state=live]"
SHOWN = "dispatchEvent(new PageTransitionEvent('{}', {{persisted: true}})); null"


@pytest.fixture
def live(page: Page, site: ScriptedSite) -> Page:
    page.goto(LINK)
    page.get_by_role("button", name="Play").click()
    page.wait_for_selector(LIVE)
    return page


def test_a_page_that_comes_back_is_heard_again(live: Page, site: ScriptedSite) -> None:
    """Put away by the browser it hangs up, and calls again when it is shown."""
    live.evaluate("window.was = roomtone.audio.srcObject; null")
    live.evaluate(SHOWN.format("pagehide"))
    until(live, lambda: "unwhep" in site.methods())
    live.evaluate(SHOWN.format("pageshow"))
    until(live, "roomtone.state === 'live' && roomtone.audio.srcObject !== window.was")
    assert site.methods().count("whep") == 2


def test_play_is_in_the_press(page: Page, site: ScriptedSite) -> None:
    """A phone lets a page play only then: before the server has been asked."""
    page.add_init_script(
        """window.order = [];
        const { play } = HTMLMediaElement.prototype, { fetch } = window;
        HTMLMediaElement.prototype.play = function () {
          order.push(`play ${navigator.userActivation.isActive} ${this.srcObject !== null}`);
          return play.call(this);
        };
        window.fetch = (to, ...more) => {
          if (String(to).startsWith("/whep")) order.push("ask");
          return fetch(to, ...more);
        };"""
    )
    page.goto(LINK)
    page.get_by_role("button", name="Play").click()
    page.wait_for_selector(LIVE)
    assert page.evaluate("order") == ["play true true", "ask"]


def test_the_systems_pause_is_a_pause(live: Page, site: ScriptedSite) -> None:
    """After a phone call it does not say that it plays."""
    live.evaluate("roomtone.audio.pause()")
    live.wait_for_selector("html[data-state=stopped]")
    until(live, lambda: "unwhep" in site.methods())
    live.get_by_role("button", name="Play").click()
    live.wait_for_selector(LIVE)


def test_what_has_played_gives_up_too(live: Page, site: ScriptedSite, recording: Recording) -> None:
    """Three times in vain in a row, and the broadcast takes over."""
    go_on_air(site.script, recording)
    site.script.whep = ["no_capacity"] * 3
    live.evaluate(SHOWN.format("pagehide"))
    live.evaluate(SHOWN.format("pageshow"))
    until(live, "roomtone.hls !== null")
    expect(live.get_by_text("s after the room")).to_be_visible(timeout=20_000)


def test_a_room_off_the_air_is_waited_for(page: Page, site: ScriptedSite) -> None:
    """It has no broadcast either: the page says so, and is live when the room is."""
    site.script.whep = ["not_ready"] * 4
    page.goto(LINK)
    page.get_by_role("button", name="Play").click()
    page.wait_for_selector("html[data-state=off_air]")
    page.wait_for_selector(LIVE, timeout=30_000)
    assert page.evaluate("roomtone.hls") is None


@pytest.mark.parametrize("code", ["unauthorized", "forbidden"])
def test_a_token_that_is_refused_is_traded_once(page: Page, site: ScriptedSite, code: str) -> None:
    """The invite may be good while the token is not."""
    site.script.whep = [code]
    page.goto(LINK)
    page.get_by_role("button", name="Play").click()
    page.wait_for_selector(LIVE)
    assert site.methods().count("trade") == 2


def test_a_right_that_is_gone_ends_it(page: Page, site: ScriptedSite) -> None:
    """A fresh token that is refused too is the end."""
    site.script.whep = ["unauthorized"] * 2
    page.goto(LINK)
    page.get_by_role("button", name="Play").click()
    heading = page.get_by_role("heading", name="This invite is not valid any more")
    expect(heading).to_be_focused()
