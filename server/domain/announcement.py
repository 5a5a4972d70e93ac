"""An announcement: a sound played into a room, from its opening to its end."""

from dataclasses import dataclass, replace
from enum import Enum, StrEnum, auto
from typing import Final, Self

from mixer.types import FRAME_SAMPLES, TICK_S, PeerId, PlayerSpec, RoomId
from server.domain.identity import user_id
from server.errors import IllegalTransition

EVERYBODY: Final = "everybody"
MAX_BUS_CHARACTERS: Final = 32
GAIN_DB: Final = (-60.0, 20.0)
FRAME_BYTES: Final = 2 * FRAME_SAMPLES


class PlayState(StrEnum):
    """Where an announcement is; the last three are ends."""

    PLAYING = "playing"
    STOPPING = "stopping"
    ENDED = "ended"
    STOPPED = "stopped"
    FAILED = "failed"


class PlayEvent(Enum):
    """What happens to an announcement."""

    STOP = auto()  # somebody wants it to stop
    OVER = auto()  # the last of it was heard
    FAIL = auto()


LEGAL: Final = {
    (PlayState.PLAYING, PlayEvent.STOP): PlayState.STOPPING,
    (PlayState.PLAYING, PlayEvent.OVER): PlayState.ENDED,
    (PlayState.PLAYING, PlayEvent.FAIL): PlayState.FAILED,
    (PlayState.STOPPING, PlayEvent.STOP): PlayState.STOPPING,
    (PlayState.STOPPING, PlayEvent.OVER): PlayState.STOPPED,
    (PlayState.STOPPING, PlayEvent.FAIL): PlayState.STOPPED,  # silent either way
}


@dataclass(frozen=True, slots=True)
class Announcement:
    """What is played where, and how far it is: `frames` of 20 ms were heard.

    `to` is EVERYBODY, a user id, or the name of a bus. `length_s` is what the file says of itself,
    None if it says nothing. `reason` says why it failed.
    """

    id: str
    room: RoomId
    name: str
    to: str = EVERYBODY
    gain_db: float = 0.0
    is_looped: bool = False
    length_s: float | None = None
    frames: int = 0
    state: PlayState = PlayState.PLAYING
    reason: str = ""

    @property
    def is_over(self) -> bool:
        """Whether nothing of it will be heard any more."""
        return self.state not in {PlayState.PLAYING, PlayState.STOPPING}

    @property
    def position_s(self) -> float:
        """How far into the file it is; within the current round of a loop."""
        played_s = self.frames * TICK_S
        if self.length_s is None or self.length_s < TICK_S:
            return played_s
        return played_s % self.length_s if self.is_looped else min(played_s, self.length_s)

    def happen(self, event: PlayEvent, reason: str = "") -> Self:
        """Return it after `event`. Raises IllegalTransition."""
        after = LEGAL.get((self.state, event))
        if after is None:
            raise IllegalTransition(self.state, event)
        return replace(self, state=after, reason=reason if after is PlayState.FAILED else "")

    def spec(self) -> PlayerSpec:
        """Return what the mixer is to play."""
        user = user_id(self.to)
        return PlayerSpec(
            name=self.id,
            peer=None if user is None else PeerId(user),
            bus=None if user is not None or self.to == EVERYBODY else self.to,
            gain_db=self.gain_db,
        )


class Lookahead:
    """What was read of a sound and not heard yet: at most a second, in whole frames.

    A player that is lost is replaced by another, which is sent all of that again.
    """

    def __init__(self, limit_frames: int = 50) -> None:
        self.taken = 0
        """Frames that players took, all of them together."""
        self._limit = limit_frames
        self._chunks: list[bytes] = []
        self._sent = 0
        """How many of the chunks."""
        self._took = 0
        """What the present player took, as last told."""
        self._part = 0
        """Frames of the first chunk that were taken."""
        self._is_ended = False
        self._is_end_sent = False

    @property
    def held(self) -> int:
        """Frames read and not taken."""
        return sum(map(len, self._chunks)) // FRAME_BYTES - self._part

    @property
    def is_done(self) -> bool:
        """Whether everything was read and taken."""
        return self._is_end_sent and not self.held

    def has_space(self, frames: int) -> bool:
        """Whether so many more may be read."""
        return self.held + frames <= self._limit

    def push(self, chunk: bytes) -> None:
        """Take what was read next; nothing is the end."""
        if chunk:
            self._chunks.append(chunk)
        else:
            self._is_ended = True

    def to_send(self) -> bytes | None:
        """Return what the player is sent next; nothing is the end, None if it has everything."""
        if self._sent < len(self._chunks):
            chunk = self._chunks[self._sent]
            # Of the first, only what the lost player did not take.
            return chunk[self._part * FRAME_BYTES :] if self._sent == 0 else chunk
        return b"" if self._is_ended and not self._is_end_sent else None

    def sent(self) -> None:
        """Note that what `to_send` returned is on its way."""
        if self._sent < len(self._chunks):
            self._sent += 1
        else:
            self._is_end_sent = True

    def take(self, frames: int) -> None:
        """Note that the present player took so many since it began."""
        new = max(0, min(frames - self._took, self.held))
        self._took, self.taken, self._part = frames, self.taken + new, self._part + new
        while self._chunks and self._part * FRAME_BYTES >= len(self._chunks[0]):
            self._part -= len(self._chunks.pop(0)) // FRAME_BYTES
            self._sent = max(0, self._sent - 1)

    def restart(self) -> None:
        """Begin to send to another player what was not taken."""
        self._sent = self._took = 0
        self._is_end_sent = False
