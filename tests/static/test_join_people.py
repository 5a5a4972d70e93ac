"""The join page and the others in the room: heard as this person wants, run by somebody else."""

import pytest
from playwright.sync_api import Page, expect

from tests.static.scripted import INVITE, ScriptedSite

pytestmark = pytest.mark.e2e
LIVE = "html[data-state=live]"
ME = {"userId": "me", "status": "onair", "displayName": "Me"}
BO = {"userId": "bo", "status": "onair", "displayName": "Bo"}


@pytest.fixture
def room(page: Page, site: ScriptedSite) -> Page:
    """A call in a room with Bo in it."""
    site.script.people = [ME, BO]
    page.goto(f"/join/studio#invite={INVITE}")
    page.get_by_label("Your name").fill("Ada")
    page.get_by_role("button", name="Join the room").click()
    page.wait_for_selector(LIVE)
    expect(page.locator(".person")).to_have_count(2)
    return page


def volumes(site: ScriptedSite) -> list[dict[str, object]]:
    return [params for method, params in site.calls if method == "volume"]


def test_volume_for_oneself(room: Page, site: ScriptedSite) -> None:
    """Another person is turned down and muted for this page alone, by keyboard too."""
    slider = room.get_by_label("Volume of Bo, for you alone")
    slider.press("ArrowLeft")
    expect(slider).to_have_attribute("aria-valuetext", "−1 dB for you")  # noqa: RUF001 - people read a minus
    room.wait_for_timeout(250)  # sleep: one call has its turn before the next
    room.keyboard.press("Shift+Tab")
    room.keyboard.press("Enter")
    mute = room.get_by_role("button", name="Mute Bo for you alone")
    expect(mute).to_have_attribute("aria-pressed", "true")
    room.wait_for_timeout(250)  # sleep: the same
    assert volumes(site) == [
        {"userId": "bo", "gainDb": -1, "muted": False},
        {"userId": "bo", "gainDb": -1, "muted": True},
    ]


def test_a_dragged_slider_says_little(room: Page, site: ScriptedSite) -> None:
    """Many moves are a few calls, and the last one counts."""
    slider = room.get_by_label("Volume of Bo")
    for _ in range(20):
        slider.press("ArrowLeft")
    room.wait_for_timeout(400)  # sleep: the last of them has its turn
    assert volumes(site)[-1]["gainDb"] == -20
    assert len(volumes(site)) < 20


def test_volume_is_said_again(room: Page, site: ScriptedSite) -> None:
    """Who comes back is as loud as before, and so is everybody after a join that began anew."""
    room.get_by_role("button", name="Mute Bo for you alone").click()
    for people in ([ME], [ME, BO]):
        site.notify("roomStatus", people)
        expect(room.locator(".person")).to_have_count(len(people))
    expect(room.locator(".person.unheard [aria-pressed=true]")).to_have_count(1)
    room.wait_for_timeout(250)  # sleep: the call has its turn
    site.script.resume = False
    site.close_sockets(1001)
    room.wait_for_selector("html[data-state=reconnecting]")
    room.wait_for_selector(LIVE)
    assert volumes(site) == [{"userId": "bo", "gainDb": 0, "muted": True}] * 3


def test_volume_of_a_broken_line_is_said_when_it_is_back(room: Page, site: ScriptedSite) -> None:
    """What was changed meanwhile, to usual as well, though the call goes on where it was."""
    mute = room.get_by_role("button", name="Mute Bo for you alone")
    mute.click()
    room.wait_for_timeout(250)  # sleep: the call has its turn
    site.script.refuse_sockets = True
    site.close_sockets(1001)
    room.wait_for_selector("html[data-state=reconnecting]")
    mute.click()
    expect(mute).to_have_attribute("aria-pressed", "false")
    site.script.refuse_sockets = False
    room.wait_for_selector(LIVE)
    assert room.evaluate("roomtone.counts.resumes") == 1
    assert [said["muted"] for said in volumes(site)] == [True, False]


def test_nobody_turns_themselves_down(room: Page) -> None:
    """One's own tile has no volume, the other has."""
    expect(room.locator(".person.self input")).to_have_count(0)
    expect(room.locator(".person:not(.self) input")).to_have_count(1)


def test_muted_by_the_room(room: Page, site: ScriptedSite) -> None:
    """Who was muted by others is told so, and that they cannot undo it."""
    site.notify("roomStatus", [ME | {"muted": True, "serverMuted": True}, BO])
    expect(room.locator("#silenced")).to_contain_text("until they undo it")
    expect(room.locator(".person.self .state")).to_have_text("you · muted by the room")
    site.notify("roomStatus", [ME, BO])
    expect(room.locator("#silenced")).to_be_hidden()


def test_unmute_request(room: Page, site: ScriptedSite) -> None:
    """Who is muted is asked, and unmutes with a press or not; who is not muted is not asked."""
    asked = room.locator("#asked-row")
    site.notify("unmuteRequest", {})
    site.notify("roomStatus", [ME])
    expect(room.locator(".person")).to_have_count(1)
    expect(asked).to_be_hidden()
    room.keyboard.press("m")
    for answer, muted in (("Not now", True), ("Unmute", False)):
        site.notify("unmuteRequest", {})
        room.get_by_role("button", name=answer, exact=True).click()
        expect(asked).to_be_hidden()
        assert room.evaluate("roomtone.muted") is muted


def test_room_changes(room: Page, site: ScriptedSite) -> None:
    """A new name and the lock are shown at once."""
    expect(room.locator("#locked")).to_be_hidden()
    site.notify("roomChanged", {"roomId": "studio", "name": "Choir", "locked": True})
    expect(room.get_by_role("heading", name="Choir")).to_be_visible()
    expect(room.locator("#locked")).to_be_visible()
    expect(room.locator("#said")).to_contain_text("locked")


def test_the_end_is_announced(room: Page, site: ScriptedSite) -> None:
    """That of the room until it has more time, and that of the server."""
    closing = room.locator("#closing")
    site.notify("roomClosing", {"seconds": 300, "reason": "expired"})
    expect(closing).to_have_text("This room ends in 5 minutes.")
    site.notify("roomChanged", {"roomId": "studio", "name": "Choir"})
    expect(closing).to_be_hidden()
    site.notify("draining", {"endsInMs": 5000})
    expect(closing).to_have_text("The server restarts in a moment. You will be connected again.")


def test_stereo_is_asked_for(room: Page) -> None:
    """Chromium plays two channels only where its own description asks for them."""
    sdp = room.evaluate("roomtone.peer.localDescription.sdp")
    (formats,) = [line for line in sdp.splitlines() if line.startswith("a=fmtp:111 ")]
    assert "stereo=1" in formats


def test_taken_out(room: Page, site: ScriptedSite) -> None:
    """Who was taken out does not come back by itself."""
    site.close_sockets(4005)
    expect(room.get_by_role("heading", name="You were taken out of the room")).to_be_visible()
    expect(room.get_by_role("button", name="Rejoin")).to_be_visible()
