"""A part in the clear: its AAC frames as they travel to who sends them on in other containers."""

import struct
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import Self

from hls.core.fmp4 import AacFormat
from hls.core.timeline import SEGMENT_FRAMES

_HEAD = struct.Struct(">IBBBH")  # bit rate, channels, bytes of the config, frames, silent frame
_SIZE = struct.Struct(">H")  # a frame of two channels has at most 1536 bytes


@dataclass(frozen=True, slots=True)
class SoundPart:
    """Consecutive frames of one format; `silent_frame` stands for any that is missing."""

    audio: AacFormat
    frames: tuple[bytes, ...]
    silent_frame: bytes

    def silenced(self) -> Self:
        """Return a part of the same length in which nothing sounds."""
        return replace(self, frames=(self.silent_frame,) * len(self.frames))

    def encode(self) -> bytes:
        """Return it as one string of bytes."""
        audio, frames = self.audio, self.frames
        head = _HEAD.pack(
            audio.bit_rate,
            audio.channels,
            len(audio.config),
            len(frames),
            len(self.silent_frame),
        )
        sizes = b"".join(_SIZE.pack(len(frame)) for frame in frames)
        return b"".join((head, sizes, audio.config, self.silent_frame, *frames))


def decode(data: bytes) -> SoundPart:
    """Return what was encoded. Raises ValueError if that was something else."""
    if len(data) < _HEAD.size:
        raise ValueError("no head of a part")
    bit_rate, channels, config_size, count, silent_size = _HEAD.unpack_from(data)
    sizes_end = _HEAD.size + count * _SIZE.size
    if not (channels in {1, 2} and 0 < count <= SEGMENT_FRAMES and len(data) >= sizes_end):
        raise ValueError("no frames of a part")
    sizes = [size for (size,) in _SIZE.iter_unpack(data[_HEAD.size : sizes_end])]
    ends = list(accumulate((config_size, silent_size, *sizes), initial=sizes_end))
    if ends[-1] != len(data):
        raise ValueError("not all frames of a part")
    config, silent_frame, *frames = (data[start:end] for start, end in pairwise(ends))
    return SoundPart(AacFormat(config, channels, bit_rate), tuple(frames), silent_frame)
