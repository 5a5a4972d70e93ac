"""The broadcast process, with a tap in the place of a mixer."""

import asyncio
import os
import re
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs

from hls.core.conformance import media
from hls.encryption import decrypt
from hls.errors import BadSpec
from hls.types import (
    BroadcastSpec,
    Caption,
    CaptionFate,
    CaptionsSpec,
    KeySpec,
    PlaylistKind,
    Position,
)
from mixer.types import RoomId, tick_at
from server.domain.playlist_text import PlaylistText
from server.domain.reload import PlaylistAsk, Wait
from server.errors import BlockedTooFar, NotFound, PlaneUnavailable
from server.media.audio_tap import AudioTap
from server.media.broadcast_plane import WorkerBroadcastPlane
from server.supervise import Supervisor

pytestmark = pytest.mark.slow  # starts real processes

ROOM = RoomId("room")
CLASSIC = PlaylistAsk(kind=PlaylistKind.CLASSIC)
HINT = re.compile(
    r'^#EXT-X-PRELOAD-HINT:.*URI="seg-(?P<msn>\d+)\.(?P<part>\d+)\.m4s"', re.MULTILINE
)
KEY = KeySpec(0, b"k" * 16, b"i" * 16, "enc.key")


@pytest.fixture
async def supervisor() -> AsyncIterator[Supervisor]:
    """Owner of the process and of the tap."""
    with capture_logs():
        async with Supervisor() as root:
            yield root


@pytest.fixture
async def plane(supervisor: Supervisor, tmp_path: Path) -> AsyncIterator[WorkerBroadcastPlane]:
    """A broadcast process that serves."""
    plane = WorkerBroadcastPlane(tmp_path / "audio.sock")
    await plane.start(supervisor)
    yield plane
    await plane.close()


def on_air_for(seconds: float, version: int = 1) -> BroadcastSpec:
    """A broadcast that has gone on for some time."""
    base = tick_at(time.monotonic() - seconds)
    return BroadcastSpec(ROOM, version, (KEY,), base, 1_700_000_000.0)


async def playlist(plane: WorkerBroadcastPlane, ask: PlaylistAsk = CLASSIC) -> str:
    """The room's playlist, which there must be."""
    text = await plane.playlist(ROOM, ask)
    assert text is not None
    return text.text


async def next_part(plane: WorkerBroadcastPlane) -> Position:
    """The part that a playlist gives a hint of."""
    found = HINT.search(await playlist(plane, PlaylistAsk()))
    assert found is not None
    return Position(int(found["msn"]), int(found["part"]))


async def down(plane: WorkerBroadcastPlane) -> None:
    """Wait until the process that was killed is seen to be gone."""
    while plane.is_up:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0.01)  # sleep: a process dies


def waits_for(position: Position, rendition: str = "") -> PlaylistAsk:
    """A player's request for what it has not seen yet."""
    return PlaylistAsk(rendition, msn=position.msn, part=position.part)


async def test_a_room_on_air_has_a_playlist_and_what_it_names(
    plane: WorkerBroadcastPlane,
) -> None:
    """Every address in the playlist can be fetched; the second time from memory."""
    assert await plane.playlist(ROOM, CLASSIC) is None
    await plane.apply(on_air_for(30))
    names = [line for line in (await playlist(plane)).splitlines() if line.endswith(".m4s")]
    segments = await asyncio.gather(*(plane.fetch(ROOM, "", name) for name in names * 3))
    assert len(names) == 8
    assert all(one is not None and len(one.data) % 16 == 0 for one in segments)
    assert [await plane.fetch(ROOM, "", name) for name in names * 3] == segments
    counters = (await plane.statistics()).counters
    assert (counters["segments_silent"], counters["segment_cache_hits"]) == (8, 24)
    assert await plane.fetch(ROOM, "", "../etc/passwd") is None


