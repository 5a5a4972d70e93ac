"""One connection's DTLS, against aiortc's own transport as the client."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest
from aiortc import RTCCertificate, RTCDtlsParameters
from aiortc.rtcdtlstransport import RTCDtlsFingerprint, RTCDtlsTransport

from mixer.rtc.dtls import (
    RING,
    Certificate,
    DtlsSession,
    Fingerprint,
)
from mixer.rtc.srtp import SrtpContext
from mixer.rtc.turns import Turns
from tests.support.callers import Tasks
from tests.support.clock import FakeClock

BUDGET_S = 0.004
SERVER = Certificate()
CLIENT = RTCCertificate.generateCertificate()
FLIGHTS = [("client", 0), ("client", 1), ("server", 0), ("server", 1)]


class Pair:
    """A session and its client; `carry` decides what becomes of each datagram."""

    role, state = "controlling", "completed"

    def __init__(
        self,
        tasks: Tasks,
        queue: Turns,
        carry: Callable[[str, int, bytes], bool] = lambda *_: True,
    ) -> None:
        self.keys: list[tuple[SrtpContext, SrtpContext]] = []
        self.ends: list[bool] = []
        self.sent: dict[str, list[bytes]] = {"client": [], "server": []}
        self._carry, self._tasks = carry, tasks
        self._inbox: asyncio.Queue[bytes] = asyncio.Queue()
        self.client = RTCDtlsTransport(self, [CLIENT])  # type: ignore[arg-type]
        self.client._set_role("client")
        self.session = DtlsSession(
            SERVER,
            queue,
            send=self._answer,
            on_keys=lambda *keys: self.keys.append(keys),
            on_end=self.ends.append,
        )

    async def _recv(self) -> bytes:
        return await self._inbox.get()

    async def _send(self, data: bytes) -> None:
        if self._note("client", data):
            self.session.push(data)

    def _answer(self, data: bytes) -> None:
        if self._note("server", data):
            self._inbox.put_nowait(data)

    def _note(self, side: str, data: bytes) -> bool:
        self.sent[side].append(data)
        return self._carry(side, len(self.sent[side]) - 1, data)

    async def connect(self, fingerprint: str | None = None) -> None:
        """Run the handshake from both sides; return when the client is through."""
        ours = next(f for f in CLIENT.getFingerprints() if f.algorithm == "sha-256")
        self.session.start(
            (Fingerprint("sha-256", fingerprint or ours.value),),
            is_client=False,
            spawn=self._tasks,
        )
        await self.client.start(
            RTCDtlsParameters(
                fingerprints=[RTCDtlsFingerprint(algorithm="sha-256", value=SERVER.sha256())]
            )
        )

    async def close(self) -> None:
        await self.client.stop()
        await self.session.stop()


@pytest.fixture
async def tasks() -> AsyncIterator[Tasks]:
    made = Tasks()
    yield made
    assert await made.close() == []


@contextlib.asynccontextmanager
async def ticking(queue: Turns) -> AsyncIterator[None]:
    """Give the queue its budget often."""

    async def tick() -> None:
        while True:
            queue.new_tick()
            await asyncio.sleep(0.001)  # sleep: real OpenSSL timers run here

    ticker = asyncio.create_task(tick())
    yield
    ticker.cancel()


async def until(condition: Callable[[], object]) -> None:
    """Give others their turns until the condition holds; the test's timeout ends a vain wait."""
    while not condition():  # noqa: ASYNC110 - what it waits for is seldom an event
        await asyncio.sleep(0)


async def test_both_sides_get_matching_keys(tasks: Tasks) -> None:
    """What one side protects the other unprotects."""
    queue = Turns(FakeClock(), BUDGET_S)
    pair = Pair(tasks, queue)
    await pair.connect()
    await until(lambda: pair.keys)
    _receive, send = pair.keys[0]
    packet = b"\x80\xc9\x00\x01\x00\x00\x12\x34"
    protected = send.protect_rtcp(packet)
    assert protected is not None
    assert pair.client._rx_srtp.unprotect_rtcp(protected) == packet
    await pair.close()


async def test_each_datagram_of_the_handshake_may_be_lost_once(tasks: Tasks) -> None:
    """Either side repeats its flight after a second, the answer to the last one included."""
    queue = Turns(asyncio.get_running_loop().time, BUDGET_S)

    def losing(side: str, index: int) -> Callable[[str, int, bytes], bool]:
        return lambda at, number, _data: (at, number) != (side, index)

    pairs = {flight: Pair(tasks, queue, losing(*flight)) for flight in FLIGHTS}
    async with ticking(queue), asyncio.timeout(10):
        await asyncio.gather(*(pair.connect() for pair in pairs.values()))
        await until(lambda: all(pair.keys for pair in pairs.values()))
    assert {flight: pair.client.state for flight, pair in pairs.items()} == dict.fromkeys(
        FLIGHTS, "connected"
    )
    assert all(sum(map(len, pair.sent.values())) > len(FLIGHTS) for pair in pairs.values())
    assert [pair.ends for pair in pairs.values()] == [[]] * len(FLIGHTS)
    await asyncio.gather(*(pair.close() for pair in pairs.values()))


async def test_a_handshake_has_the_flights_that_are_lost_above(tasks: Tasks) -> None:
    """Two datagrams from either side: if a new aiortc sends more, FLIGHTS must name them."""
    queue = Turns(FakeClock(), BUDGET_S)
    pair = Pair(tasks, queue)
    await pair.connect()
    await until(lambda: pair.keys)
    sent = [(side, index) for side in sorted(pair.sent) for index in range(len(pair.sent[side]))]
    assert sent == FLIGHTS
    await pair.close()


