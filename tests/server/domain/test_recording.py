"""A recording's life, its name, when it begins by itself, and how long it is kept."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from hls.types import MixFormat
from mixer.types import RecordTaps, RoomId
from server.domain.recording import (
    KEEP_ALL,
    LEGAL,
    LONGEST_NAME,
    TEMPLATE_DEFAULT,
    Automatic,
    Kept,
    Recording,
    RecordingEvent,
    RecordingState,
    Retention,
    What,
    begin,
    decode_recording,
    encode_recording,
    is_name,
    key_of,
    make_name,
)
from server.errors import BadRecord, IllegalTransition

DEMO = RoomId("demo")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def one(**options: object) -> Recording:
    return replace(begin(DEMO, "first", NOON, What(), "api"), **options)  # type: ignore[arg-type]


def test_its_life() -> None:
    """Pauses do not count, and the end is when it was asked for."""
    paused = one().happen(RecordingEvent.PAUSE, after(10))
    assert (paused.state, paused.recorded_s(after(60))) == (RecordingState.PAUSED, 10)
    again = paused.happen(RecordingEvent.RESUME, after(60))
    assert (again.is_running, again.recorded_s(after(65))) == (True, 15)
    stopping = again.happen(RecordingEvent.STOP, after(70), by="ada")
    assert (stopping.is_running, stopping.is_over) == (False, False)
    done = stopping.happen(RecordingEvent.FINISH, after(72))
    assert (done.state, done.is_over) == (RecordingState.DONE, True)
    assert (done.recorded_s(after(99)), done.ended_at, done.ended_by) == (20, after(70), "ada")


def test_a_failure_has_a_reason() -> None:
    """From wherever it comes; what was kept is kept."""
    failed = one().happen(RecordingEvent.FAIL, after(5), reason="no space")
    assert (failed.state, failed.reason, failed.kept_s) == (RecordingState.FAILED, "no space", 5)
    assert failed.ended_at == after(5)
    late = one().happen(RecordingEvent.STOP, after(5)).happen(RecordingEvent.FAIL, after(6))
    assert (late.state, late.ended_at) == (RecordingState.FAILED, after(5))


@pytest.mark.parametrize("state", RecordingState)
@pytest.mark.parametrize("event", RecordingEvent)
def test_nothing_else_happens(state: RecordingState, event: RecordingEvent) -> None:
    """What the table does not have is illegal, and what is over stays so."""
    if (state, event) in LEGAL:
        assert one(state=state).happen(event, NOON).state is LEGAL[state, event]
        assert state not in {RecordingState.DONE, RecordingState.FAILED}
    else:
        with pytest.raises(IllegalTransition):
            one(state=state).happen(event, NOON)


def test_a_clock_that_was_set_back_takes_nothing_away() -> None:
    """Time that did not pass does not count."""
    assert one(kept_s=3.0).recorded_s(after(-60)) == 3.0


def test_what_those_in_the_room_may_know() -> None:
    """That it records and since when, not who asked."""
    assert one().notice(after(1.25)) == {
        "roomId": "demo",
        "name": "first",
        "state": "recording",
        "seconds": 1.2,
    }
    failed = one().happen(RecordingEvent.FAIL, after(2), reason="The disk is full")
    assert failed.notice(after(9))["reason"] == "The disk is full"


@pytest.mark.parametrize(
    ("automatic", "causes"),
    [
        (Automatic.OFF, set()),
        (Automatic.ON_AIR, {"on air", "both"}),
        (Automatic.WHEN_OCCUPIED, {"occupied", "both"}),
    ],
)
def test_when_a_room_records_by_itself(automatic: Automatic, causes: set[str]) -> None:
    """While listeners hear it, while somebody is in it, or never."""
    wanted = {
        "neither": automatic.wants(is_on_air=False, is_occupied=False),
        "on air": automatic.wants(is_on_air=True, is_occupied=False),
        "occupied": automatic.wants(is_on_air=False, is_occupied=True),
        "both": automatic.wants(is_on_air=True, is_occupied=True),
    }
    assert {cause for cause, is_wanted in wanted.items() if is_wanted} == causes


@pytest.mark.parametrize(
    ("what", "taps"),
    [
        (What(), RecordTaps()),
        (What(MixFormat.WAV, exact=True), RecordTaps(False, True, True, True)),
        (What(MixFormat.FLAC, tracks=False), RecordTaps(False, True, False, False)),
    ],
)
def test_what_the_mixer_hands_on(what: What, taps: RecordTaps) -> None:
    """Packets of the mix where they are kept as they are, else its samples."""
    assert what.taps() == taps


@pytest.mark.parametrize(
    ("template", "room_name", "made"),
    [
        (TEMPLATE_DEFAULT, "", "2026-03-01_12-00-00"),
        ("{room}-{name}", "Früh am Morgen", "demo-Fruh-am-Morgen"),
        ("{name}", "", "demo"),
        ("{name}", "../../etc/passwd", "etc-passwd"),
        ("{name}", "...", "recording"),
        ("{name}", "朝", "recording"),
        ("{name}.{name}", "a\0b/c", "a-b-c-a-b-c"),
        ("{name}", "{time}", "time"),
        ("-{name}_", "-x-", "x"),
    ],
)
def test_a_name_is_of_one_folder(template: str, room_name: str, made: str) -> None:
    """Whatever a room is called."""
    assert make_name(template, DEMO, room_name, NOON, ()) == made


def test_names_are_not_taken_twice() -> None:
    """The second of a second has a number, however long the name is."""
    long = make_name("{name}", DEMO, "x" * 200, NOON, ())
    again = make_name("{name}", DEMO, "x" * 200, NOON, {long})
    assert (len(long), again) == (LONGEST_NAME, "x" * 72 + "-2")
    taken = {"a", "a-2", "a-3"}
    assert make_name("a", DEMO, "", NOON, taken) == "a-4"


def test_hostile_names_stay_inside() -> None:
    """Any text at all makes a name that is one."""
    chance = random.Random(7)
    for _ in range(500):
        text = "".join(chr(chance.randrange(1, 0x3000)) for _ in range(chance.randrange(40)))
        assert is_name(make_name("{name}{room}", RoomId("__-"), text, NOON, ())), repr(text)


@pytest.mark.parametrize("text", ["", ".", "..", "a/b", "-a", "a\n", "a" * 81, "ä", ".hidden"])
def test_what_is_no_name(text: str) -> None:
    """Nothing that leads elsewhere, or hides."""
    assert not is_name(text)


def kept(name: str, ended_s: float, size: int = 10, **options: object) -> Kept:
    ended = {"began_at": after(ended_s - 1), "ended_at": after(ended_s)}
    recording = one(**{"name": name, "state": RecordingState.DONE, **ended, **options})
    return Kept(recording, size)


def nobody(_one: Recording) -> bool:
    return False


def names(found: object) -> list[str]:
    assert isinstance(found, list)
    return [recording.name for recording in found]


def test_what_is_old_is_removed() -> None:
    """By when it ended; nothing is without a limit."""
    all_of_them = [kept("new", 90), kept("old", 0), kept("odd", 0, ended_at=None)]
    assert names(KEEP_ALL.due(all_of_them, after(1000), nobody)) == []
    due = Retention(age_s=100).due(all_of_them, after(101), nobody)
    assert names(due) == ["old", "odd"]


def test_what_is_too_much_is_removed() -> None:
    """The oldest first, and no more than needed."""
    all_of_them = [kept(str(number), number, 10) for number in (3, 1, 2)]
    assert names(Retention(total_bytes=30).due(all_of_them, NOON, nobody)) == []
    assert names(Retention(total_bytes=29).due(all_of_them, NOON, nobody)) == ["1"]
    assert names(Retention(total_bytes=9).due(all_of_them, NOON, nobody)) == ["1", "2", "3"]


def test_what_runs_or_is_needed_is_kept() -> None:
    """Whatever it takes: others go for it."""
    running = kept("running", 1, state=RecordingState.PAUSED)
    everything = [running, kept("needed", 2), kept("other", 3)]
    due = Retention(age_s=1, total_bytes=1).due(
        everything, after(100), lambda one: one.name == "needed"
    )
    assert names(due) == ["other"]


@pytest.mark.parametrize(
    "recording",
    [
        one(),
        one(
            what=What(MixFormat.FLAC, tracks=False, exact=True),
            state=RecordingState.FAILED,
            kept_s=7.5,
            running_since=None,
            ended_at=after(9),
            ended_by="ada",
            reason="no space",
            is_uploaded=False,
        ),
    ],
)
def test_it_is_stored_as_it_is(recording: Recording) -> None:
    """Every field comes back."""
    key = key_of(recording.room, recording.name)
    assert decode_recording(key, encode_recording(recording)) == recording


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("/recordings/demo/../x", encode_recording(one())),
        ("/recordings/d/first", encode_recording(one())),
        ("/recordings/demo/first", b"{"),
        ("/recordings/demo/first", encode_recording(one()).replace(b'"version":1', b'"version":2')),
        ("/recordings/demo/first", encode_recording(one()).replace(b'0Z"', b'0"')),
    ],
)
def test_what_was_not_written_there_is_refused(key: str, value: bytes) -> None:
    """A foul name, no JSON, a newer version, a time without a zone."""
    with pytest.raises(BadRecord):
        decode_recording(key, value)
