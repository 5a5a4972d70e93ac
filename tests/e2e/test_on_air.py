"""A stream that goes on whatever dies: one address, one FFmpeg, every text held to the standard."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import m3u8
import numpy as np
import pytest
from numpy.typing import NDArray

from hls.core.conformance.listing import read
from server.client.stream_check import Checker
from tests.e2e.test_ffmpeg import join
from tests.support.program import Program, running
from tests.support.webrtc_client import RATE, client, level_db, tone

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

PATIENCE_S = 60.0
CHUNK = RATE // 2
EPOCHS = 3  # so many keys at least are to have been in force


def sounds(hertz: float) -> Callable[[NDArray[np.int16]], bool]:
    """Whether half a second is this tone."""
    return lambda pcm: level_db(pcm, hertz) > -20


def is_silent(pcm: NDArray[np.int16]) -> bool:
    return int(np.abs(pcm).max()) < 10


async def hear(
    player: asyncio.subprocess.Process, is_it: Callable[[NDArray[np.int16]], bool]
) -> None:
    """Wait until a player plays it."""
    assert player.stdout is not None, "asked for as a pipe"
    async with asyncio.timeout(PATIENCE_S):
        while not is_it(np.frombuffer(await player.stdout.readexactly(2 * CHUNK), np.int16)):
            pass


async def speak(program: Program, room: str, hertz: float, ended: asyncio.Event) -> None:
    """Be in the room with a tone."""
    async with client(tone(hertz)) as anchor:
        await anchor.accept(await join(program, room, await anchor.offer()))
        await ended.wait()


class Followers:
    """Follow every playlist of a room as players do, and keep each text."""

    def __init__(self, program: Program) -> None:
        self.texts: list[str] = []
        self.checker = Checker(self._ask, seconds=PATIENCE_S * 3)
        self._program = program
        self._came = asyncio.Event()

    async def _ask(self, url: str) -> tuple[int, bytes]:
        async with self._program.http.get(url) as answer:
            body = await answer.read()
            if answer.status == 200:
                self.texts.append(body.decode())
                self._came.set()
            return answer.status, body

    async def until(self, is_it: Callable[[str], object]) -> None:
        """Wait for a text, among those that come from now on."""
        async with asyncio.timeout(PATIENCE_S):
            at = len(self.texts)
            while True:
                while at == len(self.texts):
                    self._came.clear()
                    await self._came.wait()
                if is_it(self.texts[at]):
                    return
                at += 1

    @property
    def keys(self) -> set[str]:
        """The addresses of all keys, with their tokens."""
        listed = (read(text).all("EXT-X-KEY") for text in self.texts)
        return {tag.text("URI") for tags in listed for tag in tags} - {""}


async def play(url: str) -> asyncio.subprocess.Process:
    """Decode a stream to mono 16 bit at 48 kHz."""
    return await asyncio.create_subprocess_exec(
        *("ffmpeg", "-v", "error", "-i", url, "-ac", "1", "-ar", "48000", "-f", "s16le", "-"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )


async def test_a_stream_goes_on(tmp_path: Path) -> None:
    """Broadcast process and mixer die; the key changes; who listens hears silence, then goes on
    hearing. No text breaks a rule, tokens and all, and PyPI's m3u8 reads them all.
    """  # noqa: D205
    ended = asyncio.Event()
    options = ("--broadcast-key-segments", "5")
    async with running(tmp_path / "state", *options) as program, asyncio.TaskGroup() as tasks:
        room = (await program.new_room())["roomId"]
        base, followers = f"{program.url}/hls/{room}", Followers(program)
        _, token = await program.call("POST", "/api/token", {"roomId": room})
        following = tasks.create_task(
            followers.checker.check(f"{base}/master.m3u8?token={token['token']}")
        )
        tasks.create_task(speak(program, room, 700, ended))
        player = await play(f"{base}/stream.m3u8?token={token['token']}")
        try:
            await hear(player, sounds(700))
            broadcast = program.worker("broadcast")
            os.kill(broadcast, signal.SIGKILL)
            await program.wait_for_worker("broadcast", other_than=broadcast)
            before = read(followers.texts[-1]).first_msn
            await followers.until(lambda text: read(text).first_msn > before + 2)
            await hear(player, sounds(700))
            mixer = program.worker("mixer")
            os.kill(mixer, signal.SIGKILL)
            await program.wait_for_worker("mixer", other_than=mixer)
            await hear(player, is_silent)
            async with asyncio.timeout(PATIENCE_S):
                while await program.metric("roomtone_mixer_up") < 1:
                    pass
            tasks.create_task(speak(program, room, 1100, ended))
            await hear(player, sounds(1100))
            await followers.until(lambda _: len(followers.keys) >= EPOCHS)
        finally:
            player.kill()
            await player.communicate()  # what it still had to say holds its end up
            followers.checker.stop()
            ended.set()
        found = await following
    assert [str(told) for one in found for told in one.told] == []
    assert [one.segments > 5 and one.deltas > 1 for one in found[1:]] == [True, True]
    told = followers.keys
    assert len({key.partition("?token=k2.")[0] for key in told}) == len(told) >= EPOCHS
    assert all(m3u8.loads(text).dumps() for text in followers.texts)
