"""FFmpeg as a listener: nothing but the playlist's address."""

import asyncio
import wave
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

from tests.support.program import Program, running
from tests.support.webrtc_client import client, level_db, tone

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

HZ = 700.0


async def join(program: Program, room: str, sdp: str) -> str:
    """Offer as an anchor over the WebSocket; return the answer."""
    status, user = await program.call("POST", f"/api/rooms/{room}/users", {"role": "anchor"})
    assert status == 200, user
    socket = await program.http.ws_connect(f"{program.url}/ws?token={user['token']}")
    client_id = "01234567-89ab-4cde-8f01-23456789abcd"
    await ask(socket, "join", {"clientId": client_id})
    answer = await ask(socket, "offer", {"sdp": {"type": "offer", "sdp": sdp}})
    return str(answer["sdp"]["sdp"])


async def ask(socket: aiohttp.ClientWebSocketResponse, method: str, params: Any) -> Any:
    """Call a method; notifications that come first are left aside."""
    await socket.send_json({"jsonrpc": "2.0", "id": method, "method": method, "params": params})
    while True:
        message = await socket.receive_json()
        if message.get("id") == method:
            return message["result"]


async def test_ffmpeg_plays_the_encrypted_stream(tmp_path: Path) -> None:
    """Debian's FFmpeg decrypts and decodes from the signed playlist address, over key changes."""
    often = ("--broadcast-key-segments", "5")
    async with running(tmp_path / "state", *often) as program, client(tone(HZ)) as anchor:
        room = (await program.new_room())["roomId"]
        async with program.http.get(f"{program.url}/hls/{room}/stream.m3u8") as answer:
            assert answer.status == 200  # somebody listens: another key from segment 10 on
        await anchor.accept(await join(program, room, await anchor.offer()))
        await program.call("POST", "/api/token", {"roomId": room})
        _, token = await program.call("POST", "/api/token", {"roomId": room})
        out = tmp_path / "heard.wav"
        ffmpeg = await asyncio.create_subprocess_exec(
            *("ffmpeg", "-v", "error", "-y", "-i"),
            f"{program.url}/hls/{room}/stream.m3u8?token={token['token']}",
            *("-t", "19", "-ac", "1", "-ar", "48000", str(out)),
            stderr=asyncio.subprocess.PIPE,
        )
        _, errors = await ffmpeg.communicate()
        _, told = await program.call("GET", f"/api/rooms/{room}/listeners")

    assert [one["keys"] > 1 for one in told["listeners"]] == [True]
    assert ffmpeg.returncode == 0, errors
    with wave.open(str(out)) as heard:
        pcm = np.frombuffer(heard.readframes(heard.getnframes()), np.int16)
    assert level_db(pcm[-3 * 48_000 :], HZ) > -20
    assert level_db(pcm[-3 * 48_000 :], 2 * HZ) < -60


async def test_without_a_token_there_is_no_key(tmp_path: Path) -> None:
    """The same address without its token gives FFmpeg nothing to decrypt with."""
    async with running(tmp_path / "state") as program:
        room = (await program.new_room())["roomId"]
        ffmpeg = await asyncio.create_subprocess_exec(
            *("ffmpeg", "-v", "error", "-i", f"{program.url}/hls/{room}/stream.m3u8"),
            *("-t", "1", "-f", "null", "-"),
            stderr=asyncio.subprocess.PIPE,
        )
        assert ffmpeg.stderr is not None, "asked for as a pipe"
        async with asyncio.timeout(20):
            said = await ffmpeg.stderr.readline()
            while said and b"key file" not in said:
                said = await ffmpeg.stderr.readline()
        ffmpeg.kill()  # it would follow the live playlist for ever
        await ffmpeg.communicate()
    assert b"key file" in said
