"""Captions on the real server: sent by REST, read on the listen page, parsed by FFmpeg and m3u8."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import m3u8
import pytest
from playwright.async_api import Page, expect

from bench.browsers import listen
from hls.core.conformance import media, multivariant
from hls.core.conformance.subtitles import check_beside
from tests.support.chromium import chromium
from tests.support.program import Program, running

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

AXE = Path(__file__).parents[1] / "interop" / "node_modules" / "axe-core" / "axe.min.js"
MOST_OFF_S = 1.0
# When each text appeared, by the date of the sound that is heard then.
_WATCH = """() => {
  window.appeared = {};
  const text = document.getElementById("captions-text");
  new MutationObserver(() => {
    for (const line of text.textContent.split("\\n").filter(Boolean))
      window.appeared[line] ??= roomtone.hls.playingDate.getTime() / 1000;
  }).observe(text, { childList: true, characterData: true, subtree: true });
}"""


async def say(program: Program, room: str, text: str, **more: Any) -> dict[str, Any]:
    body = {"language": "en", "text": text, "durationMs": 2000, **more}
    status, answer = await program.call("POST", f"/api/rooms/{room}/captions", body)
    assert status == 200, answer
    caption: dict[str, Any] = answer["caption"]
    return caption


async def appeared(page: Page, text: str) -> float:
    """Return the date of what was heard as a text appeared."""
    found = await page.wait_for_function("(text) => window.appeared[text]", arg=text)
    return float(await found.json_value())


async def test_captions_are_read_as_they_are_heard(tmp_path: Path) -> None:
    """One from a script stands there with its sound, and one that comes late soon afterwards; they
    are off until somebody wants them, by keyboard, and on again when that one comes back.
    """  # noqa: D205
    async with running(tmp_path / "state") as program, chromium() as browser:
        room = await program.new_room(captions=["en", "de"])
        page = await browser.new_page()
        await listen(page, room["links"]["listen"])
        await page.evaluate(_WATCH)
        button = page.get_by_role("button", name="Captions")
        await expect(button).to_have_attribute("aria-pressed", "false")
        await expect(page.locator("#captions")).to_be_hidden()
        await button.press("Enter")
        await expect(button).to_have_attribute("aria-pressed", "true")
        await expect(page.get_by_label("Language of the captions")).to_have_value("en")

        heard = await page.evaluate("roomtone.hls.playingDate.getTime() / 1000")
        at = datetime.fromtimestamp(heard + 6, UTC).isoformat()
        caption = await say(program, room["roomId"], "Good <b>morning</b> & welcome", startsAt=at)
        assert caption["late"] is False
        assert abs(await appeared(page, "Good <b>morning</b> & welcome") - heard - 6) < MOST_OFF_S
        late = await say(program, room["roomId"], "Late", offsetMs=-2000)
        assert late["late"] is True
        said = datetime.fromisoformat(late["startsAt"]).timestamp()
        assert said < await appeared(page, "Late") < said + 5

        await page.evaluate(AXE.read_text(encoding="utf-8"))
        found = await page.evaluate(
            "axe.run().then(({ violations }) => violations.map((v) => v.id))"
        )
        assert found == []
        await page.reload()
        await page.get_by_role("button", name="Play").click()
        await expect(button).to_have_attribute("aria-pressed", "true")
        await parsed(program, room["roomId"])


async def parsed(program: Program, room: str) -> None:
    """Let FFmpeg, another parser and our own rules read the playlists."""
    _, token = await program.call("POST", "/api/token", {"roomId": room})
    texts = {}
    for name in ("master.m3u8", "classic.m3u8", "en-cc/stream.m3u8"):
        async with program.http.get(f"{program.url}/hls/{room}/{name}") as answer:
            assert answer.status == 200
            texts[name] = await answer.text()
    master, sound, english = texts.values()
    found = multivariant.check(master) + media.check(english) + check_beside(sound, english)
    assert found == []
    assert [one.language for one in m3u8.loads(master).media] == ["en", "de"]
    assert len(m3u8.loads(english).segments) > 4
    ffprobe = await asyncio.create_subprocess_exec(
        *("ffprobe", "-v", "error", "-show_entries", "stream=codec_name:stream_tags=language"),
        *("-of", "csv=p=0", f"{program.url}/hls/{room}/master.m3u8?token={token['token']}"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    told, errors = await ffprobe.communicate()
    assert ffprobe.returncode == 0, errors
    assert {"webvtt,en", "webvtt,de"} < set(told.decode().split())
