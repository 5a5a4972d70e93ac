"""What a recorded room made of one tick, on its way from a mixer to the broadcast process."""

import struct
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from hls.recording.core.heard import Codec, Heard, HeardFrame, HeardPacket
from mixer.types import FRAME_SAMPLES, SAMPLE_RATE, RoomId, RtpCodec, Tapped, TappedPacket
from server.media.wire import WireError
from server.rpc.framing import FrameKind

MAX_RECORDS = 4096  # of one tick
MAX_PACKET_BYTES = 8192  # above what fits into a datagram

_HEAD = struct.Struct(">QB")  # tick, length of the room's name
_RECORD = struct.Struct(">BBI")  # kind, length of the person's name, length of the rest
_PACKET = struct.Struct(">IHIqBB")  # stream, sequence, timestamp, arrival (samples), flags, codec
_SOUND = struct.Struct(">BB")  # channels, bytes of a sample
_MIX_PACKET, _MIX_SOUND, _PEER_PACKET, _PEER_SOUND, _PLAYED = range(1, 6)
_SILENT, _COPY = 1, 2
_MAX_ROOM_BYTES, _MAX_PEER_BYTES = 64, 255
_CODECS = {RtpCodec.OPUS: Codec.OPUS, RtpCodec.PCMU: Codec.PCMU, RtpCodec.PCMA: Codec.PCMA}

Sound = NDArray[np.int16] | NDArray[np.int32]


def tapped_body(room: RoomId, tick: int, tapped: Tapped) -> bytes:
    """Return a TAPPED frame's body; room and people have at most 64 and 255 bytes."""
    name = room.encode()
    parts = [_HEAD.pack(tick, len(name)), name]
    if tapped.mix_packet:
        parts += _record(_MIX_PACKET, "", tapped.mix_packet)
    if tapped.mix_pcm is not None:
        parts += _record(_MIX_SOUND, "", _sound(tapped.mix_pcm))
    for packet in tapped.packets:
        parts += _record(_PEER_PACKET, packet.peer, _packet(packet))
    for frame in tapped.frames:
        kind = _PLAYED if frame.peer is None else _PEER_SOUND
        parts += _record(kind, frame.peer or "", _sound(frame.pcm))
    return b"".join(parts)


def _record(kind: int, peer: str, body: bytes) -> tuple[bytes, bytes, bytes]:
    name = peer.encode()
    return _RECORD.pack(kind, len(name), len(body)), name, body


def _packet(packet: TappedPacket) -> bytes:
    flags = _SILENT * packet.is_silent + _COPY * packet.is_copy
    arrival = round(packet.arrival_s * SAMPLE_RATE)
    codec = _CODECS[packet.codec].value
    head = (packet.stream, packet.sequence, packet.timestamp, arrival, flags, codec)
    return _PACKET.pack(*head) + packet.payload


def _sound(pcm: Sound) -> bytes:
    width = pcm.dtype.itemsize
    return _SOUND.pack(pcm.size // FRAME_SAMPLES, width) + pcm.astype(f"<i{width}").tobytes()


def read_tapped(kind: FrameKind, body: bytes) -> tuple[RoomId, Heard]:
    """Read a TAPPED frame. Raises WireError."""
    if kind is not FrameKind.TAPPED:
        raise WireError(f"{kind.name} is nothing tapped")
    try:
        tick, length = _HEAD.unpack_from(body)
        end = _HEAD.size + length
        room = body[_HEAD.size : end].decode()
        if not 0 < length <= min(_MAX_ROOM_BYTES, len(body) - _HEAD.size):
            raise WireError(f"{length} bytes are no room's name")
        return RoomId(room), _heard(tick, _records(body, end))
    except (struct.error, UnicodeDecodeError, ValueError) as error:
        raise WireError(f"{len(body)} bytes are nothing tapped: {error}") from None


def _records(body: bytes, at: int) -> Iterator[tuple[int, str, bytes]]:
    for _ in range(MAX_RECORDS):
        if at == len(body):
            return
        kind, name_length, length = _RECORD.unpack_from(body, at)
        start = at + _RECORD.size + name_length
        at = start + length
        if at > len(body):
            raise ValueError("a record is cut off")
        yield kind, body[start - name_length : start].decode(), body[start:at]
    raise ValueError("more than anybody records in a tick")


def _heard(tick: int, records: Iterator[tuple[int, str, bytes]]) -> Heard:
    heard = Heard(tick)
    for kind, peer, body in records:
        if kind == _MIX_PACKET and 0 < len(body) <= MAX_PACKET_BYTES:
            heard.mix_packet = body
        elif kind == _MIX_SOUND:
            heard.mix_pcm = _read_sound(body)
        elif kind == _PEER_PACKET:
            heard.packets.append(_read_packet(peer, body))
        elif kind == _PEER_SOUND and peer:
            heard.frames.append(HeardFrame(peer, _read_sound(body)))
        elif kind == _PLAYED:
            heard.frames.append(HeardFrame("", _read_sound(body)))
        else:
            raise ValueError(f"a record of kind {kind}")
    return heard


def _read_packet(peer: str, body: bytes) -> HeardPacket:
    stream, sequence, timestamp, arrival, flags, codec = _PACKET.unpack_from(body)
    payload = body[_PACKET.size :]
    if not peer or not 0 < len(payload) <= MAX_PACKET_BYTES:
        raise ValueError("nobody's packet, or none")
    return HeardPacket(
        peer=peer,
        stream=stream,
        sequence=sequence,
        timestamp=timestamp,
        arrival=arrival,
        payload=payload,
        is_silent=bool(flags & _SILENT),
        is_copy=bool(flags & _COPY),
        codec=Codec(codec),
    )


def _read_sound(body: bytes) -> Sound:
    channels, width = _SOUND.unpack_from(body)
    if channels not in {1, 2} or width not in {2, 4}:
        raise ValueError("no sound")
    if len(body) != _SOUND.size + channels * width * FRAME_SAMPLES:
        raise ValueError("not 20 ms of sound")
    pcm: Sound = np.frombuffer(body, f"<i{width}", offset=_SOUND.size)
    return pcm.reshape(FRAME_SAMPLES, channels)
