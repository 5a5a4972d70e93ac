"""Hold music of the running server: heard while nobody is in the room, and only then."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support import sounds
from tests.support.program import Program, running
from tests.support.room_client import connect, person
from tests.support.webrtc_client import RATE, level_db, tone

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

PATIENCE_S = 60.0
CHUNK = RATE // 2
MUSIC_HZ, VOICE_HZ = 440, 1100


async def until(
    player: asyncio.subprocess.Process, is_it: Callable[[NDArray[np.int16]], bool]
) -> None:
    """Wait for half a second of what a player plays."""
    assert player.stdout is not None, "asked for as a pipe"
    async with asyncio.timeout(PATIENCE_S):
        while not is_it(np.frombuffer(await player.stdout.readexactly(2 * CHUNK), np.int16)):
            pass


async def hear(player: asyncio.subprocess.Process, hertz: float, *, without: float) -> None:
    """Wait until one tone is played without the other."""
    await until(player, lambda pcm: level_db(pcm, hertz) > -26 and level_db(pcm, without) < -50)


async def hear_silence(player: asyncio.subprocess.Process) -> None:
    """Wait until nothing is played."""
    await until(player, lambda pcm: int(np.abs(pcm).max()) < 10)


async def refused(program: Program, room: str, name: str) -> str:
    """Return why a room may not have a file."""
    status, answer = await program.call("PATCH", f"/api/rooms/{room}", {"holdMusic": name})
    assert (status, answer["code"]) == (400, "bad_params")
    return str(answer["error"])


async def test_while_nobody_is_in_the_room(tmp_path: Path) -> None:
    """FFmpeg hears it, also from the next broadcast process; a person instead of it, while they
    are there; and nothing once the room wants silence. What cannot be played is not taken.
    """  # noqa: D205
    music = tmp_path / "music.wav"
    music.write_bytes(sounds.wav(3.3, MUSIC_HZ))
    (tmp_path / "short.wav").write_bytes(sounds.wav(0.4))
    (tmp_path / "text.mp3").write_text("I am no sound")
    options = ("--hold-music", str(music), "--announcements-dir", str(tmp_path))
    async with running(tmp_path / "state", *options) as program:
        room = (await program.new_room())["roomId"]
        _, token = await program.call("POST", "/api/token", {"roomId": room})
        player = await asyncio.create_subprocess_exec(
            *("ffmpeg", "-v", "error"),
            *("-i", f"{program.url}/hls/{room}/stream.m3u8?token={token['token']}"),
            *("-ac", "1", "-ar", "48000", "-f", "s16le", "-"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            await hear(player, MUSIC_HZ, without=VOICE_HZ)
            broadcast = program.worker("broadcast")
            os.kill(broadcast, signal.SIGKILL)
            await program.wait_for_worker("broadcast", other_than=broadcast)
            await hear_silence(player)  # until the loop is made again
            await hear(player, MUSIC_HZ, without=VOICE_HZ)
            async with person(program, room, "Ann", tone(VOICE_HZ)) as (signalling, ann):
                await connect(signalling, ann, await ann.offer())
                await hear(player, VOICE_HZ, without=MUSIC_HZ)
                await signalling.call("leave")
            await hear(player, MUSIC_HZ, without=VOICE_HZ)
            assert "no such file" in await refused(program, room, "none.wav")
            assert "at least a second" in await refused(program, room, "short.wav")
            assert "no sound file" in await refused(program, room, "text.mp3")
            for name in ("music.wav", ""):
                change = {"holdMusic": name}
                status, answer = await program.call("PATCH", f"/api/rooms/{room}", change)
                assert (status, answer["room"]["holdMusic"]) == (200, name)
            await hear_silence(player)
        finally:
            player.kill()
            await player.communicate()
