"""A recording's events and files as labels for Audacity, and its chapters."""

from hls.recording.core.manifest import Event, EventKind, FileKind, Manifest, RecordedFile
from hls.recording.core.ogg import Chapter

_TITLES = {
    EventKind.JOINED: "{} joined",
    EventKind.LEFT: "{} left",
    EventKind.MUTED: "{} was muted",
    EventKind.UNMUTED: "{} was unmuted",
    EventKind.RENAMED: "{} has this name now",
    EventKind.PAUSED: "Paused",
    EventKind.RESUMED: "Resumed",
    EventKind.TAKE: "Another take",
    EventKind.LOST: "Something is missing: the disk was too slow",
}


def title(event: Event) -> str:
    """Return an event as people read it, in one line."""
    return _TITLES[event.kind].format(one_line(event.name) or event.peer or "Somebody")


def one_line(text: str) -> str:
    """Return text without what would break a line or a list."""
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())


def chapters(manifest: Manifest, file: RecordedFile) -> list[Chapter]:
    """Return what happened during a file, by its own time; the first chapter begins with it."""
    first: list[Chapter] = [(0.0, "Beginning")]
    return first + [
        (round(event.at_s - file.offset_s, 3), title(event))
        for event in manifest.events
        if file.offset_s < event.at_s <= file.offset_s + file.seconds
    ]


def audacity(manifest: Manifest) -> str:
    """Return a label track: each event, and from where to where each file of sound is."""
    lines = [(event.at_s, event.at_s, title(event)) for event in manifest.events]
    lines += [
        (file.offset_s, file.offset_s + file.seconds, file.path)
        for file in manifest.files
        if file.kind is not FileKind.CAPTIONS
    ]
    return "".join(f"{begin:.6f}\t{end:.6f}\t{text}\n" for begin, end, text in sorted(lines))


def names(manifest: Manifest) -> dict[str, str]:
    """Return what people are called, by who they are."""
    return {person.peer: one_line(person.name) or person.peer for person in manifest.people}
