"""Junk on the UDP port of the running server, while people join and talk."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.chromium import chromium, heard, join, write_tone
from tests.support.hostile import Spy, junk
from tests.support.program import Program, running
from tests.support.room_client import connect, person
from tests.support.webrtc_client import RATE, level_db, tone

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

ADA_HZ, EVE_HZ = 440.0, 1000.0
STRANGERS = 8
COUNTED = (
    "junk_datagrams",
    "foreign_datagrams",
    "stun_malformed",
    "stun_unknown_ufrag",
    "stun_bad_integrity",
    "dtls_refused",
    "srtp_refused",
    "srtcp_refused",
)


class Flood:
    """Sends junk from several sockets without end, and again whatever `spy` has seen so far."""

    def __init__(self, program: Program) -> None:
        self.sent = 0
        self.spy: Spy | None = None
        self._target = ("127.0.0.1", program.udp_port)

    async def run(self) -> None:
        with contextlib.ExitStack() as stack:
            strangers = [
                stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                for _ in range(STRANGERS)
            ]
            round_ = 0
            while True:
                round_ += 1
                real = [] if self.spy is None else [*self.spy.sent[:40], *self.spy.sent[-40:]]
                for number, datagram in enumerate(junk(real, seed=round_)):
                    strangers[number % STRANGERS].sendto(datagram, self._target)
                    if self.spy is not None:
                        self.spy.send(datagram)
                    self.sent += 1
                    await asyncio.sleep(0.001)  # sleep: a flood has a rate


@contextlib.asynccontextmanager
async def flooding(program: Program) -> AsyncIterator[Flood]:
    flood = Flood(program)
    task = asyncio.create_task(flood.run())
    try:
        yield flood
        assert not task.done(), "the flood must last"
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_junk_on_the_port_disturbs_nobody(tmp_path: Path) -> None:
    """Before, during and after handshakes: calls come about, last and sound; all is counted."""
    microphone = write_tone(tmp_path / "ada.wav", ADA_HZ)
    async with running(tmp_path / "state") as program, flooding(program) as flood:
        room = await program.new_room(name="Studio")
        async with (
            chromium(microphone) as browser,
            person(program, room["roomId"], "Eve", tone(EVE_HZ, 0.25)) as (signalling, eve),
        ):
            ada = await browser.new_page()
            await join(ada, room["links"]["join"], "Ada")
            offer = await eve.offer()
            spy = flood.spy = Spy(eve)
            await connect(signalling, eve, offer)
            before = flood.sent
            for_eve = await eve.hear(4.0, skip=1.0)
            for_ada = await heard(ada, EVE_HZ, ADA_HZ)
            assert flood.sent - before > 500
            assert len(spy.sent) > 200
            offers = await ada.evaluate("() => window.roomtone.counts.offers")
        for name in COUNTED:
            assert await program.metric(f"roomtone_{name}_total") > 0, name
        failures = "roomtone_datagram_failures_total"
        text = await (await program.http.get(f"{program.url}/metrics")).text()
        assert failures not in text or await program.metric(failures) == 0
    assert offers == 1
    assert not any(one["method"] == "reconnect" for one in signalling.notifications)
    assert for_ada[0] > -40
    assert for_ada[1] < -70
    halves = for_eve[: 4 * RATE].reshape(8, -1)
    assert min(level_db(half, ADA_HZ) for half in halves) > -20
    assert "Traceback" not in program.output
    assert "exception" not in program.output.lower()
