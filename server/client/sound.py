"""Sound in and out of files, and how loud it is."""

import math
import wave
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

import numpy as np
from numpy.typing import NDArray

from hls.decoder import FRAME_SAMPLES, SoundFile
from hls.errors import BadSound
from server.client.errors import ClientError, Exit

RATE: Final = 48_000
SILENT_DB: Final = -99.0

Pcm = NDArray[np.int16]


def level_db(pcm: Pcm) -> float:
    """Return the RMS level in dB below a full-scale square wave, SILENT_DB for silence."""
    if not len(pcm):
        return SILENT_DB
    power = float(np.mean(np.square(pcm, dtype=np.float64)))
    return max(SILENT_DB, 10 * math.log10(power / 32768**2)) if power else SILENT_DB


class Player:
    """A sound file as int16[960] frames of 48 kHz mono; silence without one, or after its end.

    With `loop` it begins anew. `is_over` once there is nothing left to play.
    """

    def __init__(self, path: Path | None, *, loop: bool = False) -> None:
        self.is_over = path is None
        self._path = path
        self._loop = loop
        self._file: SoundFile | None = None
        self._frames: Iterator[Pcm] = iter(())
        if path is not None:
            self._open(path)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def next(self) -> Pcm:
        """Return the next frame."""
        if self._path is None or self.is_over:
            return np.zeros(FRAME_SAMPLES, np.int16)
        frame = next(self._frames, None)
        if frame is None and self._loop:
            self._open(self._path)
            frame = next(self._frames, None)
        if frame is None:
            self.is_over = True
            return np.zeros(FRAME_SAMPLES, np.int16)
        return frame

    def _open(self, path: Path) -> None:
        self.close()
        if not path.is_file():
            raise ClientError(f"There is no file {path}", Exit.MISTAKE)
        try:
            self._file = SoundFile(path)
        except BadSound as error:
            raise ClientError(f"{path}: {error}", Exit.MISTAKE) from None
        self._frames = iter(self._file)


class Recorder:
    """Writes what is heard to a WAV (48 kHz, 16 bits); counts and measures it in any case.

    What comes after `limit_s` seconds is left out.
    """

    def __init__(self, path: Path | None, channels: int = 1, limit_s: float | None = None) -> None:
        self._samples = 0  # of one channel
        self.level_db = SILENT_DB
        self.loudest_db = SILENT_DB
        self._channels = channels
        self._limit = None if limit_s is None else round(limit_s * RATE)
        self._wav: wave.Wave_write | None = None
        self._file: BinaryIO | None = None
        if path is None:
            return
        try:
            self._file = path.open("wb")
        except OSError as error:
            raise ClientError(f"{path} cannot be written: {error.strerror}", Exit.MISTAKE) from None
        self._wav = wave.open(self._file, "wb")  # noqa: SIM115 - closed with this object
        self._wav.setnchannels(channels)
        self._wav.setsampwidth(2)
        self._wav.setframerate(RATE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._wav is not None and self._file is not None:
            self._wav.close()
            self._file.close()

    @property
    def seconds(self) -> float:
        """How much was taken."""
        return self._samples / RATE

    @property
    def is_full(self) -> bool:
        """There is as much as was wished for."""
        return self._limit is not None and self._samples >= self._limit

    def write(self, pcm: Pcm) -> None:
        """Take interleaved samples."""
        if self._limit is not None:
            pcm = pcm[: (self._limit - self._samples) * self._channels]
        if not len(pcm):
            return
        self._samples += len(pcm) // self._channels
        self.level_db = level_db(pcm)
        self.loudest_db = max(self.loudest_db, self.level_db)
        if self._wav is not None:
            self._wav.writeframes(pcm.astype("<i2").tobytes())
