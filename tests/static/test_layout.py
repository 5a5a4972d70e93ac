"""What holds on every page: no sideways scrolling, no complaint, no stranger asked."""

import pytest
from playwright.sync_api import Page, expect

from tests.static.scripted import ADMIN, INVITE, ScriptedSite, room_named

pytestmark = pytest.mark.e2e
PAGES = [
    "/",
    f"/#admin={ADMIN}",
    "/join/studio",
    f"/join/studio#invite={INVITE}",
    "/listen/studio",
    f"/listen/studio#invite={INVITE}",
]
# Buttons of the dock that lie partly outside its padding, or on one another.
ASTRAY = """
() => {
  const dock = document.querySelector(".dock");
  const box = dock.getBoundingClientRect();
  const padding = parseFloat(getComputedStyle(dock).paddingRight);
  const parts = [...dock.children].map((one) => [one.className, one.getBoundingClientRect()]);
  const out = ([, { left, right, top, bottom }]) => left < box.left + padding ||
    right > box.right - padding || top < box.top || bottom > box.bottom;
  const over = ([, one]) => parts.some(([, other]) => one !== other && one.left < other.right &&
    other.left < one.right && one.top < other.bottom && other.top < one.bottom);
  return parts.filter((one) => out(one) || over(one)).map(([name]) => name);
}
"""
LONG = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerk" + "x" * 27


@pytest.fixture
def shown(page: Page, site: ScriptedSite, request: pytest.FixtureRequest) -> Page:
    site.script.rooms = [room_named(LONG, "studio")]
    page.set_viewport_size({"width": 320, "height": 640})
    page.goto(request.param)
    expect(page.locator("#loading")).to_be_hidden()
    return page


@pytest.mark.parametrize("shown", PAGES, indirect=True)
def test_nothing_scrolls_sideways_at_320_px(shown: Page) -> None:
    """The narrowest phone shows every page whole, with the longest name."""
    wide = shown.evaluate("document.documentElement.scrollWidth")
    assert wide <= 320


@pytest.mark.parametrize("shown", [PAGES[i] for i in (0, 1, 3, 5)], indirect=True)
def test_console_stays_empty(shown: Page, complaints: list[str]) -> None:
    """Neither an error nor a breach of the content policy is logged."""
    shown.wait_for_load_state("networkidle")
    assert complaints == []


@pytest.mark.parametrize("shown", PAGES, indirect=True)
def test_every_control_has_a_name(shown: Page) -> None:
    """A screen reader can name each button, link and field that is shown."""
    nameless = shown.evaluate(
        """[...document.querySelectorAll("button, a, input, select")]
        .filter((one) => one.checkVisibility() && one.getAttribute("aria-hidden") !== "true")
        .filter((one) => !(one.textContent.trim() || one.getAttribute("aria-label") ||
          one.labels?.length))
        .map((one) => one.outerHTML)"""
    )
    assert nameless == []


@pytest.mark.parametrize("shown", PAGES, indirect=True)
def test_one_visible_first_heading(shown: Page) -> None:
    """Each page shows exactly one main heading and no two elements share an id."""
    assert shown.locator("h1:visible").count() == 1
    ids = shown.evaluate("[...document.querySelectorAll('[id]')].map((one) => one.id)")
    assert len(ids) == len(set(ids))


def test_nothing_comes_from_elsewhere(page: Page, site: ScriptedSite) -> None:
    """Everything a page needs is served by the server itself."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for path in PAGES:
        page.goto("about:blank")
        page.goto(path)
        page.wait_for_load_state("networkidle")
    strangers = [url for url in asked if not url.startswith((site.url, "blob:", "data:", "about:"))]
    assert strangers == []


def test_room_fits_a_narrow_phone(page: Page, site: ScriptedSite) -> None:
    """Ten people with long names fit 320 px, and the dock's buttons lie in the dock, in view."""
    names = [LONG, *(f"Person {n}" for n in range(9))]
    site.script.people = [
        {"userId": str(n), "status": "onair", "displayName": name} for n, name in enumerate(names)
    ]
    page.set_viewport_size({"width": 320, "height": 640})
    page.goto(f"/join/studio#invite={INVITE}")
    page.get_by_label("Your name").fill("Ada")
    page.keyboard.press("Enter")
    page.wait_for_selector("html[data-state=live]")
    expect(page.locator(".person")).to_have_count(10)
    expect(page.locator("#mute")).to_be_in_viewport(ratio=1)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    assert page.evaluate(ASTRAY) == []
    page.locator("#mute").click()
    expect(page.locator("#mute")).to_contain_text("You are muted")
    assert page.evaluate(ASTRAY) == []
