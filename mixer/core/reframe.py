"""G.711 in packets of any length, cut to frames of 20 ms on one grid."""

from mixer.core.g711 import FRAME_BYTES
from mixer.core.sequence import distance, extend

Frame = tuple[int, int, bytes]
"""Sequence number (16 bit), timestamp (32 bit, 8 kHz), 160 bytes."""


class Reframer:
    """Cuts one stream. RFC 3551 lets a packet of G.711 have any number of samples.

    A frame's number follows from its time, so that what is missing leaves a gap, and what comes out
    of order has its place. A pause, in which timestamps go on and sequence numbers do not, leaves
    none. At a gap less than a frame may be lost on either side.
    """

    def __init__(self) -> None:
        self._origin: int | None = None  # the first timestamp, extended
        self._end = 0  # samples from there to the end of the packet before
        self._rest = b""  # what of it fills no frame yet
        self._wire = 0  # the highest sequence number
        self._top = 0  # where its packet ended
        self._shift = 0  # a frame's number is its place on the grid and this

    def push(self, sequence: int, timestamp: int, body: bytes) -> list[Frame]:
        """Return the frames that are whole with this packet (numbers as on the wire)."""
        if self._origin is None:
            self._origin = timestamp + (1 << 32)  # a circle up: earlier ones may still come
            self._shift, self._wire = sequence, (sequence - 1) & 0xFFFF
        at = extend(timestamp, self._origin + self._end, 32) - self._origin
        ahead = distance(sequence, self._wire)
        if at != self._end:
            if ahead == 1 and at > self._top:
                self._shift += self._top // FRAME_BYTES - -(-at // FRAME_BYTES)
            skipped = -at % FRAME_BYTES
            at, body, self._rest = at + skipped, body[skipped:], b""
        start = at - len(self._rest)
        self._end = at + len(body)
        if ahead > 0:
            self._wire, self._top = sequence, self._end
        data = self._rest + body
        whole = len(data) - len(data) % FRAME_BYTES
        self._rest = data[whole:]
        return [
            (
                (start + cut) // FRAME_BYTES + self._shift & 0xFFFF,
                (self._origin + start + cut) & 0xFFFFFFFF,
                data[cut : cut + FRAME_BYTES],
            )
            for cut in range(0, whole, FRAME_BYTES)
        ]
