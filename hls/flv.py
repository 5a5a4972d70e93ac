"""The RTMP publisher: a broadcast's AAC frames in FLV, to whatever address it is told."""

from contextlib import suppress
from fractions import Fraction
from typing import Final

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer

from hls.core.fmp4 import AacFormat
from hls.core.soundpart import SoundPart
from hls.core.timeline import AAC_SAMPLES, SAMPLE_RATE
from hls.errors import EncoderLost

_LAYOUTS: Final = {1: "mono", 2: "stereo"}


class FlvPublisher:
    """Sends the very frames of one format; nothing is encoded again.

    `url` and the RTMP `options` are libavformat's. What is raised never holds the address, which is
    a secret. Calls block as long as the network does.
    """

    def __init__(self, url: str, options: dict[str, str], audio: AacFormat) -> None:
        """Connect and publish. Raises EncoderLost."""
        self._audio = audio
        self._next = 0
        try:
            self._container: OutputContainer = av.open(url, "w", format="flv", options=options)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise EncoderLost(_reason(error, "The server did not take the stream")) from None
        stream = self._container.add_stream("aac", rate=SAMPLE_RATE)
        assert isinstance(stream, AudioStream), "it is AAC"
        # What it makes of these is the header; the frames are encoded already.
        stream.codec_context.layout = _LAYOUTS[audio.channels]
        stream.codec_context.bit_rate = audio.bit_rate
        self._stream = stream

    def send(self, first: int, part: SoundPart) -> None:
        """Send a part, whose first frame is frame `first` of what was sent. Raises EncoderLost."""
        if part.audio != self._audio or first < self._next:
            raise EncoderLost("The broadcast is another one by now")
        self._next = first + len(part.frames)
        try:
            for index, frame in enumerate(part.frames, first):
                packet = av.Packet(frame)
                packet.stream = self._stream
                packet.pts = packet.dts = index * AAC_SAMPLES
                packet.duration = AAC_SAMPLES
                packet.time_base = Fraction(1, SAMPLE_RATE)
                self._container.mux(packet)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise EncoderLost(_reason(error, "The server hung up")) from None

    def close(self) -> None:
        """Say goodbye, if the server is still there."""
        with suppress(av.FFmpegError, OSError):
            self._container.close()


def _reason(error: Exception, what: str) -> str:
    said = error.strerror if isinstance(error, OSError) else None
    return f"{what}: {said}" if said else what
