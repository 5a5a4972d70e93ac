"""A room on the air in other ways: FFmpeg and GStreamer as radio listeners, an RTMP server."""

import asyncio
import contextlib
import os
import re
import signal
import wave
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.e2e.test_announcements import play, until
from tests.support import sounds
from tests.support.program import Program, children_of, free_port, running
from tests.support.webrtc_client import level_db

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

KEY = "secret-stream-key"
TITLE = "Café \N{RIGHT SINGLE QUOTATION MARK}Eins\N{RIGHT SINGLE QUOTATION MARK}"


@contextlib.asynccontextmanager
async def on_air(folder: Path) -> AsyncIterator[tuple[Program, str, str]]:
    """A program with a room that plays 1 kHz for ever; its id, and a listen token."""
    async with running(folder / "state", "--output-networks", "127.0.0.0/8") as program:
        room = (await program.new_room(name="Café 'Eins'"))["roomId"]
        await play(program, room, sounds.encoded("tone.mp3", 10.0), loop="true")
        _, told = await program.call("POST", "/api/token", {"roomId": room})
        yield program, room, told["token"]


def tone_db(file: Path) -> float:
    """Return the level of 1 kHz in the last second of a file, loudly below it nothing else."""
    with wave.open(str(file)) as heard:
        pcm = np.frombuffer(heard.readframes(heard.getnframes()), np.int16)
    assert level_db(pcm[-48_000:], 1700) < -50
    return level_db(pcm[-48_000:], 1000)


async def run(*command: str) -> str:
    """Run a program to its end; return what it said."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    return said.decode()


async def test_radio(tmp_path: Path) -> None:
    """FFmpeg and GStreamer play both formats, with titles, through the death of the processes."""
    async with on_air(tmp_path) as (program, room, token):

        async def ffmpeg(kind: str, seconds: float) -> str:
            url = f"{program.url}/radio/{room}.{kind}?token={token}"
            out = str(tmp_path / f"{kind}.wav")
            decode = ("-t", str(seconds), "-ac", "1", "-ar", "48000", out)
            return await run("ffmpeg", "-v", "verbose", "-y", "-icy", "1", "-i", url, *decode)

        async def gstreamer() -> str:
            url = f"{program.url}/radio/{room}.mp3?token={token}"
            return await run(
                *("gst-launch-1.0", "-t", "souphttpsrc", f"location={url}", "iradio-mode=true"),
                *("num-buffers=40", "!", "icydemux", "!", "decodebin", "!", "audioconvert"),
                *("!", "audioresample", "!", "audio/x-raw,format=S16LE,rate=48000,channels=1"),
                *("!", "wavenc", "!", "filesink", f"location={tmp_path / 'gst.wav'}"),
            )

        async def kill_all() -> None:
            await until(lambda: is_there("mp3"))
            children = children_of(program.pid)
            for kind in ("mp3", "broadcast", "mixer"):
                os.kill(children[kind], signal.SIGKILL)

        async def is_there(kind: str) -> bool:
            return kind in children_of(program.pid)

        aac, mp3, gst, _ = await asyncio.gather(
            ffmpeg("aac", 12), ffmpeg("mp3", 12), gstreamer(), kill_all()
        )
        _, told = await program.call("GET", f"/api/rooms/{room}/listeners")
        assert program.output.count("listening_started") == 1
    assert told["count"] == 1
    for said in (aac, mp3):
        assert f"Metadata update for StreamTitle: {TITLE}" in said
        assert re.search(r"icy-pub\s*: 0", said)
    assert TITLE in gst
    assert tone_db(tmp_path / "aac.wav") > -20
    assert tone_db(tmp_path / "mp3.wav") > -20


async def states(program: Program, room: str) -> list[Any]:
    """Return a room's outputs."""
    _, told = await program.call("GET", f"/api/rooms/{room}/outputs")
    found: list[Any] = told["outputs"]
    return found


async def test_rtmp(tmp_path: Path) -> None:
    """An RTMP server gets the sound, and again when it is back; the key is seen by nobody."""
    port = free_port()
    url = f"rtmp://127.0.0.1:{port}/live/{KEY}"

    async def receive(name: str) -> None:
        out = str(tmp_path / name)
        await run(
            *("ffmpeg", "-v", "error", "-y", "-listen", "1", "-i", url),
            *("-t", "5", "-ac", "1", "-ar", "48000", out),
        )

    async with on_air(tmp_path) as (program, room, _):

        async def is_so(state: str) -> bool:
            return [one["state"] for one in await states(program, room)] == [state]

        status, made = await program.call(
            "POST", f"/api/rooms/{room}/outputs", {"url": url, "name": "Channel"}
        )
        assert status == 201, made
        await until(lambda: is_so("failed"))
        failed = (await states(program, room))[0]
        assert failed["reason"].endswith("Connection refused")
        first = asyncio.create_task(receive("first.wav"))
        await until(lambda: is_so("live"))
        arguments = command_line(children_of(program.pid)["publish"])
        await first
        await until(lambda: is_so("failed"))
        await receive("second.wav")
        shown = str(await states(program, room)) + str(failed) + str(made)
        output = made["output"]["outputId"]
        status, _ = await program.call("DELETE", f"/api/rooms/{room}/outputs/{output}")
        assert status == 200
        await until(lambda: gone(program))
        log = program.output
    assert tone_db(tmp_path / "first.wav") > -20
    assert tone_db(tmp_path / "second.wav") > -20
    assert KEY not in shown + log + arguments


def command_line(pid: int) -> str:
    """Return what everybody on the machine sees of a process."""
    return Path(f"/proc/{pid}/cmdline").read_text()


async def gone(program: Program) -> bool:
    """Whether nothing is published any more."""
    return "publish" not in children_of(program.pid)
