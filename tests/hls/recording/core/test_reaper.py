from hls.recording.core.manifest import Event, EventKind, FileKind, Manifest, Person, RecordedFile
from hls.recording.core.reaper import reaper
from hls.types import MixFormat


def a_room(*files: RecordedFile, name: str = "Ann") -> Manifest:
    events = [Event(2.0, 3.0, EventKind.LEFT, "ann", name), Event(1.0, 2.0, EventKind.PAUSED)]
    people = [Person(1, "ann", name)]
    return Manifest(
        "hall",
        "monday",
        1.0,
        MixFormat.OGG_OPUS,
        tracks=True,
        exact=True,
        people=people,
        files=list(files),
        events=events,
    )


MIX = RecordedFile("mix.ogg", FileKind.MIX, 1, 0.0, 10.0)
TRACK = RecordedFile("tracks/1-Ann.ogg", FileKind.TRACK, 1, 2.5, 7.0, peer="ann")
AGAIN = RecordedFile("tracks/1-Ann.take2.ogg", FileKind.TRACK, 2, 20.0, 5.0, peer="ann")
EXACT = RecordedFile("exact/1-Ann.flac", FileKind.EXACT, 1, 2.52, 7.0, peer="ann")
PLAYED = RecordedFile("exact/played.flac", FileKind.EXACT, 1, 3.0, 1.0, peer="")
PHONE = RecordedFile("tracks/2-.ulaw.wav", FileKind.TRACK, 1, 4.0, 1.0, peer="gone")


def lines(manifest: Manifest) -> list[str]:
    return [line.strip() for line in reaper(manifest).splitlines()]


def test_every_file_stands_where_it_belongs() -> None:
    """A track for each person, their takes one behind the other, in what Reaper calls a source."""
    found = lines(a_room(MIX, TRACK, AGAIN, PHONE))
    assert found[:2] == ['<REAPER_PROJECT 0.1 "6.0"', "SAMPLERATE 48000 0 0"]
    assert found[2:4] == ['MARKER 1 1.000000 "Paused" 0', 'MARKER 2 2.000000 "Ann left" 0']
    assert [line for line in found if line.startswith("NAME")] == [
        'NAME "Mix"',
        'NAME "mix.ogg"',
        'NAME "Ann"',
        'NAME "1-Ann.ogg"',
        'NAME "1-Ann.take2.ogg"',
        'NAME "gone"',
        'NAME "2-.ulaw.wav"',
    ]
    positions = [line for line in found if line.startswith("POSITION")]
    assert positions == [f"POSITION {at:.6f}" for at in (0, 2.5, 20, 4)]
    sources = [line for line in found if line.startswith("<SOURCE")]
    assert sources == ["<SOURCE OPUS", "<SOURCE OPUS", "<SOURCE OPUS", "<SOURCE WAVE"]
    assert found.count(">") == sum(line.startswith("<") for line in found)


def test_nothing_is_heard_twice() -> None:
    """The mix is muted beside its parts, packets beside samples."""

    def muted(*files: RecordedFile) -> list[str]:
        return [line[9:10] for line in lines(a_room(*files)) if line.startswith("MUTESOLO")]

    assert muted(MIX) == ["0"]
    assert muted(MIX, TRACK) == ["1", "0"]
    assert muted(MIX, TRACK, EXACT, PLAYED) == ["1", "0", "0", "1"]
    assert muted(TRACK) == ["0"]


def test_names_find_quotes_that_they_do_not_hold() -> None:
    """And lose one if they hold all."""
    for name, quoted in (
        ('A "B"', "'A \"B\"'"),
        ("A \"B\" 'C'", "`A \"B\" 'C'`"),
        ("\"'`", "`\"''`"),
        ('a"\n>', "'a\" >'"),
    ):
        assert f"NAME {quoted}" in lines(a_room(EXACT, name=name))
