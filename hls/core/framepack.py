"""The AAC frames of a segment as one string of bytes, whatever container they will be sent in."""

import struct
from collections.abc import Sequence
from itertools import accumulate, pairwise

from hls.core.timeline import SEGMENT_FRAMES

_SIZES = struct.Struct(f">{SEGMENT_FRAMES}H")  # a frame of two channels has at most 1536 bytes


def pack(frames: Sequence[bytes]) -> bytes:
    """Return the 90 frames of a segment as one string."""
    return _SIZES.pack(*map(len, frames)) + b"".join(frames)


def unpack(packed: bytes) -> list[bytes]:
    """Return what was packed. Raises ValueError if that was something else."""
    if len(packed) < _SIZES.size:
        raise ValueError("no frames of a segment")
    ends = list(accumulate(_SIZES.unpack_from(packed), initial=_SIZES.size))
    if ends[-1] != len(packed):
        raise ValueError("not all frames of a segment")
    return [packed[start:end] for start, end in pairwise(ends)]
