"""What a page's microphone takes in or its player gives out, to the sample, with the wall clock."""

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from playwright.async_api import Page

from mixer.types import SAMPLE_RATE

_SCRIPT = (Path(__file__).parent / "eartap.js").read_text(encoding="utf-8")
# The script as an expression, without the comment in front of it.
_FUNCTION = _SCRIPT[_SCRIPT.index("async (way)") :].rstrip().removesuffix(";")


@dataclass(frozen=True, slots=True)
class Tapped:
    """Mono sound of 48 kHz; `origin_s` is the wall clock (Unix seconds) at its first sample."""

    pcm: NDArray[np.int16]
    origin_s: float


class Tap:
    """An AudioWorklet in a page; both ways have the same one, so that its own delay cancels out."""

    def __init__(self, page: Page) -> None:
        self._page = page

    @classmethod
    async def on(cls, page: Page, way: Literal["in", "out"]) -> "Tap":
        """Tap a join page's microphone (`in`) or what a listen page plays (`out`).

        Its context must have been opened with `bypass_csp`.
        """
        await page.evaluate(_FUNCTION, way)
        return cls(page)

    async def begin(self) -> None:
        """Forget what was kept so far."""
        await self._page.evaluate("() => tap.begin()")

    async def take(self) -> Tapped:
        """Return what was kept since `begin`."""
        said = await self._page.evaluate("() => tap.take()")
        pcm = np.frombuffer(base64.b64decode(said["pcm"]), np.int16)
        return Tapped(pcm, origin_s(said["frames"], said["ms"]))


def origin_s(frames: list[int], ms: list[float]) -> float:
    """Return the wall clock at the first sample.

    Samples come to the worklet in bursts, and later than they should when the machine is busy: the
    median of what each chunk says is what most of them agree on.
    """
    if not frames:
        return 0.0
    at = np.asarray(ms, np.float64) / 1000
    since = (np.asarray(frames, np.float64) - frames[0]) / SAMPLE_RATE
    return float(np.median(at - since))
