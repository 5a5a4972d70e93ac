"""The plain RTP of all rooms: participants are anchors, forwarders anchors that only hear."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from mixer.core.jitter import Arrival
from mixer.room.anchor import Anchor
from mixer.room.room import Room
from mixer.rtc.plain import Participant, PlainPort
from mixer.rtc.sockets import BlockSocket
from mixer.types import (
    PLAIN_ROWS,
    AnchorSpec,
    Emit,
    ForwarderSpec,
    Outgoing,
    PeerChanged,
    PeerId,
    PeerState,
    RoomId,
    RoomSpec,
    RtpCodec,
    RtpParticipantSpec,
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
    people = [AnchorSpec(one.peer, one.muted) for one in spec.rtp]
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
    ) -> None:
        self.port = PlainPort(participants, forwarders, self)
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
            if forwarders.get(name) != old:
                del lines.forwarders[name]
                self._remove(room, _forwarder_peer(name), row)
        participants = {one.peer: one for one in spec.rtp}
        for peer, (known, row) in list(lines.participants.items()):
            wanted = participants.get(peer)
            if wanted is None or replace(wanted, muted=known.muted) != known:
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
    return PeerId(f"forwarder:{name}")
