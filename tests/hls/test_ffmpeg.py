"""FFmpeg, which shares no code with the packager, as a player of the stream."""

import asyncio
import json
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from numpy.typing import NDArray

from hls.core.addressed import Addressed
from hls.core.fmp4 import media_segment
from hls.pipeline import Broadcaster
from hls.types import KeySpec, PlaylistKind
from tests.hls.boxes import samples
from tests.hls.listener import KEY, decrypt, level_db, read, spec, tone

pytestmark = pytest.mark.e2e

BASE = 1000
LONG = replace(spec(), window_s=23.04)
TOKEN = "eyJhbGciOi.eyJhdWQi_-.c2ln"  # dots, as every JWT has: they must not look like extensions
DECODE = ("-f", "f32le", "-ac", "1", "-ar", "48000", "-")
QUIET = ("ffmpeg", "-hide_banner", "-nostdin", "-loglevel", "warning")


def speaking(ticks: int, *, base_tick: int = BASE) -> Broadcaster:
    """Return a broadcaster that heard a tone for so many ticks from the base on."""
    broadcaster = Broadcaster()
    broadcaster.apply(replace(spec(base_tick=base_tick), window_s=23.04), BASE)
    for offset, frame in enumerate(tone(ticks)):
        broadcaster.write("blue", "floor", BASE + offset, frame)
    return broadcaster


def floats(raw: bytes) -> NDArray[np.float32]:
    """Return FFmpeg's output as samples."""
    return np.frombuffer(raw, np.float32)


def test_ffprobe(tmp_path: Path) -> None:
    """FFprobe finds an AAC-LC track and a frame every 1024 samples, at the stream's own time."""
    broadcaster, now = speaking(96), BASE + 200
    playlist = read(broadcaster.playlist("blue", "", PlaylistKind.CLASSIC, now))
    init = broadcaster.fetch("blue", "", playlist.init, now) or b""
    segment = decrypt(broadcaster.fetch("blue", "", "seg-5.m4s", now))
    (tmp_path / "a.mp4").write_bytes(init + segment)
    command = ["ffprobe", "-v", "error", "-show_packets", "-show_streams", "-of", "json"]
    done = subprocess.run([*command, tmp_path / "a.mp4"], capture_output=True, check=True)
    assert not done.stderr
    found = json.loads(done.stdout)
    stream = found["streams"][0]
    assert (stream["codec_name"], stream["profile"], stream["channels"]) == ("aac", "LC", 1)
    times = [packet["pts"] for packet in found["packets"]]
    assert times == list(range(5 * 92_160, 6 * 92_160, 1024))


@pytest.mark.parametrize("channels", [1, 2])
def test_parts_and_segments_sound_the_same(tmp_path: Path, channels: int) -> None:
    """To FFmpeg a stream of parts, one of segments and one of single fragments are one sound."""
    broadcaster, now = Broadcaster(), BASE + 96 * 5
    broadcaster.apply(replace(spec(), channels=channels), BASE)
    for offset, frame in enumerate(tone(400)):
        broadcaster.write("blue", "floor", BASE + offset, np.repeat(frame, channels))
    playlist = read(broadcaster.playlist("blue", "", PlaylistKind.CLASSIC, now))
    init = broadcaster.fetch("blue", "", playlist.init, now) or b""
    whole = [decrypt(broadcaster.fetch("blue", "", f"seg-{msn}.m4s", now)) for msn in (5, 6, 7)]
    parts = [
        decrypt(broadcaster.fetch("blue", "", f"seg-{msn}.{part}.m4s", now))
        for msn in (5, 6, 7)
        for part in range(6)
    ]
    single = [
        media_segment(msn + 1, msn * 92_160, samples(data))
        for msn, data in zip((5, 6, 7), whole, strict=True)
    ]
    heard = []
    for number, pieces in enumerate((whole, parts, single)):
        path = tmp_path / f"{number}.mp4"
        path.write_bytes(init + b"".join(pieces))
        command = [*QUIET, "-i", str(path), "-f", "f32le", "-"]
        done = subprocess.run(command, capture_output=True, check=True)
        assert not done.stderr
        heard.append(floats(done.stdout))
    assert heard[0].size == 3 * 92_160 * channels
    assert np.array_equal(heard[0], heard[1])
    assert np.array_equal(heard[0], heard[2])
    assert level_db(heard[0][8192:]) == pytest.approx(level_db(tone(50) / 32768), abs=0.2)


