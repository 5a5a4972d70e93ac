"""The files of a recording: gathered in memory for a second, then written and made safe."""

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hls.recording.core.codecs import FILLERS
from hls.recording.core.flac import flac_head
from hls.recording.core.heard import Codec, Sound
from hls.recording.core.ogg import PRE_SKIP, Chapter, OggOpus
from hls.recording.core.track import Laid
from hls.recording.core.wav import WavFormat, wav_head
from hls.recording.flac import FlacEncoder
from hls.types import MixFormat

SILENCE_SAMPLES = 48_000  # at a time
WRITE_BYTES = 1 << 20  # what waits is written then: hours of silence may come at once
_WAV_FORMATS = {Codec.PCMU: WavFormat.ULAW, Codec.PCMA: WavFormat.ALAW}


class Output:
    """A new file that only the server's user can read. Raises OSError wherever the disk does."""

    def __init__(self, path: Path) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._file = os.open(path, flags, 0o600)
        self._waiting = bytearray()
        self._written = 0
        self._is_safe = True

    @property
    def size_bytes(self) -> int:
        """How long the file will be."""
        return self._written + len(self._waiting)

    def append(self, data: bytes) -> None:
        """Write at the end, later."""
        self._waiting += data
        if len(self._waiting) >= WRITE_BYTES:
            self._write()

    def flush(self) -> None:
        """Write what waits, and wait until it is on the disk."""
        self._write()
        if not self._is_safe:
            os.fdatasync(self._file)
            self._is_safe = True

    def rewrite(self, at: int, data: bytes) -> None:
        """Write over what is there already."""
        self._write()
        self._is_safe = False
        os.pwrite(self._file, data, at)

    def close(self) -> None:
        """Close the file, what waits is lost; again is nothing."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _write(self) -> None:
        while self._waiting:
            self._is_safe = False
            count = os.write(self._file, self._waiting)
            self._written += count
            del self._waiting[:count]


class RecordingFile(ABC):
    """A file of sound."""

    def __init__(self, output: Output) -> None:
        self.output = output
        self.samples = 0
        """How much was put, at 48 kHz."""

    def flush(self) -> None:
        """Make safe what was put so far; the file can be read up to there."""
        self._close_gap()
        self.output.flush()

    def finish(self, chapters: Sequence[Chapter] = ()) -> None:
        """Write the end, say in the head how long the file is, and close it."""
        self._finish(chapters)
        self.output.flush()
        self.output.close()

    @abstractmethod
    def _close_gap(self) -> None:
        """Give the file what makes it readable as far as it is."""

    @abstractmethod
    def _finish(self, chapters: Sequence[Chapter]) -> None:
        """Write the end and the head."""


class PacketFile(RecordingFile):
    """Packets, one behind the other, in their codec."""

    @abstractmethod
    def put(self, laid: Laid) -> None:
        """Take packets."""


class OggFile(PacketFile):
    """Opus in Ogg."""

    def __init__(
        self, output: Output, title: str, channels: int, *, pre_skip: int = PRE_SKIP
    ) -> None:
        super().__init__(output)
        self._title = title
        self._ogg = OggOpus(1, channels, pre_skip)
        output.append(self._ogg.head(title))

    def put(self, laid: Laid) -> None:
        """See PacketFile."""
        for packet, samples in laid:
            self.output.append(self._ogg.push(packet, samples))
        self.samples = self._ogg.samples

    def _close_gap(self) -> None:
        self.output.append(self._ogg.flush())

    def _finish(self, chapters: Sequence[Chapter]) -> None:
        self.output.append(self._ogg.finish())
        self.output.rewrite(0, self._ogg.head(self._title, chapters))


class G711File(PacketFile):
    """G.711 in WAV."""

    def __init__(self, output: Output, codec: Codec) -> None:
        super().__init__(output)
        self._kind = _WAV_FORMATS[codec]
        self._bytes = 0
        output.append(wav_head(self._kind, 1, 0))

    def put(self, laid: Laid) -> None:
        """See PacketFile."""
        for packet, samples in laid:
            self.output.append(packet)
            self._bytes += len(packet)
            self.samples += samples

    def _close_gap(self) -> None:
        self.output.rewrite(0, wav_head(self._kind, 1, self._bytes))

    def _finish(self, chapters: Sequence[Chapter]) -> None:
        del chapters  # WAV has none
        self._close_gap()


class PcmFile(RecordingFile):
    """Samples."""

    def __init__(self, output: Output, channels: int) -> None:
        super().__init__(output)
        self.clipped = 0
        """Samples that were beyond full scale."""
        self._channels = channels

    def put(self, pcm: Sound) -> None:
        """Take int[n, channels]; another number of channels is brought to the file's."""
        if pcm.shape[1] != self._channels:
            pcm = fit(pcm, self._channels)
        if pcm.dtype != np.int16:
            self.clipped += int(np.count_nonzero((pcm > 32767) | (pcm < -32768)))
        self.samples += len(pcm)
        self._put(np.clip(pcm, -32768, 32767).astype(np.int16, copy=False))

    def be_silent(self, samples: int) -> None:
        """Put so much silence."""
        while samples > 0:
            count = min(samples, SILENCE_SAMPLES)
            self.put(np.zeros((count, self._channels), np.int16))
            samples -= count

    def _close_gap(self) -> None:
        """See RecordingFile."""

    @abstractmethod
    def _put(self, pcm: NDArray[np.int16]) -> None:
        """Take samples as the file has them."""


