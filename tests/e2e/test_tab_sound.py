"""A browser tab's sound instead of a microphone."""

from pathlib import Path

import pytest

from tests.support.chromium import chromium, heard, join, wait_for_state, write_tone
from tests.support.program import running

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

TITLE, TAB_HZ, MICROPHONE_HZ = "A tab that sounds", 660.0, 1000.0
SOUNDING = f"""
<!doctype html><title>{TITLE}</title>
<script>
  const context = new AudioContext();
  const tone = new OscillatorNode(context, {{ frequency: {TAB_HZ} }});
  tone.connect(new GainNode(context, {{ gain: 0.25 }})).connect(context.destination);
  tone.start();
</script>
"""


async def test_a_shared_tab_is_heard_instead_of_the_microphone(tmp_path: Path) -> None:
    """Who shares a tab in the room is heard with it, over the same connection."""
    microphone = write_tone(tmp_path / "microphone.wav", MICROPHONE_HZ)
    async with (
        running(tmp_path / "state") as program,
        chromium(microphone, shares=TITLE) as adas,
        chromium() as bobs,
    ):
        room = await program.new_room(name="Studio")
        context = await adas.new_context(permissions=["microphone"])
        ada, tab, bob = await context.new_page(), await context.new_page(), await bobs.new_page()
        await join(ada, room["links"]["join"], "Ada")
        await join(bob, room["links"]["join"], "Bob")
        before = await heard(bob, MICROPHONE_HZ, TAB_HZ)
        await tab.set_content(SOUNDING)
        await ada.bring_to_front()
        await ada.get_by_text("Your sound").click()
        await ada.get_by_text("Share a tab").click()
        await ada.click("#tab-share")
        await ada.wait_for_function("() => window.roomtone.localTrack.label.startsWith('Tab')")
        await wait_for_state(ada, "live")
        await heard(bob, TAB_HZ, seconds=1.0)  # what the browser still had buffered
        after = await heard(bob, MICROPHONE_HZ, TAB_HZ)
        offers = await ada.evaluate("() => window.roomtone.counts.offers")
    assert before[0] > -40 > before[1]
    assert after[1] > -40
    assert after[0] < -65
    assert offers == 1
