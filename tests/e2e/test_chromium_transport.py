"""A real browser's connection: redundancy, ICE restart, and TCP where no UDP gets through."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from random import Random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from playwright.async_api import Page

from mixer.plane import Plane
from mixer.rtc.block import DatagramBlock
from mixer.types import (
    AnchorSpec,
    LinkMode,
    PeerChanged,
    PeerId,
    PeerState,
    PlaneEvent,
    PlaneSettings,
    RoomId,
    RoomSpec,
)
from tests.support.callers import Tasks
from tests.support.chromium import chromium

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

ROOM = RoomId("room")

# A page with one connection: it sends a tone, or only listens.
_CONNECT = """
async (sends) => {
  const pc = window.pc = new RTCPeerConnection();
  if (sends) {
    const context = window.context = new AudioContext({ sampleRate: 48000 });
    const oscillator = new OscillatorNode(context, { frequency: 440 });
    const out = new MediaStreamAudioDestinationNode(context, { channelCount: 1 });
    oscillator.connect(new GainNode(context, { gain: 0.3 })).connect(out);
    oscillator.start();
    await context.resume();
    pc.addTrack(out.stream.getTracks()[0], out.stream);
  } else {
    pc.addTransceiver("audio", { direction: "recvonly" });
  }
  pc.ontrack = ({ track }) => {
    const audio = window.audio = new Audio();
    audio.srcObject = new MediaStream([track]);
    audio.play();
  };
}
"""
_OFFER = """
async (restart) => {
  if (restart) pc.restartIce();
  await pc.setLocalDescription(await pc.createOffer());
  return pc.localDescription.sdp;
}
"""
_ACCEPT = "(sdp) => pc.setRemoteDescription({ type: 'answer', sdp })"
_STATISTICS = """
async () => {
  const all = Object.fromEntries((await pc.getStats()).entries());
  const one = (type) => Object.values(all).find((entry) => entry.type === type) || {};
  const pair = all[one("transport").selectedCandidatePairId] || {};
  return {
    packets: one("inbound-rtp").packetsReceived || 0,
    lost: one("inbound-rtp").packetsLost || 0,
    energy: one("inbound-rtp").totalAudioEnergy || 0,
    samples: one("inbound-rtp").totalSamplesReceived || 0,
    concealed: one("inbound-rtp").concealedSamples || 0,
    protocol: (all[pair.localCandidateId] || {}).protocol,
    ufrag: (all[pair.remoteCandidateId] || {}).usernameFragment,
  };
}
"""


@dataclass
class Stage:
    """A plane in this process; browsers call it."""

    plane: Plane
    events: list[PlaneEvent]

    async def offer(
        self, page: Page, name: str, *, restart: bool = False, without: str = "-"
    ) -> None:
        """Exchange offer and answer; candidates over `without` are kept from the browser."""
        sdp = await page.evaluate(_OFFER, restart)
        answer = await self.plane.accept_offer(ROOM, PeerId(name), sdp)
        lines = answer.splitlines(keepends=True)
        kept = [x for x in lines if not (x.startswith("a=candidate") and f" {without} " in x)]
        await page.evaluate(_ACCEPT, "".join(kept))

    async def join(self, page: Page, name: str, *, sends: bool, without: str = "-") -> None:
        """Connect a page."""
        await page.evaluate(_CONNECT, sends)
        await self.offer(page, name, without=without)
        await page.wait_for_function("() => pc.connectionState === 'connected'")

    def states(self, name: str) -> list[PeerState]:
        return [e.state for e in self.events if isinstance(e, PeerChanged) and e.peer == name]

    def counter(self, name: str) -> int:
        return self.plane.statistics().counters.get(name, 0)


async def statistics(page: Page) -> dict[str, Any]:
    return dict(await page.evaluate(_STATISTICS))


async def hears(page: Page, seconds: float = 1.0) -> dict[str, Any]:
    """Return what the page's statistics grew by while it listened."""
    before = await statistics(page)
    await asyncio.sleep(seconds)  # sleep: to hear takes time
    after = await statistics(page)
    return {
        name: after[name] - before[name] if isinstance(after[name], int | float) else after[name]
        for name in after
    }


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    events: list[PlaneEvent] = []
    tasks = Tasks()
    plane = Plane(PlaneSettings(udp_port=0), emit=events.append, tap=None, spawn=tasks)
    await plane.start()
    plane.apply(RoomSpec(ROOM, 1, (AnchorSpec(PeerId("ada")), AnchorSpec(PeerId("bob")))))
    try:
        yield Stage(plane, events)
    finally:
        await plane.close()
        await asyncio.sleep(0)
        assert await tasks.close() == []


