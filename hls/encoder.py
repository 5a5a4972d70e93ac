"""The AAC-LC encoder: libavcodec's own, and a gate that lets it sleep through digital silence."""

from fractions import Fraction

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from numpy.typing import NDArray

from hls.core.fmp4 import AacFormat
from hls.core.timeline import AAC_SAMPLES, SAMPLE_RATE
from hls.errors import EncoderLost

DEFAULT_BIT_RATE = 96_000

# Below, little is left of speech; a mono frame holds at most 6144 bits (14496-3 §4.5.3.3).
_BIT_RATES = range(16_000, 288_001)

# A frame's MDCT window spans its own samples and the next frame's, and the block switching looks at
# one frame more: frame i comes out when samples of frame i + 2 go in.
LOOKAHEAD_FRAMES = 2

# On speech at 96 kb/s "fast" costs a third of "twoloop", and its error is 11 dB smaller.
_OPTIONS = {"aac_coder": "fast"}

# After two silent frames the encoder's memory holds silence only; two more let it leave a run of
# short blocks in the legal way (14496-3 §4.6.11).
_TAIL_FRAMES = 4

_SILENCE = np.zeros(AAC_SAMPLES, np.int16)


class AacEncoder:
    """Encodes 48 kHz mono, frame by frame, without ADTS headers.

    Frame i (samples [1024 · i, 1024 · i + 1024) of what a decoder plays) is returned by the call
    that takes the samples of frame i + LOOKAHEAD_FRAMES. It starts as if silence came before.
    """

    def __init__(self, bit_rate: int = DEFAULT_BIT_RATE) -> None:
        """Open the encoder. Raises EncoderLost."""
        self._context = _open(bit_rate)
        for _ in range(LOOKAHEAD_FRAMES):  # the first packets are priming: two frames before zero
            self._push(_SILENCE)
        self.format = AacFormat(
            config=bytes(self._context.extradata or b""), channels=1, bit_rate=bit_rate
        )

    def encode(self, samples: NDArray[np.int16]) -> bytes:
        """Take int16 samples of shape (1024,); return one raw AAC frame. Raises EncoderLost."""
        packets = self._push(samples)
        if len(packets) != 1:
            raise EncoderLost(f"the AAC encoder gave {len(packets)} packets for one frame")
        return packets[0]

    def _push(self, samples: NDArray[np.int16]) -> list[bytes]:
        plane = samples.astype(np.float32).reshape(1, -1) / np.float32(32768)
        frame = av.AudioFrame.from_ndarray(plane, format="fltp", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        try:
            return [bytes(packet) for packet in self._context.encode(frame)]
        except (av.FFmpegError, ValueError) as error:
            raise EncoderLost("the AAC encoder gave up") from error


def silent_frame(bit_rate: int = DEFAULT_BIT_RATE) -> bytes:
    """Return the AAC frame that decodes to digital silence, whatever stands beside it."""
    encoder = AacEncoder(bit_rate)
    for _ in range(LOOKAHEAD_FRAMES):
        encoder.encode(_SILENCE)
    return encoder.encode(_SILENCE)


class GatedEncoder:
    """An encoder that runs only where something sounds.

    Only sounding frames are pushed; those between them are silence. The frames it returns carry
    their index, a frame it does not return is `silent_frame`. The seams cannot be heard: the
    encoder goes to sleep and wakes up with nothing but silence in its overlap memory.
    """

    def __init__(self, bit_rate: int = DEFAULT_BIT_RATE) -> None:
        self._bit_rate = bit_rate
        self._encoder: AacEncoder | None = None  # opened at the first sound
        self._next = 0
        self._tail = 0  # silent frames still to be encoded before it may sleep

    def push(self, index: int, samples: NDArray[np.int16]) -> list[tuple[int, bytes]]:
        """Take input frame `index` (ascending), shape (1024,). Raises EncoderLost.

        After an error the encoder starts anew; the frames in between are silent.
        """
        done = self.advance(index)
        self._tail = _TAIL_FRAMES
        return [*done, self._encode(samples)]

    def advance(self, before_index: int) -> list[tuple[int, bytes]]:
        """Take silence up to, without, `before_index`. Raises EncoderLost.

        At most a few frames of it are encoded, however long it is.
        """
        done = []
        while self._next < before_index and self._tail > 0:
            self._tail -= 1
            done.append(self._encode(_SILENCE))
        self._next = max(self._next, before_index)
        return done

    def _encode(self, samples: NDArray[np.int16]) -> tuple[int, bytes]:
        index = self._next - LOOKAHEAD_FRAMES
        self._next += 1
        try:
            if self._encoder is None:
                self._encoder = AacEncoder(self._bit_rate)
            return index, self._encoder.encode(samples)
        except EncoderLost:
            self._encoder = None
            self._tail = 0
            raise


def _open(bit_rate: int) -> AudioCodecContext:
    if bit_rate not in _BIT_RATES:  # libavcodec would silently take another
        raise EncoderLost(f"AAC cannot be encoded at {bit_rate} b/s")
    try:
        context = av.CodecContext.create("aac", "w")
        context.sample_rate = SAMPLE_RATE
        context.layout = "mono"
        context.format = "fltp"
        context.bit_rate = bit_rate
        context.time_base = Fraction(1, SAMPLE_RATE)
        context.options = dict(_OPTIONS)
        context.open()
    except (av.FFmpegError, ValueError) as error:
        raise EncoderLost("the AAC encoder cannot be opened") from error
    assert not context.options, "open() leaves those options here that nobody understood"
    assert context.frame_size == AAC_SAMPLES, "AAC-LC without the 960-sample variant"
    return context
