"""The MP3 encoder (LAME): a broadcast's AAC frames in, MP3 frames out."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Final

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.fifo import AudioFifo

from hls.core.fmp4 import AacFormat
from hls.core.timeline import SAMPLE_RATE
from hls.errors import EncoderLost

BIT_RATE: Final = 128_000
_LAYOUTS: Final = {1: "mono", 2: "stereo"}


class Mp3Encoder:
    """Encodes one stream at BIT_RATE, 48 kHz, constant: what every radio plays."""

    def __init__(self, audio: AacFormat) -> None:
        """Open decoder and encoder. Raises EncoderLost."""
        self.audio = audio
        try:
            self._decoder = _decoder(audio)
            self._encoder = _encoder(audio.channels)
        except (av.FFmpegError, ValueError) as error:
            raise EncoderLost("the MP3 encoder cannot be opened") from error
        self._fifo = AudioFifo()  # frames of 1024 samples become such of 1152

    def encode(self, frames: Sequence[bytes]) -> bytes:
        """Take raw AAC frames; return the MP3 frames that are complete. Raises EncoderLost."""
        done = []
        try:
            for frame in frames:
                for sound in self._decoder.decode(av.Packet(frame)):
                    sound.pts = None  # one row of samples, whatever the decoder says
                    self._fifo.write(sound)
            while (chunk := self._fifo.read(self._encoder.frame_size)) is not None:
                done += [bytes(packet) for packet in self._encoder.encode(chunk)]
        except (av.FFmpegError, ValueError) as error:
            raise EncoderLost("the MP3 encoder gave up") from error
        return b"".join(done)


def _decoder(audio: AacFormat) -> AudioCodecContext:
    context = av.CodecContext.create("aac", "r")
    context.extradata = audio.config
    context.open()
    return context


def _encoder(channels: int) -> AudioCodecContext:
    context = av.CodecContext.create("libmp3lame", "w")
    context.sample_rate = SAMPLE_RATE
    context.layout = _LAYOUTS[channels]
    context.format = "fltp"  # as the decoder gives it
    context.bit_rate = BIT_RATE
    context.time_base = Fraction(1, SAMPLE_RATE)
    # A reservoir would let a frame borrow from the one before, which who comes later has not.
    context.options = {"reservoir": "0"}
    context.open()
    return context
