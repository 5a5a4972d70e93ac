"""The running server plays sound files: into a room, to one person, on air, through faults."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

from tests.support import sounds
from tests.support.ffmpeg_player import playing
from tests.support.program import Program, children_of, running
from tests.support.room_client import connect, person
from tests.support.webrtc_client import WebRtcClient, level_db, silence

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(90)]

TONE = -10.5  # of sounds.wav


@pytest.fixture(scope="module")
def jingle() -> bytes:
    """Ten seconds of 1 kHz."""
    return sounds.encoded("tone.mp3", 10.0)


async def play(program: Program, room: str, sound: bytes, **fields: str) -> dict[str, Any]:
    """Play a file; return what the server says of it."""
    form = aiohttp.FormData()
    for name, value in fields.items():
        form.add_field(name, value)
    form.add_field("file", sound, filename="tone.mp3")
    headers = {"Authorization": f"Bearer {program.admin_key}"}
    path = f"{program.url}/api/rooms/{room}/announcements"
    async with program.http.post(path, data=form, headers=headers) as answer:
        assert answer.status == 201, await answer.text()
        made: dict[str, Any] = (await answer.json())["announcement"]
        return made


async def state(program: Program, room: str, name: str) -> str:
    """Return how an announcement is."""
    _, answer = await program.call("GET", f"/api/rooms/{room}/announcements")
    return next(str(o["state"]) for o in answer["announcements"] if o["announcementId"] == name)


async def until(is_so: Callable[[], Awaitable[bool]]) -> None:
    """Ask until it is so: another process tells nobody."""
    while not await is_so():  # noqa: ASYNC110 - as it says
        await asyncio.sleep(0.05)  # sleep: another process has to get there


async def until_state(program: Program, room: str, name: str, wanted: str) -> None:
    """Wait until an announcement is so."""

    async def is_so() -> bool:
        return await state(program, room, name) == wanted

    await until(is_so)


def loudness(pcm: Any) -> float:
    """Return the level of the jingle's tone."""
    return level_db(pcm, 1000) if len(pcm) else -200.0


async def test_a_room_hears_it(tmp_path: Path, jingle: bytes) -> None:
    """Though nobody speaks; the volume moves it, stop ends it, one for Ann alone is Ann's."""
    async with running(tmp_path / "state") as program:
        room = (await program.new_room())["roomId"]
        async with (
            person(program, room, "Ann", silence) as (of_ann, ann),
            person(program, room, "Bob", silence) as (of_bob, bob),
        ):
            await connect(of_ann, ann, await ann.offer())
            await connect(of_bob, bob, await bob.offer())
            one = await play(program, room, jingle)
            heard = await asyncio.gather(ann.hear(1.0, skip=0.5), bob.hear(1.0, skip=0.5))
            assert [loudness(pcm) for pcm in heard] == pytest.approx([TONE] * 2, abs=1)
            path = f"/api/rooms/{room}/announcements/{one['announcementId']}"
            assert (await program.call("PATCH", path, {"gainDb": -20}))[0] == 200
            assert loudness(await bob.hear(0.5, skip=0.4)) == pytest.approx(TONE - 20, abs=1)
            assert (await program.call("DELETE", path))[0] == 200
            await until_state(program, room, one["announcementId"], "stopped")
            await until_silent(bob)
            users = (await of_ann.call("keepalive"), of_ann.notifications)[1]
            listed = [note for note in users if note["method"] == "roomStatus"][-1]["params"]
            ann_id = next(entry["userId"] for entry in listed if entry["displayName"] == "Ann")
            await play(program, room, jingle, to=ann_id, name="psst")
            before = len(bob.heard)
            assert loudness(await ann.hear(1.0, skip=0.5)) == pytest.approx(TONE, abs=1)
            assert loudness(bob.heard[before:]) < -60
            assert children_of(program.pid).keys() == {"mixer", "broadcast", "decoder"}
        pids = children_of(program.pid)
    assert not [pid for pid in pids.values() if os.access(f"/proc/{pid}", os.F_OK)]
    assert not [name for name in files(program) if "tmp" in name]


async def until_silent(client: WebRtcClient) -> None:
    """Wait until half a second in which nothing is heard."""
    while True:
        before = len(client.heard)
        await asyncio.sleep(0.5)  # sleep: silence takes time to be heard
        if np.abs(client.heard[before:]).max(initial=0) < 50:
            return


async def test_an_empty_room_is_on_air(tmp_path: Path, jingle: bytes) -> None:
    """Nobody is in it: who listens to the broadcast hears the announcement, as loud as it is."""
    options = ("--broadcast-loudness-lufs", "off")
    async with running(tmp_path / "state", *options) as program:
        room = (await program.new_room())["roomId"]
        _, listen = await program.call("POST", "/api/token", {"roomId": room})

        async def is_listed() -> bool:
            async with program.http.get(listen["hlsUrl"]) as answer:
                return b"#EXTINF" in await answer.read()

        await play(program, room, jingle, loop="true")
        await until(is_listed)
        async with playing(f"{listen['hlsUrl']}?token={listen['token']}") as player:
            await player.hear(1000, above_db=TONE - 2)


async def test_faults(tmp_path: Path, jingle: bytes) -> None:
    """A dead mixer: it goes on. A dead decoder: it alone fails. A removed room: nothing is left."""
    async with running(tmp_path / "state") as program:
        room = (await program.new_room())["roomId"]
        one = await play(program, room, jingle, loop="true")
        mixer = program.worker("mixer")
        os.kill(mixer, signal.SIGKILL)
        await program.wait_for_worker("mixer", other_than=mixer)
        before = (await listed(program, room))[0]["position"]

        async def plays_on() -> bool:
            return bool((await listed(program, room))[0]["position"] > before)

        async def is_quiet() -> bool:
            is_played = await program.metric("roomtone_players") > 0
            return not is_played and "decoder" not in children_of(program.pid)

        await until(plays_on)
        os.kill(program.worker("decoder"), signal.SIGSEGV)
        await until_state(program, room, one["announcementId"], "failed")
        assert "broke on this file" in (await listed(program, room))[0]["reason"]
        await play(program, room, jingle, loop="true")
        assert "decoder" in children_of(program.pid)
        assert (await program.call("DELETE", f"/api/rooms/{room}"))[0] == 200
        await until(is_quiet)
        assert await program.metric("roomtone_announcements_failed_total") == 1


async def test_kill_nine_leaves_nothing(tmp_path: Path, jingle: bytes) -> None:
    """The control process dies: decoders end, and no file is left."""
    async with running(tmp_path / "state") as program:
        room = (await program.new_room())["roomId"]
        before = files(program)
        await play(program, room, jingle, loop="true")
        decoder = program.worker("decoder")
        assert files(program) == before
        await program.stop(signal.SIGKILL)

        async def is_gone() -> bool:
            return not os.access(f"/proc/{decoder}", os.F_OK)

        await until(is_gone)


async def listed(program: Program, room: str) -> list[dict[str, Any]]:
    """Return the room's announcements."""
    _, answer = await program.call("GET", f"/api/rooms/{room}/announcements")
    found: list[dict[str, Any]] = answer["announcements"]
    return found


def files(program: Program) -> set[str]:
    """Return what is in the state folder."""
    return {path.name for path in program.state_dir.iterdir()}
