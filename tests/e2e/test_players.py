"""Players of others on the encrypted stream, with nothing but an address: what do they play?"""

import asyncio
import contextlib
import os
from pathlib import Path
from urllib.parse import urljoin

import numpy as np
import pytest

from bench.browsers import chromium
from tests.e2e.test_ffmpeg import join
from tests.support import ffmpeg_player
from tests.support.ffmpeg_player import CHUNK
from tests.support.program import Program, running
from tests.support.webrtc_client import client, level_db, tone

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

HZ = 700.0
PATIENCE_S = 45.0
CHUNKS = 5  # in a row, so that no player passes that only got through one segment

RAW = "audioconvert ! audioresample ! audio/x-raw,rate=48000,channels=1,format=S16LE ! fdsink fd=1"


def gstreamer(url: str) -> list[str]:
    source = ["souphttpsrc", f"location={url}", "!", "hlsdemux", "!", "decodebin", "!"]
    return ["gst-launch-1.0", "-q", *source, *RAW.split()]


def vlc(url: str) -> list[str]:
    """VLC without a window; it refuses to be root."""
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    out = "#transcode{acodec=s16l,channels=1,samplerate=48000}:std{access=file,mux=wav,dst=-}"
    return [
        *(nobody if os.geteuid() == 0 else []),
        *("cvlc", "-I", "dummy", "--no-video", "--quiet", "--sout", out, url, "vlc://quit"),
    ]


async def plays(command: list[str], home: Path) -> bool:
    """Whether a player plays; one that a busy machine threw off the stream begins again."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_S):
            while not await _plays(command, home):
                pass
            return True
    return False


async def _plays(command: list[str], home: Path) -> bool:
    """Run a player until the tone, and nothing beside it, was heard for some time, or it ends."""
    player = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, "HOME": str(home)},
    )
    assert player.stdout is not None, "asked for as a pipe"
    heard = 0
    try:
        while heard < CHUNKS:
            pcm = np.frombuffer(await player.stdout.readexactly(2 * CHUNK), np.int16)
            is_tone = level_db(pcm, HZ) > -20 and level_db(pcm, 2 * HZ) < -50
            heard = heard + 1 if is_tone else 0
    except asyncio.IncompleteReadError:
        return False
    finally:
        with contextlib.suppress(ProcessLookupError):
            player.kill()
        await player.communicate()  # what it still had to say holds its end up
    return True


# What an <audio> with nothing but an address plays, and whether it is the tone: for some seconds.
_NATIVE = """async ([address, hertz, times]) => {
  const audio = new Audio(address);
  const context = new AudioContext();
  const analyser = new AnalyserNode(context, { fftSize: 4096 });
  context.createMediaElementSource(audio).connect(analyser);
  await audio.play();
  const bins = new Float32Array(analyser.frequencyBinCount);
  for (let heard = 0; heard < times; ) {
    await new Promise((resolve) => setTimeout(resolve, 500));
    analyser.getFloatFrequencyData(bins);
    const loudest = bins.indexOf(Math.max(...bins));
    const isTone = Math.abs((loudest * context.sampleRate) / analyser.fftSize - hertz) < 20;
    heard = isTone && bins[loudest] > -40 ? heard + 1 : 0;
  }
  return audio.currentTime;
}"""


async def plays_natively(url: str) -> bool:
    """Whether Chromium plays it without hls.js and MediaSource."""
    async with chromium() as browser:
        page = await browser.new_page()
        await page.goto(urljoin(url, "/healthz"))
        async with asyncio.timeout(PATIENCE_S):
            return float(await page.evaluate(_NATIVE, [url, HZ, CHUNKS])) > CHUNKS / 2 - 1


async def address(program: Program, room: str, name: str) -> str:
    _, token = await program.call("POST", "/api/token", {"roomId": room})
    return f"{program.url}/hls/{room}/{name}?token={token['token']}"


@pytest.mark.parametrize("container", ["fmp4", "ts", "adts"])
async def test_players(tmp_path: Path, container: str) -> None:
    """FFmpeg and VLC play every playlist, GStreamer the classic one in TS and ADTS, decrypted.

    Chromium does too, without hls.js.
    """
    options = ["--broadcast-key-segments", "5"]
    if container != "fmp4":
        options += ["--broadcast-container", container]
    async with running(tmp_path / "state", *options) as program, client(tone(HZ)) as anchor:
        room = (await program.new_room())["roomId"]
        await anchor.accept(await join(program, room, await anchor.offer()))
        low = await address(program, room, "stream.m3u8")
        classic = await address(program, room, "classic.m3u8")
        commands = {"FFmpeg, classic": ffmpeg_player.command(classic), "VLC, classic": vlc(classic)}
        if container == "fmp4":
            commands["VLC, low latency"] = vlc(low)
        else:
            commands["GStreamer, classic"] = gstreamer(classic)
        heard = await asyncio.gather(*(plays(one, tmp_path) for one in commands.values()))
        if container != "fmp4":  # which Chromium's own player takes only in the clear
            assert await plays_natively(await address(program, room, "classic-master.m3u8"))
    assert dict(zip(commands, heard, strict=True)) == dict.fromkeys(commands, True)
