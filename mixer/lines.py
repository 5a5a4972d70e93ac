"""The plain RTP of all rooms: participants are anchors, forwarders anchors that only hear."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from mixer.core.jitter import Arrival
from mixer.core.level import SILENCE_DBOV
from mixer.room.anchor import Anchor
from mixer.room.room import Room
from mixer.rtc.plain import PlainPort
from mixer.rtc.plain_streams import Participant, Stream
from mixer.rtc.sockets import BlockSocket
from mixer.types import (
    FORWARDER,
    PLAIN_ROWS,
    AnchorSpec,
    Emit,
    ForwarderSpec,
    Outgoing,
    PeerChanged,
    PeerId,
    PeerState,
    PeerStatistics,
    RoomId,
    RoomSpec,
    RtpCodec,
    RtpParticipantSpec,
    SentStatistics,
    TransportStatistics,
)

MakeAnchor = Callable[[PeerId, int, RtpCodec], Anchor]


class Seated(Protocol):
    """A room of the engine, in which somebody is."""

    @property
    def spec(self) -> RoomSpec:
        """How the room should be."""

    @property
    def room(self) -> Room:
        """Its audio."""

    @property
    def make_anchor(self) -> MakeAnchor:
        """What its anchors are made by."""


@dataclass(eq=False, slots=True)
class _Lines:
    """What one room has here, by the specs it was made from."""

    room: Room
    forwarders: dict[str, tuple[ForwarderSpec, int]] = field(default_factory=dict)
    participants: dict[PeerId, tuple[RtpParticipantSpec, int]] = field(default_factory=dict)


def keep_occupied(spec: RoomSpec) -> bool:
    """Whether a room is to be ticked though nobody is connected by WebRTC."""
    return bool(spec.rtp) or any(one.always_on for one in spec.forwarders)


def with_lines(spec: RoomSpec) -> RoomSpec:
    """Return the spec with an anchor for each participant and forwarder: what the mixes go by."""
    people = [AnchorSpec(one.peer, one.muted, one.gain_db, one.pan) for one in spec.rtp]
    ears = [
        AnchorSpec(_forwarder_peer(one.id), hears={one.bus: 0.0}, speaks=())
        for one in spec.forwarders
    ]
    return replace(spec, anchors=(*spec.anchors, *people, *ears))


class Lines:
    """Brings rooms' plain RTP to what their specs say, and carries packets to and fro."""

    def __init__(
        self,
        participants: BlockSocket,
        forwarders: BlockSocket,
        *,
        emit: Emit,
        clock: Callable[[], float],
        rtcp: BlockSocket | None = None,
    ) -> None:
        self.port = PlainPort(participants, forwarders, self, rtcp_socket=rtcp)
        self._emit = emit
        self._clock = clock
        self._rooms: dict[RoomId, _Lines] = {}
        self._anchors: dict[int, tuple[Room, Anchor]] = {}  # participants, by row

    def apply(self, seat: Seated) -> None:
        """Make a room's plain RTP what its spec says."""
        spec, room = seat.spec, seat.room
        lines = self._rooms.setdefault(spec.room, _Lines(room))
        assert lines.room is room, "a room that ended was cleared"
        forwarders = {one.id: one for one in spec.forwarders}
        for name, (old, row) in list(lines.forwarders.items()):
            wanted = forwarders.get(name)
            if wanted is None or _codec_of(wanted) != _codec_of(old) or wanted.ssrc != old.ssrc:
                del lines.forwarders[name]
                self._remove(room, _forwarder_peer(name), row)
            elif wanted != old:
                lines.forwarders[name] = (wanted, row)
                self.port.change_forwarder(row, wanted)
        participants = {one.peer: one for one in spec.rtp}
        for peer, (known, row) in list(lines.participants.items()):
            person = participants.get(peer)
            if person is None or _codec_of(person) != _codec_of(known) or person.ssrc != known.ssrc:
                del lines.participants[peer]
                self._remove(room, peer, row)
        for person in spec.rtp:
            self._settle_participant(seat, lines, person)
        for one in spec.forwarders:
            if one.id not in lines.forwarders:
                self._add_forwarder(seat, lines, one)

    def clear(self, room: RoomId) -> None:
        """Forget what a room has here."""
        lines = self._rooms.pop(room, None)
        if lines is None:
            return
        for name, (_, row) in lines.forwarders.items():
            self._remove(lines.room, _forwarder_peer(name), row)
        for peer, (_, row) in lines.participants.items():
            self._remove(lines.room, peer, row)

    def _add_forwarder(self, seat: Seated, lines: _Lines, spec: ForwarderSpec) -> None:
        stream = self.port.add_forwarder(seat.spec.room, spec)
        if stream is not None:
            lines.forwarders[spec.id] = (spec, stream.row)
            peer = _forwarder_peer(spec.id)
            seat.room.add(seat.make_anchor(peer, stream.row, spec.codec))
            seat.room.connect(peer)

    def _settle_participant(self, seat: Seated, lines: _Lines, spec: RtpParticipantSpec) -> None:
        known = lines.participants.get(spec.peer)
        if known is None:
            made = self.port.add_participant(seat.spec.room, spec)
            if made is None:
                return
            row = made.stream.row
            anchor = seat.make_anchor(spec.peer, row, spec.codec)
            self._anchors[row] = (seat.room, anchor)
            seat.room.add(anchor)
            seat.room.connect(spec.peer)
        else:
            row = known[1]
            if known[0] != spec:
                self.port.change_participant(row, spec)
        lines.participants[spec.peer] = (spec, row)
        anchor = self._anchors[row][1]
        if anchor.is_muted != spec.muted:
            anchor.mute(spec.muted)

    def _remove(self, room: Room, peer: PeerId, row: int) -> None:
        if (known := self._anchors.pop(row, None)) is not None:
            self.port.counters.update(known[1].counters())
        self.port.remove(row)
        room.remove(peer)

    # What the port tells

    def began(self, participant: Participant) -> None:
        """See PlainListener."""
        self._anchors[participant.stream.row][1].restart()

    def arrived(self, participant: Participant, packet: Arrival, level_dbov: int | None) -> None:
        """See PlainListener."""
        room, anchor = self._anchors[participant.stream.row]
        if anchor.arrived(packet, level_dbov, self._clock()):
            room.wake(anchor)

    def changed(self, participant: Participant) -> None:
        """See PlainListener."""
        state = PeerState(participant.state)
        self._emit(PeerChanged(participant.stream.room, participant.spec.peer, state))

    # Time

    def send(self, frames: list[Outgoing], tick: int) -> list[Outgoing]:
        """Send what is plain RTP's; return what is left for the others."""
        if not self.port.streams:
            return frames
        self.port.send(frames, tick)
        left = []
        for frame in frames:
            others = frame.rows < PLAIN_ROWS
            if others.all():
                left.append(frame)
            elif others.any():
                left.append(replace(frame, rows=frame.rows[np.flatnonzero(others)]))
        return left

    def counters(self) -> dict[str, int]:
        """Return what was counted so far, by metric name."""
        counted = self.port.counters.copy()
        for _, anchor in self._anchors.values():
            counted.update(anchor.counters())
        return dict(counted)

    def peers(self, room: RoomId) -> Iterator[PeerStatistics]:
        """Yield how a room's participants and forwarders are."""
        lines = self._rooms.get(room)
        if lines is None:
            return
        for peer, (_, row) in lines.participants.items():
            yield self._describe_participant(lines.room, peer, self.port.participants[row])
        for name, (_, row) in lines.forwarders.items():
            yield self._describe_forwarder(_forwarder_peer(name), self.port.streams[row])

    def _describe_participant(self, room: Room, peer: PeerId, one: Participant) -> PeerStatistics:
        reception = one.reception
        jitter_s = 0.0 if reception is None else reception.jitter / reception.clock_hz
        return PeerStatistics(
            peer,
            one.state,
            level_dbov=room.talking.get(peer, SILENCE_DBOV),
            transport=replace(
                _transport(one.stream),
                loss_in=one.loss_in,
                jitter_in_s=jitter_s,
                bitrate_in=one.rate_in.bits_s,
            ),
            received=0 if reception is None else reception.received,
            lost=0 if reception is None else reception.lost,
            reception=self._anchors[one.stream.row][1].statistics(),
            sent=_sent(one.stream, self.port.port),
        )

    def _describe_forwarder(self, peer: PeerId, stream: Stream) -> PeerStatistics:
        return PeerStatistics(
            peer,
            PeerState.LIVE if stream.packets_out else PeerState.CONNECTING,
            transport=_transport(stream),
            sent=_sent(stream, self.port.forward_port),
        )

    def gauges(self) -> dict[str, float]:
        """Return how many there are now."""
        participants = self.port.participants
        live = sum(one.state is PeerState.LIVE for one in participants.values())
        return {
            "plain_rtp_participants": float(len(participants)),
            "plain_rtp_participants_live": float(live),
            "plain_rtp_forwarders": float(len(self.port.streams) - len(participants)),
        }


def _forwarder_peer(name: str) -> PeerId:
    return PeerId(FORWARDER + name)


def _codec_of(spec: ForwarderSpec | RtpParticipantSpec) -> tuple[RtpCodec, int]:
    return spec.codec, spec.payload_type


def _transport(stream: Stream) -> TransportStatistics:
    control = stream.control
    return TransportStatistics(
        round_trip_s=control.round_trip_s,
        loss_out=control.loss,
        jitter_out_s=control.jitter_s,
        bitrate_out=stream.rate_out.bits_s,
    )


def _sent(stream: Stream, local_port: int) -> SentStatistics:
    control = stream.control
    return SentStatistics(
        local_port, stream.packets_out, stream.octets_out, control.reports, control.lost
    )