async def test_captions_are_shown(plane: WorkerBroadcastPlane) -> None:
    """They are in the segment that is waited for, behind the sound's key, and nowhere else."""
    spec = replace(on_air_for(30), captions=(CaptionsSpec("en-cc", "en"),))
    now = spec.base_unix_s + 30
    said = Caption("en", "Hello", now, now + 6)
    assert await plane.caption(ROOM, said) is CaptionFate.UNKNOWN
    await plane.apply(spec)
    names = [
        line for line in (await playlist(plane, PlaylistAsk("en-cc"))).split() if "seg-" in line
    ]
    assert await plane.caption(ROOM, said) in {CaptionFate.SHOWN, CaptionFate.LATE}
    assert await plane.caption(ROOM, replace(said, language="fr")) is CaptionFate.UNKNOWN
    coming = int(names[-1][4:-4]) + 2
    assert f"seg-{coming}.vtt" in await playlist(plane, PlaylistAsk("en-cc", msn=coming))
    media = await plane.fetch(ROOM, "en-cc", f"seg-{coming}.vtt")
    assert media is not None
    assert b"\nHello\n" in decrypt(KEY.key, KEY.iv, media.data)
    assert (await plane.statistics()).counters["captions_unknown"] == 1


async def test_a_room_off_air_has_nothing(plane: WorkerBroadcastPlane) -> None:
    """Neither playlist nor segments, those in memory included."""
    await plane.apply(on_air_for(30))
    name = (await playlist(plane)).splitlines()[-1]
    assert await plane.fetch(ROOM, "", name) is not None
    await plane.apply(replace(on_air_for(30, version=2), on_air=False))
    assert await plane.playlist(ROOM, CLASSIC) is None
    assert await plane.fetch(ROOM, "", name) is None
    assert (await plane.statistics()).gauges["segment_cache_bytes"] == 0


async def test_a_bad_spec_is_refused_and_the_one_before_holds(
    plane: WorkerBroadcastPlane,
) -> None:
    """The refusal names the field; the room stays on air."""
    await plane.apply(on_air_for(30))
    with pytest.raises(BadSpec, match="16 bytes") as caught:
        await plane.apply(replace(on_air_for(30, version=2), keys=(replace(KEY, key=b"short"),)))
    assert caught.value.field == "key"
    assert (await playlist(plane)).startswith("#EXTM3U")


async def test_what_a_mixer_sends_is_heard(
    plane: WorkerBroadcastPlane, supervisor: Supervisor, tmp_path: Path
) -> None:
    """Ticks of a tap arrive; those of unknown rooms are counted."""
    await plane.apply(on_air_for(30))
    tap = AudioTap(tmp_path / "audio.sock")
    _ = supervisor.spawn(tap.run(), name="tap")
    pcm = np.full(960, 1000, np.int16)
    tap.write(ROOM, "floor", tick_at(time.monotonic()), pcm)
    tap.write(RoomId("unknown"), "floor", tick_at(time.monotonic()), pcm)
    while (counters := (await plane.statistics()).counters).get("ticks_unknown_room", 0) < 1:
        pass
    assert sum(counters.get(f"ticks_{fate}", 0) for fate in ("accepted", "late")) == 1


async def test_the_end_has_the_last_words(
    plane: WorkerBroadcastPlane, supervisor: Supervisor, tmp_path: Path
) -> None:
    """Who hummed until the end is in the last segment, a shorter one, in both kinds of playlist."""
    await plane.apply(on_air_for(30))
    tap = AudioTap(tmp_path / "audio.sock")
    _ = supervisor.spawn(tap.run(), name="tap")
    pcm = np.full(960, 1000, np.int16)
    while not (await plane.statistics()).counters.get("ticks_accepted"):
        tap.write(ROOM, "floor", tick_at(time.monotonic()), pcm)
    waiting = asyncio.ensure_future(playlist(plane, waits_for(await next_part(plane))))
    begun = asyncio.get_running_loop().time()
    await plane.end(ROOM)
    assert asyncio.get_running_loop().time() - begun > 0.15, "what is on its way is waited for"
    low, classic = await playlist(plane, PlaylistAsk()), await playlist(plane)
    for text in (low, classic):
        assert text.endswith("#EXT-X-ENDLIST\n")
        assert not media.check(text)
        *_, name, _ = text.splitlines()
        last = await plane.fetch(ROOM, "", name)
        assert last is not None
    part = re.findall(r'EXT-X-PART:.*URI="([^"]+)"', low)[-1]
    assert await plane.fetch(ROOM, "", part) is not None
    assert (await waiting).startswith("#EXTM3U")
    await plane.end(ROOM)
    await plane.apply(replace(on_air_for(30, version=2), on_air=False))
    await plane.end(ROOM)
    assert await plane.playlist(ROOM, CLASSIC) is None


