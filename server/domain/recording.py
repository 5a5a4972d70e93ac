"""A recording of a room as people ask for it, from its start to its end."""

import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum, StrEnum, auto
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hls.types import MixFormat
from mixer.types import RecordTaps, RoomId
from server.domain.identity import room_id
from server.errors import BadRecord, IllegalTransition

RECORD_VERSION = 1  # of the JSON below; a reader refuses what is above it
PREFIX: Final = "/recordings/"
LONGEST_NAME: Final = 80
TEMPLATE_DEFAULT: Final = "{date}_{time}"
TEMPLATE_PATTERN: Final = r"^([A-Za-z0-9 ._-]|\{(room|name|date|time)\}){1,120}$"
NAME_PATTERN: Final = rf"^[A-Za-z0-9][A-Za-z0-9_-]{{0,{LONGEST_NAME - 1}}}$"
BY_ROOM: Final = "room"  # who asked: the room's own setting
BY_API: Final = "api"
_NAME: Final = re.compile(NAME_PATTERN[1:-1])
_FOUL: Final = re.compile(r"[^A-Za-z0-9_]+")


class RecordingState(StrEnum):
    """Where a recording is; the last two are ends."""

    RECORDING = "recording"
    PAUSED = "paused"
    STOPPING = "stopping"  # the last of it is being written
    DONE = "done"
    FAILED = "failed"


class RecordingEvent(Enum):
    """What happens to a recording."""

    PAUSE = auto()
    RESUME = auto()
    STOP = auto()
    FINISH = auto()  # everything is on the disk
    FAIL = auto()


_RUNNING: Final = (RecordingState.RECORDING, RecordingState.PAUSED)
LEGAL: Final = {
    (RecordingState.RECORDING, RecordingEvent.PAUSE): RecordingState.PAUSED,
    (RecordingState.PAUSED, RecordingEvent.RESUME): RecordingState.RECORDING,
    (RecordingState.STOPPING, RecordingEvent.STOP): RecordingState.STOPPING,
    (RecordingState.STOPPING, RecordingEvent.FINISH): RecordingState.DONE,
    (RecordingState.STOPPING, RecordingEvent.FAIL): RecordingState.FAILED,
    **{(state, RecordingEvent.STOP): RecordingState.STOPPING for state in _RUNNING},
    **{(state, RecordingEvent.FAIL): RecordingState.FAILED for state in _RUNNING},
}


class Automatic(StrEnum):
    """When a room is recorded by itself."""

    OFF = "off"
    ON_AIR = "on-air"
    WHEN_OCCUPIED = "when-occupied"

    @property
    def is_on(self) -> bool:
        """It is, now and then."""
        return self is not Automatic.OFF

    def wants(self, *, is_on_air: bool, is_occupied: bool) -> bool:
        """Whether a room is to be recorded that listeners hear, or that somebody is in."""
        causes = {Automatic.ON_AIR: is_on_air, Automatic.WHEN_OCCUPIED: is_occupied}
        return causes.get(self, False)


@dataclass(frozen=True, slots=True)
class What:
    """What is recorded: the mix in a format, one track for each anchor, and these exactly."""

    mix: MixFormat = MixFormat.OGG_OPUS
    tracks: bool = True
    exact: bool = False

    def taps(self) -> RecordTaps:
        """Return what the mixer hands on for it."""
        is_passed = self.mix is MixFormat.OGG_OPUS
        return RecordTaps(
            mix_packets=is_passed, mix_pcm=not is_passed, packets=self.tracks, exact=self.exact
        )


@dataclass(frozen=True, slots=True)
class Recording:
    """What was asked for, by whom (BY_ROOM, BY_API or a user id) and what became of it.

    Times are aware. `kept_s` were recorded before `running_since`, which is None while nothing is.
    `ended_by` is who stopped it, `reason` says why it failed. `is_uploaded`: it may go where the
    server uploads to, for its room did all the time.
    """

    room: RoomId
    name: str
    began_at: datetime
    what: What = What()
    by: str = BY_API
    state: RecordingState = RecordingState.RECORDING
    kept_s: float = 0.0
    running_since: datetime | None = None
    ended_at: datetime | None = None
    ended_by: str = ""
    reason: str = ""
    is_uploaded: bool = True

    @property
    def is_running(self) -> bool:
        """Whether it records, or may go on to."""
        return self.state in _RUNNING

    @property
    def is_over(self) -> bool:
        """Whether nothing of it will change any more."""
        return self.state in {RecordingState.DONE, RecordingState.FAILED}

    def recorded_s(self, now: datetime) -> float:
        """Return how long it has recorded, without its pauses."""
        if self.running_since is None:
            return self.kept_s
        return self.kept_s + max(0.0, (now - self.running_since).total_seconds())

    def happen(
        self, event: RecordingEvent, now: datetime, *, by: str = "", reason: str = ""
    ) -> Self:
        """Return it after `event`. Raises IllegalTransition."""
        after = LEGAL.get((self.state, event))
        if after is None:
            raise IllegalTransition(self.state, event)
        changed = replace(
            self,
            state=after,
            kept_s=self.recorded_s(now),
            running_since=now if after is RecordingState.RECORDING else None,
        )
        if self.is_running and not changed.is_running:
            changed = replace(changed, ended_at=now, ended_by=by)
        return replace(changed, reason=reason) if after is RecordingState.FAILED else changed

    def notice(self, now: datetime) -> dict[str, object]:
        """Return what everybody in the room may know: the params of `recording`."""
        notice: dict[str, object] = {
            "roomId": self.room,
            "name": self.name,
            "state": self.state.value,
            "seconds": round(self.recorded_s(now), 1),
        }
        return notice | ({"reason": self.reason} if self.reason else {})


