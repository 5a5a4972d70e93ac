"""What a recording says of itself: the content of its `manifest.json`."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from hls.types import MixFormat, RecordingFailure, RecordingState

FORMAT = "roomtone-recording"
VERSION = 1
FILE_NAME = "manifest.json"


class BadManifest(Exception):  # noqa: N818 - named after who must react: whoever reads it
    """A text that is no manifest of a recording."""


class FileKind(StrEnum):
    """What a file of a recording holds."""

    MIX = "mix"
    TRACK = "track"  # somebody's packets
    EXACT = "exact"  # somebody's samples as they went into the mix
    CAPTIONS = "captions"  # what is said in the mix, to be read


class EventKind(StrEnum):
    """What happened in a recorded room."""

    JOINED = "joined"
    LEFT = "left"
    MUTED = "muted"
    UNMUTED = "unmuted"
    RENAMED = "renamed"
    PAUSED = "paused"
    RESUMED = "resumed"
    TAKE = "take"  # another take begins
    LOST = "lost"  # the disk was too slow: something is missing from here on


class TakeEnd(StrEnum):
    """How a take ended."""

    OPEN = "open"  # not yet
    STOPPED = "stopped"
    FAILED = "failed"
    INTERRUPTED = "interrupted"  # its process died


@dataclass(slots=True)
class Person:
    """Somebody who was in the room: `number` is in the names of their files."""

    number: int
    peer: str
    name: str


@dataclass(slots=True)
class RecordedFile:
    """A file: `path` is relative to the manifest, `offset_s` in the recording, `peer` whose it is.

    `peer` is None for the mix, and "" for what the room played. `clipped` counts samples that were
    beyond full scale. Captions have a `language` (BCP 47), and the time of their take's mix.
    """

    path: str
    kind: FileKind
    take: int
    offset_s: float
    seconds: float = 0.0
    size_bytes: int = 0
    peer: str | None = None
    clipped: int = 0
    language: str = ""


@dataclass(slots=True)
class Take:
    """What one process wrote without a break: from `offset_s` in the recording on.

    `ended_unix_s` is the wall clock when it was `seconds` long, pauses and all; None of old ones.
    """

    number: int
    began_unix_s: float
    offset_s: float
    seconds: float = 0.0
    end: TakeEnd = TakeEnd.OPEN
    ended_unix_s: float | None = None


@dataclass(slots=True)
class Event:
    """Something that happened at `at_s` in the recording; `peer` is who it was about."""

    at_s: float
    unix_s: float
    kind: EventKind
    peer: str | None = None
    name: str = ""


@dataclass(slots=True)
class Manifest:
    """A whole recording. Times named `_s` count from its beginning, pauses left out."""

    room: str
    name: str
    began_unix_s: float
    mix: MixFormat
    tracks: bool
    exact: bool
    state: RecordingState = RecordingState.RECORDING
    ended_unix_s: float | None = None
    seconds: float = 0.0
    lost: int = 0
    failure: RecordingFailure | None = None
    sentence: str = ""
    people: list[Person] = field(default_factory=list)
    takes: list[Take] = field(default_factory=list)
    files: list[RecordedFile] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    @property
    def size_bytes(self) -> int:
        """All its files."""
        return sum(file.size_bytes for file in self.files)

    @property
    def is_paused(self) -> bool:
        """Whether what happens behind its end, as far as it is written, is left out."""
        steps = {EventKind.PAUSED, EventKind.RESUMED, EventKind.TAKE}
        kinds = (event.kind for event in reversed(self.events))
        return next((kind for kind in kinds if kind in steps), None) is EventKind.PAUSED


def write_manifest(manifest: Manifest) -> str:
    """Return the manifest as JSON."""
    document = {"format": FORMAT, "version": VERSION, **asdict(manifest)}
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def read_manifest(text: str) -> Manifest:
    """Return what was written; what a later version has beside it is left out.

    Raises:
        BadManifest: it is something else.
    """
    try:
        document = json.loads(text)
        if document["format"] != FORMAT:
            raise BadManifest("This is no manifest of a recording.")
        failure = document.get("failure")
        return Manifest(
            room=_text(document["room"]),
            name=_text(document["name"]),
            began_unix_s=_number(document["began_unix_s"]),
            mix=MixFormat(document["mix"]),
            tracks=bool(document["tracks"]),
            exact=bool(document["exact"]),
            state=RecordingState(document["state"]),
            ended_unix_s=_number_or_none(document.get("ended_unix_s")),
            seconds=_number(document["seconds"]),
            lost=int(document["lost"]),
            failure=None if failure is None else RecordingFailure(failure),
            sentence=_text(document.get("sentence", "")),
            people=[_person(one) for one in document["people"]],
            takes=[_take(one) for one in document["takes"]],
            files=[_file(one) for one in document["files"]],
            events=[_event(one) for one in document["events"]],
        )
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, OverflowError):
        raise BadManifest("This manifest of a recording is damaged.") from None


def _person(one: Mapping[str, Any]) -> Person:
    return Person(int(one["number"]), _text(one["peer"]), _text(one["name"]))


def _take(one: Mapping[str, Any]) -> Take:
    return Take(
        int(one["number"]),
        _number(one["began_unix_s"]),
        _number(one["offset_s"]),
        _number(one["seconds"]),
        TakeEnd(one["end"]),
        _number_or_none(one.get("ended_unix_s")),
    )


def _file(one: Mapping[str, Any]) -> RecordedFile:
    path, peer = _text(one["path"]), one["peer"]
    if path.startswith("/") or "\\" in path or "\0" in path or ".." in path.split("/"):
        raise ValueError(path)
    return RecordedFile(
        path,
        FileKind(one["kind"]),
        int(one["take"]),
        _number(one["offset_s"]),
        _number(one["seconds"]),
        int(one["size_bytes"]),
        None if peer is None else _text(peer),
        int(one["clipped"]),
        _text(one.get("language", "")),
    )


def _event(one: Mapping[str, Any]) -> Event:
    peer = one["peer"]
    return Event(
        _number(one["at_s"]),
        _number(one["unix_s"]),
        EventKind(one["kind"]),
        None if peer is None else _text(peer),
        _text(one["name"]),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _number(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(value)
    return number


def _number_or_none(value: Any) -> float | None:
    return None if value is None else _number(value)