async def test_speakers_are_told_anew(plane: WorkerBroadcastPlane) -> None:
    """A process that is started again is told who speaks, also what was said while it was away."""
    await plane.apply(replace(on_air_for(30), title="Jazz"))
    await plane.talk(ROOM, {"Ann"})
    assert 'X-NAME="Ann"' in await playlist(plane, PlaylistAsk())
    os.kill(plane.pid or 0, signal.SIGKILL)
    await down(plane)
    await plane.talk(ROOM, {"Ann", "Bob"})
    await plane.wait_up()
    while 'X-NAME="Bob"' not in (text := await playlist(plane, PlaylistAsk())):
        await plane.statistics()
    assert 'X-NAME="Ann"' in text
    assert 'X-TITLE="Jazz"' in text
    await plane.talk(ROOM, ())
    assert not plane._talking


async def test_loudness(
    plane: WorkerBroadcastPlane, supervisor: Supervisor, tmp_path: Path
) -> None:
    """How loud a bus is the process says; while it is away nobody does, nor of other rooms."""
    assert await plane.loudness(ROOM) == {}
    await plane.apply(replace(on_air_for(30), loudness_lufs=-16.0))
    tap = AudioTap(tmp_path / "audio.sock")
    _ = supervisor.spawn(tap.run(), name="tap")
    hum = (3000 * np.sin(np.arange(960) * 2 * np.pi / 48)).astype(np.int16)  # 1 kHz
    while (await plane.loudness(ROOM))["floor"].momentary_lufs < -60:
        tap.write(ROOM, "floor", tick_at(time.monotonic()), hum)
        await asyncio.sleep(0.005)  # sleep: sound takes its time
    os.kill(plane.pid or 0, signal.SIGKILL)
    await down(plane)
    assert await plane.loudness(ROOM) == {}


async def test_one_mixers_end_disturbs_no_other(
    plane: WorkerBroadcastPlane, supervisor: Supervisor, tmp_path: Path
) -> None:
    """When one is lost the others' rooms go on, and its own when another one has them."""
    other = RoomId("other")
    await plane.apply(on_air_for(30))
    await plane.apply(replace(on_air_for(30), room=other))
    first, second = supervisor.scope("first"), supervisor.scope("second")

    def mixer(scope: Supervisor) -> AudioTap:
        tap = AudioTap(tmp_path / "audio.sock")
        _ = scope.spawn(tap.run(), name="tap")
        return tap

    async def until(mixers: int, ticks: int) -> None:
        while True:
            told = await plane.statistics()
            arrived = sum(told.counters.get(f"ticks_{fate}", 0) for fate in ("accepted", "late"))
            if (told.gauges["broadcast_mixers"], arrived) == (mixers, ticks):
                return

    ours, theirs = mixer(first), mixer(second)
    pcm, tick = np.full(960, 1000, np.int16), tick_at(time.monotonic())
    ours.write(ROOM, "floor", tick, pcm)
    theirs.write(other, "floor", tick, pcm)
    await until(2, 2)
    await first.close()
    await until(1, 2)
    theirs.write(other, "floor", tick + 1, pcm)
    await until(1, 3)
    theirs.write(
        ROOM, "floor", tick + 2, pcm
    )  # placed again: the same stream, from another process
    await until(1, 4)
    assert (await playlist(plane)).startswith("#EXTM3U")


async def test_a_killed_process_comes_back_with_its_rooms(plane: WorkerBroadcastPlane) -> None:
    """Kill -9: the last playlist and held segments are served meanwhile; then it goes on."""
    await plane.apply(on_air_for(30))
    before = await playlist(plane)
    name = before.splitlines()[-1]
    held = await plane.fetch(ROOM, "", name)
    assert plane.pid is not None
    os.kill(plane.pid, signal.SIGKILL)
    while plane.is_up:  # noqa: ASYNC110 - ends with another process
        await asyncio.sleep(0)
    assert await playlist(plane) == before
    assert await plane.fetch(ROOM, "", name) == held
    with pytest.raises(PlaneUnavailable):
        await plane.fetch(ROOM, "", "seg-0-1.m4s")
    await plane.wait_up()
    assert (await plane.statistics()).gauges["rooms"] == 1
    assert (await plane.statistics()).counters["broadcast_restarts"] == 1


