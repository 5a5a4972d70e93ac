"""A recording's mix as one AAC file that players, and HLS by byte ranges, can be given."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from hls.codec import codec
from hls.core.fmp4 import media_segment
from hls.core.timeline import AAC_SAMPLES, LOOKAHEAD_FRAMES, SAMPLE_RATE
from hls.decoder import SoundFile
from hls.encoder import GatedEncoder
from hls.recording.core.manifest import FileKind, Manifest
from hls.upload.core.playlists import file_playlist

MEDIA_NAME: Final = "listen.mp4"
PLAYLIST_NAME: Final = "listen.m3u8"
BIT_RATE: Final = 128_000
PIECE_FRAMES: Final = 282  # 6 s and 16 ms: what HLS's authors advise
MOST_S: Final = 172_800  # two days; a manifest of more is damaged


@dataclass(frozen=True, slots=True)
class _Mix:
    path: Path
    offset_s: float


def make_listening_copy(folder: Path, manifest: Manifest, copy: Path) -> str | None:
    """Write the mix of a recording in `folder` to `copy`, and return its playlist.

    Takes stand where the manifest says, with silence between. None if there is no mix that can be
    read. Memory does not grow with the length. Raises OSError, BadSound, EncoderLost.
    """
    mixes = [
        _Mix(folder / file.path, file.offset_s)
        for file in sorted(manifest.files, key=lambda one: one.offset_s)
        if file.kind is FileKind.MIX and file.offset_s < MOST_S and (folder / file.path).is_file()
    ]
    if not mixes:
        return None
    head = codec(BIT_RATE, 1).init
    with copy.open("wb") as file:
        file.write(head)
        pieces = list(_write_pieces(file, _frames(_sounding(mixes))))
    return file_playlist(MEDIA_NAME, len(head), pieces, manifest.began_unix_s)


def _write_pieces(file: BinaryIO, frames: Iterator[bytes]) -> Iterator[tuple[int, int]]:
    waiting: list[bytes] = []
    done = 0
    for frame in frames:
        waiting.append(frame)
        if len(waiting) == PIECE_FRAMES:
            yield _write_piece(file, done, waiting)
            done += len(waiting)
            waiting = []
    if waiting:
        yield _write_piece(file, done, waiting)


def _write_piece(file: BinaryIO, done: int, frames: list[bytes]) -> tuple[int, int]:
    return file.write(media_segment(done // PIECE_FRAMES + 1, done * AAC_SAMPLES, frames)), len(
        frames
    )


def _frames(sounding: Iterator[tuple[int, NDArray[np.int16]]]) -> Iterator[bytes]:
    """Yield every frame from the first on, silent ones too."""
    silent, encoder, at, end = codec(BIT_RATE, 1).silent_frame, GatedEncoder(BIT_RATE, 1), 0, 0
    for index, samples in sounding:
        end = index + 1
        for place, frame in encoder.push(index, samples):
            yield from _up_to(at, place, silent)
            if place >= at:
                yield frame
                at = place + 1
    for place, frame in encoder.advance(end + LOOKAHEAD_FRAMES):
        if at <= place < end:
            yield from _up_to(at, place, silent)
            yield frame
            at = place + 1
    yield from _up_to(at, end, silent)


def _up_to(at: int, place: int, silent: bytes) -> Iterator[bytes]:
    for _ in range(at, place):
        yield silent


def _sounding(mixes: list[_Mix]) -> Iterator[tuple[int, NDArray[np.int16]]]:
    """Yield frames of 1024 samples with their index, ascending; those between are silent."""
    index, held = 0, np.zeros(0, np.int16)
    for mix in mixes:
        begin = round(mix.offset_s * SAMPLE_RATE)
        if len(held) and begin // AAC_SAMPLES > index:
            yield index, _padded(held)
            index, held = index + 1, np.zeros(0, np.int16)
        index = max(index, begin // AAC_SAMPLES)
        lead = begin - index * AAC_SAMPLES - len(held)
        held = np.concatenate((held, np.zeros(max(0, lead), np.int16)))
        with SoundFile(mix.path) as sound:
            for frame in sound:
                held = np.concatenate((held, frame))
                while len(held) >= AAC_SAMPLES:
                    yield index, held[:AAC_SAMPLES]
                    index, held = index + 1, held[AAC_SAMPLES:]
    if len(held):
        yield index, _padded(held)


def _padded(held: NDArray[np.int16]) -> NDArray[np.int16]:
    return np.concatenate((held, np.zeros(AAC_SAMPLES - len(held), np.int16)))
