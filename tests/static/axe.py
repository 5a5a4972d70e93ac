"""axe-core, asked about a page as it is now."""

from pathlib import Path
from typing import Any

from playwright.sync_api import Page

AXE = Path(__file__).parents[1] / "interop" / "node_modules" / "axe-core" / "axe.min.js"


def complaints_of_axe(page: Page) -> list[Any]:
    """Return every rule that is broken, with where."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run()")
    return [(one["id"], [node["html"] for node in one["nodes"]]) for one in found["violations"]]


def complaints_in_light_and_dark(page: Page) -> list[Any]:
    """Return the same of both looks, without what moves."""
    found: list[Any] = []
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    found += complaints_of_axe(page)
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    return found + complaints_of_axe(page)
