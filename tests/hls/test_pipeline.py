from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hls.encoder import AacEncoder
from hls.errors import BadSpec, EncoderLost
from hls.pipeline import Broadcaster
from hls.types import BroadcastSpec, KeySpec, PlaylistKind
from tests.hls.boxes import boxes, fragments, samples
from tests.hls.listener import KEY, decrypt, hear, level_db, read, spec, tone

CLASSIC = PlaylistKind.CLASSIC
BASE = 1000
LEAD = 5  # segments before the base
TONE_DB = level_db(tone(50) / 32768)


def on_air(now_tick: int = BASE, *, delay_ticks: int = 5, window: int = 8) -> Broadcaster:
    """Return a broadcaster that put the room on air at `now_tick`, with so many segments listed."""
    broadcaster = Broadcaster(delay_ticks=delay_ticks)
    broadcaster.apply(replace(spec(), window_s=1.92 * window), now_tick)
    return broadcaster


def speak(broadcaster: Broadcaster, first_tick: int, pcm: NDArray[np.int16]) -> None:
    """Write ticks as a mixer does."""
    for offset, frame in enumerate(pcm):
        broadcaster.write("blue", "floor", first_tick + offset, frame)


def sample_of(tick: int, first_msn: int) -> int:
    """Return where a tick is heard in a playlist that begins with `first_msn`."""
    return (tick - BASE) * 960 - (first_msn - LEAD) * 92_160


def test_playable_at_once() -> None:
    """A room that has just gone on air lists three target durations of silence."""
    playlist, sound = hear(on_air(), BASE)
    assert (playlist.first_msn, playlist.last_msn) == (0, 3)
    assert sound.size == 4 * 92_160
    assert not sound.any()


def test_window() -> None:
    """The playlist lists `window` segments, the newest last, on the clock."""
    playlist = read(on_air(window=6).playlist("blue", "", CLASSIC, BASE + 96 * 100))
    assert playlist.last_msn == LEAD + 98
    assert len(playlist.names) == 6
    assert playlist.starts_unix_s == pytest.approx(1_700_000_000 + 93 * 1.92, abs=0.001)


def test_segment_appears_when_complete() -> None:
    """A segment is listed once its last frame can be encoded: its end, 3 ticks and the delay."""
    broadcaster, end = on_air(delay_ticks=5), BASE + 96
    assert read(broadcaster.playlist("blue", "", CLASSIC, end + 7)).last_msn == LEAD - 1
    assert read(broadcaster.playlist("blue", "", CLASSIC, end + 8)).last_msn == LEAD


@pytest.mark.parametrize("start", [0, 7, 50, 95, 96, 300])
def test_tone(start: int) -> None:
    """A tone is heard at its level, at its time, and silence elsewhere."""
    broadcaster = on_air()
    speak(broadcaster, BASE + start, tone(100))
    playlist, sound = hear(broadcaster, BASE + start + 250)
    onset = sample_of(BASE + start, playlist.first_msn)
    assert abs(int(np.argmax(np.abs(sound) > 0.1)) - onset) < 150  # 3 ms
    assert level_db(sound[onset + 2048 : onset + 94_000]) == pytest.approx(TONE_DB, abs=0.2)
    assert not sound[: max(0, onset - 2048)].any()
    assert not sound[onset + 96_000 + 2048 :].any()


def test_hole() -> None:
    """Ticks that never arrive are silence of their length."""
    broadcaster, pcm = on_air(), tone(120)
    speak(broadcaster, BASE, pcm[:40])
    speak(broadcaster, BASE + 70, pcm[70:])
    playlist, sound = hear(broadcaster, BASE + 250)
    hole = sample_of(BASE + 40, playlist.first_msn)
    assert not sound[hole + 2048 : hole + 30 * 960 - 2048].any()
    after = slice(hole + 32 * 960, hole + 70 * 960)
    assert level_db(sound[after]) == pytest.approx(TONE_DB, abs=0.2)


def test_order_and_copies_do_not_matter() -> None:
    """Reordered and repeated ticks within the delay sound like ordered ones."""
    ordered, shuffled, pcm = on_air(), on_air(), tone(100)
    speak(ordered, BASE, pcm)
    for first in range(0, 100, 4):
        for offset in (first + 2, first, first, first + 3, first + 1, first + 2):
            shuffled.write("blue", "floor", BASE + offset, pcm[offset])
    assert np.array_equal(hear(ordered, BASE + 200)[1], hear(shuffled, BASE + 200)[1])
    assert shuffled.statistics()["ticks_repeated_total"] == 50


