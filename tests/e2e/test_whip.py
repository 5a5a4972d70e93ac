"""WHIP and WHEP with real clients: aiortc, Chromium, FFmpeg's muxer, GStreamer."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page

from tests.support.chromium import chromium
from tests.support.program import ROOT, running
from tests.support.webrtc_client import level_db, tone
from tests.support.whip import (
    Studio,
    apply_fragment,
    connect,
    end,
    level,
    patch,
    restart_ice,
    wait_connected,
)

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

HERTZ, OTHER = 440.0, 1000.0
PRESENT_DB, ABSENT_DB = -30.0, -50.0
SILENT_S = 15.0  # after which the server gives up who says nothing

# FFmpeg's muxer in PyAV: one stream of Opus, paced by the clock. Its own certificates are on the
# curve P-224, which no browser's and no WebRTC server's DTLS takes: it is given one.
_PYAV = """
import signal, sys, time
import av, numpy as np
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
url, token, hertz, certificate, key = sys.argv[1:]
out = av.open(url, "w", format="whip",
    options={"authorization": token, "cert_file": certificate, "key_file": key})
stream = out.add_stream("libopus", rate=48000, bit_rate=64000)
stream.layout = "stereo"
began, number = time.monotonic(), 0
try:
    while True:
        t = (np.arange(960) + 960 * number) / 48000
        sine = np.round(9000 * np.sin(2 * np.pi * float(hertz) * t)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(np.repeat(sine, 2)[None], format="s16", layout="stereo")
        frame.sample_rate, frame.pts = 48000, 960 * number
        for packet in stream.encode(frame):
            out.mux(packet)
        number += 1
        time.sleep(max(0, began + number / 50 - time.monotonic()))
finally:
    out.close()
"""


# GStreamer's webrtcbin with WHIP in a few lines, for the system's Python: Debian has no whipsink.
_GSTREAMER = """
import sys, urllib.request
import gi
for name in ("Gst", "GstSdp", "GstWebRTC"):
    gi.require_version(name, "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC
url, token, hertz = sys.argv[1:]
Gst.init(None)
pipeline = Gst.parse_launch(
    "webrtcbin name=peer bundle-policy=max-bundle"
    f" audiotestsrc is-live=true freq={hertz} volume=0.3 ! audioconvert ! audioresample"
    " ! audio/x-raw,rate=48000 ! opusenc ! rtpopuspay pt=111"
    " ! application/x-rtp,media=audio,encoding-name=OPUS,payload=111 ! peer."
)
peer, kept = pipeline.get_by_name("peer"), []

def describe(text, kind):
    message = GstSdp.SDPMessage.new_from_text(text)[1]
    kind = getattr(GstWebRTC.WebRTCSDPType, kind)
    kept.append((message, GstWebRTC.WebRTCSessionDescription.new(kind, message)))
    return kept[-1][1]

def offered(promise, _):
    reply = promise.get_reply()
    text = reply.get_value("offer").sdp.as_text()
    peer.emit("set-local-description", describe(text, "OFFER"), None)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/sdp"}
    with urllib.request.urlopen(urllib.request.Request(url, text.encode(), headers)) as made:
        peer.emit("set-remote-description", describe(made.read().decode(), "ANSWER"), None)

def begin(element):
    element.emit("create-offer", None, Gst.Promise.new_with_change_func(offered, None))

peer.connect("on-negotiation-needed", begin)
pipeline.set_state(Gst.State.PLAYING)
GLib.MainLoop().run()
"""


@pytest.fixture
async def studio(tmp_path: Path) -> AsyncIterator[Studio]:
    async with running(tmp_path / "state") as program:
        made = Studio(program)
        _ = await made.open()
        yield made


@contextlib.asynccontextmanager
async def pages(studio: Studio, count: int) -> AsyncIterator[list[Page]]:
    async with chromium() as browser:
        opened = [await browser.new_page() for _ in range(count)]
        for page in opened:
            await page.goto(f"{studio.program.url}/health")
        yield opened


async def levels(studio: Studio, *hertz: float) -> list[float]:
    """Listen by WHEP to somebody who speaks; return the levels of frequencies."""
    token = await studio.listen_token()
    async with studio.caller("whep", token) as (ear, location):
        pcm = await ear.hear(1.0, skip=1.0)
        assert await studio.delete(location, token) == 200
        return [level_db(pcm, one) for one in hertz]


async def heard(studio: Studio, hertz: float) -> float:
    """Do so for one frequency."""
    return (await levels(studio, hertz))[0]


async def test_a_publisher_is_a_person_and_a_listener_is_not(studio: Studio) -> None:
    """aiortc: heard, listed, talking; muted like everybody; gone with DELETE."""
    user, token = await studio.person("Radio")
    async with (
        studio.person_inside() as inside,
        studio.caller("whip", token, tone(HERTZ)) as (_, location),
    ):
        await inside.wait_for_status(user, "onair")
        await inside.wait_until_heard(user)
        assert await heard(studio, HERTZ) > PRESENT_DB
        _, stats = await studio.program.call("GET", "/api/stats")
        assert stats["stats"]["rooms"]["totalParticipants"] == 2
        assert await studio.delete(location, token) == 200
        await inside.wait_for_status(user, None)
        assert await studio.delete(location, token) == 404
    assert await studio.program.metric("roomtone_listeners") == 0


async def test_a_publisher_waits_to_be_let_in(studio: Studio) -> None:
    """aiortc: connected and heard by nobody, until the same connection is let in."""
    _, other = await studio.person("Other")
    lobby = f"/api/rooms/{studio.room}/lobby"
    async with studio.caller("whip", other, tone(OTHER)):  # where nobody speaks little is sent
        await studio.program.call("PATCH", f"/api/rooms/{studio.room}", {"lobby": True})
        user, token = await studio.person("Radio")
        async with studio.caller("whip", token, tone(HERTZ)) as (_, location):
            waiting, speaking = await levels(studio, HERTZ, OTHER)
            assert waiting < ABSENT_DB < PRESENT_DB < speaking
            _, outside = await studio.program.call("GET", lobby)
            assert [one["userId"] for one in outside["waiting"]] == [user]
            assert (await studio.program.call("POST", f"{lobby}/{user}", {}))[0] == 200
            assert min(await levels(studio, HERTZ, OTHER)) > PRESENT_DB
            # Theirs, the other's, and two of `levels`.
            assert await studio.program.metric("roomtone_dtls_handshakes_total") == 4
            assert await studio.delete(location, token) == 200


async def test_a_removed_publisher_is_out(studio: Studio) -> None:
    """Their connection is a thing of the past, their token worthless."""
    user, token = await studio.person("Radio")
    async with studio.caller("whip", token, tone(HERTZ)) as (radio, location):
        await radio.track.recv()
        await studio.program.call("DELETE", f"/api/rooms/{studio.room}/users/{user}")
        assert await studio.delete(location, token) == 404
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/sdp"}
        url = studio.url("whip")
        async with studio.program.http.post(url, data=b"v=0", headers=headers) as answer:
            assert answer.status == 403


async def test_pages_publish_and_listen(studio: Studio) -> None:
    """Chromium, by fetch alone: a tone through the room, an ICE restart at both ends, DELETE."""
    _, token = await studio.person("Radio")
    listen_token = await studio.listen_token()
    async with pages(studio, 2) as (radio, ear):
        assert (await connect(radio, studio.url("whip"), token, sends=HERTZ))["status"] == 201
        made = await connect(ear, studio.url("whep"), listen_token)
        assert made["status"] == 201
        await wait_connected(radio)
        await wait_connected(ear)
        assert await level(ear, HERTZ) > PRESENT_DB
        trickled = await ear.evaluate(
            "() => window.candidates.map((text) => `a=${text}\\r\\n`).join('')"
        )
        assert "a=candidate:" in trickled
        assert (await patch(ear, trickled, made["tag"]))["status"] == 204
        assert (await patch(ear, trickled))["status"] == 428
        assert (await patch(ear, trickled, '"other"'))["status"] == 412
        for page in (radio, ear):
            before = await page.evaluate("() => window.resource.tag")
            restarted = await patch(page, await restart_ice(page), "*")
            assert restarted["status"] == 200
            assert restarted["tag"] != before
            await apply_fragment(page, restarted["body"])
            assert (await patch(page, trickled, before))["status"] == 412
            await page.wait_for_function("() => pc.iceConnectionState === 'connected'")
            assert await level(ear, HERTZ) > PRESENT_DB
        assert await studio.program.metric("roomtone_ice_restarts_total") == 2
        assert await studio.program.metric("roomtone_dtls_handshakes_total") == 2
        assert await end(radio) == await end(ear) == 200


async def test_an_anchor_hears_a_publisher(studio: Studio) -> None:
    """And is heard by a listener: one room, whatever people came by."""
    _, token = await studio.person("Radio")
    _, other = await studio.person("Other")
    async with (
        studio.caller("whip", token, tone(HERTZ)),
        studio.caller("whip", other, tone(OTHER)),
    ):
        assert await heard(studio, HERTZ) > PRESENT_DB
        assert await heard(studio, OTHER) > PRESENT_DB


async def test_listeners_outlive_everything_but_their_mixer(studio: Studio) -> None:
    """Killed, it takes them along: the address is gone, and a new POST is heard again."""
    _, token = await studio.person("Radio")
    listen_token = await studio.listen_token()
    async with (
        studio.caller("whep", listen_token) as (ear, location),
        studio.caller("whip", token, tone(HERTZ)) as (_, radio_at),
    ):
        assert level_db(await ear.hear(1.0, skip=1.0), HERTZ) > PRESENT_DB
        mixer = studio.program.worker("mixer")
        os.kill(mixer, signal.SIGKILL)
        await studio.program.wait_for_worker("mixer", other_than=mixer)
        assert await studio.delete(location, listen_token) == 404
        assert await studio.delete(radio_at, token) == 404
    async with asyncio.timeout(20):
        while await studio.program.metric("roomtone_mixer_up") < 1:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.1)  # sleep: it starts
    async with studio.caller("whip", token, tone(HERTZ)):
        assert await heard(studio, HERTZ) > PRESENT_DB


async def test_ffmpeg_publishes(studio: Studio, tmp_path: Path) -> None:
    """Libavformat's `whip` muxer, as PyAV carries it; closed, it says so."""
    user, token = await studio.person("FFmpeg")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    await run(
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
        *("-nodes", "-keyout", str(key), "-out", str(certificate), "-subj", "/CN=whip"),
    )
    async with (
        studio.person_inside() as inside,
        program(
            *(sys.executable, "-c", _PYAV, studio.url("whip"), token),
            *(str(HERTZ), str(certificate), str(key)),
        ) as ffmpeg,
    ):
        await inside.wait_for_status(user, "onair")
        assert await heard(studio, HERTZ) > PRESENT_DB
        ffmpeg.send_signal(signal.SIGTERM)
        async with asyncio.timeout(SILENT_S - 5):
            await inside.wait_for_status(user, None)


async def test_gstreamer_publishes(studio: Studio) -> None:
    """webrtcbin: it offers both ways and is answered one; killed, it is given up soon."""
    user, token = await studio.person("GStreamer")
    async with (
        studio.person_inside() as inside,
        program(
            "/usr/bin/python3", "-c", _GSTREAMER, studio.url("whip"), token, str(HERTZ)
        ) as gstreamer,
    ):
        await inside.wait_for_status(user, "onair")
        assert await heard(studio, HERTZ) > PRESENT_DB
        gstreamer.send_signal(signal.SIGKILL)
        await inside.wait_for_status(user, None)


@contextlib.asynccontextmanager
async def program(*command: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Another program, ended at the end."""
    made = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield made
    finally:
        with contextlib.suppress(ProcessLookupError):
            made.kill()
        await made.wait()


async def run(*command: str) -> None:
    made = await asyncio.create_subprocess_exec(*command, stderr=subprocess.DEVNULL)
    assert await made.wait() == 0