def test_folder(tmp_path: Path) -> None:
    """FFmpeg plays the encrypted playlist from a folder: every sample, at its place and level."""
    broadcaster, now = speaking(250), BASE + 96 * 6
    text = broadcaster.playlist("blue", "", PlaylistKind.CLASSIC, now) or ""
    playlist = read(text)
    (tmp_path / "a.m3u8").write_text(text + "#EXT-X-ENDLIST\n")
    (tmp_path / KEY.uri).write_bytes(KEY.key)
    for name in (playlist.init, *playlist.names):
        (tmp_path / name).write_bytes(broadcaster.fetch("blue", "", name, now) or b"")
    command = [*QUIET, "-allowed_extensions", "ALL", "-i", str(tmp_path / "a.m3u8"), *DECODE]
    done = subprocess.run(command, capture_output=True, check=True)
    assert not done.stderr
    sound = floats(done.stdout)
    onset = (5 - playlist.first_msn) * 92_160
    assert sound.size == len(playlist.names) * 92_160
    assert abs(int(np.argmax(np.abs(sound) > 0.1)) - onset) < 150
    assert level_db(sound[onset + 2048 :][:200_000]) == pytest.approx(
        level_db(tone(50) / 32768), abs=0.2
    )


class LiveRoom:
    """A room behind HTTP whose clock goes on by a segment with every request for the playlist.

    Key, map and segments are given for the token only. In the middle the process is lost and
    another goes on, and later the key changes.
    """

    def __init__(self) -> None:
        self.broadcaster = speaking(96 * 4)
        self.now = BASE + 96 * 4
        self.keys = {KEY.uri: KEY.key}
        self.playlists = 0
        self.refused: list[str] = []

    async def handle(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        is_open = not name.endswith((".m3u8", ".key"))
        if not is_open and request.query.get("token") != TOKEN:
            self.refused.append(name)
            return web.Response(status=403)
        if name == "stream.m3u8":
            return web.Response(text=self.next_playlist(), content_type="application/x-mpegurl")
        data = self.keys.get(name) or self.broadcaster.fetch("blue", "", name, self.now)
        return web.Response(body=data) if data else web.Response(status=404)

    def next_playlist(self) -> str:
        self.playlists += 1
        if self.playlists == 2:
            self.broadcaster = Broadcaster()
            self.broadcaster.apply(LONG, self.now - 30)
        if self.playlists == 3:
            key = KeySpec(2, b"another 16 bytes", bytes(16), "2.key")
            self.keys[key.uri] = key.key
            self.broadcaster.apply(replace(LONG, version=2, keys=(key,)), self.now)
        for offset, frame in enumerate(tone(96)):
            self.broadcaster.write("blue", "floor", self.now + offset, frame)
        self.now += 96
        text = self.broadcaster.playlist("blue", "", PlaylistKind.CLASSIC, self.now) or ""
        query = f"?token={TOKEN}".encode()
        return Addressed(text).with_queries(b"", dict.fromkeys(self.keys, query)).decode()


async def test_live() -> None:
    """FFmpeg follows the live playlist by a signed query, over a lost process and a new key."""
    room, seconds = LiveRoom(), 15
    app = web.Application()
    app.router.add_get("/{name}", room.handle)
    async with TestServer(app) as server:
        address = str(server.make_url("/stream.m3u8").with_query(token=TOKEN))
        command = [*QUIET, "-i", address, "-t", str(seconds), *DECODE]
        pipe = asyncio.subprocess.PIPE
        player = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
        raw, errors = await player.communicate()
    sound = floats(raw)
    assert player.returncode == 0, errors.decode()
    assert not room.refused
    assert room.playlists >= 4
    assert sound.size == seconds * 48_000
    # The last three segments of the first playlist are played first; then comes the gap.
    assert level_db(sound[2048:90_000]) == pytest.approx(level_db(tone(50) / 32768), abs=0.2)
    assert level_db(sound[-48_000:]) == pytest.approx(level_db(tone(50) / 32768), abs=0.2)
