"""A listener's ear: keeps what arrived, then turns it into sound the way a good receiver would.

It waits as long as it is told to (its patience is not what is measured), plays each packet in its
place, fills holes from RED (RFC 2198), then from in-band FEC, then by libopus's concealment.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bench.crowd import PAYLOAD_TYPE, RED_PAYLOAD_TYPE
from bench.material import Pcm
from mixer.opus import Decoder, OpusError
from mixer.types import FRAME_SAMPLES, SAMPLE_RATE, TICK_S


@dataclass(slots=True)
class Ear:
    """`kept` are the packets that a bad way lets through, by number, and how late; None = all."""

    kept: Mapping[int, float] | None = None
    packets: list[tuple[float, bytes]] = field(default_factory=list)
    _first: int | None = None

    def __call__(self, arrival_s: float, packet: bytes) -> bool:
        """See `crowd.Ear`."""
        sequence = int.from_bytes(packet[2:4], "big")
        if self._first is None:
            self._first = sequence
        number = (sequence - self._first) & 0xFFFF
        late_s: float | None = 0.0
        if self.kept is not None and number < 0x8000:
            late_s = self.kept.get(number)
        if late_s is None:
            return False
        self.packets.append((arrival_s + late_s, packet))
        return True


@dataclass(frozen=True, slots=True)
class Heard:
    """Sound by media time. `arrivals_s[k]` is when frame k came (NaN: it did not)."""

    pcm: Pcm
    arrivals_s: NDArray[np.float64]

    @property
    def origin_s(self) -> float:
        """When frame 0 would have come at the usual pace (monotonic)."""
        steps = self.arrivals_s - np.arange(len(self.arrivals_s)) * TICK_S
        return float(np.nanmedian(steps))


def hear(packets: list[tuple[float, bytes]], *, patience_s: float | None = None) -> Heard:
    """Decode a stream (one SSRC, 20 ms packets).

    What comes later than the fastest packet's pace and the patience is lost; None: nothing is.
    """
    if patience_s is not None and packets:
        paces = [arrival - _media_s(packet, packets[0][1]) for arrival, packet in packets]
        last = min(paces) + patience_s
        packets = [one for one, pace in zip(packets, paces, strict=True) if pace <= last]
    primary, redundant, arrivals, sequences = _sort(packets)
    if not primary:
        return Heard(np.zeros(0, np.int16), np.zeros(0))
    count = max(primary) + 1
    decoder = Decoder()
    arrived = np.full(count, np.nan)
    frames = []
    last_slot, last_sequence = min(primary), sequences[min(primary)]
    following = sorted(primary)
    upcoming = 0
    for slot in range(count):
        while upcoming < len(following) and following[upcoming] <= slot:
            upcoming += 1
        payload = primary.get(slot) or redundant.get(slot)
        if payload is not None:
            frames.append(_decode(decoder, payload))
            arrived[slot] = arrivals.get(slot, np.nan)
            if slot in primary:
                last_slot, last_sequence = slot, sequences[slot]
            continue
        after = following[upcoming] if upcoming < len(following) else None
        lost = after is not None and sequences[after] - last_sequence >= after - last_slot
        if not lost or after is None:
            frames.append(np.zeros(FRAME_SAMPLES, np.int16))
        elif after == slot + 1:
            frames.append(decoder.decode_fec(primary[after]))
        else:
            frames.append(decoder.conceal())
    return Heard(np.concatenate(frames), arrived)


def _media_s(packet: bytes, first: bytes) -> float:
    """Return a packet's media time after another's, in seconds."""
    moved = _parse(packet)[2] - _parse(first)[2]
    return ((moved + (1 << 31)) % (1 << 32) - (1 << 31)) / SAMPLE_RATE


def _decode(decoder: Decoder, payload: bytes) -> Pcm:
    try:
        pcm = decoder.decode(payload)
    except OpusError:
        return decoder.conceal()
    return np.resize(pcm, FRAME_SAMPLES) if len(pcm) != FRAME_SAMPLES else pcm


def _sort(
    packets: list[tuple[float, bytes]],
) -> tuple[dict[int, bytes], dict[int, bytes], dict[int, float], dict[int, int]]:
    """Return payloads and redundant payloads by slot, arrivals and sequence numbers by slot."""
    primary: dict[int, bytes] = {}
    redundant: dict[int, bytes] = {}
    arrivals: dict[int, float] = {}
    sequences: dict[int, int] = {}
    first: tuple[int, int] | None = None
    for arrival_s, packet in packets:
        kind, sequence, timestamp, payload = _parse(packet)
        if first is None:
            first = (sequence, timestamp)
        moved = (timestamp - first[1] + (1 << 31)) % (1 << 32) - (1 << 31)
        slot = round(moved / FRAME_SAMPLES)
        if slot < 0 or kind not in (PAYLOAD_TYPE, RED_PAYLOAD_TYPE):
            continue
        if kind == RED_PAYLOAD_TYPE:
            payload, earlier = split_red(payload)
            for offset, body in earlier:
                if (at := slot - round(offset / FRAME_SAMPLES)) >= 0 and body:
                    redundant.setdefault(at, body)
        primary[slot] = payload
        arrivals[slot] = arrival_s
        sequences[slot] = (sequence - first[0] + (1 << 15)) % (1 << 16) - (1 << 15)
    return primary, redundant, arrivals, sequences


def _parse(packet: bytes) -> tuple[int, int, int, bytes]:
    """Return payload type, sequence number, timestamp and payload (RFC 3550 §5.1)."""
    first, second, sequence, timestamp = struct.unpack_from("!BBHI", packet)
    at = 12 + 4 * (first & 15)
    if first & 0x10:
        at += 4 + 4 * int.from_bytes(packet[at + 2 : at + 4], "big")
    end = len(packet) - (packet[-1] if first & 0x20 else 0)
    return second & 127, sequence, timestamp, packet[at:end]


def split_red(payload: bytes) -> tuple[bytes, list[tuple[int, bytes]]]:
    """Return the primary block and (timestamp offset, block) of the others (RFC 2198 §3)."""
    blocks, at = [], 0
    while at + 4 <= len(payload) and payload[at] & 0x80:
        word = int.from_bytes(payload[at : at + 4], "big")
        blocks.append((word >> 10 & 0x3FFF, word & 0x3FF))
        at += 4
    if at < len(payload) and payload[at] & 0x80:  # cut off within a header
        return b"", []
    at += 1
    earlier = []
    for offset, length in blocks:
        earlier.append((offset, payload[at : at + length]))
        at += length
    return payload[at:], earlier
