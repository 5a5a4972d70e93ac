"""What the listen page says, and to whom: refusals, the stage, screen readers."""

import json

import pytest
from playwright.sync_api import Page, Route, expect

from tests.static.scripted import INVITE, ScriptedSite
from tests.static.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(60)]
LINK = f"/listen/studio#invite={INVITE}"
LIVE = "html[data-state=live]"


def on_stage(page: Page) -> None:
    """Somebody who turned on the microphone, with a token that is renewed soon."""
    page.add_init_script(
        """window.buttons = {};
        navigator.mediaSession.setActionHandler = (name, does) => (window.buttons[name] = does)"""
    )
    page.goto(LINK)
    page.get_by_label("Your name").fill("Lena")
    page.get_by_role("button", name="Raise your hand").click()
    page.get_by_role("button", name="Turn on the microphone").click()
    page.wait_for_selector("html[data-stage=live]")


@pytest.mark.parametrize("change", [{"pin": "abc123"}, {"invite": "another"}])
def test_a_microphone_is_never_without_its_switch(
    page: Page, on_air: ScriptedSite, change: dict[str, str]
) -> None:
    """A link or PIN that was renewed takes nothing from who speaks; it is said at the next play."""
    on_air.script.expires_in_s = 1
    on_stage(page)
    for name, value in change.items():
        setattr(on_air.script, name, value)
    with page.expect_response("**/api/token") as renewed:
        pass
    assert renewed.value.status == 403
    page.evaluate("new Promise((done) => setTimeout(done))")
    mute = page.get_by_role("button", name="Mute")
    expect(mute).to_be_visible()
    expect(page.get_by_role("button", name="Leave the stage")).to_be_visible()
    on_air.notify("offStage", {})
    expect(mute).to_be_hidden()
    page.get_by_role("button", name="Play").click()
    if "pin" in change:
        expect(page.get_by_label("PIN")).to_be_focused()
    else:
        expect(page.get_by_role("heading", name="This invite is not valid")).to_be_focused()


def test_a_headset_does_not_start_the_broadcast_on_the_stage(
    page: Page, on_air: ScriptedSite
) -> None:
    """Who is on the stage hears the room itself."""
    on_stage(page)
    page.evaluate("window.buttons.play()")
    assert page.evaluate("roomtone.state") == "stopped"


def test_a_refusal_while_it_plays_is_read_out(page: Page, on_air: ScriptedSite) -> None:
    """What was in focus is gone: the heading of what is said instead has it."""
    page.goto(LINK)
    page.get_by_role("button", name="Play").click()
    page.wait_for_selector(LIVE)
    on_air.script.invite = "another"
    on_air.script.key_status = 403
    page.get_by_role("button", name="Pause").press("Enter")
    page.get_by_role("button", name="Play").press("Enter")
    heading = page.get_by_role("heading", name="This invite is not valid any more")
    expect(heading).to_be_focused(timeout=20_000)


def test_a_server_that_starts_is_asked_again(page: Page, site: ScriptedSite) -> None:
    """Who opens the page in those seconds need not press anything."""

    def starting(route: Route) -> None:
        told = {"success": False, "code": "media_unavailable", "error": "No.", "retryable": True}
        route.fulfill(status=503, body=json.dumps(told), content_type="application/json")

    page.route("**/api/rooms/studio*", starting, times=2)
    page.goto(LINK)
    expect(page.get_by_role("heading", name="The server's audio is starting")).to_be_focused()
    expect(page.get_by_role("button", name="Play")).to_be_visible()


def test_a_lock_screen_has_a_picture(page: Page, site: ScriptedSite) -> None:
    """It is what it says it is, and of the size it says."""
    page.goto(LINK)
    until(page, "navigator.mediaSession.metadata !== null")
    found = page.evaluate(
        """async () => {
          const { src, type, sizes } = navigator.mediaSession.metadata.artwork[0];
          const image = new Image();
          image.src = src;
          await image.decode();
          return [type, sizes, `${image.naturalWidth}x${image.naturalHeight}`];
        }"""
    )
    assert found == ["image/png", "512x512", "512x512"]


def test_the_status_is_always_there(page: Page, on_air: ScriptedSite) -> None:
    """A live region that appears with its words is not read out."""
    page.goto(LINK)
    words = page.locator("#words")
    expect(words).to_have_text("Press play to listen live.")
    page.get_by_role("button", name="Play").click()
    page.wait_for_selector(LIVE)
    expect(words).to_have_text("")
    assert words.evaluate("(one) => [one.hidden, getComputedStyle(one).display]") == [
        False,
        "block",
    ]


def test_the_same_mistake_is_said_again(page: Page, on_air: ScriptedSite) -> None:
    """A second wrong PIN is heard of like the first."""
    on_air.script.pin = "abc123"
    page.goto(LINK)
    page.evaluate(
        """window.said = [];
        const alert = document.getElementById("pin-problem");
        const watch = new MutationObserver(() => said.push(alert.textContent));
        watch.observe(alert, { childList: true }); null"""
    )
    for times in (1, 2):
        page.get_by_label("PIN").fill("wrong1")
        page.keyboard.press("Enter")
        until(page, f"said.filter(Boolean).length === {times}")


def test_a_start_with_trouble_is_no_reconnection(page: Page, on_air: ScriptedSite) -> None:
    """Nothing was connected yet."""
    on_air.script.playlist_status = 503
    page.goto(LINK)
    page.get_by_role("button", name="Play").click()
    expect(page.get_by_text("Starting: the server is busy")).to_be_visible(timeout=30_000)


def test_trouble_that_is_over_is_forgotten(page: Page, on_air: ScriptedSite) -> None:
    """A later hole in the sound has its own reason, not that of one long ago."""
    page.goto(LINK)
    page.get_by_role("button", name="Play").click()
    page.wait_for_selector(LIVE)
    page.evaluate(
        "roomtone.hls.trigger('hlsError', {type: 'networkError', details: 'keyLoadError',"
        " fatal: false, response: {code: 403}, error: new Error('by a test')})"
    )
    until(page, "roomtone.trouble === 'right'")
    until(page, "roomtone.trouble === ''")
    assert page.evaluate("roomtone.state") == "live"
