"""A person without a browser: joins by link or token, sends a sound file, hears the room."""

import asyncio
import fractions
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame, AudioResampler

from hls.decoder import FRAME_SAMPLES
from server.client.api import Api, Target, path
from server.client.errors import ClientError, Exit
from server.client.link import Link
from server.client.signalling import Signalling
from server.client.sound import RATE, SILENT_DB, Player, Recorder, level_db

KEEPALIVE_S: Final = 15.0
CONNECT_S: Final = 15.0
FRAME_S: Final = FRAME_SAMPLES / RATE
MAX_PAUSE_SAMPLES: Final = 60 * RATE  # longer ones are no pause, but another clock
TAIL_S: Final = 1.0  # what the server's buffers and ours still hold when the file is over


@dataclass(frozen=True, slots=True)
class Wish:
    """What to do in the room: `seconds` None = until the file is over, else for ever."""

    file: Path | None = None
    record: Path | None = None
    seconds: float | None = None
    loop: bool = False
    name: str = ""
    pin: str = ""


@dataclass(slots=True)
class Progress:
    """How it goes, for who looks on."""

    seconds: float = 0.0
    sent_db: float = SILENT_DB
    heard_db: float = SILENT_DB


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it."""

    room: str
    user: str
    seconds: float
    heard_s: float
    loudest_db: float
    reconnects: int


class _Voice(MediaStreamTrack):
    """The player's frames, each when its time has come."""

    kind = "audio"

    def __init__(self, player: Player, progress: Progress) -> None:
        super().__init__()
        self._player = player
        self._progress = progress
        self._number = 0
        self._began: float | None = None

    async def recv(self) -> AudioFrame:
        """Return the next frame, as aiortc asks for it."""
        loop = asyncio.get_running_loop()
        if self._began is None:
            self._began = loop.time()
        await asyncio.sleep(max(0.0, self._began + self._number * FRAME_S - loop.time()))
        pcm = self._player.next()
        self._progress.sent_db = level_db(pcm)
        # Stereo, because aiortc's encoder makes stereo of mono 3 dB below.
        frame = AudioFrame.from_ndarray(np.repeat(pcm, 2)[np.newaxis], "s16", "stereo")
        frame.sample_rate = RATE
        frame.pts = self._number * FRAME_SAMPLES
        frame.time_base = fractions.Fraction(1, RATE)
        self._number += 1
        return frame


