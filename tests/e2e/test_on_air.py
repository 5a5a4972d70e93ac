"""A stream that goes on whatever dies: one address, one FFmpeg, every text held to the standard."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import m3u8
import pytest

from hls.core.conformance.listing import read
from server.client.stream_check import Checker
from tests.e2e.test_ffmpeg import join
from tests.support.ffmpeg_player import playing
from tests.support.program import Program, running
from tests.support.webrtc_client import client, tone

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

PATIENCE_S = 60.0
EPOCHS = 3  # so many keys at least are to have been in force


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


def bare(key: str) -> str:
    """Return the address of a key without its token, which it must have."""
    address, found, _ = key.partition("?token=k2.")
    assert found, key
    return address


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
        async with playing(f"{base}/stream.m3u8?token={token['token']}") as player:
            await player.hear(700, above_db=-20)
            broadcast = program.worker("broadcast")
            os.kill(broadcast, signal.SIGKILL)
            await program.wait_for_worker("broadcast", other_than=broadcast)
            before = read(followers.texts[-1]).first_msn
            await followers.until(lambda text: read(text).first_msn > before + 2)
            await player.hear(700, above_db=-20)
            mixer = program.worker("mixer")
            os.kill(mixer, signal.SIGKILL)
            await program.wait_for_worker("mixer", other_than=mixer)
            await player.hear_silence()
            async with asyncio.timeout(PATIENCE_S):
                while await program.metric("roomtone_mixer_up") < 1:
                    pass
            tasks.create_task(speak(program, room, 1100, ended))
            await player.hear(1100, above_db=-20)
            await followers.until(lambda _: len(followers.keys) >= EPOCHS)
            followers.checker.stop()
            ended.set()
        found = await following
    assert [str(told) for one in found for told in one.told] == []
    assert [one.segments > 5 and one.deltas > 1 for one in found[1:]] == [True, True]
    assert len(followers.keys) == len(set(map(bare, followers.keys))) >= EPOCHS
    assert all(m3u8.loads(text).dumps() for text in followers.texts)
