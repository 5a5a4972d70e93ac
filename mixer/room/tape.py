"""What a recorded room hands on of each tick."""

from collections.abc import Iterable

from mixer.core import g711
from mixer.core.jitter import Arrival
from mixer.core.routing import Ear
from mixer.core.strip import Voiced
from mixer.room.voice import Voice
from mixer.types import (
    Int16Frame,
    PeerId,
    RecordTaps,
    RtpCodec,
    Tapped,
    TappedFrame,
    TappedPacket,
)

MAX_PACKETS = 1000  # of one tick: all of a large room, after a stall


class Tape:
    """Gathers what the taps of one recording ask for, until it is taken, once a tick."""

    def __init__(self, taps: RecordTaps) -> None:
        self.taps = taps
        self.refused = 0
        """Packets that were too many for one tick."""
        self._mix_packet = b""
        self._mix_pcm: Int16Frame | None = None
        self._packets: list[TappedPacket] = []
        self._frames: list[TappedFrame] = []
        self._streams: dict[PeerId, int] = {}
        self._sequences: dict[PeerId, int] = {}  # of each person's last packet
        self._begun = 0

    def begin(self, peer: PeerId) -> None:
        """Note that what comes from a person from here on is another stream."""
        self._begun += 1
        self._streams[peer] = self._begun
        self._sequences.pop(peer, None)

    def arrived(self, peer: PeerId, packet: Arrival, codec: RtpCodec) -> None:
        """Take a packet that goes to a jitter buffer; its redundancy only behind a gap."""
        is_opus = codec is RtpCodec.OPUS
        payload = packet.payload if is_opus else g711.unwrap(packet.payload)
        if not self.taps.packets or not payload:
            return
        if len(self._packets) >= MAX_PACKETS:
            self.refused += 1
            return
        sequence, stream = packet.sequence, self._streams.get(peer, 0)
        last = self._sequences.get(peer)
        self._sequences[peer] = sequence
        one = TappedPacket(
            peer,
            stream,
            sequence,
            packet.timestamp,
            packet.arrival_s,
            payload,
            packet.silent,
            codec,
        )
        self._packets.append(one)
        if packet.redundancy and (last is None or (sequence - last) & 0xFFFF != 1):
            self._packets += [
                one._replace(
                    timestamp=(packet.timestamp - offset) & 0xFFFFFFFF,
                    payload=copy,
                    is_copy=True,
                )
                for offset, copy in packet.redundancy
                if copy
            ]

    def heard(self, voices: Iterable[Voice], frames: Iterable[Voiced], air: Ear) -> None:
        """Take what goes into the mixes in this tick; of what is played only what `air` hears."""
        if not self.taps.exact:
            return
        for voice, frame in zip(voices, frames, strict=True):
            if voice.peer is not None:
                self._frames.append(TappedFrame(voice.peer, frame))
            elif voice.only is None and air.gain_of(None, voice.buses):
                self._frames.append(TappedFrame(None, frame))

    def mixed(self, packet: bytes, pcm: Int16Frame) -> None:
        """Take the floor's mix."""
        if self.taps.mix_packets:
            self._mix_packet = packet
        if self.taps.mix_pcm:
            self._mix_pcm = pcm

    def take(self) -> Tapped | None:
        """Return what was gathered since it was asked last, None if nothing was."""
        packets, frames, packet, pcm = self._packets, self._frames, self._mix_packet, self._mix_pcm
        if not (packets or frames or packet or pcm is not None):
            return None
        self._packets, self._frames, self._mix_packet, self._mix_pcm = [], [], b"", None
        return Tapped(packet, pcm, packets, frames)
