"""A call between Chromium and another client: recorded as it happens, then run again."""

import asyncio
import re
import subprocess
import time
import wave
from pathlib import Path

import numpy as np
import pytest

from mixer.core.recording import Sent, Tick, read_header, read_records
from mixer.types import tick_at
from server.media.child import program as command
from tests.support.chromium import chromium, heard, join, write_tone
from tests.support.program import Program, running
from tests.support.room_client import connect, person
from tests.support.webrtc_client import level_db, tone

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

ADA_HZ, BOB_HZ = 440.0, 1000.0


async def call(folder: Path) -> Path:
    """Let the two talk for some seconds; return the recording."""
    recordings = folder / "recordings"
    async with running(folder / "state", "--record-arrivals", str(recordings)) as program:
        room = await program.new_room()
        microphone = write_tone(folder / "ada.wav", ADA_HZ)
        async with (
            chromium(microphone) as browser,
            person(program, room["roomId"], "Bob", tone(BOB_HZ)) as (signalling, bob),
        ):
            page = await browser.new_page()
            await join(page, room["links"]["join"], "Ada")
            await connect(signalling, bob, await bob.offer())
            assert (await heard(page, BOB_HZ, seconds=3.0))[0] > -40
            assert level_db(await bob.hear(1.0), ADA_HZ) > -40
            await page.click("#leave")
        await program.call("DELETE", f"/api/rooms/{room['roomId']}")
        await until_written(program)
    return the_file(recordings)


async def until_written(program: Program) -> None:
    """Wait until all that was recorded is on the disk."""
    written, recorded = -1.0, 0.0
    async with asyncio.timeout(20):
        while written < recorded:
            recorded = await program.metric("roomtone_recorded_bytes_total")
            written = await program.metric("roomtone_recording_bytes_written_total")


def the_file(folder: Path) -> Path:
    """Return the only recording, which only its user can read."""
    (file,) = folder.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    return file


def replay(file: Path, *options: str) -> str:
    """Run it again in a process of its own."""
    done = subprocess.run(
        [*command(), "replay", *options, str(file)], check=True, capture_output=True, text=True
    )
    return done.stdout


async def test_a_call_from_chromium_is_run_again_bit_for_bit(tmp_path: Path) -> None:
    """Two processes send what was sent; with deeper jitter buffers they tell another story."""
    file = await call(tmp_path)
    first, second, patient = await asyncio.gather(
        asyncio.to_thread(replay, file, "--mix", str(tmp_path / "mix.wav")),
        asyncio.to_thread(replay, file),
        asyncio.to_thread(replay, file, "--jitter-min", "8", "--jitter-max", "16"),
    )
    assert "yes, bit for bit" in first
    assert first == second
    digests = [re.findall(r"^digest +(\w{64})$", text, re.MULTILINE) for text in (first, patient)]
    assert digests[0] != digests[1]
    assert table(first) != table(patient)
    with wave.open(str(tmp_path / "mix.wav")) as mix:
        pcm = np.frombuffer(mix.readframes(mix.getnframes()), np.int16)
    middle = pcm[len(pcm) // 3 : 2 * len(pcm) // 3]
    assert min(level_db(middle, hertz) for hertz in (ADA_HZ, BOB_HZ)) > -40


async def test_an_orderly_stop_loses_nothing(tmp_path: Path) -> None:
    """The last seconds before the end of the server are in the file, to the last digest."""
    recordings = tmp_path / "recordings"
    async with running(tmp_path / "state", "--record-arrivals", str(recordings)) as program:
        room = (await program.new_room())["roomId"]
        async with person(program, room, "Bob", tone(BOB_HZ)) as (signalling, bob):
            await connect(signalling, bob, await bob.offer())
            await asyncio.sleep(1.5)  # sleep: he speaks, and hears next to nothing alone
            stopped = tick_at(time.monotonic())
            await program.stop()
    with the_file(recordings).open("rb") as file:
        read_header(file.read)
        records = list(read_records(file.read))
    ticks = [record.tick for record in records if isinstance(record, Tick)]
    assert ticks[-1] >= stopped - 1
    assert isinstance(records[-1], Sent)
    assert "yes, bit for bit" in await asyncio.to_thread(replay, the_file(recordings))


async def test_a_call_is_recorded_on_request(tmp_path: Path) -> None:
    """From its middle, fetched by REST; two replays agree with each other."""
    async with running(tmp_path / "state") as program:
        room = (await program.new_room())["roomId"]
        at = f"/api/rooms/{room}/arrivals"
        async with person(program, room, "Bob", tone(BOB_HZ)) as (signalling, bob):
            await connect(signalling, bob, await bob.offer())
            await asyncio.sleep(0.5)  # sleep: he speaks, and hears next to nothing alone
            assert (await program.call("POST", at, {"seconds": 60}))[0] == 201
            await asyncio.sleep(1.0)  # sleep: he speaks, and hears next to nothing alone
            assert (await program.call("DELETE", at))[0] == 200
        await until_written(program)
        _, answer = await program.call("GET", at)
        (stored,) = answer["recordings"]
        admin = {"Authorization": f"Bearer {program.admin_key}"}
        url = f"{program.url}{at}/{stored['name']}"
        async with program.http.get(url, headers=admin) as download:
            content = await download.read()
    assert len(content) == stored["bytes"]
    file = tmp_path / "fetched.arrivals"
    file.write_bytes(content)
    first, second = [await asyncio.to_thread(replay, file) for _ in range(2)]
    assert first == second
    assert "begins in the middle of a call" in first
    assert int(re.findall(r"^ticks +(\d+)", first, re.MULTILINE)[0]) >= 40
    assert the_file(tmp_path / "state" / "arrivals").stat().st_size == len(content)


def table(text: str) -> list[str]:
    """The lines between the first empty line and the second."""
    return text.split("\n\n")[1].splitlines()
