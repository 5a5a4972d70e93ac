"""What a page's microphone takes in or its player gives out, to the sample, with the wall clock."""

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from playwright.async_api import Page

from mixer.types import SAMPLE_RATE

AROUND = 5  # chunks of 0.1 s

_SCRIPT = (Path(__file__).parent / "eartap.js").read_text(encoding="utf-8")
# The script as an expression, without the comment in front of it.
_FUNCTION = _SCRIPT[_SCRIPT.index("async (way)") :].rstrip().removesuffix(";")


@dataclass(frozen=True, slots=True)
class Tapped:
    """Mono sound of 48 kHz. `clock_s` is the wall clock (Unix seconds) at each of its chunks."""

    pcm: NDArray[np.int16]
    starts: NDArray[np.int64]
    clock_s: NDArray[np.float64]

    def at_s(self, sample: int) -> float:
        """Return the wall clock at a sample.

        Chunks come in bursts, and later than they should when the machine is busy, so it is what
        those of the second around agree on; not what all do, for a sound card may leave something
        out.
        """
        chunk = int(np.searchsorted(self.starts, sample, side="right")) - 1
        near = slice(max(0, chunk - AROUND), chunk + AROUND + 1)
        origins = self.clock_s[near] - self.starts[near] / SAMPLE_RATE
        return float(np.median(origins)) + sample / SAMPLE_RATE


def tapped_at(pcm: NDArray[np.int16], origin_s: float) -> Tapped:
    """Return a sound whose first sample was heard at a time, and the others after it."""
    return Tapped(pcm, np.zeros(1, np.int64), np.asarray([origin_s]))


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
        frames = np.asarray(said["frames"], np.int64)
        return Tapped(pcm, frames - frames[:1].sum(), np.asarray(said["ms"], np.float64) / 1000)
