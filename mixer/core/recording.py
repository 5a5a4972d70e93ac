"""The file of a room's arrivals: all that reached the room and when, to be run again.

A file is a header (magic, version, length and JSON), then records: one byte of kind, four of
length, the body; numbers are big-endian. Times are the doubles the room was given, bit for bit.
"""

import json
import math
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from mixer.core.jitter import Arrival
from mixer.errors import MixerError
from mixer.types import FRAME_SAMPLES, Int16Frame, RtpCodec

MAGIC: Final = b"Roomtone arrivals"
VERSION: Final = 1
MAX_HEADER_BYTES: Final = 4096
MAX_RECORD_BYTES: Final = 1 << 20  # a spec of thousands; a datagram has 1,500
ROOM: Final = 0xFFFFFFFF
"""Stands for the room itself where a row of an anchor could be."""

_MAX_TIME_S: Final = 1e12
_NO_LEVEL: Final = 127  # levels are at most 0
_HEAD = struct.Struct(">BH")
_KIND = struct.Struct(">BI")
_SEAT = struct.Struct(">IB")
_CALL = struct.Struct(">I")
_HEARD = struct.Struct(">IHIddbBH")
_REDUNDANT = struct.Struct(">IH")
_TICK = struct.Struct(">Qd")
_LOST = struct.Struct(">I")
_FED = struct.Struct(">BB")
_CODECS: Final = tuple(RtpCodec)
_SILENT, _VOICE = 1, 2


class BadRecording(MixerError):  # noqa: N818 - what it is
    """The file is no recording, of a newer version, or damaged; the sentence says where."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a file begins with.

    One that `is_whole` begins with a room as new; another in the middle of a call, with who was
    there and how they were mixed, and has no digests: the call's own coders knew what was before.
    """

    room: str
    version: int = VERSION
    is_whole: bool = True


@dataclass(frozen=True, slots=True)
class Seat:
    """An anchor came; from now on it is known by its row."""

    row: int
    peer: str
    codec: RtpCodec = RtpCodec.OPUS


@dataclass(frozen=True, slots=True)
class Call:
    """A method of an anchor (by its row) or of the room (ROOM) was called; `args` are JSON."""

    row: int
    name: str
    args: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Heard:
    """An anchor was given a packet at `now`; `level` is dBov or None."""

    row: int
    packet: Arrival
    level: int | None
    voice: bool
    now: float


@dataclass(frozen=True, slots=True)
class Tick:
    """The room's tick."""

    tick: int
    now: float


@dataclass(frozen=True, slots=True)
class Sent:
    """The SHA-256 of all that the room has sent so far, see `mixer.room.recorder`."""

    digest: bytes


@dataclass(frozen=True, slots=True)
class Lost:
    """So many chunks of the recording are missing here: what follows cannot be exact."""

    chunks: int


@dataclass(frozen=True, slots=True, eq=False)
class Fed:
    """A player took this frame (int16[960] or int16[960, 2]) in the tick that follows."""

    name: str
    frame: Int16Frame


Record = Seat | Call | Heard | Tick | Sent | Lost | Fed


def write_header(header: Header) -> bytes:
    """Return the beginning of a file."""
    text = json.dumps({"room": header.room, "whole": header.is_whole}).encode()
    return MAGIC + _HEAD.pack(VERSION, len(text)) + text


def write_record(record: Record) -> bytes:
    """Return one record as it stands in the file; what is too long for one is marked as lost."""
    body = _body(record)
    if len(body) > MAX_RECORD_BYTES:
        return write_record(Lost(1))
    return _KIND.pack(_KINDS[type(record)], len(body)) + body


def _body(record: Record) -> bytes:
    match record:
        case Heard():
            body = _write_heard(record)
        case Tick(tick, now):
            body = _TICK.pack(tick, now)
        case Seat(row, peer, codec):
            body = _SEAT.pack(row, _CODECS.index(codec)) + peer.encode()
        case Call(row, name, args):
            body = _CALL.pack(row) + json.dumps([name, *args]).encode()
        case Sent(digest):
            body = digest
        case Fed(name, frame):
            text = name.encode()[:255]
            body = _FED.pack(frame.ndim, len(text)) + text + frame.astype("<i2").tobytes()
        case _:
            body = _LOST.pack(record.chunks)
    return body


