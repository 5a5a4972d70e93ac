"""The players of all rooms: fed from outside, they say now and then how far they are."""

from dataclasses import dataclass

from mixer.core.frame_ring import FrameRing
from mixer.room.player import Target
from mixer.room.room import Room
from mixer.types import Emit, Int16Frame, Played, PlayerSpec, RoomId

REPORT_EVERY_TICKS = 10  # 200 ms: whoever feeds holds the ring of a second full by that


class _Source:
    """A ring that counts what was taken out of it."""

    def __init__(self) -> None:
        self.ring = FrameRing()
        self.taken = 0

    @property
    def is_over(self) -> bool:
        """See FrameSource."""
        return self.ring.is_over

    def take_nowait(self) -> Int16Frame | None:
        """See FrameSource."""
        frame = self.ring.take_nowait()
        self.taken += frame is not None
        return frame


@dataclass(eq=False, slots=True)
class _Player:
    room: Room
    source: _Source
    said: int = -1
    """Frames taken, as last told."""


class Players:
    """What is played, by room and name. A player holds a second at most, and never waits."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._players: dict[tuple[RoomId, str], _Player] = {}

    def __len__(self) -> int:
        return len(self._players)

    def are_in(self, room: RoomId) -> bool:
        """Whether anything is played in a room."""
        return any(where == room for where, _ in self._players)

    def play(self, room: Room, spec: PlayerSpec) -> None:
        """Play what will be fed. Raises ClientMistake, NoCapacity (see Room.play)."""
        source = _Source()
        room.play(spec.name, source, to=Target(spec.peer, spec.bus), gain_db=spec.gain_db)
        self._players[room.id, spec.name] = _Player(room, source)

    def feed(self, room: RoomId, name: str, pcm: Int16Frame) -> None:
        """Take the next frames, int16[n, 960]; n = 0 says that none come after.

        What finds no place is dropped; nothing happens where nothing of that name is played.
        """
        player = self._players.get((room, name))
        if player is None:
            return
        for frame in pcm:
            player.source.ring.push(frame)
        if not len(pcm):
            player.source.ring.close()

    def stop(self, room: RoomId, name: str) -> None:
        """Fade out what is played under that name, if anything is."""
        player = self._players.get((room, name))
        if player is not None:
            player.room.stop(name)

    def set_volume(self, room: RoomId, name: str, gain_db: float) -> None:
        """Set a gain, if anything of that name is played. Raises ClientMistake, `bad_gain`."""
        player = self._players.get((room, name))
        if player is not None:
            player.room.set_volume(name, gain_db)

    def forget(self, room: RoomId) -> None:
        """The room is gone, and nobody is told of its players."""
        for key in [key for key in self._players if key[0] == room]:
            del self._players[key]

    def report(self) -> list[RoomId]:
        """Tell of every player that has moved; return the rooms in which one is over."""
        ended = []
        for (room, name), player in list(self._players.items()):
            is_over = not player.room.is_playing(name)
            if is_over:
                del self._players[room, name]
                ended.append(room)
            if is_over or player.source.taken != player.said:
                player.said = player.source.taken
                self._emit(Played(room, name, player.said, is_over))
        return ended