async def test_a_crowd_waits_for_the_next_part(plane: WorkerBroadcastPlane) -> None:
    """All are given the same text, which has the part; the process was asked once for them."""
    await plane.apply(on_air_for(30))
    hint = await next_part(plane)
    told = await asyncio.gather(*(plane.playlist(ROOM, waits_for(hint)) for _ in range(500)))
    assert all(one is told[0] for one in told)
    assert told[0] is not None
    assert f"seg-{hint.msn}.{hint.part}.m4s" in told[0].text
    statistics = await plane.statistics()
    assert statistics.counters["hls_wakeups"] in {0, 500}  # 0: the part was there already
    assert statistics.gauges["hls_blocked"] == plane.blocked(ROOM) == 0


async def test_the_hinted_part_is_waited_for(plane: WorkerBroadcastPlane) -> None:
    """With its playlist and in each rendition; the same bytes for everybody."""
    await plane.apply(on_air_for(30))
    hint = await next_part(plane)
    name = f"seg-{hint.msn}.{hint.part}.m4s"
    text, parts = await asyncio.gather(
        plane.playlist(ROOM, waits_for(hint, "64k")),
        asyncio.gather(
            *(plane.fetch(ROOM, rendition, name) for rendition in ("", "128k", "64k", "64k"))
        ),
    )
    assert text is not None
    assert name in text.text
    assert all(part is not None and len(part.data) % 16 == 0 for part in parts)
    assert parts[0] is parts[1]
    assert parts[2] is parts[3] is not parts[0]
    assert await plane.fetch(ROOM, "", f"seg-{hint.msn + 2}.0.m4s") is None


async def test_ways_to_other_renditions(plane: WorkerBroadcastPlane) -> None:
    """They are told from the address that was asked: the default rendition has two."""
    await plane.apply(on_air_for(30))
    told = [await playlist(plane, PlaylistAsk(name)) for name in ("", "128k", "64k")]
    ways = [re.findall(r'REPORT:URI="(.+?)"', text) for text in told]
    assert ways == [["64k/stream.m3u8"], ["../64k/stream.m3u8"], ["../stream.m3u8"]]


async def test_what_nobody_can_know_of(plane: WorkerBroadcastPlane) -> None:
    """Parts of the far future and renditions that there are not are refused at once."""
    await plane.apply(on_air_for(30))
    hint = await next_part(plane)
    for ask in (PlaylistAsk(msn=hint.msn + 3), PlaylistAsk(msn=10**14, part=0)):
        with pytest.raises(BlockedTooFar):
            await plane.playlist(ROOM, ask)
    with pytest.raises(NotFound):
        await plane.playlist(ROOM, PlaylistAsk("32k"))
    with pytest.raises(NotFound):
        await plane.fetch(ROOM, "32k", "seg-1.m4s")


async def test_a_segment_is_waited_for_as_a_whole(plane: WorkerBroadcastPlane) -> None:
    """Without a part the answer has the segment; a classic playlist can wait as well."""
    await plane.apply(on_air_for(30))
    msn = (await next_part(plane)).msn
    kinds = (PlaylistKind.LOW_LATENCY, PlaylistKind.CLASSIC)
    texts = await asyncio.gather(
        *(plane.playlist(ROOM, PlaylistAsk(kind=kind, msn=msn)) for kind in kinds)
    )
    for text in texts:
        assert text is not None
        assert f"\nseg-{msn}.m4s\n" in text.text
    assert texts[1] is not None
    assert "#EXT-X-PART" not in texts[1].text


async def test_killed_while_players_wait(plane: WorkerBroadcastPlane) -> None:
    """Kill -9: they wait for its return, and are answered by the new process."""
    await plane.apply(on_air_for(30))
    hint = await next_part(plane)
    wanted = Position(hint.msn + 1, hint.part)
    waiting = asyncio.gather(*(plane.playlist(ROOM, waits_for(wanted)) for _ in range(50)))
    while plane.blocked(ROOM) < 50:  # noqa: ASYNC110 - what is waited for has no event
        await asyncio.sleep(0)
    assert plane.pid is not None
    os.kill(plane.pid, signal.SIGKILL)
    told = await waiting
    assert all(one is not None and f"seg-{wanted.msn}.{wanted.part}" in one.text for one in told)
    assert (await plane.statistics()).counters["broadcast_restarts"] == 1