def test_tick_after_its_time() -> None:
    """A tick later than the delay is counted and not heard."""
    broadcaster = on_air(delay_ticks=5)
    broadcaster.playlist("blue", "", CLASSIC, BASE + 100)
    broadcaster.write("blue", "floor", BASE + 94, tone(1)[0])
    assert broadcaster.statistics()["ticks_late_total"] == 1
    assert not hear(broadcaster, BASE + 300)[1].any()


@pytest.mark.parametrize("tick", [BASE + 16, 2**62])
def test_tick_from_the_future(tick: int) -> None:
    """A tick far ahead of the clock it came with does not move the room."""
    broadcaster = on_air()
    broadcaster.write("blue", "floor", tick, tone(1)[0], BASE + 10)
    assert broadcaster.statistics()["ticks_early_total"] == 1
    assert read(broadcaster.playlist("blue", "", CLASSIC, BASE + 10)).last_msn == LEAD - 1


@pytest.mark.parametrize(
    "pcm",
    [
        np.zeros(959, np.int16),
        np.zeros((1, 960), np.int16),
        np.zeros(960, np.float32),
        np.zeros(0, np.int16),
        np.zeros(960, ">i2"),
    ],
)
def test_malformed_pcm(pcm: NDArray[np.int16]) -> None:
    """PCM of another shape or type is counted and dropped."""
    broadcaster = on_air()
    broadcaster.write("blue", "floor", BASE, pcm)
    assert broadcaster.statistics()["ticks_malformed_total"] == 1


def test_unknown_room() -> None:
    """Of a room that is not on air there is nothing, and writing to it is counted."""
    broadcaster = on_air()
    broadcaster.write("red", "floor", BASE, tone(1)[0])
    assert broadcaster.statistics()["ticks_unknown_room_total"] == 1
    assert broadcaster.playlist("red", "", CLASSIC, BASE) is None
    assert broadcaster.fetch("red", "", "seg-0.m4s", BASE) is None


def test_base_in_the_future() -> None:
    """Before the first segment is complete there is no playlist."""
    broadcaster = Broadcaster()
    broadcaster.apply(spec(base_tick=BASE + 96 * LEAD), BASE)
    broadcaster.write("blue", "floor", BASE - 1, tone(1)[0])
    assert broadcaster.playlist("blue", "", CLASSIC, BASE) is None
    assert broadcaster.fetch("blue", "", "seg-0.m4s", BASE) is None
    assert read(broadcaster.playlist("blue", "", CLASSIC, BASE + 150)).names == ["seg-0.m4s"]


@pytest.mark.parametrize("gap", [96 * 50, 96 * 10**6])
def test_long_silence(gap: int) -> None:
    """Silence that nobody asked for is not made, and then only what is asked for."""
    broadcaster = on_air()
    speak(broadcaster, BASE, tone(10))
    playlist = read(broadcaster.playlist("blue", "", CLASSIC, BASE + gap))
    assert broadcaster.statistics()["segments_held"] == 0
    assert broadcaster.statistics().get("segments_silent_total", 0) == 0
    broadcaster.fetch("blue", "", playlist.names[-1], BASE + gap)
    assert broadcaster.statistics()["segments_held"] == 0
    assert broadcaster.statistics()["segments_silent_total"] == 1


def test_sound_after_a_long_silence() -> None:
    """Sound is at its place after a day of silence."""
    broadcaster, later = on_air(), BASE + 96 * 45_000 + 17
    speak(broadcaster, BASE, tone(10))
    speak(broadcaster, later, tone(100))
    playlist, sound = hear(broadcaster, later + 250)
    onset = sample_of(later, playlist.first_msn)
    assert abs(int(np.argmax(np.abs(sound) > 0.1)) - onset) < 150


def test_slow_player() -> None:
    """A segment can be fetched for as long after it left the playlist as that is, and a segment
    longer; then no more.
    """  # noqa: D205
    broadcaster, now = on_air(window=4), BASE + 96 * 50
    oldest = read(broadcaster.playlist("blue", "", CLASSIC, now)).names[0]
    assert broadcaster.fetch("blue", "", oldest, now + 5 * 96) is not None
    assert broadcaster.fetch("blue", "", oldest, now + 6 * 96) is None


