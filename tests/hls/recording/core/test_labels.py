from dataclasses import replace

from hls.recording.core.labels import audacity, chapters, names, one_line
from hls.recording.core.manifest import Event, EventKind, FileKind, Manifest, Person, RecordedFile
from hls.types import MixFormat

MIX = RecordedFile("mix.take2.ogg", FileKind.MIX, 2, 10.0, 5.0)
ROOM = Manifest(
    "hall",
    "monday",
    1.0,
    MixFormat.OGG_OPUS,
    tracks=True,
    exact=False,
    people=[Person(1, "ann", "Ann\tA."), Person(2, "bob", " ")],
    files=[MIX],
    events=[
        Event(9.0, 10.0, EventKind.JOINED, "ann", "Ann\tA."),
        Event(12.0, 13.0, EventKind.LEFT, "bob", ""),
        Event(15.0, 16.0, EventKind.MUTED, None, ""),
        Event(15.1, 16.1, EventKind.PAUSED),
    ],
)


def test_a_file_has_the_chapters_of_its_time() -> None:
    """Counted from its own beginning, which is the first."""
    assert chapters(ROOM, MIX) == [
        (0.0, "Beginning"),
        (2.0, "bob left"),
        (5.0, "Somebody was muted"),
    ]


def test_audacity_gets_events_and_files() -> None:
    """One line each, in order of time, whatever people call themselves."""
    assert audacity(ROOM).splitlines() == [
        "9.000000\t9.000000\tAnn A. joined",
        "10.000000\t15.000000\tmix.take2.ogg",
        "12.000000\t12.000000\tbob left",
        "15.000000\t15.000000\tSomebody was muted",
        "15.100000\t15.100000\tPaused",
    ]
    assert audacity(replace(ROOM, files=[], events=[])) == ""


def test_captions_are_no_sound() -> None:
    """They last as long as their mix, or longer, and are no label."""
    said = RecordedFile("mix.take2.en.vtt", FileKind.CAPTIONS, 2, 10.0, 6.0, language="en")
    assert audacity(replace(ROOM, files=[MIX, said])) == audacity(ROOM)


def test_people_are_called_what_they_say() -> None:
    """Or what they are, if they say nothing."""
    assert names(ROOM) == {"ann": "Ann A.", "bob": "bob"}
    assert one_line("a\u202eb\r\n c") == "a b c"
