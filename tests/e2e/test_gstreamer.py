"""GStreamer on plain RTP: its rtpbin speaks into a room and hears it, with reports both ways."""

import asyncio
import contextlib
import signal
import socket
import wave
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mixer.core import rtcp
from tests.support.program import Program, free_port, running
from tests.support.webrtc_client import level_db

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

TONE_HZ = 700.0
WAIT_S = 30.0
END_S = 4.0


@contextlib.asynccontextmanager
async def pipeline(text: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A GStreamer pipeline for the length of the context; then its files are whole."""
    gst = await asyncio.create_subprocess_exec(
        *("gst-launch-1.0", "-q", "-e", *text.split()),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        yield gst
    finally:
        gst.send_signal(signal.SIGINT)  # the end of the stream, by -e
        # Its files are whole then; rtpbin may wait for ever for the turn of its own goodbye.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_S):
                await gst.wait()
        with contextlib.suppress(ProcessLookupError):
            gst.kill()
        await gst.wait()


def speaking(line: dict[str, Any], rtcp_port: int, own_port: int) -> str:
    """A tone, sent to the line's port, with reports to the one above and from the one above."""
    return (
        f"rtpbin name=b audiotestsrc is-live=true freq={TONE_HZ} volume=0.5"
        " ! audio/x-raw,rate=48000,channels=1 ! audioconvert ! opusenc frame-size=20"
        f" ! rtpopuspay pt={line['payloadType']} ssrc={line['ssrc']} ! b.send_rtp_sink_0"
        f" b.send_rtp_src_0 ! udpsink host=127.0.0.1 port={line['rtpPort']} bind-port={own_port}"
        f" b.send_rtcp_src_0 ! udpsink host=127.0.0.1 port={rtcp_port} sync=false async=false"
    )


def hearing(forwarder: dict[str, Any], local_port: int, out: Path) -> str:
    """The forwarder's stream into a file, with reports to where it comes from."""
    caps = "application/x-rtp,media=audio,clock-rate=48000,encoding-name=OPUS"
    return (
        f"rtpbin name=b latency=100 udpsrc port={forwarder['port']}"
        f" caps={caps},payload={forwarder['payloadType']} ! b.recv_rtp_sink_0"
        f" b. ! rtpopusdepay ! opusdec ! audioconvert ! wavenc ! filesink location={out}"
        f" b.send_rtcp_src_0 ! udpsink host=127.0.0.1 port={local_port} sync=false async=false"
    )


def listen() -> socket.socket:
    """A socket of our own, for reports."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sock.setblocking(False)
    return sock


async def report_at(sock: socket.socket) -> tuple[rtcp.Packet, ...]:
    """Wait for the next sender report with a block about who listens."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(WAIT_S):
        while True:
            packets = rtcp.parse(await loop.sock_recv(sock, 1500))
            if isinstance(packets[0], rtcp.SenderReport) and packets[0].blocks:
                return packets


async def make(program: Program, room: str, what: str, **body: Any) -> dict[str, Any]:
    status, answer = await program.call("POST", f"/api/rooms/{room}/{what}", body)
    assert status == 201, answer
    made: dict[str, Any] = answer["forwarder" if what == "forwarders" else "participant"]
    return made


Numbers = tuple[dict[str, Any], dict[str, Any]]


async def statistics(program: Program, room: str, until: Callable[[Numbers], object]) -> Numbers:
    """The line's and the forwarder's, once they are as they should be."""
    async with asyncio.timeout(WAIT_S):
        while True:
            _, answer = await program.call("GET", f"/api/rooms/{room}/statistics")
            found = (answer["peers"] or [{}])[0], (answer["forwarders"] or [{}])[0]
            if until(found):
                return found


def check_sound(path: Path) -> None:
    """The tone is in the file, and not its harmonic."""
    with wave.open(str(path)) as file:
        assert file.getframerate() == 48_000
        pcm = np.frombuffer(file.readframes(file.getnframes()), np.int16)[:: file.getnchannels()]
    parts = [pcm[at : at + 24_000] for at in range(0, len(pcm) - 24_000, 12_000)]
    loudest = max(parts, key=lambda part: level_db(part, TONE_HZ))
    assert level_db(loudest, TONE_HZ) > -15
    assert level_db(loudest, 3 * TONE_HZ) < -50


async def test_rtpbin_and_the_room_report_to_each_other(tmp_path: Path) -> None:
    """GStreamer's tone comes back from the room; either side knows how its stream arrives."""
    port, out = free_port(socket.SOCK_DGRAM), tmp_path / "room.wav"
    options = ("--rtp-port", str(port), "--forward-to", "127.0.0.0/8")
    async with running(tmp_path / "state", *options) as program, AsyncExitStack() as ends:
        room = (await program.new_room())["roomId"]
        line = await make(program, room, "rtp", displayName="Studio", rtcp="next")
        forwarder = await make(
            program, room, "forwarders", host="127.0.0.1", port=free_port(socket.SOCK_DGRAM)
        )
        told = ends.enter_context(listen())  # where the tone's reports go: above its own port
        local_port = (await statistics(program, room, lambda both: both[1]))[1]["localPort"]
        await ends.enter_async_context(pipeline(hearing(forwarder, local_port, out)))
        own_port = told.getsockname()[1] - 1
        async with pipeline(speaking(line, port + 1, own_port)):
            said, name, *_ = await report_at(told)
            person, sent = await statistics(program, room, lambda both: both[1]["reports"])
        await statistics(program, room, lambda both: both[0]["state"] != "live")
    assert isinstance(said, rtcp.SenderReport)
    assert isinstance(name, rtcp.SourceDescription)
    (block,) = said.blocks
    assert (block.ssrc, block.cumulative_lost) == (line["ssrc"], 0)
    assert person["state"] == "live"
    assert person["received"] > 20
    assert sent["lost"] <= 0  # GStreamer may count one twice
    assert sent["packets"] > 50
    check_sound(out)
