"""The AAC-LC encoder: libavcodec's own, and a gate that lets it sleep through digital silence."""

from collections.abc import Callable, Iterable
from fractions import Fraction

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from numpy.typing import NDArray

from hls.core.fmp4 import AacFormat
from hls.core.speccheck import BIT_RATES
from hls.core.timeline import AAC_SAMPLES, LOOKAHEAD_FRAMES, SAMPLE_RATE
from hls.errors import EncoderLost

DEFAULT_BIT_RATE = 96_000

# On speech at 96 kb/s "fast" costs a third of "twoloop", and its error is 11 dB smaller.
_OPTIONS = {"aac_coder": "fast", "aac_tns": "0"}

# After two silent frames the encoder's memory holds silence only; two more let it leave a run of
# short blocks in the legal way (14496-3 §4.6.11).
_TAIL_FRAMES = 4

_FULL_SCALE = np.float32(32768)
_LAYOUTS = {1: "mono", 2: "stereo"}


class AacEncoder:
    """Encodes 48 kHz of one or two channels, frame by frame, without ADTS headers.

    Frame i (samples [1024 · i, 1024 · i + 1024) of what a decoder plays) is returned by the call
    that takes the samples of frame i + LOOKAHEAD_FRAMES. It starts as if silence came before.
    """

    def __init__(self, bit_rate: int = DEFAULT_BIT_RATE, channels: int = 1) -> None:
        """Open the encoder. Raises EncoderLost."""
        self._context = _open(bit_rate, channels)
        # `encode` passes each frame through a filter graph that could cut and resample it, and
        # rebases its time: a fifth of what encoding costs. Frames here fit, and have no time.
        self._send: Callable[[av.AudioFrame], Iterable[av.Packet[av.AudioStream]]] = getattr(
            self._context, "_send_frame_and_recv", self._context.encode
        )
        self._channels = channels
        for _ in range(LOOKAHEAD_FRAMES):  # the first packets are priming: two frames before zero
            self._push(silence(channels))
        self.format = AacFormat(
            config=bytes(self._context.extradata or b""), channels=channels, bit_rate=bit_rate
        )

    def encode(self, samples: NDArray[np.int16]) -> bytes:
        """Take int16[1024 * channels], interleaved; return a raw AAC frame. Raises EncoderLost."""
        packets = self._push(samples)
        if len(packets) != 1:
            raise EncoderLost(f"the AAC encoder gave {len(packets)} packets for one frame")
        return packets[0]

    def _push(self, samples: NDArray[np.int16]) -> list[bytes]:
        planes = np.divide(samples.reshape(-1, self._channels).T, _FULL_SCALE, order="C")
        layout = _LAYOUTS[self._channels]
        frame = av.AudioFrame.from_ndarray(planes, format="fltp", layout=layout)
        frame.sample_rate = SAMPLE_RATE
        try:
            return [bytes(packet) for packet in self._send(frame)]
        except (av.FFmpegError, ValueError) as error:
            raise EncoderLost("the AAC encoder gave up") from error


def silence(channels: int) -> NDArray[np.int16]:
    """Return a frame of digital silence, int16[1024 * channels]."""
    return np.zeros(AAC_SAMPLES * channels, np.int16)


def silent_frame(bit_rate: int = DEFAULT_BIT_RATE, channels: int = 1) -> bytes:
    """Return the AAC frame that decodes to digital silence, whatever stands beside it."""
    encoder = AacEncoder(bit_rate, channels)
    for _ in range(LOOKAHEAD_FRAMES):
        encoder.encode(silence(channels))
    return encoder.encode(silence(channels))


class GatedEncoder:
    """An encoder that runs only where something sounds.

    Only sounding frames are pushed; those between them are silence. The frames it returns carry
    their index, a frame it does not return is `silent_frame`. The seams cannot be heard: the
    encoder goes to sleep and wakes up with nothing but silence in its overlap memory.
    """

    def __init__(self, bit_rate: int = DEFAULT_BIT_RATE, channels: int = 1) -> None:
        self._bit_rate = bit_rate
        self._channels = channels
        self._silence = silence(channels)
        self._encoder: AacEncoder | None = None  # opened at the first sound
        self._next = 0
        self._tail = 0  # silent frames still to be encoded before it may sleep

    @property
    def next_index(self) -> int:
        """The input frame that is to come."""
        return self._next

    def join(self, index: int, lead: Iterable[NDArray[np.int16]]) -> None:
        """Go on at input frame `index` as if `lead` had been encoded right before it, by somebody.

        Raises EncoderLost.
        """
        self._tail, self._next = 0, max(self._next, index)
        self._encoder = None
        encoder = AacEncoder(self._bit_rate, self._channels)
        for samples in lead:
            encoder.encode(samples)
        self._encoder = encoder

    def leave(self) -> None:
        """Let somebody else encode what comes: no tail of silence follows."""
        self._tail = 0

    def push(self, index: int, samples: NDArray[np.int16]) -> list[tuple[int, bytes]]:
        """Take input frame `index` (ascending), int16[1024 * channels]. Raises EncoderLost.

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
            done.append(self._encode(self._silence))
        self._next = max(self._next, before_index)
        return done

    def _encode(self, samples: NDArray[np.int16]) -> tuple[int, bytes]:
        index = self._next - LOOKAHEAD_FRAMES
        self._next += 1
        try:
            if self._encoder is None:
                self._encoder = AacEncoder(self._bit_rate, self._channels)
            return index, self._encoder.encode(samples)
        except EncoderLost:
            self._encoder = None
            self._tail = 0
            raise


def _open(bit_rate: int, channels: int) -> AudioCodecContext:
    if bit_rate not in BIT_RATES:  # libavcodec would silently take another
        raise EncoderLost(f"AAC cannot be encoded at {bit_rate} b/s")
    try:
        context = av.CodecContext.create("aac", "w")
        context.sample_rate = SAMPLE_RATE
        context.layout = _LAYOUTS[channels]
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
