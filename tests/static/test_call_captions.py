"""Captions inside the room: who wants to can read what the others say."""

import pytest
from playwright.sync_api import Page, expect

from tests.static.scripted import INVITE, ScriptedSite

pytestmark = pytest.mark.e2e
ROOM = {"roomId": "studio", "name": "Studio", "captions": ["en", "pt-BR"]}


def join(page: Page, site: ScriptedSite) -> None:
    page.goto(f"/join/studio#invite={INVITE}")
    page.get_by_label("Your name").fill("Ada")
    page.get_by_role("button", name="Join the room").click()
    page.wait_for_selector("html[data-state=live]")
    site.notify("roomChanged", ROOM)


def caption(text: str, language: str = "en", starts_ms: int = 0) -> dict[str, object]:
    return {"language": language, "text": text, "startsInMs": starts_ms, "durationMs": 5000}


def asked(site: ScriptedSite) -> list[dict[str, object]]:
    return [params for method, params in site.calls if method == "readCaptions"]


def test_read_by_keyboard(page: Page, site: ScriptedSite) -> None:
    """Off until somebody wants them; then what is told stands there as text, for its time."""
    join(page, site)
    button, text = page.get_by_role("button", name="Captions"), page.locator("#captions-text")
    expect(button).to_have_attribute("aria-pressed", "false")
    site.notify("caption", caption("Nobody reads this"))
    assert asked(site) == []
    button.press("Enter")
    expect(button).to_have_attribute("aria-pressed", "true")
    site.notify("caption", caption("<b>Good</b>"))
    site.notify("caption", caption("Bom dia", "pt-BR"))
    site.notify("caption", caption("morning", starts_ms=-4500))
    expect(text).to_have_text("<b>Good</b>\nmorning", use_inner_text=True)
    expect(text).to_have_text("<b>Good</b>")
    expect(page.locator("#captions")).to_have_attribute("lang", "en")
    page.get_by_label("Language of the captions").select_option("pt-BR")
    expect(text).to_have_text("")
    site.notify("caption", caption("Bom dia", "pt-BR", starts_ms=300))
    expect(text).to_have_text("Bom dia")
    button.press("Enter")
    expect(page.locator("#captions")).to_be_hidden()
    assert asked(site) == [{"language": "en"}, {"language": "pt-BR"}, {}]


def test_only_where_there_are_any(page: Page, site: ScriptedSite) -> None:
    """A room without has no button; the choice comes back with the room that has."""
    join(page, site)
    page.get_by_role("button", name="Captions").click()
    site.notify("roomChanged", ROOM | {"captions": []})
    expect(page.get_by_role("button", name="Captions")).to_be_hidden()
    expect(page.locator("#captions")).to_be_hidden()
    page.reload()
    join(page, site)
    expect(page.get_by_role("button", name="Captions")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#captions")).to_be_visible()
    assert asked(site)[-1] == {"language": "en"}
