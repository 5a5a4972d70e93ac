"""People with clocks of their own, who send to a recorded room."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from hls.recording.core.heard import Codec, HeardPacket

FRAME = 960
TRANSIT = 2400  # 50 ms: what the fastest packet takes, its own 20 ms included


@dataclass
class Sender:
    """Sends 20 ms of Opus at a time by a clock that is `ppm` fast; keeps when each began in truth.

    `truth` has the true beginning of each packet by its payload, in samples of the room's clock,
    as the fastest packets tell it.
    """

    seed: int
    ppm: float = 0.0
    begin: int = 48_000_000
    peer: str = "ann"
    stream: int = 1
    loss: float = 0.0
    jitter: float = 0.01
    truth: dict[bytes, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._number = 0  # of the frame, pauses counted
        self._sequence = self._random.randrange(1 << 16)
        self._offset = self._random.randrange(1 << 32)

    def talk(self, frames: int, *, is_silent: bool = False) -> Iterator[HeardPacket]:
        """Yield the packets of so many frames that arrive."""
        for _ in range(frames):
            began = self.begin + self._number * FRAME / (1 + self.ppm * 1e-6)
            payload = b"\x78" + self._number.to_bytes(4, "big") + self._sequence.to_bytes(2, "big")
            arrival = began + TRANSIT + self._random.expovariate(1 / (self.jitter * 48_000))
            packet = HeardPacket(
                self.peer,
                self.stream,
                self._sequence & 0xFFFF,
                (self._offset + self._number * FRAME) & 0xFFFFFFFF,
                round(arrival),
                payload,
                is_silent,
            )
            self._number += 1
            self._sequence = (self._sequence + 1) & 0xFFFF
            if self._random.random() >= self.loss:
                self.truth[payload] = began + TRANSIT
                yield packet

    def rest(self, frames: int) -> None:
        """Say nothing for so long: DTX, or a mute."""
        self._number += frames

    def jump(self, samples: int) -> None:
        """Let the timestamps jump."""
        self._offset += samples

    def change_ssrc(self) -> None:
        """Begin another stream."""
        self.stream += 1
        self._sequence = self._random.randrange(1 << 16)
        self._offset = self._random.randrange(1 << 32)

    @property
    def codec(self) -> Codec:
        return Codec.OPUS
