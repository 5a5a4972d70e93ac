"""The rooms of an engine, and where what arrives in them is recorded."""

from collections import Counter
from dataclasses import dataclass, field

from mixer.lines import MakeAnchor
from mixer.room.anchor import Anchor
from mixer.room.recorder import ArrivalSink, Journal, Limits, RecordedRoom, Recorder
from mixer.room.room import Room
from mixer.rtc.peers import Peer
from mixer.types import AnchorSpec, ArrivalsSpec, PeerId, RoomSpec, Tap, tick_at


@dataclass(eq=False, slots=True)
class Seat:
    """A room of the control plane with what it has become here."""

    spec: RoomSpec
    room: Room
    peers: dict[PeerId, Peer] = field(default_factory=dict)
    listeners: set[PeerId] = field(default_factory=set)  # of the peers, those the spec lists not
    said: dict[PeerId, int] = field(default_factory=dict)
    make_anchor: MakeAnchor = Anchor
    journal: Journal = field(default_factory=Journal)
    wish: ArrivalsSpec | None = None  # the recording that was begun last because of one
    counted: Counter[str] = field(default_factory=Counter)  # what is in the engine's sums of it

    def admit(self, peer: PeerId, *, listener: bool) -> AnchorSpec | None:
        """Return how a person is wanted who comes to speak, or only to hear; None if not at all."""
        listed = next((anchor for anchor in self.spec.anchors if anchor.peer == peer), None)
        if not listener:
            return listed
        return AnchorSpec(peer) if self.spec.listeners and listed is None else None


@dataclass(frozen=True, slots=True)
class Recordings:
    """Where rooms' arrivals are recorded: of every room up to a size, of others when asked for.

    With a `limit_bytes` of 0 it is only when asked for.
    """

    sink: ArrivalSink
    limit_bytes: int = 0

    def begin(self, seat: Seat, tap: Tap | None, unix_now: float) -> None:
        """Record a whole call; its room is as new, or the replay could not begin where it did."""
        room, limits = seat.spec.room, Limits(self.limit_bytes)
        seat.journal.recorder = Recorder(self.sink, room, _name(seat, unix_now), limits)
        seat.room = RecordedRoom(room, tap, seat.journal)

    def heed(self, seat: Seat, *, now: float, unix_now: float) -> None:
        """Begin or end the recording that is asked for; one of every room is not touched."""
        wish, room = seat.spec.arrivals, seat.room
        if self.limit_bytes or wish == seat.wish or not isinstance(room, RecordedRoom):
            return
        seat.wish = wish
        seat.journal.end()
        left_s = 0.0 if wish is None else wish.until_unix_s - unix_now
        if wish is not None and left_s > 0:
            limits = Limits(wish.limit_bytes, tick_at(now + left_s))
            name = _name(seat, unix_now)
            room.begin(Recorder(self.sink, room.id, name, limits, is_whole=False))


def make_seat(spec: RoomSpec, tap: Tap | None, *, is_recorded: bool) -> Seat:
    """Return a seat for a room, of the kind that can be recorded or not."""
    if not is_recorded:
        return Seat(spec, Room(spec.room, tap))
    journal = Journal()
    room = RecordedRoom(spec.room, tap, journal)
    return Seat(spec, room, make_anchor=journal.make_anchor, journal=journal)


def _name(seat: Seat, unix_now: float) -> str:
    """Return what a recording that begins now is called."""
    return f"{seat.spec.room}-{int(1000 * unix_now)}"
