"""A call under a flood of hostile datagrams: nobody's audio changes, memory stays flat.

100,000 of them in the suite; `ROOMTONE_HOSTILE=1000000` runs the full million (some minutes).
"""

import gc
import logging
import os
import random
import struct
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from mixer.core.red import pack_red
from mixer.rtc.block import ADDRESS_BYTES
from mixer.types import TICK_S, PeerState, tick_at
from tests.support.callers import Address, Caller
from tests.support.house import VOICE, House, spec

DATAGRAMS = int(os.environ.get("ROOMTONE_HOSTILE", "100000"))
SEED = 20_260_101
PER_TICK = 250
FLAT_BYTES = 6 << 20


class Enemy:
    """Makes hostile datagrams out of a dice and of what it has seen of a call."""

    def __init__(self, callers: list[Caller], seed: int) -> None:
        self._dice = random.Random(seed)
        self._callers = callers
        self._makers = (
            self._stun,
            self._check,
            self._dtls,
            self._rtp,
            self._rtcp,
            self._changed,
            self._replayed,
            self._red,
            self._noise,
        )

    def attack(self, count: int) -> Iterator[tuple[bytes, Address]]:
        """Yield datagrams and where they come from: half of them spoof somebody's address."""
        dice = self._dice
        for _ in range(count):
            caller = dice.choice(self._callers)
            datagram = dice.choice(self._makers)(caller)
            foreign = (f"203.0.113.{dice.randrange(256)}", dice.randrange(1, 65_536))
            yield datagram, caller.address if dice.random() < 0.5 else foreign

    def _bytes(self, least: int, most: int) -> bytes:
        return self._dice.randbytes(self._dice.randint(least, most))

    def _stun(self, caller: Caller) -> bytes:
        body = self._bytes(0, 80)
        length = len(body) if self._dice.random() < 0.8 else self._dice.randrange(65_536)
        kind = self._dice.choice((0x0001, 0x0101, 0x0111, self._dice.randrange(0x4000)))
        user = f"{caller._remote[0]}:caller".encode()
        named = struct.pack("!HH", 6, len(user)) + user + b"\0" * (-len(user) % 4)
        body = self._dice.choice((body, named + body))
        return struct.pack("!HHI", kind, length, 0x2112A442) + self._bytes(12, 12) + body

    def _check(self, caller: Caller) -> bytes:
        return caller.check(password=self._dice.choice(("guessed" * 4, "p" * 24)))

    def _dtls(self, _caller: Caller) -> bytes:
        kind = self._dice.choice((20, 21, 22, 23, self._dice.randrange(20, 64)))
        version = self._dice.choice((b"\xfe\xfd", b"\xfe\xff", self._bytes(2, 2)))
        body = self._bytes(0, 100)
        return bytes((kind,)) + version + self._bytes(8, 8) + struct.pack("!H", len(body)) + body

    def _rtp(self, caller: Caller) -> bytes:
        first = 0x80 | self._dice.choice((0, 0x10, self._dice.randrange(64)))
        head = struct.pack("!BBH", first, self._dice.choice((111, 63, 96)), caller.sequence + 1)
        ssrc = caller.ssrc if self._dice.random() < 0.7 else self._dice.getrandbits(32)
        head += struct.pack("!II", self._dice.getrandbits(32), ssrc)
        return head + self._dice.choice((b"", struct.pack("!HH", 0xBEDE, 1))) + self._bytes(0, 150)

    def _rtcp(self, caller: Caller) -> bytes:
        head = struct.pack("!BBHI", 0x80, self._dice.randrange(192, 224), 6, caller.ssrc)
        return head + self._bytes(0, 80)

    def _red(self, caller: Caller) -> bytes:
        body = pack_red(111, self._bytes(1, 60), [(960, self._bytes(1, 60))])
        return self._rtp(caller)[:12] + body

    def _changed(self, caller: Caller) -> bytes:
        datagram = bytearray(self._seen(caller))
        datagram[self._dice.randrange(len(datagram))] ^= 1 << self._dice.randrange(8)
        return bytes(datagram[: self._dice.randint(1, len(datagram))])

    def _replayed(self, caller: Caller) -> bytes:
        return self._seen(caller)

    def _seen(self, caller: Caller) -> bytes:
        return self._dice.choice(caller.sent[-40:])

    def _noise(self, _caller: Caller) -> bytes:
        return self._bytes(0, self._dice.choice((20, 200, 1600, 3000)))