async def test_everything_twice_is_as_good_as_once(tasks: Tasks) -> None:
    """A network that repeats each datagram does no harm."""
    queue = Turns(FakeClock(), BUDGET_S)

    def repeat(side: str, _number: int, data: bytes) -> bool:
        if side == "client":
            pair.session.push(data)
        else:
            pair._inbox.put_nowait(data)
        return True

    pair = Pair(tasks, queue, repeat)
    async with ticking(queue):
        await pair.connect()
        await until(lambda: pair.keys)
    assert pair.ends == []
    await pair.close()


async def test_a_wrong_fingerprint_ends_without_keys(tasks: Tasks) -> None:
    """The certificate is not the one that was announced."""
    pair = Pair(tasks, Turns(FakeClock(), BUDGET_S))
    await pair.connect(fingerprint=":".join(["00"] * 32))
    await until(lambda: pair.ends)
    assert (pair.keys, pair.ends) == ([], [False])
    await pair.close()


async def test_close_notify_ends_a_connection(tasks: Tasks) -> None:
    """Records are read for the life of the connection, so a goodbye is heard."""
    pair = Pair(tasks, Turns(FakeClock(), BUDGET_S))
    await pair.connect()
    await until(lambda: pair.keys)
    await pair.client.stop()
    await until(lambda: pair.ends)
    assert pair.ends == [True]
    await pair.close()


async def test_a_forged_goodbye_ends_nothing(tasks: Tasks) -> None:
    """Alerts and other records without the key are ignored in a connection."""
    queue = Turns(FakeClock(), BUDGET_S)
    pair = Pair(tasks, queue)
    await pair.connect()
    await until(lambda: pair.keys)
    for kind in range(20, 64):
        for epoch in (b"\0\0", b"\0\1"):
            pair.session.push(bytes([kind]) + b"\xfe\xfd" + epoch + b"\0" * 5 + b"\x63\0\2\1\0")
            for _ in range(4):
                await asyncio.sleep(0)
    await pair.client.stop()
    await until(lambda: pair.ends)
    assert pair.ends == [True]
    await pair.close()


async def test_stopping_tells_the_peer_and_nobody_else(tasks: Tasks) -> None:
    """The peer gets close_notify; `on_end` is for ends that come from there."""
    pair = Pair(tasks, Turns(FakeClock(), BUDGET_S))
    await pair.connect()
    await until(lambda: pair.keys)
    await pair.session.stop()
    await until(lambda: pair.client.state == "closed")
    assert pair.ends == []
    await pair.close()


async def test_the_ring_is_bounded(tasks: Tasks) -> None:
    """What is above is refused; after the reader's turns there is room again."""
    queue = Turns(FakeClock(), BUDGET_S)
    queue._spent_s = BUDGET_S  # nobody may read before the next tick
    pair = Pair(tasks, queue)
    record = b"\x16\xfe\xfd" + b"\0" * 20
    assert [pair.session.push(record) for _ in range(RING + 2)] == [True] * RING + [False] * 2
    await pair.session.stop()


@pytest.mark.parametrize(
    "datagram",
    [
        b"\x16\x03\x03" + b"\0" * 20,
        b"\x3f\xfe\xfd" + b"\0" * 20,
        b"\x15\xfe\xfd" + b"\0" * 8 + b"\0\2\2\x28",
        b"\x17\xfe\xfd" + b"\0" * 8 + b"\0\1x",
    ],
    ids=["TLS", "unknown type", "alert in the clear", "data in the clear"],
)
async def test_what_cannot_further_a_handshake_is_refused(datagram: bytes) -> None:
    """It takes no place in the ring and cannot end the handshake."""
    pair = Pair(Tasks(), Turns(FakeClock(), BUDGET_S))
    assert not pair.session.push(datagram)


async def test_a_join_storm_stays_within_the_budget(tasks: Tasks) -> None:
    """Fifty handshakes at once: in no tick more than the budget and one step, and all succeed.

    A step is what one datagram asks for, or the beginning.
    """
    loop, count = asyncio.get_running_loop(), 50
    clock = FakeClock()
    queue = Turns(clock, BUDGET_S)
    step_s = BUDGET_S / 3
    steps: list[int] = []
    pairs = [Pair(tasks, queue) for _ in range(count)]
    for pair in pairs:  # a step costs what the told clock says
        release = pair.session._wire.release

        def costly(release: Callable[[], bool] = release) -> bool:
            released = release()
            steps[-1] += released
            loop.call_soon(clock.advance, step_s) if released else None
            return released

        pair.session._wire.release = costly  # type: ignore[method-assign]
    connecting = asyncio.gather(*(pair.connect() for pair in pairs))
    while not all(pair.keys for pair in pairs):
        steps.append(0)
        queue.new_tick()
        for _ in range(30):
            await asyncio.sleep(0)
    await connecting
    assert max(steps) <= 4
    assert sum(steps) >= 3 * count
    for pair in pairs:
        await pair.close()


async def test_a_dying_session_does_not_block_the_queue(tasks: Tasks) -> None:
    """One that is stopped while it waits, while it runs or before it began: the next one runs."""
    queue = Turns(FakeClock(), BUDGET_S)
    queue._spent_s = BUDGET_S
    hello = b"\x16\xfe\xfd" + b"\0" * 20
    dying = [Pair(tasks, queue) for _ in range(3)]
    for pair in dying[:2]:
        pair.session.start((Fingerprint("sha-256", "00"),), is_client=False, spawn=tasks)
    await asyncio.sleep(0)
    for pair in dying:
        pair.session.push(hello)
    queue.new_tick()  # the first one is released and runs now
    for pair in dying:
        await pair.session.stop()
    alive = Pair(tasks, queue)
    await alive.connect()
    await until(lambda: alive.keys)
    await alive.close()