@pytest.mark.parametrize(
    "name",
    [
        "",
        "seg-4.m4s",  # not complete yet
        "seg-03.m4s",
        "seg--1.m4s",
        "seg-3.m4s\n",
        "../seg-3.m4s",
        "seg-٣.m4s",
        "init-00000000.mp4",
        "seg-" + "9" * 400 + ".m4s",
    ],
)
def test_unknown_name(name: str) -> None:
    """Only names of the playlist name anything."""
    broadcaster = on_air()
    assert broadcaster.fetch("blue", "", name, BASE) is None
    assert broadcaster.fetch("blue", "", "seg-3.m4s", BASE) is not None


@given(st.text(max_size=40))
def test_any_name(name: str) -> None:
    """Whatever is asked for, the answer is bytes or None."""
    assert BROADCASTER.fetch("blue", "", name, BASE) is None


def test_memory_is_bounded() -> None:
    """However long somebody speaks and listens, the window and a little more is held."""
    broadcaster = on_air(window=4)
    speak(broadcaster, BASE, np.tile(tone(1), (96 * 12, 1)))
    hear(broadcaster, BASE + 96 * 13)
    assert broadcaster.statistics()["segments_held"] <= 2 * 10


def test_restart() -> None:
    """A new process goes on with the sequence, and has its own sound in the segment it began in."""
    before, after, crash = on_air(), Broadcaster(), BASE + 96 * 30 + 40
    speak(before, crash - 100, tone(100))
    last = read(before.playlist("blue", "", CLASSIC, crash)).last_msn
    after.apply(spec(), crash + 10)
    assert read(after.playlist("blue", "", CLASSIC, crash + 10)).last_msn >= last
    speak(after, crash + 20, tone(100))
    playlist, sound = hear(after, crash + 250)
    onset = sample_of(crash + 20, playlist.first_msn)
    assert abs(int(np.argmax(np.abs(sound) > 0.1)) - onset) < 150


@pytest.mark.parametrize("starts", [(0, 10), (0, 10, 11), (0, 40, 45)])
def test_players_survive_restarts(starts: tuple[int, ...]) -> None:
    """A segment never changes its name or its discontinuity sequence, whoever lists it.

    hls.js gives up on a playlist otherwise ("sequence mismatch").
    """
    known: dict[int, tuple[str, int]] = {}
    for start in starts:
        broadcaster = on_air(BASE + 96 * start)
        for segment in range(start, start + 12):
            text = broadcaster.playlist("blue", "", CLASSIC, BASE + 96 * segment)
            playlist = read(text)
            assert "#EXT-X-DISCONTINUITY\n" not in (text or "")
            for msn, name in enumerate(playlist.names, playlist.first_msn):
                listed = (name, playlist.discontinuity_sequence)
                assert known.setdefault(msn, listed) == listed


def test_new_key() -> None:
    """A new key is in force from the next segment on; older ones keep the key they had."""
    broadcaster, now = on_air(), BASE + 96 * 20 + 10
    key = KeySpec(2, b"another 16 bytes", bytes(16), "2/enc.key")
    broadcaster.apply(spec(version=2, key=key), now)
    playlist = read(broadcaster.playlist("blue", "", CLASSIC, now + 96 * 3))
    assert playlist.key_uris == [KEY.uri] * 6 + [key.uri] * 2
    for name, uri in zip(playlist.names, playlist.key_uris, strict=True):
        data = broadcaster.fetch("blue", "", name, now + 96 * 3)
        assert len(samples(decrypt(data, KEY if uri == KEY.uri else key))) == 90


def test_many_keys() -> None:
    """Keys that nothing kept is encrypted with are forgotten, also those never used."""
    broadcaster = on_air()
    for version in range(2, 40):
        key = replace(KEY, epoch=version, uri=f"{version}.key")
        broadcaster.apply(spec(version=version, key=key), BASE + 48 * version)
    now = BASE + 48 * 39 + 96 * 20
    assert set(read(broadcaster.playlist("blue", "", CLASSIC, now)).key_uris) == {"39.key"}
    assert broadcaster._rooms["blue"].keys_held == 1


@pytest.mark.parametrize("version", [0, 1])
def test_stale_spec(version: int) -> None:
    """A spec that is not newer changes nothing."""
    broadcaster = on_air()
    broadcaster.apply(spec(version=version, on_air=False), BASE)
    assert broadcaster.playlist("blue", "", CLASSIC, BASE) is not None
    assert broadcaster.statistics()["specs_stale_total"] == 1


def test_off_air() -> None:
    """A room taken off air is gone, and a late older spec does not bring it back."""
    broadcaster = on_air()
    broadcaster.apply(spec(version=3, on_air=False), BASE)
    broadcaster.apply(spec(version=2), BASE)
    assert broadcaster.playlist("blue", "", CLASSIC, BASE) is None
    assert broadcaster.statistics()["rooms"] == 0
    broadcaster.apply(spec(version=4), BASE)
    assert broadcaster.playlist("blue", "", CLASSIC, BASE) is not None


