"""One browser and one scripted server per module of page tests."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.static.scripted import (
    Recording,
    Script,
    ScriptedSite,
    go_on_air,
    record,
    room_named,
)

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedSite]:
    with ScriptedSite() as running:
        yield running


@pytest.fixture
def site(server: ScriptedSite) -> ScriptedSite:
    server.script = Script(rooms=[room_named("Studio", "studio")])
    server.script.people = [
        {"userId": "me", "role": "anchor", "status": "onair", "displayName": "Me", "muted": False}
    ]
    server.calls.clear()
    server.key_headers.clear()
    server.open_headers.clear()
    server.asked.clear()
    return server


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return record(tmp_path_factory.mktemp("broadcast"))


@pytest.fixture
def on_air(site: ScriptedSite, recording: Recording) -> ScriptedSite:
    go_on_air(site.script, recording)
    return site


@pytest.fixture
def complaints() -> list[str]:
    """What the console and the policy complained about."""
    return []


@pytest.fixture
def page(browser: Browser, site: ScriptedSite, complaints: list[str]) -> Iterator[Page]:
    context = browser.new_context(
        base_url=site.url, viewport={"width": 360, "height": 740}, permissions=["microphone"]
    )
    context.set_default_timeout(8_000)
    page = context.new_page()
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    context.close()
