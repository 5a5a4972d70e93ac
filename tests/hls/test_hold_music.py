"""Rooms on air with hold music: what listeners hear of it, and what it costs."""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hls.core.hold import FADE_FRAMES, PAUSE_FRAMES
from hls.disk import DiskWindow
from hls.encoder import AacEncoder, silent_frame
from hls.errors import EncoderLost
from hls.loop import Loop, read_loop
from hls.looper import make_loop
from hls.pipeline import Broadcaster
from hls.types import BroadcastSpec, LoopSpec, PlaylistKind, Position, RenditionSpec
from tests.hls.boxes import samples
from tests.hls.listener import decode, decrypt, hear, level_db, read, spec, tone
from tests.support import sounds

BASE = 1000
MUSIC = LoopSpec("/music.wav", 1, (64_000,), None)
SECOND = 50  # ticks
FRAME_S = 1024 / 48_000
DELAY_S = 0.1


@pytest.fixture(scope="module")
def loop() -> Iterator[Loop]:
    """440 Hz, 600 frames."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as file:
        path = Path(folder, "music.wav")
        path.write_bytes(sounds.wav(12.8, 440, 0.25))
        make_loop(replace(MUSIC, path=str(path)), file)
        yield read_loop(file)


@pytest.fixture(scope="module")
def stereo() -> Iterator[Loop]:
    """The same in two channels."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as file:
        path = Path(folder, "music.wav")
        path.write_bytes(sounds.wav(12.8, 440, 0.25))
        make_loop(replace(MUSIC, path=str(path), channels=2), file)
        yield read_loop(file)


def held(*, version: int = 1, hold: str = "/music.wav", channels: int = 1) -> BroadcastSpec:
    """Return a room with hold music and one rendition."""
    return replace(
        spec(version=version),
        renditions=(RenditionSpec("64k", 64_000),),
        window_s=55.0,
        hold=hold,
        channels=channels,
    )


def heard(broadcaster: Broadcaster, now_tick: int) -> Callable[[float, float], NDArray[np.float32]]:
    """Return what a listener gets of the seconds since BASE."""
    playlist, sound = hear(broadcaster, now_tick)
    first_s = (playlist.first_msn - 5) * 1.92  # five segments before a room's beginning

    def between(start_s: float, end_s: float) -> NDArray[np.float32]:
        begin, end = (round((at - first_s) * 48_000) for at in (start_s, end_s))
        assert 0 <= begin < end <= len(sound)
        return sound[begin:end]

    return between


def band_db(samples: NDArray[np.float32], hertz: float) -> float:
    """Return the level of one frequency; a full-scale sine has -3 dB."""
    times = np.arange(len(samples)) / 48_000
    found = 2 * abs(np.mean(samples * np.exp(-2j * np.pi * hertz * times)))
    return float(20 * np.log10(found / np.sqrt(2) + 1e-6))


def test_an_empty_room(loop: Loop) -> None:
    """The music fades in when it has come, and goes round without a seam."""
    broadcaster = Broadcaster()
    broadcaster.apply(held(), BASE)
    assert broadcaster.loops() == {MUSIC}
    broadcaster.play(MUSIC, loop, BASE + SECOND)
    between = heard(broadcaster, BASE + 30 * SECOND)
    assert level_db(between(0.0, 0.8)) < -90
    pieces = [between(2 + 0.5 * at, 2.5 + 0.5 * at) for at in range(50)]
    assert {round(level_db(piece)) for piece in pieces} == {-15}
    smooth = np.abs(np.diff(between(2, 27), 2)).max()
    assert smooth < 1.3 * 0.25 * (2 * np.pi * 440 / 48_000) ** 2 + 1e-3
    assert broadcaster.statistics()["hold_rooms"] == 1


def test_somebody_is_heard(loop: Loop) -> None:
    """They are heard from their first word on; the music goes, and comes back after a while."""
    broadcaster = Broadcaster()
    broadcaster.apply(held(), BASE)
    broadcaster.play(MUSIC, loop, BASE)
    for offset, pcm in enumerate(tone(2 * SECOND, hertz=1500)):
        tick = BASE + 8 * SECOND + offset
        broadcaster.write("blue", "floor", tick, pcm, tick + 2)
    between = heard(broadcaster, BASE + 30 * SECOND)
    assert band_db(between(7.0, 7.9), 440) == pytest.approx(-15, abs=0.5)
    assert band_db(between(8.0, 8.1), 1500) == pytest.approx(-15, abs=1)
    assert band_db(between(8.7, 9.9), 440) < -70
    assert band_db(between(8.7, 9.9), 1500) == pytest.approx(-15, abs=0.5)
    back_s = 10 + PAUSE_FRAMES * FRAME_S
    assert level_db(between(10.2, back_s - 0.1)) < -80
    assert band_db(between(back_s + 0.7, 20), 440) == pytest.approx(-15, abs=0.5)


