"""What every scenario is given: the servers, the settings, the material and the progress bar."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from bench.material import Clip, Pcm, dtx_clip, encoder, make_clip, muted_clip, room_noise, speech
from bench.rivals import Rival
from bench.settings import Settings


@dataclass(slots=True)
class Run:
    """One call of the bench. `said(text)` moves the progress bar on."""

    settings: Settings
    makers: dict[str, Callable[[], Rival]]
    said: Callable[[str], None]
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))
    _clips: dict[str, Clip] = field(default_factory=dict)

    def clip(self, name: str) -> Clip:
        """Return a clip by name: speech, noise, dtx or muted; made once."""
        if name not in self._clips:
            self._clips[name] = self._make(name)
        return self._clips[name]

    def _make(self, name: str) -> Clip:
        uplink = self.settings.uplink
        if name == "dtx":
            return dtx_clip(uplink)
        if name == "muted":
            return muted_clip(uplink)
        pcm: Pcm = speech() if name == "speech" else room_noise(4.0)
        return make_clip(pcm, encoder(uplink))

    def rounds(self) -> Iterator[tuple[int, str, Callable[[], Rival]]]:
        """Yield (round, name, maker), the servers in turns: A B A B."""
        for turn, (name, make) in itertools.product(
            range(self.settings.measure.rounds), self.makers.items()
        ):
            yield turn, name, make

    def phase_s(self) -> float:
        """Return where in the 20 ms somebody sends."""
        return float(self.random.random() * 0.02)
