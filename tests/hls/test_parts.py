"""Parts, renditions and changes of format of a broadcast: what low latency is made of."""

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hls.pipeline import Broadcaster
from hls.types import BroadcastSpec, Container, PlaylistKind, Position, RenditionSpec
from tests.hls.boxes import boxes, samples
from tests.hls.listener import decode, decrypt, hear, level_db, read, spec, tone

LOW, CLASSIC = PlaylistKind.LOW_LATENCY, PlaylistKind.CLASSIC
BASE = 1000
TONE_DB = level_db(tone(50) / 32768)
TWO = (RenditionSpec("64k", 64_000), RenditionSpec("fr", 48_000, "fr", "fr", "Français"))


def on_air(wanted: BroadcastSpec | None = None, now_tick: int = BASE) -> Broadcaster:
    """Return a broadcaster that put the room on air."""
    broadcaster = Broadcaster()
    broadcaster.apply(wanted or spec(), now_tick)
    return broadcaster


def speak(
    broadcaster: Broadcaster, first_tick: int, pcm: NDArray[np.int16], bus: str = "floor"
) -> None:
    """Write ticks as a mixer does."""
    for offset, frame in enumerate(pcm):
        broadcaster.write("blue", bus, first_tick + offset, frame)


def listed(broadcaster: Broadcaster, now_tick: int) -> list[str]:
    """Return the names of the parts that the playlist names."""
    text = broadcaster.playlist("blue", "", LOW, now_tick) or ""
    lines = [line for line in text.splitlines() if line.startswith("#EXT-X-PART:")]
    return [line.split('"')[1] for line in lines]


