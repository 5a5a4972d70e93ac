"""Frames on a byte stream: 4 bytes of length (big-endian), 1 byte of kind, then the body."""

import struct
from dataclasses import dataclass
from enum import IntEnum

MAX_FRAME_BYTES = 16 * 1024 * 1024  # the largest whole segment is well below
_HEAD = struct.Struct(">IB")


class FrameKind(IntEnum):
    """What a frame's body is."""

    JSON = 1  # a JSON-RPC message
    AUDIO = 2  # one tick of one room (server.media.wire)
    BLOB = 3  # bytes that belong to an answer (server.media.wire)
    RECORDING = 4  # a chunk of a recording (server.media.wire)
    SOUND = 5  # frames of a sound file (server.media.wire)
    TAPPED = 6  # what a recorded room made of one tick (server.media.tapped)


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame as it was read."""

    kind: FrameKind
    body: bytes


class FrameError(Exception):
    """The stream holds no frames, or too long ones; nothing after it can be read."""


def frame_head(kind: FrameKind, length_bytes: int) -> bytes:
    """Return what goes before a body of that length. Raises FrameError if it is too long."""
    if length_bytes > MAX_FRAME_BYTES:
        raise FrameError(f"a frame of {length_bytes} bytes is longer than {MAX_FRAME_BYTES}")
    return _HEAD.pack(length_bytes, kind)


class FrameReader:
    """Cuts a stream into frames; keeps at most one unfinished frame."""

    def __init__(self, *, max_bytes: int = MAX_FRAME_BYTES) -> None:
        self._max_bytes = max_bytes
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that are complete with `data`. Raises FrameError, then is of no use."""
        self._rest += data
        frames: list[Frame] = []
        at = 0
        with memoryview(self._rest) as view:
            while (end := self._end_of_frame(at)) is not None:
                frames.append(Frame(FrameKind(view[at + 4]), bytes(view[at + _HEAD.size : end])))
                at = end
        del self._rest[:at]
        return frames

    def _end_of_frame(self, at: int) -> int | None:
        """Check the head at `at` as soon as it is there; None while the frame is incomplete."""
        if len(self._rest) - at < _HEAD.size:
            return None
        length_bytes, kind = _HEAD.unpack_from(self._rest, at)
        if length_bytes > self._max_bytes:
            raise FrameError(f"a frame of {length_bytes} bytes is longer than {self._max_bytes}")
        if kind not in _KINDS:
            raise FrameError(f"there is no frame of kind {kind}")
        end: int = at + _HEAD.size + length_bytes
        return end if end <= len(self._rest) else None


_KINDS = frozenset(FrameKind)
