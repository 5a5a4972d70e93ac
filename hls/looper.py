"""What makes a loop of a sound file: decoded, fitted, brought to a loudness and coded once."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from hls.core.loopsound import grid_frames, levelled, loudness_lufs, on_grid
from hls.core.timeline import AAC_SAMPLES, LOOKAHEAD_FRAMES, SAMPLE_RATE
from hls.decoder import SoundFile
from hls.encoder import AacEncoder
from hls.errors import BadSound
from hls.loop import MAX_SECONDS, MIN_SECONDS, TOO_LONG, TOO_SHORT, write_loop
from hls.types import LoopSpec

Piece = TypeVar("Piece", NDArray[np.int16], bytes)
_LEAD_FRAMES: Final = 8  # coded and thrown away: the end of the loop, before its beginning


def make_loop(
    spec: LoopSpec, file: IO[bytes], progress: Callable[[], object] = lambda: None
) -> None:
    """Write the loop that `spec` asks for; `progress` is called all the time.

    Raises BadSound, EncoderLost, OSError.
    """
    sound = _decoded(spec, progress)
    shape = (grid_frames(len(sound)), AAC_SAMPLES, spec.channels)
    loop = _collected(_watched(on_grid(sound), progress), shape)
    del sound  # of ten minutes no third copy is made
    if spec.loudness_lufs is not None:
        frames = levelled(loop, loudness_lufs(loop), spec.loudness_lufs)
        loop = _collected(_watched(frames, progress), shape)
    pcm = loop.reshape(len(loop), -1)
    coded = {rate: _watched(_coded(pcm, rate, spec.channels), progress) for rate in spec.bit_rates}
    write_loop(file, pcm, coded)


def _decoded(spec: LoopSpec, progress: Callable[[], object]) -> NDArray[np.int16]:
    """Return the file as int16[samples, channels]. Raises BadSound."""
    pieces, total = [], 0
    with SoundFile(Path(spec.path), spec.channels) as sound:
        for piece in _watched(sound.pieces(), progress):
            pieces.append(piece)
            total += len(piece)
            if total > MAX_SECONDS * SAMPLE_RATE:
                raise BadSound(TOO_LONG)
    if total < MIN_SECONDS * SAMPLE_RATE:
        raise BadSound(TOO_SHORT)
    return np.concatenate(pieces)


def _collected(
    frames: Iterator[NDArray[np.int16]], shape: tuple[int, int, int]
) -> NDArray[np.int16]:
    whole = np.empty(shape, np.int16)
    for index, frame in enumerate(frames):
        whole[index] = frame
    return whole


def _coded(pcm: NDArray[np.int16], bit_rate: int, channels: int) -> Iterator[bytes]:
    """Return the frames, of which the last is followed by the first."""
    encoder = AacEncoder(bit_rate, channels)
    for index in range(-_LEAD_FRAMES, len(pcm) + LOOKAHEAD_FRAMES):
        packet = encoder.encode(pcm[index % len(pcm)])
        if index >= LOOKAHEAD_FRAMES:
            yield packet


def _watched(pieces: Iterator[Piece], progress: Callable[[], object]) -> Iterator[Piece]:
    for piece in pieces:
        progress()
        yield piece