@pytest.mark.parametrize("frames", [3, 9, 15, 45, 90])
def test_a_part_is_complete_when_it_is_due(frames: int) -> None:
    """Not a tick earlier nor later: two AAC frames behind its end, and the delay."""
    broadcaster, now = on_air(replace(spec(), part_frames=frames)), BASE + 50
    for _ in range(2 * 90 // frames):
        position = broadcaster.position("blue", now)
        due = broadcaster.due_tick("blue")
        assert position is not None
        assert due is not None
        assert due > now
        assert broadcaster.position("blue", due - 1) == position
        end = (position.msn * 90 + (position.part + 1) * frames + 2) * 1024
        assert 0 <= (due - 5 - BASE + 480) * 960 - end < 960
        after, now = broadcaster.position("blue", due), due
        assert after == Position(
            *divmod(position.msn * (90 // frames) + position.part + 1, 90 // frames)
        )


def test_of_no_room() -> None:
    """A room that is not on air has no position, nor is anything due."""
    broadcaster = Broadcaster()
    assert broadcaster.position("blue", BASE) is None
    assert broadcaster.due_tick("blue") is None
    broadcaster.talk("blue", ["Ann"], BASE)
    assert broadcaster.playlist("blue", "", LOW, BASE) is None


def test_what_is_listed_is_there() -> None:
    """All parts that the playlist names can be fetched, what it hints at not yet."""
    broadcaster, now = on_air(), BASE + 96 * 7 + 60
    text = broadcaster.playlist("blue", "", LOW, now) or ""
    position = broadcaster.position("blue", now)
    assert position is not None
    names = listed(broadcaster, now)
    assert names[-1] == f"seg-{position.msn}.{position.part - 1}.m4s"
    assert all(broadcaster.fetch("blue", "", name, now) for name in names)
    assert f'URI="seg-{position.msn}.{position.part}.m4s"\n' in text
    hinted = f"seg-{position.msn}.{position.part}.m4s"
    assert broadcaster.fetch("blue", "", hinted, now) is None
    assert broadcaster.fetch("blue", "", hinted, broadcaster.due_tick("blue") or 0) is not None


@pytest.mark.parametrize("name", ["seg-6.6.m4s", "seg-6.01.m4s", "seg-6.-1.m4s", "seg-6.0.ts"])
def test_no_such_part(name: str) -> None:
    """A segment of six parts has no seventh, and parts are fMP4."""
    assert on_air().fetch("blue", "", name, BASE + 96 * 4) is None


def test_a_segment_is_its_parts() -> None:
    """In the clear a segment is its parts, one after the other; each is encrypted by itself."""
    broadcaster, now = on_air(), BASE + 96 * 4
    speak(broadcaster, BASE, tone(250))
    parts = [decrypt(broadcaster.fetch("blue", "", f"seg-6.{n}.m4s", now)) for n in range(6)]
    whole = decrypt(broadcaster.fetch("blue", "", "seg-6.m4s", now))
    assert b"".join(parts) == whole
    numbers = [boxes(part)["moof/mfhd"].u32(4) for part in parts]
    assert numbers == [6 * 6 + n + 1 for n in range(6)]
    assert [boxes(part)["moof/traf/tfdt"].u64(4) for part in parts] == [
        (6 * 90 + n * 15) * 1024 for n in range(6)
    ]


def test_parts_on_the_way() -> None:
    """A part that was fetched before its segment was complete is the same afterwards."""
    broadcaster, seen, now = on_air(), dict[str, bytes](), BASE
    for frame in tone(300):
        broadcaster.write("blue", "floor", now, frame, now)
        for name in listed(broadcaster, now)[-3:]:
            data = broadcaster.fetch("blue", "", name, now) or b""
            assert seen.setdefault(name, data) == data
        now += 1
    assert len(seen) >= 18
    whole = [decrypt(broadcaster.fetch("blue", "", f"seg-{msn}.m4s", now)) for msn in (5, 6)]
    parts = [decrypt(seen[f"seg-{msn}.{n}.m4s"]) for msn in (5, 6) for n in range(6)]
    assert b"".join(parts) == b"".join(whole)


def test_silent_parts_are_made_when_asked_for() -> None:
    """A part of silence is there like any other, and nothing is held for it."""
    broadcaster, now = on_air(), BASE + 96 * 1000 + 60
    names = listed(broadcaster, now)
    part = samples(decrypt(broadcaster.fetch("blue", "", names[-1], now)))
    assert len(part) == 15
    assert len(set(part)) == 1
    assert broadcaster.statistics()["segments_held"] == 0


def test_renditions() -> None:
    """Each bus is heard at its rate, and on no other."""
    broadcaster, now = on_air(replace(spec(), renditions=TWO)), BASE + 96 * 3
    speak(broadcaster, BASE, tone(180, hertz=1000))
    speak(broadcaster, BASE, tone(180, hertz=3000), "fr")
    speak(broadcaster, BASE, tone(1), "other")
    assert broadcaster.statistics()["ticks_unknown_bus_total"] == 1
    sound = {}
    for name in ("", "64k", "fr"):
        init = read(broadcaster.playlist("blue", name, CLASSIC, now)).init
        media = decrypt(broadcaster.fetch("blue", name, "seg-6.m4s", now))
        sound[name] = decode(broadcaster.fetch("blue", name, init, now) or b"", [media])[4096:-4096]
    assert np.array_equal(sound[""], sound["64k"])
    assert _pitch(sound["64k"]) == pytest.approx(1000, abs=5)
    assert _pitch(sound["fr"]) == pytest.approx(3000, abs=5)
    assert broadcaster.playlist("blue", "de", LOW, now) is None
    assert broadcaster.fetch("blue", "de", "seg-6.m4s", now) is None


def test_renditions_know_of_each_other() -> None:
    """The multivariant playlist names all, and each tells how far the others are."""
    broadcaster, now = on_air(replace(spec(), renditions=TWO)), BASE + 60
    all_of_them = broadcaster.playlist("blue", "", PlaylistKind.MULTIVARIANT, now) or ""
    assert "\nstream.m3u8\n" in all_of_them
    assert 'URI="fr/stream.m3u8"' in all_of_them
    peaks = [int(found) for found in re.findall(r"[:,]BANDWIDTH=(\d+)", all_of_them)]
    assert all(64_000 < peak < 90_000 for peak in peaks)
    position = broadcaster.position("blue", now)
    assert position is not None
    report = f"LAST-MSN={position.msn},LAST-PART={position.part - 1}\n"
    assert f'URI="fr/stream.m3u8",{report}' in (broadcaster.playlist("blue", "", LOW, now) or "")
    assert f'URI="../stream.m3u8",{report}' in (broadcaster.playlist("blue", "fr", LOW, now) or "")
    by_name = broadcaster.playlist("blue", "64k", LOW, now) or ""
    assert f'URI="../fr/stream.m3u8",{report}' in by_name
    assert by_name.count("REPORT") == 1


def test_classic_renditions() -> None:
    """There is a list of all by their classic playlists."""
    broadcaster, now = on_air(replace(spec(), renditions=TWO)), BASE + 60
    found = broadcaster.playlist("blue", "", PlaylistKind.CLASSIC_MULTIVARIANT, now) or ""
    text = broadcaster.playlist("blue", "", PlaylistKind.MULTIVARIANT, now) or ""
    assert found == text.replace("stream.m3u8", "classic.m3u8")


@pytest.mark.parametrize("bit_rate", [32_000, 64_000, 96_000, 128_000])
@pytest.mark.parametrize("container", Container)
def test_bandwidth(container: Container, bit_rate: int) -> None:
    """No segment has more than the classic list says, and all of them together about that."""
    only = (RenditionSpec("only", bit_rate),)
    broadcaster = on_air(replace(spec(), renditions=only, container=container))
    now = BASE + 96 * 8 + 20
    noise = np.random.default_rng(2).normal(0, 3000, (now - BASE, 960)).astype(np.int16)
    speak(broadcaster, BASE, noise)
    text = broadcaster.playlist("blue", "", PlaylistKind.CLASSIC_MULTIVARIANT, now) or ""
    text = broadcaster.playlist("blue", "", PlaylistKind.CLASSIC_MULTIVARIANT, now) or ""
    (peak,) = map(int, re.findall(r"[:,]BANDWIDTH=(\d+)", text))
    (mean,) = map(int, re.findall(r"AVERAGE-BANDWIDTH=(\d+)", text))
    names = re.findall(
        r"^seg-.*", broadcaster.playlist("blue", "", CLASSIC, now) or "", re.MULTILINE
    )
    sizes = [len(broadcaster.fetch("blue", "", name, now) or b"") for name in names[-6:]]
    assert max(sizes) * 8 / 1.92 <= peak < 1.5 * mean
    # A transport stream is filled up by up to 12 kb/s.
    assert sum(sizes) / len(sizes) * 8 / 1.92 == pytest.approx(mean, rel=0.15)


def test_renditions_come_and_go() -> None:
    """A new one begins with silence in its past; those that stay go on without a gap."""
    broadcaster, now = on_air(replace(spec(), renditions=TWO[:1])), BASE + 96 * 3
    speak(broadcaster, BASE, tone(280))
    before = broadcaster.fetch("blue", "", "seg-6.m4s", now)
    broadcaster.apply(replace(spec(version=2), renditions=TWO), now)
    assert broadcaster.fetch("blue", "", "seg-6.m4s", now) == before
    fresh = samples(decrypt(broadcaster.fetch("blue", "fr", "seg-6.m4s", now)))
    assert len(set(fresh)) == 1
    relabelled = replace(TWO[0], label="English")
    broadcaster.apply(replace(spec(version=3), renditions=(relabelled,)), now)
    assert broadcaster.fetch("blue", "", "seg-6.m4s", now) == before
    assert broadcaster.playlist("blue", "fr", LOW, now) is None


def test_stereo() -> None:
    """Two channels are heard as two, each at its level."""
    broadcaster, now = on_air(replace(spec(), channels=2)), BASE + 96 * 3
    pcm = np.zeros((200, 1920), np.int16)
    pcm[:, ::2] = tone(200)
    speak(broadcaster, BASE, pcm)
    sides = _sides(broadcaster, 6, now)
    assert level_db(sides[0][4096:-4096]) == pytest.approx(TONE_DB, abs=0.3)
    assert level_db(sides[1][4096:-4096]) < -60


@pytest.mark.parametrize("channels", [(1, 2), (2, 1)])
def test_another_number_of_channels(channels: tuple[int, int]) -> None:
    """A discontinuity at a segment's beginning, another map, and the sound goes on."""
    broadcaster = on_air(replace(spec(), channels=channels[0]))
    pcm = tone(96 * 4)
    speak(broadcaster, BASE, pcm[:120])
    broadcaster.apply(replace(spec(version=2), channels=channels[1]), BASE + 120)
    speak(broadcaster, BASE + 120, pcm[120:])
    now = BASE + 96 * 4
    text = broadcaster.playlist("blue", "", LOW, now) or ""
    before, after = text.split("#EXT-X-DISCONTINUITY\n")
    assert "seg-6.m4s\n" in before
    assert after.index("#EXT-X-MAP") < after.index("\nseg-7.m4s\n")
    for msn, wanted in ((6, channels[0]), (7, channels[1])):
        sides = _sides(broadcaster, msn, now)
        assert len(sides) == wanted
        for side in sides:
            assert level_db(side[4096:-4096]) == pytest.approx(TONE_DB, abs=0.3)
    # The end of the last segment is right to its last sample but for the overlap.
    tail = _sides(broadcaster, 6, now)[0][-1024:]
    assert level_db(tail) == pytest.approx(TONE_DB, abs=0.5)


def test_discontinuities_are_counted() -> None:
    """A segment keeps its discontinuity sequence, whether its tag is listed or gone by."""
    broadcaster, known = on_air(), dict[int, int]()
    for segment in range(30):
        now = BASE + 96 * segment
        if segment in (4, 9, 11):
            channels = 2 if segment in (4, 11) else 1
            changed = replace(spec(version=segment), channels=channels)
            broadcaster.apply(changed, now)
        text = broadcaster.playlist("blue", "", CLASSIC, now) or ""
        sequence, msn = read(text).discontinuity_sequence, read(text).first_msn
        for line in text.splitlines():
            sequence += line == "#EXT-X-DISCONTINUITY"
            if line.endswith(".m4s"):
                assert known.setdefault(msn, sequence) == sequence
                msn += 1
    assert sorted(set(known.values())) == [0, 1, 2, 3]
    assert len(broadcaster._rooms["blue"]._formats.spans) == 1


def test_no_break_when_a_format_is_forgotten() -> None:
    """A sound that goes on while the format before leaves the window is whole; of each format there
    is one encoder, as long as there is something for it to encode.
    """  # noqa: D205
    broadcaster, pcm = on_air(replace(spec(), window_s=8.0)), tone(96)  # 1920 periods
    for segment in range(14):
        if segment == 1:
            broadcaster.apply(replace(spec(version=2), window_s=8.0, channels=2), BASE + 96)
        speak(broadcaster, BASE + 96 * segment, pcm)
    now = BASE + 96 * 14
    assert len(broadcaster._rooms["blue"]._formats.spans) == 1
    assert len(broadcaster._rooms["blue"]._programs["128k"].rendition._encoders) == 1
    _, sound = hear(broadcaster, now)
    pieces = [level_db(piece) for piece in sound[4096:-4096].reshape(-1, 512)]
    assert max(pieces) - min(pieces) < 1


def test_changed_and_changed_back() -> None:
    """Within one segment nothing has happened."""
    broadcaster = on_air()
    broadcaster.apply(replace(spec(version=2), channels=2), BASE + 20)
    broadcaster.apply(replace(spec(version=3), channels=1), BASE + 30)
    speak(broadcaster, BASE + 30, tone(300))
    text = broadcaster.playlist("blue", "", LOW, BASE + 96 * 4) or ""
    assert "DISCONTINUITY\n" not in text
    assert len(_sides(broadcaster, 6, BASE + 96 * 4)) == 1


@pytest.mark.parametrize(
    ("container", "extension", "start"),
    [(Container.TS, "ts", b"G"), (Container.ADTS, "aac", b"ID3")],
)
def test_containers(container: Container, extension: str, start: bytes) -> None:
    """The classic playlist names what old players take; low latency stays fMP4."""
    broadcaster, now = on_air(replace(spec(), container=container)), BASE + 96
    text = broadcaster.playlist("blue", "", CLASSIC, now) or ""
    assert f"\nseg-4.{extension}\n" in text
    assert "EXT-X-MAP" not in text
    assert decrypt(broadcaster.fetch("blue", "", f"seg-4.{extension}", now)).startswith(start)
    assert "\nseg-4.m4s\n" in (broadcaster.playlist("blue", "", LOW, now) or "")


def test_another_part_length() -> None:
    """It goes on in the same numbers, with silence in its past."""
    broadcaster, now = on_air(), BASE + 96 * 3
    speak(broadcaster, BASE, tone(280))
    broadcaster.apply(replace(spec(version=2), part_frames=9), now)
    assert read(broadcaster.playlist("blue", "", CLASSIC, now)).last_msn == 7 - 1
    assert len(set(samples(decrypt(broadcaster.fetch("blue", "", "seg-6.m4s", now))))) == 1
    assert len(samples(decrypt(broadcaster.fetch("blue", "", "seg-6.9.m4s", now)))) == 9


def test_another_stream() -> None:
    """Names are of their stream alone: of another one in the same room they mean nothing."""
    one, other = (replace(spec(version=version), stream=f"x{version}") for version in (1, 2))
    broadcaster, now = on_air(one), BASE + 96 * 4
    text = broadcaster.playlist("blue", "", LOW, now) or ""
    named = re.findall(r"seg-[^\s\"]+", text)
    assert named
    assert all(name.startswith("seg-x1-") for name in named)
    hinted = named.pop()
    assert all(broadcaster.fetch("blue", "", name, now) for name in named)
    assert broadcaster.fetch("blue", "", hinted, now) is None
    broadcaster.apply(other, now)
    assert not any(broadcaster.fetch("blue", "", name, now) for name in named)
    assert all(broadcaster.fetch("blue", "", name.replace("x1", "x2"), now) for name in named)


def test_who_speaks_and_what_plays() -> None:
    """Both are told with their time, as long as the window reaches back to it."""
    broadcaster = on_air(replace(spec(), title="News"))
    broadcaster.talk("blue", ["Ann"], BASE + 50)
    broadcaster.talk("blue", [], BASE + 100)
    text = broadcaster.playlist("blue", "", LOW, BASE + 300) or ""
    assert 'X-NAME="Ann"' in text
    assert "DURATION=1.000" in text
    broadcaster.apply(replace(spec(version=2), title="Jazz"), BASE + 400)
    text = broadcaster.playlist("blue", "", LOW, BASE + 96 * 60) or ""
    assert "Ann" not in text
    assert "News" not in text
    assert 'X-TITLE="Jazz"' in text


@settings(max_examples=12, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 60), st.sampled_from([1, 2]), st.booleans()), max_size=8),
    st.sampled_from([9, 15, 45]),
)
def test_any_changes(steps: list[tuple[int, int, bool]], frames: int) -> None:
    """Whatever changes when, what was announced never changes, and decodes in its own format."""
    broadcaster = on_air(replace(spec(), part_frames=frames))
    now, version, seen = BASE, 1, dict[str, tuple[str, bytes]]()
    for ticks, channels, sounds in steps:
        for _ in range(ticks):
            if sounds:
                broadcaster.write("blue", "floor", now, np.full(960, 5000, np.int16), now)
            now += 1
        version += 1
        broadcaster.apply(
            replace(spec(version=version), channels=channels, part_frames=frames), now
        )
        text = broadcaster.playlist("blue", "", LOW, now) or ""
        init = ""
        for line in text.splitlines():
            if line.startswith("#EXT-X-MAP"):
                init = line.split('"')[1]
            name = line.split('"')[1] if line.startswith("#EXT-X-PART:") else line
            if name.endswith(".m4s") and not name.startswith("#"):
                data = broadcaster.fetch("blue", "", name, now)
                assert data is not None
                assert seen.setdefault(name, (init, data)) == (init, data)
                assert len(samples(decrypt(data))) == (90 if name.count(".") == 1 else frames)


def _sides(broadcaster: Broadcaster, msn: int, now_tick: int) -> list[NDArray[np.float32]]:
    """Return the channels of one segment, decoded with the map that stands before it."""
    text = broadcaster.playlist("blue", "", CLASSIC, now_tick) or ""
    before = text[: text.index(f"\nseg-{msn}.m4s\n")]
    name = before[before.rindex("#EXT-X-MAP") :].split('"')[1]
    init = broadcaster.fetch("blue", "", name, now_tick) or b""
    media = decrypt(broadcaster.fetch("blue", "", f"seg-{msn}.m4s", now_tick))
    channels = int.from_bytes(boxes(init)["moov/trak/mdia/minf/stbl/stsd"].payload[32:34], "big")
    return [decode(init, [media], channel) for channel in range(channels)]


def _pitch(sound: NDArray[np.float32]) -> float:
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(sound.size)))
    return float(np.argmax(spectrum)) * 48_000 / sound.size
