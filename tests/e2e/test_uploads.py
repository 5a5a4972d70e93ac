"""A server that uploads to a real S3 server, which dies meanwhile; FFmpeg plays it over HTTP.

It is dead for BUCKET_DOWN_S seconds, a second unless the environment says otherwise.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.program import Program, running
from tests.support.room_client import Signalling, connect, person
from tests.support.s3 import S3Server
from tests.support.webrtc_client import Pcm, level_db, tone

DOWN_S = float(os.environ.get("BUCKET_DOWN_S", "1"))
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180 + 2 * DOWN_S)]

HERTZ, HEARD_DB = 440.0, -30.0


@pytest.fixture
async def s3(tmp_path: Path) -> AsyncIterator[S3Server]:
    """An S3 server."""
    server = S3Server(tmp_path)
    await asyncio.to_thread(server.start)
    yield server
    await asyncio.to_thread(server.kill)


@pytest.fixture
async def ada(tmp_path: Path, s3: S3Server) -> AsyncIterator[tuple[Program, Signalling]]:
    """A server that uploads everything, and a host who hums in its room."""
    options = (
        *("--upload-url", s3.place.url, "--upload-endpoint", s3.place.endpoint),
        *("--upload-region", s3.place.region, "--upload-credentials", str(s3.credentials)),
        *("--upload-what", "both", "--upload-keys"),
    )
    async with AsyncExitStack() as stack:
        program = await stack.enter_async_context(running(tmp_path / "state", *options))
        await program.new_room(roomId="studio")
        host = person(program, "studio", "Ada", tone(HERTZ), role="host")
        signalling, media = await stack.enter_async_context(host)
        await connect(signalling, media, await media.offer())
        yield program, signalling


async def seen(program: Program, name: str) -> dict[str, Any]:
    _, answer = await program.call("GET", f"/api/rooms/studio/recordings/{name}")
    shape: dict[str, Any] = answer["recording"]
    return shape


async def wait_for(ada: tuple[Program, Signalling], name: str, **upload: str) -> dict[str, Any]:
    """Wait until a recording is over and its upload is so."""
    program, signalling = ada
    while True:
        shape = await seen(program, name)
        if shape["state"] == "done" and upload.items() <= shape["upload"].items():
            return shape
        await goes_by(signalling, 0.1)


async def goes_by(signalling: Signalling, seconds: float) -> None:
    """Let time go by in a room; who is in it says so."""
    until = asyncio.get_running_loop().time() + seconds
    while (left_s := until - asyncio.get_running_loop().time()) > 0:
        await signalling.call("keepalive")
        await asyncio.sleep(min(0.5, left_s))  # sleep: other processes write, or cannot


def played(source: str) -> Pcm:
    """Return what FFmpeg hears at an address."""
    command = ["ffmpeg", "-v", "error", "-xerror", "-i", source]
    wanted = ["-f", "s16le", "-ac", "1", "-ar", "48000", "-"]
    read = subprocess.run([*command, *wanted], check=True, capture_output=True)
    return np.frombuffer(read.stdout, np.int16)


async def test_a_talk_in_the_bucket(
    ada: tuple[Program, Signalling], s3: S3Server, tmp_path: Path
) -> None:
    """Recording and broadcast are whole there and playable; nobody waited for the bucket."""
    program, signalling = ada
    name = (await signalling.call("startRecording"))["name"]
    while not any(name.endswith(".m3u8") for name in await asyncio.to_thread(s3.files)):
        await goes_by(signalling, 0.1)
    await asyncio.to_thread(s3.kill)
    acknowledged = await asyncio.to_thread(s3.written)
    await goes_by(signalling, DOWN_S)
    await signalling.call("stopRecording")
    shape = await wait_for(ada, name, reason="The bucket cannot be reached.")
    assert shape["upload"]["state"] == "waiting"
    status, answer = await program.call("DELETE", f"/api/rooms/studio/recordings/{name}")
    assert (status, answer["code"]) == (409, "recording_busy")
    async with program.http.get(f"{program.url}/ready") as ready:
        reasons = set((await ready.json()).get("reasons", []))
    assert reasons <= {"ticks", "overload"}  # of a busy machine
    assert await program.metric("roomtone_upload_away") == 1
    await asyncio.to_thread(s3.start)
    shape = await wait_for(ada, name, state="done")
    files, folder = s3.files(), tmp_path / "state" / "recordings" / "studio" / name
    for file in shape["files"]:
        truth = (folder / file["name"]).read_bytes()
        assert files[f"studio/recordings/{name}/{file['name']}"] == truth
    signed = s3.signed(f"studio/recordings/{name}/listen.mp4")
    heard = await asyncio.to_thread(played, signed)
    assert abs(len(heard) / 48_000 - shape["seconds"]) < 0.1
    assert level_db(heard[48_000:96_000], HERTZ) > HEARD_DB
    check_untouched(s3, acknowledged)
    await program.call("DELETE", "/api/rooms/studio")
    await hear_the_broadcast(s3)
    assert "a-secret-of-tests" not in program.output
    status, _ = await program.call("DELETE", f"/api/rooms/studio/recordings/{name}")
    assert status == 200


async def hear_the_broadcast(s3: S3Server) -> None:
    """Play the broadcast, once it is over, from a bucket that is open to all, to its last word."""
    files = await asyncio.to_thread(s3.files)
    while not any(name.endswith("/all.m3u8") and _is_over(text) for name, text in files.items()):
        await asyncio.sleep(0.1)  # sleep: other processes write
        files = await asyncio.to_thread(s3.files)
    lists = [name for name in files if "/broadcast/" in name and name.endswith("/all.m3u8")]
    whole = min(lists, key=len)  # the default rendition's; others may be there already
    await asyncio.to_thread(s3.kill)
    await asyncio.to_thread(lambda: s3.start(is_open=True))
    heard = await asyncio.to_thread(played, s3.address(whole))
    assert level_db(heard[-96_000:-48_000], HERTZ) > HEARD_DB
    assert level_db(heard[-9_600:-4_800], HERTZ) > HEARD_DB, "to the last word"
    check_whole(s3.bucket / "pre" / whole)


def check_untouched(s3: S3Server, acknowledged: dict[str, int]) -> None:
    """Check that what the bucket had taken before it died is there, and was not sent again."""
    now = s3.written()
    segments = [name for name in acknowledged if "/seg-" in name]
    assert segments
    assert [name for name in segments if now.get(name) != acknowledged[name]] == []
    assert acknowledged.keys() <= now.keys()


def check_whole(playlist: Path) -> None:
    """Check that no segment is missing, in the playlist or beside it."""
    text = playlist.read_text()
    names = [line for line in text.splitlines() if line and not line.startswith("#")]
    numbers = [int(name.rpartition("-")[2].removesuffix(".m4s")) for name in names]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert "#EXT-X-GAP" not in text
    assert all((playlist.parent / name).stat().st_size for name in names)
    sys.stderr.write(f"The bucket was away for {DOWN_S:.0f} s; {len(names)} segments, no gap.\n")


def _is_over(text: bytes) -> bool:
    return text.endswith(b"#EXT-X-ENDLIST\n")
