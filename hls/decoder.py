"""A sound file as 20 ms frames: whatever libavformat can open, from a local file only."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

import av
import numpy as np
from av.audio.resampler import AudioResampler
from numpy.typing import NDArray

from hls.core.timeline import SAMPLE_RATE
from hls.errors import BadSound

FRAME_SAMPLES = 960  # 20 ms, one tick of a room
MAX_CORRUPT_PACKETS = 50  # in a row; a file that decodes to nothing must not spin

# A playlist or a "concat" file would have libavformat open other files and addresses in our name.
_FORMATS = "aac,aiff,amr,ape,asf,au,caf,flac,matroska,mov,mp3,ogg,wav,w64,wv"
_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": _FORMATS}


class SoundFile:
    """An opened file; iterate it once for int16[960] frames of 48 kHz mono, the last one padded.

    Or take its `pieces`, in one or two channels. Use as a context manager.
    """

    def __init__(self, path: Path, channels: int = 1) -> None:
        """Open the file and find its first sound. Raises BadSound."""
        self._channels = channels
        try:
            self._container = av.open(f"file:{path}", options=_OPTIONS)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise BadSound(f"This is no sound file that can be played ({_FORMATS}).") from error
        if not self._container.streams.audio:
            self.close()
            raise BadSound("There is no sound in this file.")
        self._stream = self._container.streams.audio[0]

    @property
    def seconds(self) -> float | None:
        """How long it plays by its own account; None if it does not say."""
        duration = self._container.duration
        return None if duration is None or duration < 0 else duration / av.time_base

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        with suppress(av.FFmpegError, OSError):
            self._container.close()

    def __iter__(self) -> Iterator[NDArray[np.int16]]:
        rest = np.zeros(0, np.int16)
        for samples in self.pieces():
            rest = np.concatenate((rest, samples[:, 0]))
            whole = len(rest) - len(rest) % FRAME_SAMPLES
            yield from rest[:whole].reshape(-1, FRAME_SAMPLES)
            rest = rest[whole:]
        if len(rest):
            yield np.concatenate((rest, np.zeros(FRAME_SAMPLES - len(rest), np.int16)))

    def pieces(self) -> Iterator[NDArray[np.int16]]:
        """Return all of it once, int16[samples, channels] of 48 kHz, as it was decoded.

        Raises BadSound at a format that cannot be converted.
        """
        resampler, form = None, None
        for frame in self._frames():
            its = (frame.format.name, frame.layout.name, frame.sample_rate)
            if resampler is None or form != its:  # files in a row: it takes one format only
                if resampler is not None:
                    yield from self._resampled(resampler, None)
                resampler, form = self._resampler(frame.layout.nb_channels), its
            yield from self._resampled(resampler, frame)
        if resampler is not None:
            yield from self._resampled(resampler, None)

    def _resampler(self, channels: int) -> AudioResampler:
        # One channel stays one until it is here: libswresample would take 3 dB off each of two.
        layout = "mono" if 1 in {channels, self._channels} else "stereo"
        return AudioResampler(format="s16", layout=layout, rate=SAMPLE_RATE)

    def _resampled(
        self, resampler: AudioResampler, frame: av.AudioFrame | None
    ) -> Iterator[NDArray[np.int16]]:
        try:
            pieces = resampler.resample(frame)
        except (av.FFmpegError, ValueError) as error:
            raise BadSound("The channels of this file cannot be mixed down.") from error
        for made in pieces:
            sound = made.to_ndarray().astype(np.int16, copy=False).reshape(made.samples, -1)
            yield np.repeat(sound, self._channels // sound.shape[1], axis=1)

    def _frames(self) -> Iterator[av.AudioFrame]:
        corrupt = 0
        packets = self._packets()
        while True:
            try:
                packet = next(packets)
                frames = packet.decode()
            except StopIteration:
                return
            except (av.FFmpegError, ValueError):
                corrupt += 1
                if corrupt > MAX_CORRUPT_PACKETS:
                    return
                continue
            for frame in frames:
                corrupt = 0
                assert isinstance(frame, av.AudioFrame), "the stream is one of sound"
                yield frame

    def _packets(self) -> "Iterator[av.Packet[av.AudioStream]]":
        return self._container.demux(self._stream)
