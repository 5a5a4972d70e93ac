"""Feeds of rooms on air: in time, whatever the broadcast process does, and only while read."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from hls.core.soundpart import SoundPart
from hls.pipeline import DEFAULT_DELAY_TICKS
from hls.types import BroadcastSpec, KeySpec
from mixer.types import RoomId, tick_at
from server.errors import NotReady, PlaneUnavailable
from server.services.clock import Clock
from server.services.fan import BURST, MOST, Fan
from server.services.feeds import DELAY_TICKS, GRACE_S, LINGER_S, Feeds
from server.supervise import Supervisor
from tests.support.planes import SOUND, FakeBroadcast
from tests.support.virtual_time import VirtualLoop, run_virtually

ROOM = RoomId("demo")
PART_S = 0.32


def test_delay() -> None:
    """A feed expects a part when the broadcaster has it."""
    assert DELAY_TICKS == DEFAULT_DELAY_TICKS


def spec(version: int = 1, base: float = 5000.0, stream: str = "one") -> BroadcastSpec:
    key = KeySpec(0, bytes(16), bytes(16), "/key")
    return BroadcastSpec(ROOM, version, (key,), tick_at(base), 1.7e9, stream=stream)


class InTime(FakeBroadcast):
    """A plane whose parts are there when they are due; while it is `away` there are none."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self.away = False
        self.asked_parts: list[int] = []
        self._loop = loop

    async def sound(self, room: RoomId, part: int) -> SoundPart | None:
        self.asked_parts.append(part)
        if self.away:
            raise PlaneUnavailable
        origin = 5000.0 - 5 * 1.92
        due = origin + (part + 1) * PART_S + 0.15
        await asyncio.sleep(max(0.0, due - self._loop.time()))  # sleep: it is virtual
        return await super().sound(room, part)


Story = Callable[[Feeds, InTime, VirtualLoop], Awaitable[None]]


def tell(story: Story) -> None:
    """Run a story in virtual time, on a room that has been on air for a minute."""
    loop = VirtualLoop()

    async def main() -> None:
        plane = InTime(loop)
        await plane.apply(spec())
        feeds = Feeds(plane, Clock(loop.time, lambda: 1.7e9, "boot"))
        async with Supervisor() as root:
            feeds.serve(root)
            await asyncio.sleep(60)  # sleep: it is virtual
            await story(feeds, plane, loop)

    run_virtually(main(), loop)


def test_burst_and_pace() -> None:
    """Two seconds come at once, then each part when it is due, none twice and none left out."""

    async def story(feeds: Feeds, _plane: InTime, loop: VirtualLoop) -> None:
        began = loop.time()
        with feeds.open(ROOM, burst=True) as tap:
            parts = [await tap.next() for _ in range(BURST)]
            assert loop.time() - began < 0.4
            parts += [await tap.next() for _ in range(20)]
            assert 20 * PART_S - 0.5 < loop.time() - began < 20 * PART_S + 0.5
        firsts = [one.first_frame for one in parts if one]
        assert firsts == [firsts[0] + 15 * n for n in range(26)]
        assert all(one and one.part == SOUND and one.adts.count(b"sound") == 15 for one in parts)

    tell(story)


def test_silence_meanwhile() -> None:
    """While the plane is away silence comes at the same pace, then sound goes on in its place."""

    async def story(feeds: Feeds, plane: InTime, loop: VirtualLoop) -> None:
        with feeds.open(ROOM, burst=False) as tap:
            for _ in range(BURST):
                await tap.next()
            plane.away = True
            await tap.next()  # which was under way
            began = loop.time()
            silent = [await tap.next() for _ in range(10)]
            assert loop.time() - began < 10 * PART_S + GRACE_S + 0.5
            assert [one.part for one in silent if one] == [SOUND.silenced()] * 10
            plane.away = False
            heard = await tap.next()
            assert heard is not None
            assert heard.part == SOUND
            assert heard.first_frame == silent[-1].first_frame + 15  # type: ignore[union-attr]
        assert feeds.counters["radio_silent_parts_total"] == 10

    tell(story)


def test_asleep() -> None:
    """A feed that is far behind, because the machine slept, goes on with now."""

    async def story(feeds: Feeds, _plane: InTime, loop: VirtualLoop) -> None:
        with feeds.open(ROOM, burst=False) as tap:
            before = await tap.next()
            loop.stall(3600.0)
            after = [await tap.next() for _ in range(BURST + 4)][-1]
        assert before is not None
        assert after is not None
        assert after.first_frame - before.first_frame > 3590 / PART_S * 15

    tell(story)


def test_lingers_and_ends() -> None:
    """Without readers it goes on for five seconds, and then nothing is asked any more."""

    async def story(feeds: Feeds, plane: InTime, _loop: VirtualLoop) -> None:
        with feeds.open(ROOM, burst=False) as tap:
            await tap.next()
        await asyncio.sleep(LINGER_S - 1)  # sleep: it is virtual
        assert len(feeds) == 1
        await asyncio.sleep(2)  # sleep: it is virtual
        assert len(feeds) == 0
        asked = len(plane.asked_parts)
        await asyncio.sleep(60)  # sleep: it is virtual
        assert len(plane.asked_parts) == asked

    tell(story)


def test_off_the_air() -> None:
    """When the room goes off the air readers come to the end, and nobody else can begin."""

    async def story(feeds: Feeds, plane: InTime, _loop: VirtualLoop) -> None:
        with feeds.open(ROOM, burst=False) as tap:
            await tap.next()
            plane.specs.clear()
            while await tap.next() is not None:
                pass
        with pytest.raises(NotReady), feeds.open(ROOM, burst=False):
            pass

    tell(story)


def test_another_room() -> None:
    """Readers of a room do not hear one that is made under its id; who comes then does."""

    async def story(feeds: Feeds, plane: InTime, _loop: VirtualLoop) -> None:
        with feeds.open(ROOM, burst=False) as tap:
            await tap.next()
            while plane.asked_parts[-1] == plane.asked_parts[0]:
                await tap.next()
            await plane.apply(spec(version=2, stream="another"))
            assert await tap.next() is None
        with feeds.open(ROOM, burst=False) as tap:
            assert await tap.next() is not None

    tell(story)


def test_the_base_moves() -> None:
    """A stream that starts anew goes on for those who hear it."""

    async def story(feeds: Feeds, plane: InTime, loop: VirtualLoop) -> None:
        with feeds.open(ROOM, burst=False) as tap:
            before = await tap.next()
            await plane.apply(spec(version=2, base=loop.time()))
            after = [await tap.next() for _ in range(3)][-1]
        assert before is not None
        assert after is not None
        assert after.first_frame < before.first_frame

    tell(story)


def test_stopping() -> None:
    """When the server stops everybody comes to the end."""

    async def story(feeds: Feeds, _plane: InTime, _loop: VirtualLoop) -> None:
        with feeds.open(ROOM, burst=False) as tap:
            await tap.next()
            feeds.end()
            while await tap.next() is not None:
                pass

    tell(story)


async def test_slow_readers() -> None:
    """Who is too slow goes on with the newest; others miss nothing, and the ring is bounded."""
    counters: Counter[str] = Counter()
    fan: Fan[int] = Fan(counters)
    with fan.open(burst=True) as slow, fan.open(burst=True) as fast:
        for number in range(MOST + 10):
            fan.publish(number)
            assert await fast.next() == number
        assert await slow.next() == MOST - BURST + 1
        assert slow.skipped == counters["radio_skipped_total"] == MOST - BURST + 1
        fan.end()
        assert await fast.next() is None
    with fan.open(burst=False) as late:
        assert await late.next() is None
