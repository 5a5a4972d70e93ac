"""Captions on their way from a service that makes them to those who listen."""

import math
from dataclasses import dataclass
from typing import Final

from hls.core.timeline import Timeline
from hls.types import Caption, CaptionFate
from mixer.types import RoomId
from server.domain.bucket import Buckets
from server.domain.captions import A_MINUTE, MOST_EARLY_S, MOST_LATE_S, Said, found_in
from server.errors import BadInput, FieldMistake, NotReady, TooFast, TooMany
from server.ports import BroadcastPlane
from server.services.clock import Clock
from server.services.readers import Readers
from server.services.rooms import Rooms

_MS: Final = 1000
_NOT_HEARD: Final = "This room is neither broadcast nor recorded, and nobody in it reads along"


@dataclass(frozen=True, slots=True)
class Shown:
    """A caption that is seen; if it is late, listeners who are near the edge see it later."""

    caption: Caption
    is_late: bool


class Captions:
    """Hands captions to the broadcast plane and those in the room; nothing is kept here."""

    def __init__(
        self, rooms: Rooms, broadcast: BroadcastPlane, readers: Readers, clock: Clock
    ) -> None:
        self.readers = readers
        self._rooms = rooms
        self._broadcast = broadcast
        self._clock = clock
        self._buckets = Buckets(A_MINUTE)

    def check(self, room_id: RoomId, language: str) -> str:
        """Return a language as the room has it. Raises RoomNotFound, BadInput if it has it not."""
        found = found_in(self._rooms.get(room_id).air.captions, language)
        if found is None:
            raise _mistake("Language", "this room is not captioned in that language")
        return found

    async def say(self, room_id: RoomId, said: Said) -> Shown:
        """Show a caption at its time, on the clock of the stream's dates, and have it recorded.

        Where there is no stream that is the clock of this machine.

        Raises:
            RoomNotFound: there is no such room.
            BadInput: the room is not captioned in that language, or it is too late or too early.
            NotReady: the room is neither on air nor recorded, and nobody in it reads along.
            TooFast: too many come in that language.
            TooMany: too many are to be shown at that time.
            PlaneUnavailable: the broadcast plane is away.
        """
        language = self.check(room_id, said.language)
        spec = self._broadcast.captioned(room_id)
        is_read = self.readers.are_in(room_id, language)
        if spec is None and not is_read:
            raise NotReady(_NOT_HEARD)
        now_unix_s = self._clock.unix()
        if spec is not None:
            timeline = Timeline(spec.base_tick, spec.base_unix_s)
            now_unix_s = timeline.unix_s_at(self._clock.tick())
        start = _start(said, now_unix_s)
        wait_s = self._buckets.take(f"{room_id}/{language}", self._clock.monotonic())
        if wait_s:
            raise TooFast(math.ceil(_MS * wait_s))
        caption = Caption(language, said.text, start, start + said.duration_s)
        fate = await self._broadcast.caption(room_id, caption)
        if fate is CaptionFate.FULL:
            raise TooMany("Too many captions are shown at that time")
        self.readers.tell(room_id, caption, start - now_unix_s)
        if fate is CaptionFate.UNKNOWN and not is_read:  # that is over, or begins in a moment
            raise NotReady(_NOT_HEARD)
        return Shown(caption, fate is CaptionFate.LATE)


def _start(said: Said, now_unix_s: float) -> float:
    """Return when it is shown. Raises BadInput."""
    field = "OffsetMs" if said.starts_unix_s is None else "StartsAt"
    start = now_unix_s + said.offset_s if said.starts_unix_s is None else said.starts_unix_s
    if start < now_unix_s - MOST_LATE_S:
        raise _mistake(field, f"that was more than {MOST_LATE_S:g} s ago")
    if start > now_unix_s + MOST_EARLY_S:
        raise _mistake(field, f"that is more than {MOST_EARLY_S:g} s ahead")
    return start


def _mistake(field: str, sentence: str) -> BadInput:
    return BadInput(sentence.capitalize(), (FieldMistake(field, sentence),))