async def test_off_the_air_while_players_wait(plane: WorkerBroadcastPlane) -> None:
    """Everybody is told at once that there is nothing more."""
    await plane.apply(on_air_for(30))
    hint = await next_part(plane)
    wanted = Position(hint.msn + 1, hint.part)
    waiting = asyncio.gather(*(plane.playlist(ROOM, waits_for(wanted)) for _ in range(50)))
    while plane.blocked(ROOM) < 50:  # noqa: ASYNC110 - what is waited for has no event
        await asyncio.sleep(0)
    await plane.apply(replace(on_air_for(30, version=2), on_air=False))
    assert await waiting == [None] * 50


async def test_off_the_air_while_the_first_player_asks(plane: WorkerBroadcastPlane) -> None:
    """Who was asking when it ended waits for nothing: they are told at once, as everybody is."""
    await plane.apply(on_air_for(30))
    asked = asyncio.gather(
        plane.playlist(ROOM, waits_for(Position(21, 0))),
        plane.playlist(ROOM, CLASSIC),
        plane.fetch(ROOM, "", "seg-20.0.m4s"),
    )
    for _ in range(3):  # so that the process has been asked
        await asyncio.sleep(0)
    await plane.apply(replace(on_air_for(30, version=2), on_air=False))
    async with asyncio.timeout(3):
        assert list(await asked) == [None] * 3
    assert plane.blocked(ROOM) == 0
    assert plane._seen == {}


async def test_rooms_nobody_follows_cost_nothing(plane: WorkerBroadcastPlane) -> None:
    """Only a room that somebody asks for has a timer in the process."""
    for number in range(5):
        await plane.apply(replace(on_air_for(30), room=f"room{number}"))
    gauge = "broadcast_followed_rooms"
    assert (await plane.statistics()).gauges[gauge] == 0
    assert await plane.playlist(RoomId("room1"), PlaylistAsk()) is not None
    assert (await plane.statistics()).gauges[gauge] == 1


async def test_what_is_known_without_asking(plane: WorkerBroadcastPlane) -> None:
    """A text and parts that were fetched are at hand; the next part, and what is there, are not."""
    assert plane.playlist_now(ROOM, PlaylistAsk()) is None
    await plane.apply(on_air_for(10))
    assert plane.playlist_now(ROOM, PlaylistAsk()) is None
    assert plane.media_now(ROOM, "", "seg-1.0.m4s") is None
    told: list[object] = []
    due = asyncio.Event()

    def done(found: object, error: Exception | None) -> None:
        told.append(error or found)
        due.set()

    position = await next_part(plane)
    late = f"seg-{position.msn - 1}.0.m4s"
    for wait in (
        plane.media_now(ROOM, "", late),  # it only has to be fetched
        plane.playlist_now(ROOM, waits_for(position)),
        plane.playlist_now(ROOM, PlaylistAsk("64k")),
    ):
        assert isinstance(wait, Wait)
        due.clear()
        _ = plane.wait(ROOM, wait, done)
        async with asyncio.timeout(5):
            await due.wait()
    part, text, other = told
    assert part is plane.media_now(ROOM, "", late)
    assert isinstance(text, PlaylistText)
    assert f"seg-{position.msn}.{position.part}.m4s" in text.text
    assert isinstance(other, PlaylistText)
    assert plane.playlist_now(ROOM, PlaylistAsk("rate")) is None
    assert plane.media_now(ROOM, "rate", late) is None
    assert plane.playlist_now(ROOM, waits_for(Position(position.msn + 9, 0))) is None
    assert plane.media_now(ROOM, "", f"seg-{position.msn + 9}.0.m4s") is None


async def test_who_is_told_no_more(plane: WorkerBroadcastPlane) -> None:
    """Whoever left is not told; who waits for a room that ends is told so."""
    await plane.apply(on_air_for(10))
    ahead = await next_part(plane)
    ask = PlaylistAsk(msn=ahead.msn + 1)
    told: list[object] = []
    wait = plane.playlist_now(ROOM, ask)
    assert isinstance(wait, Wait)
    leave = plane.wait(ROOM, wait, lambda found, _: told.append(("left", found)))
    _ = plane.wait(ROOM, wait, lambda found, _: told.append(("stayed", found)))
    assert plane.blocked(ROOM) == 2
    leave()
    leave()
    assert plane.blocked(ROOM) == 1
    await plane.apply(replace(on_air_for(10, version=2), on_air=False))
    assert told == [("stayed", None)]
    assert plane.blocked(ROOM) == 0