class Caller:
    """One call, from joining to leaving, which setting `stop` brings on."""

    def __init__(self, wish: Wish, progress: Progress) -> None:
        self.stop = asyncio.Event()
        self._wish = wish
        self._progress = progress
        self._player = Player(wish.file, loop=wish.loop)
        self._recorder = Recorder(wish.record)
        self._connection: RTCPeerConnection | None = None
        self._readers: list[asyncio.Task[None]] = []
        self._reconnects = 0
        self._group: asyncio.TaskGroup | None = None

    async def call(self, link: Link, trusted: Path | None, look: Callable[[], None]) -> Outcome:
        """Join, stay as long as wished, leave. `look` is called now and then.

        Raises:
            ClientError: the server refuses, ends it, or there is no connection.
        """
        api = Api(Target(link.base, trusted=trusted))
        async with api:
            token = link.token or await self._mint(api, link)
            with self._recorder:
                try:
                    async with Signalling(api, token) as signalling:
                        return await self._converse(signalling, look)
                finally:
                    await self._hang_up()
                    self._player.close()

    async def _mint(self, api: Api, link: Link) -> str:
        if not link.invite:
            raise ClientError(
                "The link holds neither an invite nor a token: copy the whole of it",
                Exit.MISTAKE,
            )
        body = {"invite": link.invite, "displayName": self._wish.name}
        wanted = body | ({"pin": self._wish.pin} if self._wish.pin else {})
        answer = await api.call("POST", path("rooms", link.room, "users"), wanted)
        return str(answer["token"])

    async def _converse(self, signalling: Signalling, look: Callable[[], None]) -> Outcome:
        loop = asyncio.get_running_loop()
        joined: dict[str, Any] = {}
        began = loop.time()
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                reader = group.create_task(signalling.run(), name="signalling reader")
                params = {"clientId": str(uuid.uuid4()), "displayName": self._wish.name}
                wanted = params | ({"pin": self._wish.pin} if self._wish.pin else {})
                joined = await signalling.call("join", **wanted)
                await self._connect(signalling)
                began = loop.time()
                aside = [
                    group.create_task(self._keep_alive(signalling), name="keepalive"),
                    group.create_task(self._obey(signalling), name="notifications"),
                ]
                await self._stay(began, look)
                await self._hang_up()
                await signalling.call("leave")
                for task in (reader, *aside):
                    task.cancel()
        except* ClientError as group_error:
            raise _first(group_error) from None
        return Outcome(
            room=str(joined["room"]["roomId"]),
            user=str(joined["userId"]),
            seconds=round(loop.time() - began, 3),
            heard_s=round(self._recorder.seconds, 3),
            loudest_db=round(self._recorder.loudest_db, 1),
            reconnects=self._reconnects,
        )

    async def _stay(self, began: float, look: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        wish, over_at = self._wish, None
        while not self.stop.is_set():
            await asyncio.sleep(FRAME_S * 5)
            now = loop.time()
            self._progress.seconds = now - began
            self._progress.heard_db = self._recorder.level_db
            look()
            if wish.seconds is not None:
                if now - began >= wish.seconds:
                    return
            elif wish.file is not None and self._player.is_over:
                over_at = now if over_at is None else over_at
                if now - over_at >= TAIL_S:
                    return

    async def _connect(self, signalling: Signalling) -> None:
        await self._hang_up()
        connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._connection = connection
        connection.addTrack(_Voice(self._player, self._progress))
        connection.on("track", self._hear)
        connected = asyncio.Event()

        def changed() -> None:
            if connection.connectionState == "connected":
                connected.set()

        connection.on("connectionstatechange", changed)
        await connection.setLocalDescription(await connection.createOffer())
        offer = {"type": "offer", "sdp": connection.localDescription.sdp}
        answer = await signalling.call("offer", sdp=offer)
        await connection.setRemoteDescription(
            RTCSessionDescription(answer["sdp"]["sdp"], answer["sdp"]["type"])
        )
        try:
            async with asyncio.timeout(CONNECT_S):
                await connected.wait()
        except TimeoutError:
            raise ClientError(
                "The server answers, but no media connection comes about: the UDP port is not"
                " reachable from here; `roomtone doctor` on the server may say why",
                Exit.UNREACHABLE,
            ) from None

    def _hear(self, track: MediaStreamTrack) -> None:
        assert self._group is not None, "it is set before anything is offered"
        # Ended by _hang_up, which every call ends with.
        self._readers.append(self._group.create_task(self._read(track), name="ears"))

    async def _read(self, track: MediaStreamTrack) -> None:
        resampler = AudioResampler(format="s16", layout="mono", rate=RATE)
        next_pts: int | None = None
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            assert isinstance(frame, AudioFrame), "we asked for sound only"
            if next_pts is not None and frame.pts is not None:
                silent = min(frame.pts - next_pts, MAX_PAUSE_SAMPLES)
                if silent > 0:  # nothing was sent, because nobody spoke
                    self._recorder.write(np.zeros(silent, np.int16))
            next_pts = None if frame.pts is None else frame.pts + frame.samples
            for mono in resampler.resample(frame):
                self._recorder.write(mono.to_ndarray()[0])

    async def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)
        self._readers.clear()

    async def _keep_alive(self, signalling: Signalling) -> None:
        while True:
            await asyncio.sleep(KEEPALIVE_S)
            await signalling.call("keepalive")

    async def _obey(self, signalling: Signalling) -> None:
        while True:
            told = await signalling.told.get()
            if told["method"] == "reconnect":
                await asyncio.sleep(told["params"].get("retryAfterMs", 0) / 1000)
                self._reconnects += 1
                await self._connect(signalling)


def _first(group: BaseExceptionGroup[ClientError]) -> ClientError:
    """Return the reason: what the server said when it closed is also what pending calls raise."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, ClientError), "it caught nothing else"
    return error
