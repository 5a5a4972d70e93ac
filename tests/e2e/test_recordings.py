"""A room that is recorded while people talk in it: real server, real clients, FFmpeg reads it."""

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.program import Program, running
from tests.support.room_client import Signalling, connect, person
from tests.support.webrtc_client import Pcm, level_db, tone

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

HERTZ = {"Ada": 440.0, "Bob": 1000.0}
HEARD_DB, NOT_HEARD_DB = -30.0, -55.0


class Studio:
    """Ada and Bob in a room, each with a tone; Ada is its host."""

    def __init__(self, program: Program, room: str, people: dict[str, Signalling]) -> None:
        self.program = program
        self.at = f"/api/rooms/{room}/recordings"
        self.people = people

    async def seen(self, name: str) -> dict[str, Any]:
        _, answer = await self.program.call("GET", f"{self.at}/{name}")
        shape: dict[str, Any] = answer["recording"]
        return shape

    async def wait_for(self, name: str, state: str) -> dict[str, Any]:
        async with asyncio.timeout(30):
            while (shape := await self.seen(name))["state"] != state:  # noqa: ASYNC110 - nobody says
                await asyncio.sleep(0.1)  # sleep: another process writes
        return shape

    async def fetch(self, name: str, file: str, folder: Path) -> Pcm:
        """Download a file and return what FFmpeg hears in it."""
        headers = {"Authorization": f"Bearer {self.program.admin_key}"}
        url = f"{self.program.url}{self.at}/{name}/files/{file}"
        async with self.program.http.get(url, headers=headers) as answer:
            assert answer.status == 200
            path = folder / Path(file).name
            path.write_bytes(await answer.read())
        return await asyncio.to_thread(decoded, path)

    async def told(self, who: str) -> list[str]:
        """Return the states of recordings this person was told of so far."""
        await self.people[who].call("keepalive")
        told = [one for one in self.people[who].notifications if one["method"] == "recording"]
        return [one["params"]["state"] for one in told]


def decoded(path: Path) -> Pcm:
    read = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", path, "-f", "s16le", "-ac", "1", "-ar", "48000", "-"],
        check=True,
        capture_output=True,
    )
    assert not read.stderr, read.stderr
    return np.frombuffer(read.stdout, np.int16)


@pytest.fixture
async def studio(tmp_path: Path) -> AsyncIterator[Studio]:
    async with AsyncExitStack() as stack:
        program = await stack.enter_async_context(running(tmp_path / "state"))
        room = (await program.new_room(name="Studio"))["roomId"]
        people = {}
        for name, hertz in HERTZ.items():
            role = "host" if name == "Ada" else "anchor"
            signalling, media = await stack.enter_async_context(
                person(program, room, name, tone(hertz), role=role)
            )
            await connect(signalling, media, await media.offer())
            people[name] = signalling
        yield Studio(program, room, people)


async def test_a_host_records_a_talk(studio: Studio, tmp_path: Path) -> None:
    """Everybody is told; each voice is in its own track alone, and all are in the mix."""
    began = await studio.people["Ada"].call("startRecording")
    name = began["name"]
    await asyncio.sleep(3.0)  # sleep: what is recorded takes as long as it is
    stopped = await studio.people["Ada"].call("stopRecording")
    assert (stopped or began)["name"] == name
    shape = await studio.wait_for(name, "done")
    assert 2.0 < shape["seconds"] < 6.0
    for who in HERTZ:
        assert await studio.told(who) == ["recording", "stopping", "done"]
    assert {one["name"] for one in shape["manifest"]["people"]} == set(HERTZ)
    tracks = {one["name"]: one for one in shape["files"] if one["name"].startswith("tracks/")}
    assert len(tracks) == len(HERTZ)
    for file in tracks:
        heard = await studio.fetch(name, file, tmp_path)
        for who, hertz in HERTZ.items():
            level = level_db(heard[48_000:96_000], hertz)
            assert (level > HEARD_DB) if who in file else (level < NOT_HEARD_DB), (file, who, level)
    (mix,) = [one["name"] for one in shape["files"] if one["name"].startswith("mix")]
    heard = await studio.fetch(name, mix, tmp_path)
    for who, hertz in HERTZ.items():
        assert level_db(heard[48_000:96_000], hertz) > HEARD_DB, who


async def test_a_killed_broadcast_process_costs_no_recording(
    studio: Studio, tmp_path: Path
) -> None:
    """What was written before is kept, and another take goes on by itself."""
    name = (await studio.people["Ada"].call("startRecording"))["name"]
    await asyncio.sleep(4.0)  # sleep: what is recorded takes as long as it is
    killed = studio.program.worker("broadcast")
    os.kill(killed, signal.SIGKILL)
    await studio.program.wait_for_worker("broadcast", other_than=killed)
    async with asyncio.timeout(30):
        while len((await studio.seen(name))["manifest"]["takes"]) < 2:  # noqa: ASYNC110 - nobody says
            await asyncio.sleep(0.1)  # sleep: another process writes
    await asyncio.sleep(2.5)  # sleep: what is recorded takes as long as it is
    assert (await studio.seen(name))["state"] == "recording"
    assert await studio.told("Bob") == ["recording"]
    await studio.people["Ada"].call("stopRecording")
    shape = await studio.wait_for(name, "done")
    mixes = sorted(one["name"] for one in shape["files"] if one["name"].startswith("mix"))
    assert len(mixes) == 2
    first, second = [await studio.fetch(name, mix, tmp_path) for mix in mixes]
    assert len(first) > 2.0 * 48_000  # of four seconds at most two are lost
    for heard in (first, second):
        for who, hertz in HERTZ.items():
            assert level_db(heard[48_000:96_000], hertz) > HEARD_DB, who


async def test_a_stopped_server_leaves_whole_recordings(studio: Studio, tmp_path: Path) -> None:
    """It ends what is recorded, and waits until it is written."""
    name = (await studio.people["Ada"].call("startRecording"))["name"]
    await asyncio.sleep(2.5)  # sleep: what is recorded takes as long as it is
    await studio.program.stop(signal.SIGINT)
    await studio.program.start()
    shape = await studio.seen(name)
    assert (shape["state"], shape["endedBy"]) == ("done", "shutdown")
    assert shape["manifest"]["state"] == "finished"
    (mix,) = [one["name"] for one in shape["files"] if one["name"].startswith("mix")]
    assert len(await studio.fetch(name, mix, tmp_path)) > 1.5 * 48_000
