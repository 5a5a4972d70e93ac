"""The ways to a plane: IPv4 and IPv6, UDP and TCP, and from one to another during a call."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, closing

import pytest

from mixer.errors import SetupError
from mixer.opus import Application, Encoder
from mixer.plane import Plane
from mixer.rtc.streams import bind_tcp
from mixer.types import (
    AnchorSpec,
    PeerChanged,
    PeerId,
    PeerState,
    PlaneEvent,
    PlaneSettings,
    RoomId,
    RoomSpec,
)
from tests.support.callers import Caller, Tasks
from tests.support.webrtc_client import tone
from tests.support.wires import DatagramWire, StreamWire, wired

ROOM = RoomId("room")
_ENCODER = Encoder(application=Application.AUDIO, complexity=5)
VOICE = [_ENCODER.encode(tone(440)(number)) for number in range(50)]


class Stage:
    """A plane in which ann speaks and bob hears."""

    def __init__(self, plane: Plane, events: list[PlaneEvent]) -> None:
        self.plane = plane
        self.events = events
        anchors = tuple(AnchorSpec(PeerId(name)) for name in ("ann", "bob"))
        plane.apply(RoomSpec(ROOM, 1, anchors))

    async def offer(self, caller: Caller, name: str) -> str:
        """Offer; return the answer."""
        answer = await self.plane.accept_offer(ROOM, PeerId(name), caller.offer())
        caller.accept(answer)
        return answer

    async def join(self, caller: Caller, name: str) -> str:
        """Connect a caller; return the answer it was given."""
        answer = await self.offer(caller, name)
        caller.send(caller.check())
        await caller.handshake()
        return answer

    @staticmethod
    async def speak(caller: Caller, seconds: float) -> None:
        for number in range(round(seconds * 50)):
            caller.send(caller.rtp(VOICE[number % 50]))
            await asyncio.sleep(0.02)  # sleep: speech takes its time

    def states(self, name: str) -> list[PeerState]:
        return [e.state for e in self.events if isinstance(e, PeerChanged) and e.peer == name]


@contextlib.asynccontextmanager
async def open_stage(
    host: str, *, is_batched: bool = True, tcp_port: int | None = None
) -> AsyncIterator[Stage]:
    tasks, events = Tasks(), list[PlaneEvent]()
    settings = PlaneSettings(
        udp_host=host, udp_port=0, tcp_port=tcp_port, batched_sockets=is_batched
    )
    plane = Plane(settings, emit=events.append, tap=None, spawn=tasks)
    await plane.start()
    try:
        yield Stage(plane, events)
    finally:
        await plane.close()
        await asyncio.sleep(0)
        assert await tasks.close() == []


def sounding(caller: Caller) -> int:
    """How many packets hold sound: comfort is one byte behind a header of 20."""
    return sum(len(packet) > 21 for packet in caller.heard)


@pytest.mark.slow
@pytest.mark.parametrize("is_batched", [True, False], ids=["batched", "plain"])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_a_call_over_udp_and_tcp(host: str, *, is_batched: bool) -> None:
    """One speaks over UDP, the other hears by TCP and answers, with either family."""
    async with open_stage(host, is_batched=is_batched) as stage:
        stream = StreamWire(host, stage.plane.tcp_port)
        await stream.connected()
        async with (
            wired(DatagramWire(host, stage.plane.udp_port)) as ann,
            wired(stream) as bob,
        ):
            answer = await stage.join(ann, "ann")
            await stage.join(bob, "bob")
            assert f" udp 2130706175 {host} {stage.plane.udp_port} typ host\r\n" in answer
            assert f"{host} {stage.plane.tcp_port} typ host tcptype passive\r\n" in answer
            await stage.speak(ann, 0.6)
            assert sounding(bob) > 20
            await stage.speak(bob, 0.6)
            assert sounding(ann) > 20
    for caller in (ann, bob):
        assert caller.replies[0].attributes["XOR-MAPPED-ADDRESS"][0] == host


@pytest.mark.slow
@pytest.mark.parametrize("is_told", [True, False], ids=["restart", "nothing"])
async def test_a_call_goes_on_from_another_address(*, is_told: bool) -> None:
    """From another port, with an ICE restart or with nothing but media: nobody is gone."""
    async with open_stage("127.0.0.1") as stage:
        port = stage.plane.udp_port
        mobile = DatagramWire("127.0.0.1", port)
        async with wired(mobile) as ann, wired(DatagramWire("127.0.0.1", port)) as bob:
            await stage.join(ann, "ann")
            await stage.join(bob, "bob")
            await stage.speak(ann, 0.4)
            before = sounding(bob)
            mobile.move()
            if is_told:
                ann.ufrag = "mobile"
                await stage.offer(ann, "ann")
                ann.send(ann.check())
            await stage.speak(ann, 0.6)
            assert sounding(bob) - before > 20
            await stage.speak(bob, 0.4)
            assert sounding(ann) > 10
            counters = stage.plane.statistics().counters
            assert stage.states("ann") == stage.states("bob") == [PeerState.LIVE]
            assert counters["address_migrations"] == 1
            assert counters.get("ice_restarts", 0) == is_told


@pytest.mark.slow
async def test_a_call_goes_on_from_udp_to_tcp() -> None:
    """A network that lets no UDP through: the same connection, restarted over TCP."""
    async with AsyncExitStack() as stack:
        stage = await stack.enter_async_context(open_stage("127.0.0.1"))
        stream = stack.enter_context(closing(StreamWire("127.0.0.1", stage.plane.tcp_port)))
        await stream.connected()
        port = stage.plane.udp_port
        ann = await stack.enter_async_context(wired(DatagramWire("127.0.0.1", port)))
        bob = await stack.enter_async_context(wired(DatagramWire("127.0.0.1", port)))
        await stage.join(ann, "ann")
        await stage.join(bob, "bob")
        bob._socket.inbox = stream
        bob.ufrag = "stream"
        await stage.offer(bob, "bob")
        bob.send(bob.check())
        await stage.speak(ann, 0.6)
        assert len([datagram for datagram in stream.receive() if len(datagram) > 40]) > 20
        assert stage.states("bob") == [PeerState.LIVE]


async def test_a_taken_tcp_port_is_done_without(caplog: pytest.LogCaptureFixture) -> None:
    """Unless it was asked for by number: then the plane does not start, and says why."""
    with bind_tcp("127.0.0.1", 0) as taken:
        number = taken.getsockname()[1]
        asked = PlaneSettings(udp_host="127.0.0.1", udp_port=0, tcp_port=number)
        plane = Plane(asked, emit=lambda _: None, tap=None, spawn=Tasks())
        with pytest.raises(SetupError, match="--tcp-port"):
            await plane.start()
        by_default = PlaneSettings(udp_host="127.0.0.1", udp_port=number)
        tasks = Tasks()
        plane = Plane(by_default, emit=lambda _: None, tap=None, spawn=tasks)
        await plane.start()
        assert plane.tcp_port == 0
        assert "no WebRTC over TCP" in caplog.text
        assert caplog.records[-1].levelno == logging.WARNING
        await plane.close()
        assert await tasks.close() == []


async def test_tcp_can_be_left_out() -> None:
    """With 0 nothing listens and no such candidate is named."""
    async with open_stage("127.0.0.1", tcp_port=0) as stage:
        caller = Caller(None, ("unused", 0))
        assert stage.plane.tcp_port == 0
        assert " tcp " not in await stage.offer(caller, "ann")
        await caller.dtls.stop()
