"""A room on the air in other ways: FFmpeg and GStreamer as radio listeners, an RTMP server."""

import asyncio
import contextlib
import os
import re
import signal
import ssl
import wave
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from server.compose.certificate import Certificate, self_signed
from server.services.clock import system_clock
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


def certified(folder: Path) -> Certificate:
    """Make a certificate of this machine, by an authority of its own beside it."""
    folder.mkdir()
    return self_signed(folder, ["127.0.0.1"], system_clock().now())


@contextlib.asynccontextmanager
async def tls_before(port: int, certificate: Certificate) -> AsyncIterator[int]:
    """Something that speaks TLS, as nginx or stunnel would, before a server that does not."""

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(carry(reader, behind[1]), carry(behind[0], writer))

    server = await asyncio.start_server(meet, "127.0.0.1", 0, ssl=certificate.context())
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_rtmps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By TLS, too; what nobody vouches for, or speaks no TLS, never hears the key."""
    known, strange = [certified(tmp_path / name) for name in ("a", "b")]
    monkeypatch.setenv("SSL_CERT_FILE", str(known.chain.parent / "ca.crt"))
    port, out = free_port(), tmp_path / "heard.wav"
    heard = (f"rtmp://127.0.0.1:{port}/live/{KEY}", "-t", "5", "-ac", "1", "-ar", "48000")
    command = ("ffmpeg", "-v", "error", "-y", "-listen", "1", "-i", *heard)
    async with (
        on_air(tmp_path) as (program, room, _),
        tls_before(port, known) as good,
        tls_before(port, strange) as bad,
    ):
        receiving = asyncio.create_task(run(*command, str(out)))
        await until(lambda: is_bound(port))
        for where in (good, bad, program.port):
            body = {"url": f"rtmps://127.0.0.1:{where}/live/{KEY}", "name": str(where)}
            assert (await program.call("POST", f"/api/rooms/{room}/outputs", body))[0] == 201

        async def has_come() -> bool:
            found = [one["state"] for one in await states(program, room)]
            return found == ["live", "failed", "failed"]

        await until(has_come)
        shown = await states(program, room)
        await receiving
        log = program.output
    assert tone_db(out) > -20
    assert "certificate is not accepted" in shown[1]["reason"]
    assert shown[2]["reason"] == "The server does not speak TLS as it must for rtmps://"
    assert KEY not in str(shown) + log


def holds(port: int) -> bool:
    """Whether somebody listens there, without calling them: they take one call only."""
    return any(
        line.split()[1:4:2] == [f"0100007F:{port:04X}", "0A"]
        for line in Path("/proc/net/tcp").read_text().splitlines()
    )


async def is_bound(port: int) -> bool:
    """Whether somebody listens there."""
    return holds(port)


def command_line(pid: int) -> str:
    """Return what everybody on the machine sees of a process."""
    return Path(f"/proc/{pid}/cmdline").read_text()


async def gone(program: Program) -> bool:
    """Whether nothing is published any more."""
    return "publish" not in children_of(program.pid)
