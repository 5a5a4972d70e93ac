"""The mixer as one object, called by real WebRTC clients over loopback."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator

import numpy as np
import pytest

from mixer.errors import PeerGone, SetupError
from mixer.plane import Plane
from mixer.types import (
    AnchorSpec,
    GoneReason,
    PeerChanged,
    PeerId,
    PeerState,
    PlaneEvent,
    PlaneSettings,
    RoomId,
    RoomSpec,
    RtpParticipantSpec,
)
from tests.support.callers import Tasks
from tests.support.hostile import Spy, junk
from tests.support.webrtc_client import RATE, Pcm, WebRtcClient, client, level_db, silence, tone

AMPLITUDE = 0.3
SENT_DB = float(20 * np.log10(AMPLITUDE))
ROOM = RoomId("room")


def spec(version: int, *names: str, muted: str = "", closed: bool = False) -> RoomSpec:
    anchors = tuple(AnchorSpec(PeerId(name), name == muted) for name in names)
    return RoomSpec(ROOM, version, anchors, closed=closed)


class Stage:
    """A plane with its events, and clients that join it."""

    def __init__(self, *, is_batched: bool = True) -> None:
        self.tasks = Tasks()
        self.events: asyncio.Queue[PlaneEvent] = asyncio.Queue()
        self.plane = Plane(
            PlaneSettings(udp_host="127.0.0.1", udp_port=0, batched_sockets=is_batched),
            emit=self.events.put_nowait,
            tap=None,
            spawn=self.tasks,
        )

    async def join(self, made: WebRtcClient, name: str) -> None:
        """Connect a client; return when both sides know that it is live."""
        await made.accept(await self.plane.accept_offer(ROOM, PeerId(name), await made.offer()))
        await self.until(name, PeerState.LIVE)
        while made.connection.connectionState != "connected":  # noqa: ASYNC110 - aiortc is not ours
            await asyncio.sleep(0.001)  # sleep: aiortc tells nobody

    async def until(self, name: str, state: PeerState) -> GoneReason | None:
        """Wait for a person's change of state; return its reason."""
        while True:
            event = await self.events.get()
            if isinstance(event, PeerChanged) and (event.peer, event.state) == (name, state):
                return event.reason

    def counter(self, name: str) -> int:
        return self.plane.statistics().counters.get(name, 0)


@contextlib.asynccontextmanager
async def open_stage(*, is_batched: bool = True) -> AsyncIterator[Stage]:
    stage = Stage(is_batched=is_batched)
    await stage.plane.start()
    try:
        yield stage
    finally:
        await stage.plane.close()
        await asyncio.sleep(0)
        assert await stage.tasks.close() == []


@pytest.fixture
async def stage(caplog: pytest.LogCaptureFixture) -> AsyncIterator[Stage]:
    async with open_stage() as opened:
        yield opened
    loud = [
        record
        for record in caplog.get_records("call")
        if record.levelno >= logging.WARNING and record.name.startswith("mixer")
    ]
    assert loud == []