@contextlib.asynccontextmanager
async def pages() -> AsyncIterator[tuple[Page, Page]]:
    async with chromium() as browser:
        yield await browser.new_page(), await browser.new_page()


async def test_audio_goes_on_through_an_ice_restart(stage: Stage) -> None:
    """`pc.restartIce()` at the speaker's and at the listener's: the same call, nobody gone."""
    async with pages() as (ada, bob):
        await stage.join(ada, "ada", sends=True)
        await stage.join(bob, "bob", sends=False)
        await hears(bob, 2.0)
        assert stage.counter("red_received") > 90
        before = await hears(bob)
        for page, name in ((ada, "ada"), (bob, "bob")):
            was = (await statistics(page))["ufrag"]
            await stage.offer(page, name, restart=True)
            during = await hears(bob, 2.0)
            assert (await statistics(page))["ufrag"] != was
            assert during["packets"] > 90
            assert during["energy"] > before["energy"]
            assert during["lost"] == 0
        assert stage.counter("ice_restarts") == 2
        assert stage.counter("dtls_handshakes") == 2
        assert stage.states("ada") == stage.states("bob") == [PeerState.LIVE]


async def test_a_browser_without_udp_calls_over_tcp(stage: Stage) -> None:
    """With no UDP candidate both speak and hear by ICE-TCP."""
    async with pages() as (ada, bob):
        await stage.join(ada, "ada", sends=True, without="udp")
        await stage.join(bob, "bob", sends=False, without="udp")
        await hears(bob)
        heard = await hears(bob, 2.0)
        assert heard["protocol"] == (await statistics(ada))["protocol"] == "tcp"
        assert heard["packets"] > 90
        assert heard["energy"] > 0.005


async def test_a_direction_is_changed_on_the_way(stage: Stage) -> None:
    """A transceiver that turns to recvonly and back keeps its connection."""
    async with pages() as (ada, bob):
        await stage.join(ada, "ada", sends=True)
        await stage.join(bob, "bob", sends=False)
        for direction, is_heard in (("recvonly", False), ("sendrecv", True)):
            await ada.evaluate("(d) => { pc.getTransceivers()[0].direction = d; }", direction)
            await stage.offer(ada, "ada")
            await hears(bob)
            assert ((await hears(bob))["energy"] > 0.005) == is_heard
        assert stage.counter("dtls_handshakes") == 2
        assert stage.states("ada") == [PeerState.LIVE]


async def test_a_browser_that_loses_packets_hears_all_the_same(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own reports bring the two frames before with each packet, and it plays them."""
    port = stage.plane._engine.port
    send, dice = port._sender._sender.send, Random(1)

    def lossy(block: DatagramBlock, rows: int) -> int:
        is_kept = np.array([dice.random() >= 0.15 for _ in range(rows)], np.bool_)
        return send(block, block.keep(is_kept))

    async with pages() as (ada, bob):
        await stage.join(ada, "ada", sends=True)
        await stage.join(bob, "bob", sends=False)
        monkeypatch.setattr(port._sender, "_sender", SimpleNamespace(send=lossy))
        async with asyncio.timeout(60):
            while _mode(stage, "bob") is not LinkMode.RED2:
                await hears(bob, 0.5)
        await hears(bob)
        heard = await hears(bob, 5.0)
        assert heard["lost"] > 0.08 * (heard["lost"] + heard["packets"])
        assert heard["concealed"] < 0.04 * heard["samples"]
        assert _mode(stage, "bob") is LinkMode.RED2


def _mode(stage: Stage, name: str) -> LinkMode:
    return next(one.transport.mode for one in stage.plane.peers(ROOM) if one.peer == name)
