"""What fills the holes of a track of packets, in its codec: silence, and hints to conceal."""

from collections.abc import Iterator
from typing import Protocol

from hls.recording.core.heard import Codec
from hls.recording.core.ogg import GRAIN, silence

Packets = Iterator[tuple[bytes, int]]
"""Packets with their length in samples of 48 kHz."""

# By configuration number of RFC 6716 §3.1: 12 of SILK, 4 of hybrid, 16 of CELT, at 48 kHz.
_FRAME_SAMPLES = (480, 960, 1920, 2880) * 3 + (480, 960) * 2 + (120, 240, 480, 960) * 4
_MOST_SAMPLES = 5760  # 120 ms
_SHORTEST = 0xE0  # CELT, full band, 2.5 ms


class Filler(Protocol):
    """One codec."""

    grain: int
    """Samples of its shortest packet: fillers are multiples of that."""

    def duration(self, payload: bytes) -> int:
        """Return the samples of a packet, 0 if it is none."""

    def silence(self, samples: int) -> Packets:
        """Yield that much silence."""

    def conceal(self, payload: bytes, samples: int) -> Packets:
        """Yield as much of what a decoder makes up behind `payload`."""


class OpusFiller:
    """Opus. A packet without a frame has decoders conceal a loss (RFC 7845 §4.1)."""

    grain = GRAIN

    def duration(self, payload: bytes) -> int:
        """See Filler (RFC 6716 §3.2)."""
        frame, code = _FRAME_SAMPLES[payload[0] >> 3], payload[0] & 3
        if code < 3:
            return frame if code == 0 else 2 * frame
        if len(payload) < 2:
            return 0
        samples = frame * (payload[1] & 0x3F)
        return samples if samples <= _MOST_SAMPLES else 0

    def silence(self, samples: int) -> Packets:
        """See Filler."""
        return silence(samples)

    def conceal(self, payload: bytes, samples: int) -> Packets:
        """See Filler: frames as long as the packet's, then the shortest there are."""
        frame = _FRAME_SAMPLES[payload[0] >> 3]
        for _ in range(samples // frame):
            yield bytes((payload[0] & 0xFC,)), frame
        for _ in range(samples % frame // GRAIN):
            yield bytes((_SHORTEST | payload[0] & 4,)), GRAIN


class G711Filler:
    """G.711 of 8 kHz: a byte is a sample there, and six here."""

    grain = 6

    def __init__(self, silent: int) -> None:
        self._second = bytes((silent,)) * 8000  # one for all: a muted line is hours of them

    def duration(self, payload: bytes) -> int:
        """See Filler."""
        return len(payload) * self.grain

    def silence(self, samples: int) -> Packets:
        """See Filler: at most a second at a time."""
        left = samples // self.grain
        while left > 0:
            count = min(left, 8000)
            yield self._second if count == 8000 else self._second[:count], count * self.grain
            left -= count

    def conceal(self, payload: bytes, samples: int) -> Packets:
        """See Filler: nothing is made up."""
        del payload
        return self.silence(samples)


FILLERS: dict[Codec, Filler] = {
    Codec.OPUS: OpusFiller(),
    Codec.PCMU: G711Filler(0xFF),
    Codec.PCMA: G711Filler(0xD5),
}
