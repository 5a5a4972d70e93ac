"""Captions on the listen page, against a scripted text rendition."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.static.scripted import INVITE, Recording, ScriptedSite, go_on_air

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(60)]
LINK = f"/listen/studio#invite={INVITE}"
LIVE = "html[data-state=live]"


@pytest.fixture
def live(page: Page, site: ScriptedSite, recording: Recording) -> Page:
    """Somebody who hears a broadcast that can be read in two languages."""
    go_on_air(site.script, recording)
    site.script.captions = ("en", "de")
    page.goto(LINK)
    page.get_by_role("button", name="Play").click()
    page.wait_for_selector(LIVE)
    return page


def test_captions_are_a_wish_that_is_kept(live: Page, complaints: list[str]) -> None:
    """Off at first; once pressed they are there, after a pause and a reload as well.

    Nothing of it is against the page's policy.
    """
    button, text = live.get_by_role("button", name="Captions"), live.locator("#captions-text")
    expect(button).to_have_attribute("aria-pressed", "false")
    expect(live.locator("#captions")).to_be_hidden()
    button.press("Enter")
    expect(text).to_have_text(re.compile(r"en \d+"), timeout=15_000)
    live.get_by_role("button", name="Pause").click()
    live.get_by_role("button", name="Play").click()
    expect(button).to_have_attribute("aria-pressed", "true", timeout=15_000)
    expect(text).to_have_text(re.compile(r"en \d+"), timeout=15_000)
    live.reload()
    live.get_by_role("button", name="Play").click()
    expect(text).to_have_text(re.compile(r"en \d+"), timeout=15_000)
    button.press("Enter")
    expect(live.locator("#captions")).to_be_hidden()
    assert complaints == []


def test_captions_have_languages(live: Page) -> None:
    """What was chosen is read, and remembered for the next time they are switched on."""
    button, text = live.get_by_role("button", name="Captions"), live.locator("#captions-text")
    choice = live.get_by_label("Language of the captions")
    choice.select_option("de")
    expect(text).to_have_text(re.compile(r"de \d+"), timeout=15_000)
    expect(live.locator("#captions")).to_have_attribute("lang", "de")
    button.press("Enter")
    expect(live.locator("#captions")).to_be_hidden()
    live.reload()
    live.get_by_role("button", name="Play").click()
    expect(choice).to_have_value("de", timeout=15_000)
    expect(button).to_have_attribute("aria-pressed", "false")


def test_without_delay_the_way_to_captions_is_shown(
    page: Page, site: ScriptedSite, recording: Recording
) -> None:
    """They are the broadcast's, which is the same page without `?live`."""
    go_on_air(site.script, recording)
    site.script.captions = ("en",)
    page.goto(LINK.replace("#", "?live#"))
    page.get_by_role("button", name="Play").click()
    page.get_by_role("link", name="listen and read there").click()
    page.get_by_role("button", name="Play").click()
    expect(page.get_by_role("button", name="Captions")).to_be_visible(timeout=20_000)


def test_no_captions_no_button(page: Page, site: ScriptedSite, recording: Recording) -> None:
    """There is nothing to switch on where nothing is written."""
    go_on_air(site.script, recording)
    page.goto(LINK)
    page.get_by_role("button", name="Play").click()
    page.wait_for_selector(LIVE)
    expect(page.get_by_role("button", name="Captions")).to_be_hidden()