def _write_heard(heard: Heard) -> bytes:
    packet = heard.packet
    head = _HEARD.pack(
        heard.row,
        packet.sequence,
        packet.timestamp,
        packet.arrival_s,
        heard.now,
        _NO_LEVEL if heard.level is None else heard.level,
        packet.silent * _SILENT | heard.voice * _VOICE,
        len(packet.payload),
    )
    earlier = (_REDUNDANT.pack(ago, len(frame)) + frame for ago, frame in packet.redundancy)
    return head + packet.payload + b"".join(earlier)


def read_header(read: Callable[[int], bytes]) -> Header:
    """Read the beginning of a file; `read(n)` returns up to n bytes. Raises BadRecording."""
    if read(len(MAGIC)) != MAGIC:
        raise BadRecording("This is no recording of a room's arrivals")
    head = read(_HEAD.size)
    if len(head) < _HEAD.size:
        raise BadRecording("The recording ends within its header")
    version, length = _HEAD.unpack(head)
    if version != VERSION:
        raise BadRecording(f"The recording is of version {version}, this program reads {VERSION}")
    if length > MAX_HEADER_BYTES:
        raise BadRecording("The recording's header is damaged")
    try:
        told = json.loads(read(length))
        return Header(str(told["room"]), is_whole=bool(told.get("whole", True)))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise BadRecording("The recording's header is damaged") from None


def read_records(read: Callable[[int], bytes]) -> Iterator[Record]:
    """Yield the records behind the header. Raises BadRecording where the file is damaged.

    A file that ends within a record was being written when its server ended: what is whole counts.
    """
    number = 0
    while len(head := read(_KIND.size)) == _KIND.size:
        kind, length = _KIND.unpack(head)
        if length > MAX_RECORD_BYTES:
            raise BadRecording(f"The recording is damaged at record {number}")
        body = read(length)
        if len(body) < length:
            return
        try:
            yield _parse(kind, body)
        except (ValueError, TypeError, KeyError, IndexError, RecursionError, struct.error):
            raise BadRecording(f"The recording is damaged at record {number}") from None
        number += 1


def _parse(kind: int, body: bytes) -> Record:
    if kind == _KINDS[Heard]:
        return _parse_heard(body)
    if kind == _KINDS[Tick]:
        tick, now = _TICK.unpack(body)
        return Tick(tick, _time(now))
    if kind == _KINDS[Seat]:
        row, codec = _SEAT.unpack_from(body)
        return Seat(row, body[_SEAT.size :].decode(), _CODECS[codec])
    if kind == _KINDS[Call]:
        (row,) = _CALL.unpack_from(body)
        name, *args = json.loads(body[_CALL.size :])
        return Call(row, str(name), tuple(args))
    return _parse_rare(kind, body)


def _parse_rare(kind: int, body: bytes) -> Record:
    if kind == _KINDS[Sent] and len(body) == 32:
        return Sent(body)
    if kind == _KINDS[Lost]:
        return Lost(*_LOST.unpack(body))
    if kind == _KINDS[Fed]:
        return _parse_fed(body)
    raise ValueError(kind)


def _parse_heard(body: bytes) -> Heard:
    row, sequence, timestamp, arrival_s, now, level, flags, length = _HEARD.unpack_from(body)
    end = _HEARD.size + length
    if (level != _NO_LEVEL and level > 0) or end > len(body):
        raise ValueError(level)
    packet = Arrival(
        sequence=sequence,
        timestamp=timestamp,
        payload=body[_HEARD.size : end],
        arrival_s=_time(arrival_s),
        silent=bool(flags & _SILENT),
        redundancy=tuple(_parse_redundancy(body, end)),
    )
    return Heard(
        row, packet, None if level == _NO_LEVEL else level, bool(flags & _VOICE), _time(now)
    )


def _parse_redundancy(body: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    while at < len(body):
        earlier, length = _REDUNDANT.unpack_from(body, at)
        start = at + _REDUNDANT.size
        at = start + length
        if at > len(body):
            raise ValueError(length)
        yield earlier, body[start:at]


def _parse_fed(body: bytes) -> Fed:
    dimensions, length = _FED.unpack_from(body)
    start = _FED.size + length
    shape = {1: (FRAME_SAMPLES,), 2: (FRAME_SAMPLES, 2)}[dimensions]
    frame = np.frombuffer(body[start:], "<i2").reshape(shape).astype(np.int16)
    return Fed(body[_FED.size : start].decode(), frame)


def _time(seconds: float) -> float:
    if not math.isfinite(seconds) or abs(seconds) > _MAX_TIME_S:
        raise ValueError(seconds)
    return seconds


_KINDS: Final[dict[type, int]] = {Seat: 1, Call: 2, Heard: 3, Tick: 4, Sent: 5, Lost: 6, Fed: 7}
