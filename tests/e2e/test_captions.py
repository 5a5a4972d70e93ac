"""Captions on the real server: sent by REST, read on the listen page, parsed by FFmpeg and m3u8."""

import asyncio
import contextlib
import math
from datetime import datetime
from pathlib import Path
from typing import Any

import m3u8
import pytest
from playwright.async_api import Page, expect
from playwright.async_api import TimeoutError as NotSeen

from bench.browsers import listen
from hls.core.conformance import media, multivariant
from hls.core.conformance.subtitles import check_beside
from tests.support.chromium import chromium
from tests.support.program import Program, running

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

AXE = Path(__file__).parents[1] / "interop" / "node_modules" / "axe-core" / "axe.min.js"
MOST_OFF_S = 1.0
MOST_LATE_S = 4.0
ATTEMPTS = 4
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
    body = {"language": "en", "text": text, "durationMs": 3000, **more}
    status, answer = await program.call("POST", f"/api/rooms/{room}/captions", body)
    assert status == 200, answer
    caption: dict[str, Any] = answer["caption"]
    return caption


def begins(caption: dict[str, Any]) -> float:
    return datetime.fromisoformat(caption["startsAt"]).timestamp()


async def off_by(
    program: Program, page: Page, *, offset_ms: int, is_late: bool, most_s: float
) -> float:
    """Return how long after its sound a caption appeared.

    On a busy machine a page may be late with everything: then another one is said.
    """
    room = page.url.partition("/listen/")[2][:20]
    off_s = math.inf
    for attempt in range(ATTEMPTS):
        text = f"<b>Good</b> & {offset_ms} {attempt}"
        caption = await say(program, room, text, offsetMs=offset_ms)
        assert caption["late"] is is_late
        with contextlib.suppress(NotSeen):
            found = await page.wait_for_function(
                "(text) => window.appeared[text]", arg=text, timeout=12_000
            )
            off_s = float(await found.json_value()) - begins(caption)
        if -MOST_OFF_S < off_s < most_s:
            break
    return off_s


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

        first = await off_by(program, page, offset_ms=4000, is_late=False, most_s=MOST_OFF_S)
        assert abs(first) < MOST_OFF_S
        later = await off_by(program, page, offset_ms=-2000, is_late=True, most_s=MOST_LATE_S)
        assert -MOST_OFF_S < later < MOST_LATE_S

        await page.evaluate(AXE.read_text(encoding="utf-8"))
        found = await page.evaluate(
            "axe.run().then(({ violations }) => violations.map((v) => v.id))"
        )
        assert found == []
        await page.reload()
        await page.get_by_role("button", name="Play").click()
        await expect(button).to_have_attribute("aria-pressed", "true")
        await parsed(program, room["roomId"])


async def test_captions_in_whole_segments(tmp_path: Path) -> None:
    """`?classic` has them too, some seconds later, as its sound is."""
    async with running(tmp_path / "state") as program, chromium() as browser:
        room = await program.new_room(captions=["en"])
        page = await browser.new_page()
        await listen(page, room["links"]["listen"], "classic")
        await page.evaluate(_WATCH)
        await page.get_by_role("button", name="Captions").press("Enter")
        off_s = await off_by(program, page, offset_ms=2000, is_late=False, most_s=MOST_OFF_S)
        assert abs(off_s) < MOST_OFF_S
        assert await page.evaluate("roomtone.latencyS") > 4


async def parsed(program: Program, room: str) -> None:
    """Let FFmpeg, another parser and our own rules read the playlists."""
    _, token = await program.call("POST", "/api/token", {"roomId": room})
    texts = {}
    for name in ("master.m3u8", "classic-master.m3u8", "classic.m3u8", "en-cc/stream.m3u8"):
        async with program.http.get(f"{program.url}/hls/{room}/{name}") as answer:
            assert answer.status == 200
            texts[name] = await answer.text()
    master, classic, sound, english = texts.values()
    found = multivariant.check(master) + media.check(english) + check_beside(sound, english)
    assert found + multivariant.check(classic) == []
    assert classic == master.replace("stream.m3u8", "classic.m3u8")
    assert [one.language for one in m3u8.loads(master).media] == ["en", "de"]
    assert len(m3u8.loads(english).segments) > 4
    # It knows no subtitles in HLS, and plays the sound beside them.
    ffprobe = await asyncio.create_subprocess_exec(
        *("ffprobe", "-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0"),
        f"{program.url}/hls/{room}/master.m3u8?token={token['token']}",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    told, errors = await ffprobe.communicate()
    assert ffprobe.returncode == 0, errors
    assert set(told.split()) == {b"aac"}
