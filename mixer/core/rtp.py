"""The RTP plane: datagrams sorted, read and written as rows of one numpy block.

A *block* is `uint8[n, width]`, C-contiguous, one datagram per row; `lengths` is `int32[n]` and
holds what the datagrams really measured, which may be more than `width` (truncated) or nothing.
Bytes behind a row's length are left-overs of earlier datagrams and mean nothing.
"""

from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

NO_LEVEL = 1
"""Stands for "no audio level" among levels in dBov, which are never above 0."""

MAX_DATAGRAM = 1500  # an Ethernet frame; WebRTC fragments nothing, so more is not for us
MIN_WIDTH = 20  # a block must hold the fixed part of every header we look at

_FIXED = 12  # RFC 3550 §5.1, up to and without the CSRCs
_COOKIE = 0x2112A442  # RFC 8489 §5
_ONE_BYTE = 0xBEDE  # RFC 8285 §4.2
_TWO_BYTE = 0x1000  # RFC 8285 §4.3; the low four bits are the application's
_MAX_ELEMENTS = 16  # steps of a walk, padding included; browsers send about five elements

_FIELDS = [
    ("first", "u1"),
    ("second", "u1"),
    ("sequence", ">u2"),
    ("timestamp", ">u4"),
    ("ssrc", ">u4"),
    ("profile", ">u2"),
    ("words", ">u2"),
    ("element", "u1"),
    ("level", "u1"),
]
_READ = np.dtype(_FIELDS)
_WRITTEN = np.dtype([*_FIELDS, ("padding", "u2")])


class Kind(IntEnum):
    """What a datagram is."""

    JUNK = 0
    STUN = 1
    DTLS = 2
    RTP = 3
    RTCP = 4


def _kinds() -> NDArray[np.uint8]:
    kinds: NDArray[np.uint8] = np.zeros((256, 256), np.uint8)
    kinds[0:4] = Kind.STUN
    kinds[20:64] = Kind.DTLS
    kinds[128:192] = Kind.RTP
    kinds[128:192, 192:224] = Kind.RTCP
    return kinds.reshape(-1)


_BY_TWO_BYTES = _kinds()  # RFC 7983 for the first, RFC 5761 §4 for the second
# STUN's header, a DTLS record's header, RTP's fixed header, an RTCP header with its SSRC. Junk asks
# for more than a datagram may have.
_LEAST_LENGTH = np.array([MAX_DATAGRAM + 1, 20, 13, _FIXED, 8], np.int32)


# The first byte of a one-byte element that holds the level, by id; ids there end at 14.
_ELEMENT_BY_ID = np.full(256, -1, np.int16)
_ELEMENT_BY_ID[1:15] = np.arange(1, 15) << 4


