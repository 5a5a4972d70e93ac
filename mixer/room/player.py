"""An announcement: audio from outside, played to a room, a bus or one person."""

from collections import deque
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from mixer.core.mix import ramp
from mixer.types import FRAME_SAMPLES, Int16Frame, PeerId

PREBUFFER_FRAMES = 5  # 100 ms before it begins, and again after it ran dry: no stutter


class FrameSource(Protocol):
    """Where a player's audio comes from; asked once a tick, never waited for."""

    @property
    def is_over(self) -> bool:
        """Whether no frame is left and none will come."""

    def take_nowait(self) -> Int16Frame | None:
        """Return the next 20 ms (int16[960] or int16[960, 2]), None while there is none."""


@dataclass(frozen=True, slots=True)
class Target:
    """Who hears a player: one person, else who hears a bus, else everybody and the tap."""

    peer: PeerId | None = None
    bus: str | None = None


EVERYONE = Target()


class PlayerState(Enum):
    """Where a player is."""

    WAITING = auto()  # for enough to begin with
    PLAYING = auto()
    OVER = auto()


class Player:
    """Plays a source to its end. Where the source falls behind it fades out, waits, fades in."""

    def __init__(self, source: FrameSource) -> None:
        self.state = PlayerState.WAITING
        self.underruns = 0
        self._source = source
        self._held: deque[Int16Frame] = deque()
        self._is_stopped = False

    def stop(self) -> None:
        """Fade out within the next tick."""
        self._is_stopped = True

    def hear(self) -> Int16Frame | None:
        """Return this tick's frame, None for silence."""
        if self._is_stopped and self.state is PlayerState.WAITING:
            self.state = PlayerState.OVER
        if self.state is PlayerState.OVER:
            return None
        self._fill()
        begins = self.state is PlayerState.WAITING
        if begins and not self._begin():
            return None
        frame = self._held.popleft()
        if begins:
            frame = ramp(frame, 0.0, 1.0)
        if self._is_stopped or not self._held:
            frame = ramp(frame, 1.0, 0.0, FRAME_SAMPLES)
            self._end()
        return frame

    def _fill(self) -> None:
        """Hold one frame more than is played: the last before a gap must be known as the last."""
        while len(self._held) <= PREBUFFER_FRAMES:
            frame = self._source.take_nowait()
            if frame is None:
                return
            self._held.append(frame)

    def _begin(self) -> bool:
        if self._source.is_over and not self._held:
            self.state = PlayerState.OVER
        elif self._source.is_over or len(self._held) >= PREBUFFER_FRAMES:
            self.state = PlayerState.PLAYING
        return self.state is PlayerState.PLAYING

    def _end(self) -> None:
        if self._is_stopped or self._source.is_over:
            self.state = PlayerState.OVER
        else:
            self.state = PlayerState.WAITING
            self.underruns += 1
