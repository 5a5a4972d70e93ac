"""A room that is run while people talk in it: real server, real WebRTC clients."""

import math
import signal
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.program import Program, running
from tests.support.room_client import Signalling, connect, person
from tests.support.webrtc_client import WebRtcClient, level_db, tone

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(90)]

HERTZ = {"ada": 440.0, "bob": 1000.0, "cyd": 1800.0}
LOUD = {"ada": 0.1, "bob": 0.3, "cyd": 0.03}
BOB_DB = 20 * math.log10(LOUD["bob"])
GONE_DB = -70.0
SETTLED_S = 0.7  # what is buffered on the way is heard, and so is the way from one gain to another


@dataclass(frozen=True, slots=True)
class Voice:
    """Somebody who speaks and hears."""

    user: str
    signalling: Signalling
    media: WebRtcClient


@dataclass(frozen=True, slots=True)
class Hall:
    """Ada, Bob (the loudest) and Cyd (the softest) in one room."""

    program: Program
    path: str
    voices: dict[str, Voice]

    async def hear(self, listener: str, speaker: str) -> float:
        """Return how loud one hears another from now on, in dB of full scale."""
        pcm = await self.voices[listener].media.hear(1.0, skip=SETTLED_S)
        return level_db(pcm, HERTZ[speaker])

    async def change(self, path: str = "", **body: Any) -> Any:
        """PATCH the room, or what is at `path` in it."""
        status, answer = await self.program.call("PATCH", f"{self.path}{path}", body)
        assert status == 200, answer
        return answer

    def person(self, name: str) -> str:
        return f"/participants/{self.voices[name].user}"


@pytest.fixture
async def hall(tmp_path: Path) -> AsyncIterator[Hall]:
    async with AsyncExitStack() as stack:
        program = await stack.enter_async_context(running(tmp_path / "state"))
        room = await program.new_room(name="Studio")
        made = Hall(program, f"/api/rooms/{room['roomId']}", {})
        for name, hertz in HERTZ.items():
            source = tone(hertz, LOUD[name])
            signalling, media = await stack.enter_async_context(
                person(program, room["roomId"], name, source)
            )
            await connect(signalling, media, await media.offer())
            _, answer = await program.call("GET", f"{made.path}/participants")
            user = answer["participants"][-1]["userId"]
            made.voices[name] = Voice(user, signalling, media)
        yield made


async def test_a_mute_for_oneself(hall: Hall) -> None:
    """Ada mutes Bob for herself: she hears Cyd alone, and Cyd hears Bob as before."""
    before = await hall.hear("cyd", "bob")
    bob = hall.voices["bob"].user
    await hall.voices["ada"].signalling.call("volume", userId=bob, muted=True)
    assert await hall.hear("ada", "bob") < GONE_DB
    assert await hall.hear("ada", "cyd") > GONE_DB + 20
    assert await hall.hear("cyd", "bob") == pytest.approx(before, abs=4)


async def test_a_gain_for_everybody(hall: Hall) -> None:
    """A gain of -12 dB is 12 dB less for each of the others; a mute is nothing at all."""
    before = [await hall.hear(name, "bob") for name in ("ada", "cyd")]
    await hall.change(hall.person("bob"), gainDb=-12)
    after = [await hall.hear(name, "bob") for name in ("ada", "cyd")]
    assert after == pytest.approx([level - 12 for level in before], abs=2)
    await hall.change(hall.person("bob"), muted=True)
    await hall.voices["bob"].signalling.call("mute", muted=False)
    assert await hall.hear("ada", "bob") < GONE_DB


async def test_the_loudest(hall: Hall) -> None:
    """Where one person is mixed at a time it is the loudest, and all again where all are."""
    assert await hall.hear("cyd", "ada") > GONE_DB + 20
    await hall.change(loudest=1)
    assert await hall.hear("cyd", "ada") < GONE_DB
    assert await hall.hear("cyd", "bob") > GONE_DB + 20
    await hall.change(loudest=0)
    assert await hall.hear("cyd", "ada") > GONE_DB + 20


async def test_music(hall: Hall) -> None:
    """A room becomes one for music and back while people talk, and they go on hearing."""
    for profile in ("music", "voice"):
        await hall.change(profile=profile)
        assert await hall.hear("ada", "bob") == pytest.approx(BOB_DB, abs=2)


async def test_what_is_decided_outlives_the_server(tmp_path: Path) -> None:
    """After a kill -9 the room, its lock and what was decided about a person are as before."""
    program = Program(tmp_path / "state")
    await program.start()
    room = (await program.new_room(name="Studio"))["roomId"]
    path = f"/api/rooms/{room}"
    _, ada = await program.call("POST", f"{path}/users", {})
    client = str(uuid.uuid4())
    socket = await program.http.ws_connect(f"{program.url}/ws?token={ada['token']}")
    jtoken = (await Signalling(socket).call("join", clientId=client))["jtoken"]
    control = {"muted": True, "gainDb": -6.0, "pan": 0.5}
    await program.call("PATCH", f"{path}/participants/{ada['userID']}", control)
    change = {"locked": True, "loudest": 3, "profile": "music", "buses": ["fr"]}
    _, changed = await program.call("PATCH", path, change)
    await program.stop(signal.SIGKILL)

    try:
        await program.start()
        _, found = await program.call("GET", path)
        status, refused = await program.call("POST", f"{path}/users", {})
        async with program.http.ws_connect(f"{program.url}/ws?token={ada['token']}") as again:
            await Signalling(again).call("join", clientId=client, jtoken=jtoken)
            _, people = await program.call("GET", f"{path}/participants")
    finally:
        await program.stop()
    assert change.items() <= found["room"].items()
    assert changed["room"]["links"].keys() == found["room"]["links"].keys()
    assert (status, refused["code"]) == (403, "room_locked")
    assert control.items() <= people["participants"][0].items()
