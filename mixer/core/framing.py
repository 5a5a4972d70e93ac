"""Datagrams in a byte stream: each behind its length in 16 bits (RFC 4571 §2)."""

from mixer.core.rtp import MAX_DATAGRAM

_LENGTH_BYTES = 2


def write_frame(datagram: bytes) -> bytes:
    """Return the datagram behind its length.

    Raises:
        OverflowError: it is longer than 65,535 bytes.
    """
    return len(datagram).to_bytes(_LENGTH_BYTES, "big") + datagram


class FrameReader:
    """Takes a stream apart as it comes, in whatever pieces. Holds less than one frame."""

    def __init__(self) -> None:
        self._rest = b""
        self._is_broken = False

    @property
    def is_broken(self) -> bool:
        """Whether the stream announced a frame above MAX_DATAGRAM: nothing after it is read."""
        return self._is_broken

    def push(self, data: bytes) -> list[bytes]:
        """Return the datagrams that `data` completes, without the empty ones."""
        if self._is_broken:
            return []
        stream = self._rest + data
        frames: list[bytes] = []
        at = 0
        while at + _LENGTH_BYTES <= len(stream):
            begin = at + _LENGTH_BYTES
            length = int.from_bytes(stream[at:begin], "big")
            if length > MAX_DATAGRAM:
                self._is_broken, self._rest = True, b""
                return frames
            if begin + length > len(stream):
                break
            if length:
                frames.append(stream[begin : begin + length])
            at = begin + length
        self._rest = stream[at:]
        return frames