def begin(room: RoomId, name: str, now: datetime, what: What, by: str) -> Recording:
    """Return a recording that begins now."""
    return Recording(room, name, now, what, by, running_since=now)


def is_name(text: str) -> bool:
    """Whether a recording, and so its folder, can be called that."""
    return _NAME.fullmatch(text) is not None


def make_name(
    template: str, room: RoomId, room_name: str, now: datetime, taken: Collection[str]
) -> str:
    """Return a name by a template of {room}, {name}, {date} and {time} that is not `taken`.

    It is one folder's and nothing else's: ASCII letters, digits, - and _, whatever is put in.
    """
    filled = template
    for mark, text in {
        "{room}": room,
        "{name}": room_name or room,
        "{date}": now.strftime("%Y-%m-%d"),
        "{time}": now.strftime("%H-%M-%S"),
    }.items():
        filled = filled.replace(mark, _plain(text))
    name = _plain(filled)[:LONGEST_NAME].strip("-_") or "recording"
    number, made = 1, name
    while made in taken:
        number += 1
        made = f"{name[: LONGEST_NAME - 8]}-{number}"
    return made


@dataclass(frozen=True, slots=True)
class Kept:
    """A recording that is over, and what it takes on the disk."""

    recording: Recording
    size: int


@dataclass(frozen=True, slots=True)
class Retention:
    """How long recordings are kept, and how much of them; None: for good, any amount."""

    age_s: float | None = None
    total_bytes: int | None = None

    def due(
        self, kept: Iterable[Kept], now: datetime, is_needed: Callable[[Recording], bool]
    ) -> Sequence[Recording]:
        """Return what is to be removed, oldest first; nothing that is needed or not over."""
        found: list[Recording] = []
        ordered = sorted(kept, key=lambda one: one.recording.began_at)
        total = sum(one.size for one in ordered)
        for one in ordered:
            recording = one.recording
            if not recording.is_over or is_needed(recording):
                continue
            ended_at = recording.ended_at or recording.began_at
            is_old = self.age_s is not None and (now - ended_at).total_seconds() >= self.age_s
            if is_old or (self.total_bytes is not None and total > self.total_bytes):
                found.append(recording)
                total -= one.size
        return found


KEEP_ALL: Final = Retention()


def _plain(text: str) -> str:
    ascii_only = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return _FOUL.sub("-", ascii_only).strip("-")


class _Stored(BaseModel):
    """`/recordings/<room>/<name>`."""

    model_config = ConfigDict(strict=True)

    state: Annotated[RecordingState, Field(strict=False)]
    began_at: Annotated[datetime, Field(strict=False)]
    mix: Annotated[MixFormat, Field(strict=False)]
    tracks: bool
    exact: bool
    by: str
    kept_s: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    running_since: Annotated[datetime | None, Field(strict=False)]
    ended_at: Annotated[datetime | None, Field(strict=False)]
    ended_by: str
    reason: str
    is_uploaded: bool = True
    version: int = RECORD_VERSION


def key_of(room: RoomId, name: str) -> str:
    """Return where a recording is stored."""
    return f"{PREFIX}{room}/{name}"


def encode_recording(one: Recording) -> bytes:
    """Return the JSON that is stored."""
    return (
        _Stored(
            state=one.state,
            began_at=one.began_at,
            mix=one.what.mix,
            tracks=one.what.tracks,
            exact=one.what.exact,
            by=one.by,
            kept_s=one.kept_s,
            running_since=one.running_since,
            ended_at=one.ended_at,
            ended_by=one.ended_by,
            reason=one.reason,
            is_uploaded=one.is_uploaded,
        )
        .model_dump_json()
        .encode()
    )


def decode_recording(key: str, value: bytes) -> Recording:
    """Read what `encode_recording` wrote at `key`. Raises BadRecord."""
    room, _, name = key.removeprefix(PREFIX).partition("/")
    if room_id(room) is None or not is_name(name):
        raise BadRecord(key, "that is no recording's key")
    try:
        stored = _Stored.model_validate_json(value)
    except ValidationError as error:
        raise BadRecord(key, f"{error.error_count()} wrong fields") from None
    if stored.version > RECORD_VERSION:
        raise BadRecord(key, f"it is of version {stored.version}, this server knows 1")
    times = (stored.began_at, stored.running_since, stored.ended_at)
    if any(time is not None and time.tzinfo is None for time in times):
        raise BadRecord(key, "a time has no time zone")
    return Recording(
        room=RoomId(room),
        name=name,
        began_at=stored.began_at,
        what=What(stored.mix, stored.tracks, stored.exact),
        by=stored.by,
        state=stored.state,
        kept_s=stored.kept_s,
        running_since=stored.running_since,
        ended_at=stored.ended_at,
        ended_by=stored.ended_by,
        reason=stored.reason,
        is_uploaded=stored.is_uploaded,
    )