def test_removed_rooms_are_forgotten() -> None:
    """The memory of removed rooms is bounded."""
    broadcaster = on_air()
    for number in range(5000):
        broadcaster.apply(spec(f"room{number}", on_air=False), BASE)
    assert len(broadcaster._removed) == 4096


def test_moved_base() -> None:
    """Another base starts the stream anew."""
    broadcaster = on_air()
    broadcaster.apply(spec(version=2, base_tick=BASE + 96 * 50), BASE + 96 * 50)
    assert read(broadcaster.playlist("blue", "", CLASSIC, BASE + 96 * 50)).last_msn == 3


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        ("key", spec(key=replace(KEY, key=b"short"))),
        ("iv", spec(key=replace(KEY, iv=bytes(17)))),
        ("base_tick", spec(base_tick=-(10**18))),
        ("uri", spec(key=replace(KEY, uri=""))),
        ("uri", spec(key=replace(KEY, uri='k"\n#EXT-X-ENDLIST'))),
        ("base_unix_s", replace(spec(), base_unix_s=float("nan"))),
        ("base_unix_s", replace(spec(), base_unix_s=1e20)),
        ("keys", replace(spec(), keys=())),
        ("keys", replace(spec(), keys=(KEY, KEY))),
    ],
)
def test_bad_spec(field: str, bad: BroadcastSpec) -> None:
    """A spec that cannot be broadcast is refused, and the room goes on as it was."""
    broadcaster = on_air()
    with pytest.raises(BadSpec) as caught:
        broadcaster.apply(replace(bad, version=2), BASE)
    assert caught.value.field == field
    assert read(broadcaster.playlist("blue", "", CLASSIC, BASE)).last_msn == 3


def test_lost_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """An encoder that gives up is counted; the stream goes on, silent where it was missing."""
    broadcaster, pcm = on_air(), tone(200)
    speak(broadcaster, BASE, pcm[:50])
    with monkeypatch.context() as broken:
        broken.setattr(AacEncoder, "encode", _give_up)
        speak(broadcaster, BASE + 50, pcm[50:80])
    speak(broadcaster, BASE + 80, pcm[80:])
    playlist, sound = hear(broadcaster, BASE + 350)
    assert broadcaster.statistics()["encoder_lost_total"] > 0
    onset = sample_of(BASE + 90, playlist.first_msn)
    assert level_db(sound[onset : onset + 48_000]) == pytest.approx(TONE_DB, abs=1)


def _give_up(_self: AacEncoder, _samples: NDArray[np.int16]) -> bytes:
    raise EncoderLost("on purpose")


class Step(NamedTuple):
    """The clock goes on by `ticks`; one tick that is `age` old is written; then somebody asks."""

    ticks: int
    age: int
    asks: bool


STEPS = st.lists(
    st.builds(Step, st.sampled_from([0, 0, 1, 1, 2, 30, 400]), st.integers(-8, 12), st.booleans()),
    max_size=60,
)
BROADCASTER = on_air()


@settings(max_examples=60, deadline=None)
@given(STEPS, st.integers(0, 96 * 20), st.integers(0, 6))
def test_any_pattern(steps: list[Step], start: int, delay_ticks: int) -> None:
    """Whatever arrives when, segments are contiguous, whole, on the clock, and never change."""
    now = BASE + start
    broadcaster = on_air(now, delay_ticks=delay_ticks)
    seen: dict[str, bytes] = {}
    last_msn = -1
    for step in steps:
        now += step.ticks
        broadcaster.write("blue", "floor", now - step.age, np.full(960, 999, np.int16), now)
        if not step.asks:
            continue
        playlist = read(broadcaster.playlist("blue", "", CLASSIC, now))
        sealed_samples = (now - delay_ticks - BASE + 96 * LEAD) * 960
        assert playlist.last_msn == (sealed_samples // 1024 - 2) // 90 - 1 >= last_msn
        last_msn = playlist.last_msn
        for msn, name in enumerate(playlist.names, playlist.first_msn):
            data = broadcaster.fetch("blue", "", name, now)
            assert data is not None
            assert seen.setdefault(name, data) == data
            clear = decrypt(data)
            times = [boxes(one)["moof/traf/tfdt"].u64(4) for one in fragments(clear)]
            assert times == [msn * 92_160 + part * 15_360 for part in range(6)]
            assert len(samples(clear)) == 90