def test_somebody_comes_and_goes(loop: Loop) -> None:
    """Without the music while they are there, said a word or not; and three seconds longer."""
    broadcaster = Broadcaster()
    broadcaster.apply(held(), BASE)
    broadcaster.play(MUSIC, loop, BASE)
    broadcaster.apply(held(version=2, hold=""), BASE + 6 * SECOND)
    broadcaster.apply(held(version=3), BASE + 12 * SECOND)
    between = heard(broadcaster, BASE + 30 * SECOND)
    gone_s = 6 - DELAY_S + FADE_FRAMES * FRAME_S
    assert level_db(between(4, 5.8)) == pytest.approx(-15, abs=0.5)
    assert level_db(between(gone_s + 0.1, 12 - DELAY_S + PAUSE_FRAMES * FRAME_S - 0.1)) < -80
    assert level_db(between(16.5, 25)) == pytest.approx(-15, abs=0.5)


def test_a_process_that_is_started_again_goes_on(loop: Loop) -> None:
    """Without a pause, and where the music would be by now."""
    first, second = Broadcaster(), Broadcaster()
    first.apply(held(), BASE)
    first.play(MUSIC, loop, BASE)
    second.apply(held(), BASE + 10 * SECOND)
    second.play(MUSIC, loop, BASE + 11 * SECOND)
    now = BASE + 30 * SECOND
    names = read(first.playlist("blue", "", PlaylistKind.CLASSIC, now)).names
    assert first.fetch("blue", "", names[-2], now) == second.fetch("blue", "", names[-2], now)
    between = heard(second, now)
    assert level_db(between(0, 10.5)) < -90
    assert level_db(between(11.6, 20)) == pytest.approx(-15, abs=0.5)