def classify(block: NDArray[np.uint8], lengths: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Sort datagrams by their first bytes (RFC 7983, RFC 5761 §4); returns `Kind` as `uint8[n]`.

    Empty, tiny, truncated and oversized datagrams, STUN without its magic cookie, and whatever
    belongs to none of the four protocols are `JUNK`. `block` must be at least `MIN_WIDTH` wide.
    """
    kinds: NDArray[np.uint8] = _BY_TWO_BYTES[block[:, :2].view(">u2")[:, 0]]
    limit = min(MAX_DATAGRAM, block.shape[1])
    kinds[(lengths < _LEAST_LENGTH[kinds]) | (lengths > limit)] = Kind.JUNK
    stun = np.flatnonzero(kinds == Kind.STUN)
    if stun.size:
        cookies = block[stun, 4:8].view(">u4")[:, 0]
        kinds[stun[cookies != _COOKIE]] = Kind.JUNK
    return kinds


class Header(NamedTuple):
    """The RTP header of one packet, in the words of `Headers`."""

    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload_offset: int
    level_dbov: int
    voice: bool


class Headers(NamedTuple):
    """RTP headers of `k` rows, one array per field; where `valid` is False the rest is noise."""

    valid: NDArray[np.bool_]
    payload_type: NDArray[np.uint8]
    marker: NDArray[np.bool_]
    sequence: NDArray[np.uint16]
    timestamp: NDArray[np.uint32]
    ssrc: NDArray[np.uint32]
    payload_offset: NDArray[np.int32]
    """Where the payload begins: behind CSRCs and extension."""
    level_dbov: NDArray[np.int16]
    """RFC 6464: -127 (silence) to 0 (overload), or `NO_LEVEL`."""
    voice: NDArray[np.bool_]
    """RFC 6464's V bit; False without a level."""

    def at(self, index: int) -> Header:
        """Return one row's header in Python's own numbers, which are faster one by one."""
        return Header(
            self.payload_type.item(index),
            self.sequence.item(index),
            self.timestamp.item(index),
            self.ssrc.item(index),
            self.payload_offset.item(index),
            self.level_dbov.item(index),
            self.voice.item(index),
        )


def parse_headers(
    block: NDArray[np.uint8],
    lengths: NDArray[np.int32],
    rows: NDArray[np.intp],
    level_ids: NDArray[np.uint8],
) -> Headers:
    """Read the RTP headers of `rows` (RFC 3550 §5.1), CSRCs and extension included.

    `level_ids` is `uint8[k]`: the negotiated extension id of the audio level (RFC 6464) for each of
    `rows`, 0 for none. Header and extension of SRTP packets are in the clear, so this works before
    decryption; padding does not, see `payload`. A row is invalid if its version is not 2 or if
    CSRCs, extension or an element before the level point outside the datagram. A walk ends at the
    level, or after 16 steps as if there were none.
    """
    head = block[rows, : _READ.itemsize].view(_READ)[:, 0]
    first, second, level = head["first"], head["second"], head["level"]
    ends = lengths[rows]
    # Browsers put the level first, behind no CSRC: then there is nothing to walk.
    words = head["words"].astype(np.int32)
    offsets = 16 + 4 * words
    valid = (
        (first & 0xDF == 0x90)  # whatever its padding
        & (head["profile"] == _ONE_BYTE)
        & (head["element"] == _ELEMENT_BY_ID[level_ids])
        & (words > 0)
        & (offsets <= np.minimum(ends, block.shape[1]))
    )
    levels = -(level & 0x7F).astype(np.int16)
    voice = level >= 0x80
    if not np.logical_and.reduce(valid):
        rest = np.flatnonzero(~valid)
        other = _Others(block, rows[rest], ends[rest], level_ids[rest], first[rest])
        valid[rest], offsets[rest] = other.valid, other.payload_offset
        levels[rest], voice[rest] = other.level_dbov, other.voice
    return Headers(
        valid,
        second & np.uint8(0x7F),
        second >= 0x80,
        head["sequence"].astype(np.uint16),
        head["timestamp"].astype(np.uint32),
        head["ssrc"].astype(np.uint32),
        offsets,
        levels,
        voice,
    )


class _Others:
    """The fields of rows that do not begin with the level: CSRCs, extensions, or nothing of it."""

    def __init__(
        self,
        block: NDArray[np.uint8],
        rows: NDArray[np.intp],
        ends: NDArray[np.int32],
        level_ids: NDArray[np.uint8],
        first: NDArray[np.uint8],
    ) -> None:
        self.payload_offset = _FIXED + 4 * (first & 0x0F).astype(np.int32)
        self.valid = (first >> 6 == 2) & (ends <= block.shape[1]) & (self.payload_offset <= ends)
        self.level_dbov = np.full(rows.size, NO_LEVEL, np.int16)
        self.voice = np.zeros(rows.size, np.bool_)
        long = np.flatnonzero(self.valid & (first & 0x10 != 0))
        if long.size:
            walk = _Walk(block, rows[long], self.payload_offset[long], ends[long], level_ids[long])
            self.valid[long] = walk.valid
            self.payload_offset[long] = walk.payload_offset
            self.level_dbov[long] = walk.level_dbov
            self.voice[long] = walk.voice


class _Walk:
    """The extensions of some rows (RFC 8285), all walked one element a step."""

    def __init__(
        self,
        block: NDArray[np.uint8],
        rows: NDArray[np.intp],
        starts: NDArray[np.int32],
        ends: NDArray[np.int32],
        level_ids: NDArray[np.uint8],
    ) -> None:
        self._flat = block.reshape(-1)
        self._base = rows * block.shape[1]
        self._last = block.shape[1] - 1
        self.level_dbov = np.full(rows.size, NO_LEVEL, np.int16)
        self.voice = np.zeros(rows.size, np.bool_)
        every = np.arange(rows.size)
        profile = self._byte(every, starts) << 8 | self._byte(every, starts + 1)
        words = self._byte(every, starts + 2) << 8 | self._byte(every, starts + 3)
        self.payload_offset = (starts + 4 + 4 * words).astype(np.int32)
        # A length that was read behind the datagram is at least 0, so this covers it too.
        self.valid = self.payload_offset <= ends
        self._two_byte = profile & 0xFFF0 == _TWO_BYTE
        known = self._two_byte | (profile == _ONE_BYTE)
        self._walk(np.flatnonzero(self.valid & known & (level_ids != 0)), starts + 4, level_ids)

    def _byte(self, at: NDArray[np.intp], position: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return one byte per row; positions behind the block's edge read its last column."""
        taken: NDArray[np.uint8] = self._flat[self._base[at] + np.minimum(position, self._last)]
        return taken.astype(np.int32)

    def _walk(
        self, at: NDArray[np.intp], starts: NDArray[np.int32], level_ids: NDArray[np.uint8]
    ) -> None:
        position = starts[at]
        for _ in range(_MAX_ELEMENTS):
            inside = position < self.payload_offset[at]
            at, position = at[inside], position[inside]
            if not at.size:
                return
            two_byte = self._two_byte[at]
            tag = self._byte(at, position)
            number = np.where(two_byte, tag, tag >> 4)
            size = np.where(two_byte, self._byte(at, position + 1), (tag & 0x0F) + 1)
            data = position + np.where(two_byte, 2, 1).astype(np.int32)
            padding = tag == 0
            # RFC 8285 §4.2: a one-byte id 15, or id 0 with a length, ends the extension there.
            ended = ~two_byte & ((number == 15) | ((number == 0) & ~padding))
            after = np.where(padding, position + 1, data + size).astype(np.int32)
            outside = (after > self.payload_offset[at]) & ~ended
            self.valid[at[outside]] = False
            found = (number == level_ids[at]) & ~padding & ~outside & ~ended
            self._read(at[found & (size > 0)], data[found & (size > 0)])
            going = ~(found | outside | ended)
            at, position = at[going], after[going]

    def _read(self, at: NDArray[np.intp], data: NDArray[np.int32]) -> None:
        if at.size:
            value = self._byte(at, data)
            self.level_dbov[at] = -(value & 0x7F)
            self.voice[at] = value >= 0x80


def payload(row: NDArray[np.uint8], offset: int, length: int) -> bytes | None:
    """Return the payload of a decrypted packet of `length` bytes without its RTP padding.

    `row` is `uint8[width]`. None if the padding claims more than there is, or nothing at all
    (RFC 3550 §5.1), or if `offset` lies behind `length`. The payload may be empty.
    """
    if not _FIXED <= offset <= length <= row.size:
        return None
    padding = 0
    if row[0] & 0x20:
        padding = int(row[length - 1])
        if not 0 < padding <= length - offset:
            return None
    return row[offset : length - padding].tobytes()


def header_length(*, level: bool) -> int:
    """Return how long a header `write_headers` makes, in bytes."""
    return _WRITTEN.itemsize if level else _FIXED


def write_headers(  # noqa: PLR0913 - the fields of a header
    block: NDArray[np.uint8],
    rows: NDArray[np.intp] | slice,
    *,
    payload_type: NDArray[np.uint8] | int,
    marker: NDArray[np.bool_] | bool,
    sequence: NDArray[np.uint16],
    timestamp: NDArray[np.uint32],
    ssrc: NDArray[np.uint32],
    level_id: NDArray[np.uint8],
    level_dbov: NDArray[np.int16],
    voice: NDArray[np.bool_] | bool = False,
) -> None:
    """Write an RTP header at the front of each of `rows`; the arrays are one value per row.

    Rows that follow each other are quicker as a slice.

    A row with `level_id` 1 to 14 gets 20 bytes: an extension with one one-byte element, the audio
    level (RFC 6464, -127 to 0) and `voice` as its V bit. A row with `level_id` 0 gets 12.
    """
    levelled = level_id != 0
    head = np.empty(level_id.size, _WRITTEN)
    head["first"] = 0x80 | levelled.view(np.uint8) << 4
    head["second"] = np.left_shift(marker, 7, dtype=np.uint8) | payload_type
    head["sequence"] = sequence
    head["timestamp"] = timestamp
    head["ssrc"] = ssrc
    head["profile"] = _ONE_BYTE
    head["words"] = 1
    head["element"] = level_id << 4
    head["level"] = np.left_shift(voice, 7, dtype=np.uint8) | (-level_dbov).astype(np.uint8)
    head["padding"] = 0
    data = head.view(np.uint8).reshape(-1, _WRITTEN.itemsize)
    if np.logical_and.reduce(levelled):
        block[rows, : _WRITTEN.itemsize] = data
        return
    block[rows, :_FIXED] = data[:, :_FIXED]
    numbers = np.arange(len(block))[rows] if isinstance(rows, slice) else rows
    block[numbers[levelled], _FIXED : _WRITTEN.itemsize] = data[levelled, _FIXED:]