def levels(pcm: Pcm) -> list[tuple[float, float]]:
    """The level of each tone in tenths of a second: in the middle one, and in the loudest.

    A machine that is busy elsewhere loses frames; that is no fault of the mix.
    """
    tenths = np.array_split(pcm, max(1, len(pcm) // (RATE // 10)))
    found = [[level_db(tenth, hertz) for tenth in tenths] for hertz in (440, 1000)]
    return [(float(np.median(one)), max(one)) for one in found]


@pytest.mark.slow
@pytest.mark.parametrize("is_batched", [True, False], ids=["batched", "plain"])
async def test_everybody_hears_the_others_and_not_themselves(*, is_batched: bool) -> None:
    """Each other's tone within 1 dB, the own one below -50 dB; who joins late hears both."""
    async with (
        open_stage(is_batched=is_batched) as stage,
        client(tone(440, AMPLITUDE)) as ann,
        client(tone(1000, AMPLITUDE)) as bob,
        client(silence) as cyd,
    ):
        stage.plane.apply(spec(1, "ann", "bob", "cyd"))
        await stage.join(ann, "ann")
        await stage.join(bob, "bob")
        heard = await asyncio.gather(*(one.hear(1.0, skip=1.0) for one in (ann, bob)))
        await stage.join(cyd, "cyd")
        late = levels(await cyd.hear(1.0, skip=0.5))
    for_ann, for_bob = (levels(pcm) for pcm in heard)
    sounding = [for_ann[1], for_bob[0], *late]
    assert [middle for middle, _ in sounding] == pytest.approx([SENT_DB] * 4, abs=1)
    assert max(loudest for _, loudest in (for_ann[0], for_bob[1])) < -50


@pytest.mark.slow
async def test_a_muted_person_is_silent_to_the_others(stage: Stage) -> None:
    """From the spec on, but for what is under way; and audible again afterwards."""
    async with client(tone(440, AMPLITUDE)) as ann, client(silence) as bob:
        stage.plane.apply(spec(1, "ann", "bob"))
        await stage.join(ann, "ann")
        await stage.join(bob, "bob")
        assert level_db(await bob.hear(0.5, skip=0.5), 440) == pytest.approx(SENT_DB, abs=1)
        stage.plane.apply(spec(2, "ann", "bob", muted="ann"))
        await asyncio.sleep(0.3)  # sleep: what is under way, on a busy machine
        encodes = stage.counter("opus_encodes")
        await asyncio.sleep(0.7)  # sleep: to hear nothing takes time
        assert stage.counter("opus_encodes") == encodes
        quiet = len(bob.heard)
        await asyncio.sleep(0.7)  # sleep: to hear nothing takes time
        assert not np.abs(bob.heard[quiet:]).max(initial=0) > 100
        stage.plane.apply(spec(3, "ann", "bob"))
        assert level_db(await bob.hear(0.5, skip=0.5), 440) == pytest.approx(SENT_DB, abs=1)


@pytest.mark.slow
async def test_leaving_is_seen_and_coming_back_is_heard(stage: Stage) -> None:
    """A client that closes has left; it may offer again, and again in place of itself."""
    stage.plane.apply(spec(1, "ann", "bob"))
    async with client(silence) as bob:
        await stage.join(bob, "bob")
        async with client(tone(440, AMPLITUDE)) as ann:
            await stage.join(ann, "ann")
        assert await stage.until("ann", PeerState.GONE) is GoneReason.LEFT
        async with client(tone(440, AMPLITUDE)) as first, client(tone(1000, AMPLITUDE)) as second:
            await stage.join(first, "ann")
            await stage.join(second, "ann")
            heard = levels(await bob.hear(0.5, skip=0.7))
    (_, loudest_before), (after, _) = heard
    assert loudest_before < -50
    assert after == pytest.approx(SENT_DB, abs=1)
    assert stage.counter("dtls_handshakes") == 4


async def test_who_is_not_listed_is_refused(stage: Stage) -> None:
    """An unknown room, an unknown person, and everybody once the room is closed."""
    async with client(silence) as ann:
        offer = await ann.offer()
        for room in (spec(1), spec(2, "bob"), spec(3, closed=True)):
            stage.plane.apply(room)
            with pytest.raises(PeerGone):
                await stage.plane.accept_offer(ROOM, PeerId("ann"), offer)


async def test_a_closed_room_ends_its_connections(stage: Stage) -> None:
    """The client is told by close_notify."""
    async with client(silence) as ann:
        stage.plane.apply(spec(1, "ann"))
        await stage.join(ann, "ann")
        stage.plane.apply(spec(2, closed=True))
        assert await stage.until("ann", PeerState.GONE) is GoneReason.REMOVED
        dtls = ann.connection.getTransceivers()[0].sender.transport
        while dtls.state != "closed":  # noqa: ASYNC110 - aiortc's own event may be behind us
            await asyncio.sleep(0)


async def test_closing_the_plane_ends_everybody() -> None:
    """And gives the port back; closing twice is closing once."""
    async with client(silence) as ann:
        async with open_stage() as stage:
            stage.plane.apply(spec(1, "ann"))
            await stage.join(ann, "ann")
            port = stage.plane.udp_port
        await stage.plane.close()
        assert await stage.until("ann", PeerState.GONE) is GoneReason.REMOVED
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", port))


async def test_a_taken_port_is_a_setup_error() -> None:
    """The plane does not start, and says why."""
    async with open_stage() as stage:
        second = Plane(
            PlaneSettings(udp_host="127.0.0.1", udp_port=stage.plane.udp_port),
            emit=stage.events.put_nowait,
            tap=None,
            spawn=stage.tasks,
        )
        with pytest.raises(SetupError, match="cannot be bound"):
            await second.start()
        await second.close()


async def test_a_trickled_candidate_is_taken(stage: Stage) -> None:
    """An ICE-lite agent needs none."""
    stage.plane.add_candidate(ROOM, PeerId("nobody"), "candidate:1 1 udp 1 192.0.2.1 9 typ host")
    assert stage.plane.capabilities >= {"mix-minus", "mute", "tap"}


@pytest.mark.slow
async def test_a_call_goes_on_under_junk(stage: Stage) -> None:
    """From other sockets and from the peer's own, real packets corrupted and repeated included."""
    async with client(tone(440, AMPLITUDE)) as ann, client(silence) as bob:
        stage.plane.apply(spec(1, "ann", "bob"))
        await stage.join(ann, "ann")
        spy = Spy(ann)
        await stage.join(bob, "bob")
        await bob.hear(0.5)
        hearing = asyncio.create_task(bob.hear(1.5, skip=0.3))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for datagram in junk(spy.sent[-20:], seed=1):
                stranger.sendto(datagram, ("127.0.0.1", stage.plane.udp_port))
                spy.send(datagram)
                await asyncio.sleep(0.002)  # sleep: junk spread over the call
        heard = await hearing
    assert level_db(heard, 440) == pytest.approx(SENT_DB, abs=1)
    counters = stage.plane.statistics().counters
    for name in ("junk_datagrams", "foreign_datagrams", "srtp_refused", "dtls_refused"):
        assert counters[name] > 0
    assert counters.get("datagram_failures", 0) == 0
    assert counters["dtls_handshakes"] == 2


async def test_plain_rtp_is_off_until_it_is_asked_for(stage: Stage) -> None:
    """No port, and nothing that says there was one."""
    assert stage.plane.rtp_port == 0
    assert "plain-rtp" not in stage.plane.capabilities
    stage.plane.apply(RoomSpec(ROOM, 1, rtp=(RtpParticipantSpec(PeerId("ann")),)))
    assert "plain_rtp_participants" not in stage.plane.statistics().gauges


@pytest.mark.parametrize("is_batched", [True, False], ids=["batched", "plain"])
async def test_plain_rtp_is_heard_on_a_real_socket(*, is_batched: bool) -> None:
    """A packet over loopback makes a participant live, and the mix comes back to where it is."""
    tasks, events = Tasks(), asyncio.Queue[PlaneEvent]()
    plane = Plane(
        PlaneSettings("127.0.0.1", 0, batched_sockets=is_batched, rtp_port=0),
        emit=events.put_nowait,
        tap=None,
        spawn=tasks,
    )
    await plane.start()
    plane.apply(RoomSpec(ROOM, 1, rtp=(RtpParticipantSpec(PeerId("ann"), ssrc=7),)))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as device:
        device.setblocking(False)
        device.bind(("127.0.0.1", 0))
        packet = b"\x80\x6f\0\1" + bytes(4) + b"\0\0\0\7" + b"\xf8\xff\xfe"
        device.sendto(packet, ("127.0.0.1", plane.rtp_port))
        event = await events.get()
        heard = await asyncio.get_running_loop().sock_recv(device, 1500)
    assert event == PeerChanged(ROOM, PeerId("ann"), PeerState.LIVE)
    assert heard[12:] == b"\xf8\xff\xfe"
    assert "plain-rtp" in plane.capabilities
    await plane.close()
    await asyncio.sleep(0)
    assert await tasks.close() == []


async def test_a_taken_rtp_port_is_a_sentence() -> None:
    """It names the option."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        plane = Plane(
            PlaneSettings("127.0.0.1", 0, rtp_port=other.getsockname()[1]),
            emit=lambda _event: None,
            tap=None,
            spawn=Tasks(),
        )
        with pytest.raises(SetupError, match="--rtp-port"):
            await plane.start()