def test_it_costs_nothing(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once it sounds nothing is encoded, whoever listens, for however long, in every room."""
    pushed: list[int] = []
    encode = AacEncoder.encode

    def counted(self: AacEncoder, samples: NDArray[np.int16]) -> bytes:
        pushed.append(1)
        return encode(self, samples)

    broadcaster = Broadcaster()
    for room in ("blue", "red"):
        broadcaster.apply(replace(held(), room=room), BASE)
    broadcaster.play(MUSIC, loop, BASE)
    for room in ("blue", "red"):
        broadcaster.position(room, BASE + 5 * SECOND)
    monkeypatch.setattr(AacEncoder, "encode", counted)
    now = BASE + 200_000
    sound = [hear(broadcaster, now, room)[1] for room in ("blue", "red")]
    assert (sound[0] == sound[1]).all()
    assert level_db(sound[0]) == pytest.approx(-15, abs=0.5)
    assert not pushed
    assert broadcaster.statistics()["segments_held"] == 0


def test_parts_and_radio_have_it_too(loop: Loop) -> None:
    """A segment is its parts, and what goes to other outputs is the same frames."""
    broadcaster = Broadcaster()
    broadcaster.apply(held(), BASE)
    broadcaster.play(MUSIC, loop, BASE)
    now = BASE + 30 * SECOND
    parts = [broadcaster.fetch("blue", "", f"seg-12.{part}.m4s", now) for part in range(6)]
    segment = broadcaster.fetch("blue", "", "seg-12.m4s", now)
    assert b"".join(map(decrypt, parts)) == decrypt(segment)
    sound = broadcaster.sound("blue", Position(12, 2), now)
    assert sound is not None
    first = 12 * 90 + 2 * 15
    assert list(sound.frames) == [loop.frame(first + at, 64_000, 1) for at in range(15)]


def test_a_long_window(loop: Loop, tmp_path: Path) -> None:
    """What is older than memory is as it was: of fades from disk, of music alone made anew."""
    broadcaster = Broadcaster(disk=DiskWindow(tmp_path))
    broadcaster.apply(replace(held(), window_s=300.0), BASE)
    broadcaster.play(MUSIC, loop, BASE)
    pcm = tone(1)[0]
    broadcaster.write("blue", "floor", BASE + 20 * SECOND, pcm, BASE + 20 * SECOND + 2)
    names = [f"seg-{msn}.m4s" for msn in range(5, 20)]
    early = [broadcaster.fetch("blue", "", name, BASE + 40 * SECOND) for name in names]
    broadcaster.position("blue", BASE + 200 * SECOND)
    late = [broadcaster.fetch("blue", "", name, BASE + 250 * SECOND) for name in names]
    assert early == late
    assert all(early)


def test_another_format_and_file(loop: Loop) -> None:
    """In stereo it is silent until the music has come in stereo; another file fades over."""
    broadcaster = Broadcaster()
    broadcaster.apply(held(), BASE)
    broadcaster.play(MUSIC, loop, BASE)
    broadcaster.apply(held(version=2, channels=2), BASE + 10 * SECOND)
    assert broadcaster.loops() == {replace(MUSIC, channels=2)}
    assert broadcaster.statistics()["hold_rooms"] == 0
    text = broadcaster.playlist("blue", "", PlaylistKind.CLASSIC, BASE + 30 * SECOND)
    assert text is not None
    last = read(text).last_msn
    clear = decrypt(broadcaster.fetch("blue", "", f"seg-{last}.m4s", BASE + 30 * SECOND))
    init_name = text.rsplit('MAP:URI="', 1)[1].split('"')[0]
    init = broadcaster.fetch("blue", "", init_name, BASE + 30 * SECOND)
    assert init is not None
    assert level_db(decode(init, [clear])) < -90


def test_it_plays_up_to_another_format(loop: Loop, stereo: Loop) -> None:
    """With the music there in both formats no segment has a silent frame: it fades at the turn."""
    broadcaster = Broadcaster()
    broadcaster.apply(held(), BASE)
    broadcaster.play(MUSIC, loop, BASE)
    broadcaster.play(replace(MUSIC, channels=2), stereo, BASE)
    broadcaster.position("blue", BASE + 5 * SECOND)
    broadcaster.apply(held(version=2, channels=2), BASE + 10 * SECOND)
    now = BASE + 30 * SECOND
    broadcaster.position("blue", now)
    turn = broadcaster._rooms["blue"]._formats.spans[-1].first_msn
    assert 10 < turn < 13
    segments = {
        msn: samples(decrypt(broadcaster.fetch("blue", "", f"seg-{msn}.m4s", now)))
        for msn in (turn - 1, turn, turn + 1)
    }
    last = segments[turn - 1]
    assert last[:-2] == [loop.frame(90 * turn - 90 + at, 64_000, 1) for at in range(88)]
    quiet = [silent_frame(64_000, channels) for channels in (1, 2)]
    assert not set(quiet) & {*last, *segments[turn]}
    assert segments[turn + 1] == [stereo.frame(90 * turn + 90 + at, 64_000, 2) for at in range(90)]


def test_idle_music_is_kept_and_bounded(loop: Loop) -> None:
    """For when people leave again; of many files the newest stay."""
    broadcaster = Broadcaster()
    for number in range(12):
        broadcaster.play(replace(MUSIC, path=f"/{number}"), loop, BASE)
    assert broadcaster.plays(replace(MUSIC, path="/11"))
    kept = [broadcaster.plays(replace(MUSIC, path=f"/{number}")) for number in range(12)]
    assert kept == [False] * 4 + [True] * 8
    broadcaster.apply(held(hold="/5"), BASE)
    assert level_db(heard(broadcaster, BASE + 20 * SECOND)(2, 8)) == pytest.approx(-15, abs=0.5)


@pytest.mark.parametrize("left", ["off air", "somebody came", "another file"])
def test_music_that_is_no_longer_wanted(loop: Loop, left: str) -> None:
    """It is bounded too; what was wanted last is kept longest."""
    broadcaster = Broadcaster()
    for number in range(12):
        broadcaster.apply(replace(held(hold=f"/{number}"), room=f"room {number}"), BASE)
        broadcaster.play(replace(MUSIC, path=f"/{number}"), loop, BASE)
    for number in reversed(range(12)):
        before = replace(held(hold=f"/{number}", version=2), room=f"room {number}")
        after = {
            "off air": replace(before, on_air=False),
            "somebody came": replace(before, hold=""),
            "another file": replace(before, hold="/other"),
        }
        broadcaster.apply(after[left], BASE + SECOND)
    kept = [broadcaster.plays(replace(MUSIC, path=f"/{number}")) for number in range(12)]
    assert kept == [True] * 8 + [False] * 4


def test_an_encoder_that_gives_up(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """When music goes and no encoder can be had there is silence, counted, and no harm."""
    broadcaster = Broadcaster()
    broadcaster.apply(held(), BASE)
    broadcaster.play(MUSIC, loop, BASE)
    broadcaster.position("blue", BASE + 5 * SECOND)
    broadcaster.apply(held(version=2, hold=""), BASE + 6 * SECOND)

    def refuse(*_: object) -> None:
        raise EncoderLost("none is left")

    monkeypatch.setattr(AacEncoder, "__init__", refuse)
    broadcaster.position("blue", BASE + 10 * SECOND)
    monkeypatch.undo()
    assert broadcaster.statistics()["encoder_lost_total"] > 0
    between = heard(broadcaster, BASE + 20 * SECOND)
    assert level_db(between(3, 5.5)) == pytest.approx(-15, abs=0.5)
    assert level_db(between(7, 15)) < -80
