"""The file of a room's arrivals: all that reached the room and when, to be run again.

A file is a header (magic, version, length and JSON), then records: one byte of kind, two of
length, the body; numbers are big-endian. Times are the doubles the room was given, bit for bit.
"""

import json
import math
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, assert_never

from mixer.core.jitter import Arrival
from mixer.errors import MixerError
from mixer.types import RtpCodec

MAGIC: Final = b"Roomtone arrivals"
VERSION: Final = 1
MAX_HEADER_BYTES: Final = 4096
MAX_RECORD_BYTES: Final = 4096  # a datagram has 1,500
ROOM: Final = 0xFFFFFFFF
"""Stands for the room itself where a row of an anchor could be."""

_MAX_TIME_S: Final = 1e12
_NO_LEVEL: Final = 127  # levels are at most 0
_NAME = struct.Struct(">BH")
_SEAT = struct.Struct(">IB")
_CALL = struct.Struct(">I")
_HEARD = struct.Struct(">IHIddbB")
_TICK = struct.Struct(">Qd")
_LOST = struct.Struct(">I")
_CODECS: Final = tuple(RtpCodec)
_SILENT, _VOICE = 1, 2


class BadRecording(MixerError):  # noqa: N818 - what it is
    """The file is no recording, of a newer version, or damaged; the sentence says where."""


@dataclass(frozen=True, slots=True)
class Header:
    """What a file begins with."""

    room: str
    version: int = VERSION


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


Record = Seat | Call | Heard | Tick | Sent | Lost


def write_header(header: Header) -> bytes:
    """Return the beginning of a file."""
    text = json.dumps({"room": header.room}).encode()
    return MAGIC + _NAME.pack(VERSION, len(text)) + text


def write_record(record: Record) -> bytes:
    """Return one record as it stands in the file."""
    body: bytes
    match record:
        case Heard(row, packet, level, voice, now):
            body = (
                _HEARD.pack(
                    row,
                    packet.sequence,
                    packet.timestamp,
                    packet.arrival_s,
                    now,
                    _NO_LEVEL if level is None else level,
                    packet.silent * _SILENT | voice * _VOICE,
                )
                + packet.payload
            )
        case Tick(tick, now):
            body = _TICK.pack(tick, now)
        case Seat(row, peer, codec):
            body = _SEAT.pack(row, _CODECS.index(codec)) + peer.encode()
        case Call(row, name, args):
            body = _CALL.pack(row) + json.dumps([name, *args]).encode()
        case Sent(digest):
            body = digest
        case Lost(chunks):
            body = _LOST.pack(chunks)
        case _:
            assert_never(record)
    assert len(body) <= MAX_RECORD_BYTES, "packets and names are bounded where they come in"
    return _NAME.pack(_KINDS[type(record)], len(body)) + body


def read_header(read: Callable[[int], bytes]) -> Header:
    """Read the beginning of a file; `read(n)` returns up to n bytes. Raises BadRecording."""
    if read(len(MAGIC)) != MAGIC:
        raise BadRecording("This is no recording of a room's arrivals")
    head = read(_NAME.size)
    if len(head) < _NAME.size:
        raise BadRecording("The recording ends within its header")
    version, length = _NAME.unpack(head)
    if version != VERSION:
        raise BadRecording(f"The recording is of version {version}, this program reads {VERSION}")
    if length > MAX_HEADER_BYTES:
        raise BadRecording("The recording's header is damaged")
    try:
        return Header(str(json.loads(read(length))["room"]))
    except (ValueError, TypeError, KeyError, RecursionError):
        raise BadRecording("The recording's header is damaged") from None


def read_records(read: Callable[[int], bytes]) -> Iterator[Record]:
    """Yield the records behind the header. Raises BadRecording where the file is damaged.

    A file that ends within a record was being written when its server ended: what is whole counts.
    """
    number = 0
    while len(head := read(_NAME.size)) == _NAME.size:
        kind, length = _NAME.unpack(head)
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
    if kind == _KINDS[Sent] and len(body) == 32:
        return Sent(body)
    if kind == _KINDS[Lost]:
        return Lost(*_LOST.unpack(body))
    raise ValueError(kind)


def _parse_heard(body: bytes) -> Heard:
    row, sequence, timestamp, arrival_s, now, level, flags = _HEARD.unpack_from(body)
    if level != _NO_LEVEL and level > 0:
        raise ValueError(level)
    packet = Arrival(
        sequence=sequence,
        timestamp=timestamp,
        payload=body[_HEARD.size :],
        arrival_s=_time(arrival_s),
        silent=bool(flags & _SILENT),
    )
    return Heard(
        row, packet, None if level == _NO_LEVEL else level, bool(flags & _VOICE), _time(now)
    )


def _time(seconds: float) -> float:
    if not math.isfinite(seconds) or abs(seconds) > _MAX_TIME_S:
        raise ValueError(seconds)
    return seconds


_KINDS: Final[dict[type, int]] = {Seat: 1, Call: 2, Heard: 3, Tick: 4, Sent: 5, Lost: 6}
