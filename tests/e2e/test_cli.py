"""The verbs of the command against a running server: voices, a listener, signals."""

import asyncio
import json
import os
import signal
import sys
import uuid
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.program import ROOT, Program, running
from tests.support.room_client import open_signalling
from tests.support.webrtc_client import level_db

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(150)]

RATE = 48_000
LISTEN_S = 9  # the first six may be from before somebody came


def write_tone(path: Path, hertz: float, seconds: float) -> Path:
    time_s = np.arange(int(RATE * seconds)) / RATE
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((9000 * np.sin(2 * np.pi * hertz * time_s)).astype("<i2").tobytes())
    return path


def read_wav(path: Path) -> NDArray[np.int16]:
    """Return the first channel."""
    with wave.open(str(path)) as file:
        assert file.getframerate() == RATE
        pcm = np.frombuffer(file.readframes(file.getnframes()), np.int16)
        return pcm[:: file.getnchannels()]


def loudest_db(path: Path, hertz: float) -> float:
    """Return the level of a frequency in the half second where it is loudest."""
    pcm, step = read_wav(path), RATE // 2
    return max(level_db(pcm[at : at + step], hertz) for at in range(0, len(pcm) - step + 1, step))


async def roomtone(program: Program, *arguments: str) -> asyncio.subprocess.Process:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ROOMTONE_")}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        str(ROOT / "server" / "__main__.py"),
        *(*arguments, "--state-dir", str(program.state_dir), "--json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
    )


async def told(process: asyncio.subprocess.Process) -> Any:
    out, errors = await process.communicate()
    assert process.returncode == 0, (out, errors)
    return json.loads(out)


async def test_two_voices_and_a_listener(tmp_path: Path) -> None:
    """Two `join` hear each other and not themselves; `listen` records both."""
    async with running(tmp_path / "state") as program:
        room = await told(await roomtone(program, "room", "create", "--id", "demo", "--pin", ""))
        token = await told(await roomtone(program, "token", "join", "demo", "--name", "Bob"))
        ways = {"ann": (room["links"]["join"], 600.0), "bob": (token["url"], 1100.0)}
        voices = []
        for name, (link, hertz) in ways.items():
            sound = write_tone(tmp_path / f"{name}.wav", hertz, 2.0)
            where = (
                "--file",
                str(sound),
                "--loop",
                "--record",
                str(tmp_path / f"{name}-heard.wav"),
            )
            voices.append(await roomtone(program, "join", link, *where, "--name", name))
        async with asyncio.timeout(60):
            while len((await statistics(program))["peers"]) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.1)  # sleep: other programs
        heard = ("--out", str(tmp_path / "listened.wav"), "--seconds", str(LISTEN_S))
        listened = await told(await roomtone(program, "listen", room["links"]["listen"], *heard))
        for voice in voices:
            voice.send_signal(signal.SIGINT)
        outcomes = [await told(voice) for voice in voices]
    assert (listened["room"], listened["seconds"]) == ("demo", LISTEN_S)
    assert [one["room"] for one in outcomes] == ["demo", "demo"]
    assert loudest_db(tmp_path / "ann-heard.wav", 1100) > -25
    assert loudest_db(tmp_path / "ann-heard.wav", 600) < -50
    assert loudest_db(tmp_path / "bob-heard.wav", 600) > -25
    assert loudest_db(tmp_path / "bob-heard.wav", 1100) < -50
    assert loudest_db(tmp_path / "listened.wav", 600) > -25
    assert loudest_db(tmp_path / "listened.wav", 1100) > -25
    assert len(read_wav(tmp_path / "listened.wav")) == LISTEN_S * RATE


async def statistics(program: Program) -> Any:
    _, answer = await program.call("GET", "/api/rooms/demo/statistics")
    return answer


async def test_hang_up(tmp_path: Path) -> None:
    """SIGHUP puts a changed file in force; a wrong one changes nothing, and the log says why."""
    path = tmp_path / "roomtone.toml"
    path.write_text("log_level = 'info'\n")
    async with running(tmp_path / "state", "--config", str(path)) as program:
        path.write_text("access_log = true\nhost = '0.0.0.0'\n")
        os.kill(program.pid, signal.SIGHUP)
        await logged(program, "settings_reloaded")
        await program.call("GET", "/api/rooms")
        await logged(program, '"path": "/api/rooms"')
        assert '"needs_restart": ["host"]' in program.output
        path.write_text("prot = 1\n")
        os.kill(program.pid, signal.SIGHUP)
        await logged(program, "settings_kept")
        assert "did you mean port?" in program.output
        assert (await program.call("GET", "/api/rooms"))[0] == 200


async def logged(program: Program, text: str) -> None:
    async with asyncio.timeout(20):
        while text not in program.output:  # noqa: ASYNC110 - another program's log
            await asyncio.sleep(0.02)  # sleep: it comes when it comes


async def test_drain(tmp_path: Path) -> None:
    """SIGTERM warns who is there, refuses who is not, and ends when they have left."""
    async with running(tmp_path / "state", "--drain-s", "60") as program:
        room = (await program.new_room())["roomId"]
        async with open_signalling(program, room, "Ann") as ann:
            os.kill(program.pid, signal.SIGTERM)
            await logged(program, '"event": "draining"')
            await ann.call("keepalive")
            warned = [one for one in ann.notifications if one["method"] == "draining"]
            assert warned[0]["params"] == {"endsInMs": 60_000}
            status, answer = await program.call("POST", "/api/rooms", {"name": str(uuid.uuid4())})
            assert (status, answer["code"]) == (503, "draining")
            async with program.http.get(f"{program.url}/ready") as ready:
                assert (await ready.json())["reasons"] == ["draining"]
            await ann.call("leave")
        async with asyncio.timeout(20):
            assert await ended(program) == 0


async def test_second_signal(tmp_path: Path) -> None:
    """A second SIGTERM ends the server while somebody is still there."""
    async with running(tmp_path / "state", "--drain-s", "3600") as program:
        room = (await program.new_room())["roomId"]
        async with open_signalling(program, room, "Ann"):
            os.kill(program.pid, signal.SIGTERM)
            await logged(program, '"event": "draining"')
            os.kill(program.pid, signal.SIGTERM)
            async with asyncio.timeout(20):
                assert await ended(program) == 0


async def ended(program: Program) -> int:
    assert program._process is not None, "it was started"
    return await program._process.wait()
