"""FFmpeg on plain RTP: it speaks into a room and hears it, beside a WebRTC client."""

import asyncio
import contextlib
import wave
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.program import Program, free_port, running
from tests.support.room_client import connect, person
from tests.support.webrtc_client import level_db, tone

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

ANN_HZ, FFMPEG_HZ = 440.0, 700.0
PRESENT_DB, ABSENT_DB = -30.0, -55.0

NAMES = {"opus": "opus/48000/2", "pcmu": "PCMU/8000", "pcma": "PCMA/8000"}
ENCODERS = {
    "opus": ("-ar", "48000", "-c:a", "libopus"),
    "pcmu": ("-ar", "8000", "-c:a", "pcm_mulaw"),
    "pcma": ("-ar", "8000", "-c:a", "pcm_alaw"),
}

Pcm = NDArray[np.int16]


@contextlib.asynccontextmanager
async def speaking(codec: str, line: dict[str, Any]) -> AsyncIterator[None]:
    """FFmpeg sends a tone, at the pace of time, until the end of the context."""
    ssrc = line["ssrc"] - (1 << 32 if line["ssrc"] >= 1 << 31 else 0)  # FFmpeg's is signed
    ffmpeg = await asyncio.create_subprocess_exec(
        *("ffmpeg", "-v", "error", "-re", "-f", "lavfi"),
        *("-i", f"sine=frequency={FFMPEG_HZ}:sample_rate=48000", "-af", "volume=8"),
        *("-ac", "1", *ENCODERS[codec], "-payload_type", str(line["payloadType"])),
        *("-ssrc", str(ssrc), "-f", "rtp", f"rtp://127.0.0.1:{line['rtpPort']}"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,  # an SDP
    )
    try:
        yield
    finally:
        ffmpeg.kill()
        await ffmpeg.wait()


async def receive(folder: Path, forwarder: dict[str, Any], seconds: float) -> Pcm:
    """Let FFmpeg receive a forwarder's stream; return its audio at 48 kHz."""
    sdp, out = folder / f"{forwarder['codec']}.sdp", folder / f"{forwarder['codec']}.wav"
    kind = forwarder["payloadType"]
    lines = [
        *("v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=room", "c=IN IP4 127.0.0.1", "t=0 0"),
        f"m=audio {forwarder['port']} RTP/AVP {kind}",
        f"a=rtpmap:{kind} {NAMES[forwarder['codec']]}",
    ]
    sdp.write_text("\r\n".join(lines) + "\r\n")
    ffmpeg = await asyncio.create_subprocess_exec(
        *("ffmpeg", "-v", "error", "-y", "-protocol_whitelist", "file,udp,rtp"),
        *("-i", str(sdp), "-t", str(seconds), "-ac", "1", "-ar", "48000", str(out)),
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await ffmpeg.communicate()
    assert ffmpeg.returncode == 0, errors
    with wave.open(str(out)) as heard:
        return np.frombuffer(heard.readframes(heard.getnframes()), np.int16)


async def make(program: Program, room: str, what: str, **body: Any) -> dict[str, Any]:
    status, answer = await program.call("POST", f"/api/rooms/{room}/{what}", body)
    assert status == 201, answer
    made: dict[str, Any] = answer["forwarder" if what == "forwarders" else "participant"]
    return made


@pytest.mark.parametrize("codec", ["opus", "pcmu", "pcma"])
async def test_ffmpeg_speaks_into_a_room_and_receives_it(codec: str, tmp_path: Path) -> None:
    """The room hears FFmpeg's tone, and FFmpeg the room's mix, in each codec."""
    rtp = str(free_port())
    options = ("--rtp-port", rtp, "--forward-to", "127.0.0.0/8")
    async with running(tmp_path / "state", *options) as program:
        room = (await program.new_room())["roomId"]
        line = await make(program, room, "rtp", codec=codec, displayName="Trunk")
        forwarder = await make(
            program, room, "forwarders", host="127.0.0.1", port=free_port(), codec=codec
        )
        async with (
            speaking(codec, line),
            person(program, room, "Ann", tone(ANN_HZ)) as (signalling, ann),
        ):
            await connect(signalling, ann, await ann.offer())
            heard = await ann.hear(2.0, skip=1.5)
            received = await receive(tmp_path, forwarder, 3.0)
            _, listed = await program.call("GET", f"/api/rooms/{room}/rtp")
    assert listed["participants"][0]["status"] == "onair"
    assert level_db(heard, FFMPEG_HZ) > PRESENT_DB
    assert level_db(heard, ANN_HZ) < ABSENT_DB
    assert min(level_db(received, hertz) for hertz in (ANN_HZ, FFMPEG_HZ)) > PRESENT_DB
    assert level_db(received, 2100.0) < ABSENT_DB


async def test_rtp_lines_survive_a_killed_server(tmp_path: Path) -> None:
    """They are kept with the room: FFmpeg goes on, and is heard again."""
    options = ("--rtp-port", str(free_port()), "--forward-to", "127.0.0.0/8")
    state = tmp_path / "state"
    async with running(state, *options) as program:
        room = (await program.new_room())["roomId"]
        line = await make(program, room, "rtp", codec="pcmu")
        forwarder = await make(
            program, room, "forwarders", host="127.0.0.1", port=free_port(), codec="pcma"
        )
    async with running(state, *options), speaking("pcmu", line):
        received = await receive(tmp_path, forwarder, 3.0)
    assert level_db(received[48_000:], FFMPEG_HZ) > PRESENT_DB
