"""Real browsers: Debian's Chromium with a WAV file as its microphone."""

import contextlib
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
from playwright.async_api import Browser, Page, async_playwright

RATE = 48_000
EXECUTABLE = "/usr/bin/chromium"

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
)

_PICK_TAB = "auto-select-tab-capture-source-by-title"

# Level in dBFS of each frequency in what a stream plays: the mean power of several spectra.
_SPECTRUM = """
async ({ of, hertz, seconds }) => {
  const page = window.roomtone;
  const stream = of === "remote" ? page.remoteStream : page.audio.captureStream();
  const context = new AudioContext({ sampleRate: 48000 });
  await context.resume();
  const analyser = new AnalyserNode(context, { fftSize: 8192, smoothingTimeConstant: 0 });
  context.createMediaStreamSource(stream).connect(analyser);
  const bins = new Float32Array(analyser.frequencyBinCount);
  const power = hertz.map(() => 0);
  const rounds = Math.ceil(seconds / 0.2);
  for (let round = 0; round < rounds; round += 1) {
    await new Promise((resolve) => setTimeout(resolve, 200));
    analyser.getFloatFrequencyData(bins);
    hertz.forEach((f, i) => {
      const at = Math.round((f * analyser.fftSize) / context.sampleRate);
      power[i] += Math.max(...[...bins.slice(at - 1, at + 2)].map((db) => 10 ** (db / 10)));
    });
  }
  await context.close();
  return power.map((sum) => 10 * Math.log10(Math.max(sum / rounds, 1e-15)));
}
"""


def write_tone(path: Path, hertz: float, *, seconds: float = 10.0) -> Path:
    """Write a mono WAV of a sine at -12 dBFS whose end meets its beginning."""
    t = np.arange(round(seconds * RATE)) / RATE
    samples = np.round(0.25 * 32767 * np.sin(2 * np.pi * round(hertz * seconds) / seconds * t))
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(samples.astype("<i2").tobytes())
    return path


@contextlib.asynccontextmanager
async def chromium(
    microphone: Path | None = None, *, shares: str | None = None
) -> AsyncIterator[Browser]:
    """A browser with a profile of its own.

    `microphone` is what its fake device hears. Asked to share, it picks the tab whose title is
    `shares`; else it answers every question for a device with yes.
    """
    # With the fake dialogue "sharing" gives the fake device, so a tab needs the real one.
    asked = "use-fake-ui-for-media-stream" if shares is None else f"{_PICK_TAB}={shares}"
    source = () if microphone is None else (f"--use-file-for-fake-audio-capture={microphone}",)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=EXECUTABLE,
            args=[*ARGUMENTS, f"--{asked}", *source],
            ignore_default_args=["--mute-audio"],  # a muted tab shares silence
        )
        try:
            yield browser
        finally:
            await browser.close()


async def join(page: Page, link: str, name: str) -> None:
    """Walk through the join page as a person does, and wait until the call is live."""
    address, _, fragment = link.partition("#")
    await page.goto(f"{address}?raw=1#{fragment}")
    await page.fill("#name", name)
    await page.click("#mic-allow")
    await page.wait_for_function("() => window.roomtone.localTrack !== null")
    await page.click("#join")
    await wait_for_state(page, "live")


async def wait_for_state(page: Page, state: str, *, timeout_s: float = 20) -> None:
    """Wait until the page's own state is `state`."""
    await page.wait_for_function(
        "(wanted) => window.roomtone.state === wanted", arg=state, timeout=timeout_s * 1000
    )


async def heard(page: Page, *hertz: float, of: str = "remote", seconds: float = 2.0) -> list[float]:
    """Return the level in dBFS of each frequency in what the page plays."""
    levels = await page.evaluate(_SPECTRUM, {"of": of, "hertz": list(hertz), "seconds": seconds})
    return [float(level) for level in levels]