class FlacFile(PcmFile):
    """Samples in FLAC."""

    def __init__(self, output: Output, channels: int) -> None:
        super().__init__(output, channels)
        self._encoder = FlacEncoder(channels)
        output.append(flac_head(self._encoder.streaminfo))

    def _put(self, pcm: NDArray[np.int16]) -> None:
        self.output.append(self._encoder.push(pcm))

    def _finish(self, chapters: Sequence[Chapter]) -> None:
        del chapters  # few readers know FLAC's
        self.output.append(self._encoder.finish())
        self.output.rewrite(0, flac_head(self._encoder.streaminfo, self.samples))


class WavFile(PcmFile):
    """Samples in WAV."""

    def __init__(self, output: Output, channels: int) -> None:
        super().__init__(output, channels)
        output.append(wav_head(WavFormat.PCM, channels, 0))

    def _put(self, pcm: NDArray[np.int16]) -> None:
        self.output.append(pcm.astype("<i2", copy=False).tobytes())

    def _close_gap(self) -> None:
        size = self.samples * 2 * self._channels
        self.output.rewrite(0, wav_head(WavFormat.PCM, self._channels, size))

    def _finish(self, chapters: Sequence[Chapter]) -> None:
        del chapters
        self._close_gap()


def pcm_file(kind: MixFormat, output: Output, channels: int) -> PcmFile:
    """Return a file of samples; `kind` is not Ogg."""
    return FlacFile(output, channels) if kind is MixFormat.FLAC else WavFile(output, channels)


def packet_file(codec: Codec, output: Output, title: str, channels: int) -> PacketFile:
    """Return a file for packets of a codec."""
    if codec is Codec.OPUS:
        return OggFile(output, title, channels)
    return G711File(output, codec)


def silence_of(codec: Codec, samples: int) -> Laid:
    """Return packets of silence."""
    return list(FILLERS[codec].silence(samples))


def fit(pcm: Sound, channels: int) -> Sound:
    """Return sound in another number of channels: their mean, or the one twice."""
    if channels == 1:
        mean: NDArray[np.int32] = (pcm.sum(axis=1, dtype=np.int64) // 2).astype(np.int32)
        return mean[:, np.newaxis]
    twice: NDArray[np.int32] = np.repeat(pcm, channels, axis=1).astype(np.int32)
    return twice
