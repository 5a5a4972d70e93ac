"""A fleet of two real mixer processes, called by real WebRTC clients."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import numpy as np
import pytest
from structlog.testing import capture_logs

from mixer.types import AnchorSpec, PeerChanged, PeerId, PeerState, PlaneSettings, RoomId, RoomSpec
from server.domain import placement
from server.media.fleet import Fleet
from server.media.mixer_plane import WorkerPlane
from server.ports import PlaneLost
from server.supervise import Supervisor
from tests.support.webrtc_client import RATE, WebRtcClient, client, level_db, tone

pytestmark = [pytest.mark.slow, pytest.mark.timeout(30)]

LEFT, RIGHT = RoomId("left"), RoomId("right")


def spec(room: RoomId, version: int, *people: str) -> RoomSpec:
    """A room with these people."""
    return RoomSpec(room, version, tuple(AnchorSpec(PeerId(name)) for name in people))


class House:
    """Both mixers, and what they have said."""

    def __init__(self, supervisor: Supervisor, first: int = 2) -> None:
        settings = PlaneSettings(udp_host="127.0.0.1", udp_port=0)
        self.mixers = [WorkerPlane(settings, name=f"mixer-{number}") for number in range(2)]
        self.fleet = Fleet(self.mixers, first=first)
        self.events: list[object] = []
        self._came = asyncio.Event()
        self._supervisor = supervisor

    async def start(self) -> None:
        """Start both."""
        await self.fleet.start(self._supervisor)
        _ = self._supervisor.spawn(self._listen(), name="listener")

    async def join(self, made: WebRtcClient, room: RoomId, name: str) -> None:
        """Connect; return when the mixer knows that it is live."""
        answer = await self.fleet.accept_offer(room, PeerId(name), await made.offer())
        await made.accept(answer)
        await self.until(PeerChanged(room, PeerId(name), PeerState.LIVE))

    async def until(self, event: object) -> None:
        """Wait for an event, forgetting those before it."""
        while event not in self.events:
            self._came.clear()
            await self._came.wait()
        del self.events[: self.events.index(event) + 1]

    async def _listen(self) -> None:
        async for event in self.fleet.events():
            self.events.append(event)
            self._came.set()


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """Two mixers that serve."""
    with capture_logs():
        async with Supervisor() as supervisor:
            made = House(supervisor)
            await made.start()
            yield made
            await made.fleet.close()


async def test_a_restarted_mixer_disturbs_its_own_rooms_only(house: House) -> None:
    """Kill -9: the other mixer's room sounds on; people of the lost one connect again elsewhere."""
    await house.fleet.apply(spec(LEFT, 1, "ann"))
    await house.fleet.apply(spec(RIGHT, 2, "bob", "cyd"))
    assert [house.fleet.home(room) for room in (LEFT, RIGHT)] == ["mixer-0", "mixer-1"]
    async with client() as ann, client(tone(440)) as bob, client() as cyd, client() as again:
        await house.join(ann, LEFT, "ann")
        await house.join(bob, RIGHT, "bob")
        await house.join(cyd, RIGHT, "cyd")
        await cyd.hear(0.2, skip=0.5)
        (before,) = [peer for peer in await house.fleet.peers(RIGHT) if peer.peer == "bob"]

        victim = house.mixers[0]
        assert victim.pid is not None
        os.kill(victim.pid, signal.SIGKILL)
        heard = await cyd.hear(1.0)
        await house.until(PlaneLost(frozenset({LEFT})))
        await house.join(again, LEFT, "ann")
        await victim.wait_up()

        tenths = np.array_split(heard, len(heard) // (RATE // 10))
        assert np.median([level_db(tenth, 440) for tenth in tenths]) > -20
        (after,) = [peer for peer in await house.fleet.peers(RIGHT) if peer.peer == "bob"]
        assert (before.state, after.state) == (PeerState.LIVE, PeerState.LIVE)
        assert after.received > before.received  # the same connection's count
        said = [e for e in house.events if isinstance(e, PeerChanged) and e.room == RIGHT]
        assert said == []
    told = await house.fleet.statistics()
    assert [one.counters["mixer_restarts"] for one in told.values()] == [1, 0]
    assert [one.gauges["rooms"] for one in told.values()] == [0, 2]


async def test_a_load_is_measured(house: House) -> None:
    """What the mixers say of themselves is what rooms are placed by."""
    await house.fleet.apply(spec(LEFT, 1, "ann"))
    async with client(tone(440)) as ann:
        await house.join(ann, LEFT, "ann")
        await house.fleet._measure(0)
        assert house.fleet._measured[0].connected == 1
        while house.fleet._measured[0].busy_share == 0:
            await house.fleet._measure(0)
    assert house.fleet._measured[0].busy_share < 1


async def test_the_second_process_starts_when_the_first_has_enough_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And the next room is mixed there."""
    monkeypatch.setattr(placement, "NEXT_AT", 1e-6)  # one person is enough
    with capture_logs():
        async with Supervisor() as supervisor, client(tone(440)) as ann, client() as bob:
            house = House(supervisor, first=1)
            await house.start()
            assert house.mixers[1].pid is None
            await house.fleet.apply(spec(LEFT, 1, "ann"))
            await house.join(ann, LEFT, "ann")
            await house.mixers[1].wait_up()
            while len(await house.fleet.statistics()) < 2:
                pass
            await house.fleet.apply(spec(RIGHT, 2, "bob"))
            await house.join(bob, RIGHT, "bob")
            assert [house.fleet.home(room) for room in (LEFT, RIGHT)] == ["mixer-0", "mixer-1"]
            await house.fleet.close()
