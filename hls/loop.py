"""A loop: hold music as it was coded once for all rooms, in a file that is mapped."""

import struct
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import IO, Final

import numpy as np
from numpy.typing import NDArray

from hls.core.timeline import AAC_SAMPLES, SAMPLE_RATE
from hls.errors import BadSound

MAX_SECONDS: Final = 600  # of stereo that is 116 MB of PCM, and 24 MB of AAC
MIN_SECONDS: Final = 1
TOO_LONG: Final = f"Hold music lasts at most {MAX_SECONDS // 60} minutes."
TOO_SHORT: Final = "Hold music lasts at least a second."
MAX_FRAMES: Final = MAX_SECONDS * SAMPLE_RATE // AAC_SAMPLES + 1
_MAX_RATES: Final = 16
_MAX_FRAME_BYTES: Final = 1536  # of one or two channels: 6144 bits each (14496-3 §4.5.3.3)
_MAGIC: Final = b"RTLOOP1\n"
_HEAD: Final = struct.Struct("<8sIHH")  # magic, frames, channels, bit rates
_RATE: Final = struct.Struct("<I")


class Loop:
    """See `hls.core.hold.Music`: frame i of whatever is frame i modulo the loop's length."""

    def __init__(
        self,
        pcm: NDArray[np.int16],
        coded: Mapping[int, tuple[Sequence[int], NDArray[np.uint8]]],
    ) -> None:
        """Play `pcm`, int16[frames, 1024 * channels]; `coded` has ends and bytes by bit rate."""
        self._pcm = pcm
        self._coded = coded
        self.channels = pcm.shape[1] // AAC_SAMPLES

    @property
    def frames(self) -> int:
        """After how many frames it begins again."""
        return len(self._pcm)

    def samples(self, index: int) -> NDArray[np.int16]:
        """See Music."""
        frame: NDArray[np.int16] = self._pcm[index % self.frames]
        return frame

    def frame(self, index: int, bit_rate: int, channels: int) -> bytes | None:
        """See Music."""
        found = self._coded.get(bit_rate)
        if found is None or channels != self.channels:
            return None
        ends, data = found
        at = index % self.frames
        return data[ends[at - 1] if at else 0 : ends[at]].tobytes()


def write_loop(
    file: IO[bytes], pcm: NDArray[np.int16], coded: Mapping[int, Iterable[bytes]]
) -> None:
    """Write a loop, `pcm` int16[frames, 1024 * channels] and its AAC frames by bit rate.

    Raises OSError.
    """
    frames, channels = len(pcm), pcm.shape[1] // AAC_SAMPLES
    file.write(_HEAD.pack(_MAGIC, frames, channels, len(coded)))
    file.write(b"".join(map(_RATE.pack, coded)))
    file.write(pcm.astype("<i2", copy=False).tobytes())
    for packets in coded.values():
        data = list(packets)
        assert len(data) == frames, "each frame is coded"
        file.write(np.array([len(one) for one in data], "<u2").tobytes())
        file.write(b"".join(data))
    file.flush()


def read_loop(file: IO[bytes]) -> Loop:
    """Map a loop; the file may be closed then. Raises BadSound if it is none, OSError."""
    try:
        return _parsed(np.memmap(file, np.uint8, mode="r"))
    except (struct.error, ValueError, IndexError):
        raise BadSound("What was made of the sound file cannot be read.") from None


def _parsed(data: NDArray[np.uint8]) -> Loop:
    magic, frames, channels, count = _HEAD.unpack(data[: _HEAD.size].tobytes())
    is_right = magic == _MAGIC and 0 < frames <= MAX_FRAMES and count <= _MAX_RATES
    if not (is_right and channels in (1, 2)):
        raise ValueError("no head of a loop")
    at = _HEAD.size + count * _RATE.size
    rates = [one for (one,) in _RATE.iter_unpack(data[_HEAD.size : at].tobytes())]
    size = 2 * frames * AAC_SAMPLES * channels
    pcm = data[at : at + size].view("<i2").reshape(frames, AAC_SAMPLES * channels)
    at += size
    coded = {}
    for rate in rates:
        sizes = data[at : at + 2 * frames].view("<u2").tolist()
        ends = list(accumulate(sizes))
        at += 2 * frames + ends[-1]
        if len(sizes) != frames or max(sizes) > _MAX_FRAME_BYTES or at > len(data):
            raise ValueError("no frames of a loop")
        coded[rate] = (ends, data[at - ends[-1] : at])
    return Loop(pcm, coded)