class Call(House):
    """Three people; two of them speak in turn. `heard` is what reached each, in the clear."""

    async def begin(self) -> list[Caller]:
        """Connect everybody."""
        self.engine.apply(spec("r", "ann", "bob", "cyd"))
        names = enumerate(("ann", "bob", "cyd"), start=1)
        return [await self.join(number, name, red=True) for number, name in names]

    def tick(
        self, number: int, callers: list[Caller], enemy: Iterator[tuple[bytes, Address]]
    ) -> None:
        """One tick: the enemy before, between and behind what the callers send."""
        first, second = callers[:2]
        for caller, speaks in ((first, number % 150 < 100), (second, number % 150 >= 50)):
            self.socket.inbox.extend(enemy_part(enemy, PER_TICK // 3))
            level = -20 if speaks else -70
            caller.send(caller.rtp(VOICE[number % 100], level_dbov=level))
        if number % 50 == 0:
            for caller in callers:
                caller.send(caller.rtcp())
                caller.send(caller.check())
        self.socket.inbox.extend(enemy_part(enemy, PER_TICK // 3))
        self.clock.advance(TICK_S)
        self.engine._tick(tick_at(self.clock()))
        while self.socket.inbox:
            self.exchange()
        self.exchange()
        for caller in callers:
            del caller.sent[:-40], caller.replies[:], caller.reports[:], caller.records[:]


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def enemy_part(enemy: Iterator[tuple[bytes, Address]], count: int) -> list[tuple[bytes, Address]]:
    return [datagram for datagram, _ in zip(enemy, range(count), strict=False)]


def payloads(caller: Caller) -> list[bytes]:
    """What was heard: without the header, whose numbers are random, and without repetitions."""
    return [packet[20:] for packet in caller.heard]


@pytest.fixture
async def calls(caplog: pytest.LogCaptureFixture) -> AsyncIterator[tuple[Call, Call]]:
    made = (Call(), Call())
    yield made
    for call in made:
        assert await call.close() == []
    assert [r for r in caplog.get_records("call") if r.levelno >= logging.WARNING] == []


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_hundred_thousand_hostile_datagrams_change_nothing(
    calls: tuple[Call, Call],
) -> None:
    """Every payload that was heard equals that of an undisturbed call; all junk is accounted."""
    quiet, loud = calls
    start = quiet.clock()
    ticks = DATAGRAMS // PER_TICK
    undisturbed = await quiet.begin()
    attacked = await loud.begin()
    assert loud.clock() == start == quiet.clock()
    enemy = Enemy(attacked, SEED).attack(DATAGRAMS)
    before = loud.port.counters["datagrams_received"]
    sizes: list[int] = []
    for number in range(ticks):
        quiet.tick(number, undisturbed, iter(()))
        loud.tick(number, attacked, enemy)
        for theirs, ours in zip(undisturbed, attacked, strict=True):
            assert payloads(ours) == payloads(theirs), f"seed {SEED}, tick {number}"
            theirs.heard.clear()
            ours.heard.clear()
        if number in (ticks // 4, ticks - 1):
            gc.collect()
            sizes.append(resident_bytes())
    assert sizes[1] - sizes[0] < FLAT_BYTES
    for call in calls:
        assert [call.changes(name) for name in ("ann", "bob", "cyd")] == [
            [(PeerState.LIVE, None)]
        ] * 3
    counters = loud.port.counters
    sent = counters["datagrams_received"] - before
    assert sent >= ticks * (PER_TICK // 3 * 3)
    for name in (
        *("junk_datagrams", "foreign_datagrams", "stun_malformed"),
        *("dtls_refused", "srtp_refused", "srtcp_refused", "stun_bad_integrity"),
    ):
        assert counters[name] > ticks // 10, name
    assert counters["datagram_failures"] == 0
    assert counters["address_migrations"] == 0
    assert loud.port.table.count == 3
    assert all(len(path) == ADDRESS_BYTES for path in loud.port.table._paths)
