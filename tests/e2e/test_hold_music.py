"""Hold music of the running server: heard while nobody is in the room, and only then."""

import os
import signal
from pathlib import Path

import pytest

from tests.support import sounds
from tests.support.ffmpeg_player import playing
from tests.support.program import Program, running
from tests.support.room_client import connect, person
from tests.support.webrtc_client import tone

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

MUSIC_HZ, VOICE_HZ = 440, 1100


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
        url = f"{program.url}/hls/{room}/stream.m3u8?token={token['token']}"
        async with playing(url) as player:
            await player.hear(MUSIC_HZ, without=VOICE_HZ)
            broadcast = program.worker("broadcast")
            os.kill(broadcast, signal.SIGKILL)
            await program.wait_for_worker("broadcast", other_than=broadcast)
            await player.hear_silence()  # until the loop is made again
            await player.hear(MUSIC_HZ, without=VOICE_HZ)
            async with person(program, room, "Ann", tone(VOICE_HZ)) as (signalling, ann):
                await connect(signalling, ann, await ann.offer())
                await player.hear(VOICE_HZ, without=MUSIC_HZ)
                await signalling.call("leave")
            await player.hear(MUSIC_HZ, without=VOICE_HZ)
            assert "no such file" in await refused(program, room, "none.wav")
            assert "at least a second" in await refused(program, room, "short.wav")
            assert "no sound file" in await refused(program, room, "text.mp3")
            for name in ("music.wav", ""):
                change = {"holdMusic": name}
                status, answer = await program.call("PATCH", f"/api/rooms/{room}", change)
                assert (status, answer["room"]["holdMusic"]) == (200, name)
            await player.hear_silence()
