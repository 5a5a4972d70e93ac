"""A listener without a browser: follows the encrypted stream of a room and decodes it."""

import asyncio
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from io import RawIOBase
from pathlib import Path
from typing import Final
from urllib.parse import quote, urljoin, urlsplit

import av
import numpy as np
from av.audio.resampler import AudioResampler
from av.container import InputContainer
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

from server.client.api import Api, Target, path
from server.client.errors import ClientError, Exit, refused
from server.client.link import Link
from server.client.playlist import Segment, read_playlist
from server.client.sound import RATE, Pcm, Recorder

CHANNELS: Final = 2
START_S: Final = 30.0  # how long a stream may take to begin
LOST_S: Final = 20.0  # and how long it may fail when it runs
START_SEGMENTS: Final = 3
WAITING: Final = 16  # pieces between network and decoder; then the network waits


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to do with the stream: `seconds` None = as long as it lasts."""

    out: Path | None = None
    seconds: float | None = None
    pin: str = ""
    trusted: Path | None = None


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of it."""

    room: str
    seconds: float
    segments: int
    missed: int
    loudest_db: float


class _Pieces(RawIOBase):
    """A file that a decoder reads while it is still being written."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: queue.Queue[bytes] = queue.Queue(WAITING)
        self._rest = b""
        self._is_over = False

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if not self._rest and not self._is_over:
            self._rest = self.waiting.get()
            self._is_over = not self._rest  # an empty piece is the end
        size = len(self._rest) if size < 0 else size
        given, self._rest = self._rest[:size], self._rest[size:]
        return given


class Decoding:
    """A thread that decodes what `put` hands it, and gives interleaved stereo to `take`."""

    def __init__(self, take: Callable[[Pcm], None]) -> None:
        self._take = take
        self._pieces = _Pieces()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="listen decoder", daemon=True)
        self._thread.start()

    def put(self, piece: bytes) -> None:
        """Hand over a piece; waits while too many are there. Raises ClientError."""
        while self._thread.is_alive():
            try:
                self._pieces.waiting.put(piece, timeout=0.1)
            except queue.Full:
                continue
            return
        self._check()

    def finish(self) -> None:
        """Decode what is left and end. Raises ClientError."""
        self.put(b"")
        self._thread.join()
        self._check()

    def _check(self) -> None:
        if self._failure is not None:
            raise ClientError(f"The stream cannot be decoded: {self._failure}") from None

    def _run(self) -> None:
        resampler = AudioResampler(format="s16", layout="stereo", rate=RATE)
        try:
            with av.open(self._pieces, format="mp4") as container:
                assert isinstance(container, InputContainer), "it was opened for reading"
                for frame in container.decode(audio=0):
                    for made in resampler.resample(frame):
                        self._take(made.to_ndarray()[0].astype(np.int16, copy=False))
        except (av.FFmpegError, ValueError, IndexError, OSError) as error:
            self._failure = error


class Listener:
    """Follows one room's stream until `stop` is set."""

    def __init__(
        self, api: Api, playlist_url: str, recorder: Recorder, stop: asyncio.Event
    ) -> None:
        self.segments = 0
        self.missed = 0
        self._api = api
        self._url = playlist_url
        self._recorder = recorder
        self._stop = stop
        self._keys: dict[str, bytes] = {}
        self._decoding: Decoding | None = None
        self._init = ""
        self._next_msn: int | None = None

    async def follow(self, look: Callable[[], None]) -> None:
        """Play until the recorder is full, or the stream ends. Raises ClientError."""
        loop = asyncio.get_running_loop()
        well_at, patience_s = loop.time(), START_S
        try:
            while not self._stop.is_set():
                status, content = await self._api.ask("GET", self._url)
                if status not in (200, 503) or loop.time() - well_at > patience_s:
                    raise _refused(status)
                if status == 503:
                    await asyncio.sleep(0.5)
                    continue
                well_at, patience_s = loop.time(), LOST_S
                if await self._play(content.decode(errors="replace")):
                    return
                look()
                await asyncio.sleep(0.5)
        finally:
            await self._finish()

    async def _play(self, text: str) -> bool:
        """Play what is new; return whether nothing more will come."""
        try:
            playlist = read_playlist(text)
        except ValueError as error:
            raise ClientError(f"{self._url.partition('?')[0]}: {error}") from None
        # Where live is, not where the list begins (RFC 8216 §6.3.3).
        begin = -START_SEGMENTS if self._next_msn is None and not playlist.is_over else 0
        for segment in playlist.segments[begin:]:
            if self._next_msn is not None and segment.msn < self._next_msn:
                continue
            if self._next_msn is not None:
                self.missed += segment.msn - self._next_msn
            self._next_msn = segment.msn + 1
            await self._take(segment)
            if self._recorder.is_full:
                return True
        return playlist.is_over

    async def _take(self, segment: Segment) -> None:
        status, body = await self._api.ask("GET", self._inside(segment.uri))
        if status == 404:  # we were too slow, and it is gone
            self.missed += 1
            return
        if status != 200:
            raise _refused(status)
        clear = await self._decrypt(segment, body)
        if self._decoding is None or segment.init != self._init:
            await self._finish()
            status, init = await self._api.ask("GET", self._inside(segment.init))
            if status != 200:
                raise _refused(status)
            self._decoding, self._init = Decoding(self._recorder.write), segment.init
            await asyncio.to_thread(self._decoding.put, init)
        await asyncio.to_thread(self._decoding.put, clear)
        self.segments += 1

    async def _decrypt(self, segment: Segment, body: bytes) -> bytes:
        if segment.key is None:
            return body
        key = self._keys.get(segment.key.uri)
        if key is None:
            status, key = await self._api.ask("GET", self._inside(segment.key.uri))
            if status != 200:
                raise _refused(status)
            self._keys = {segment.key.uri: key}
        try:
            decryptor = Cipher(algorithms.AES128(key), modes.CBC(segment.iv)).decryptor()
            unpadder = PKCS7(128).unpadder()
            padded = decryptor.update(body) + decryptor.finalize()
            return unpadder.update(padded) + unpadder.finalize()
        except ValueError:
            raise ClientError("A segment cannot be decrypted with the key we were given") from None

    def _inside(self, uri: str) -> str:
        """Return an address of the playlist's; another server's would learn our token."""
        url = urljoin(self._url, uri)
        if urlsplit(url)[:2] != urlsplit(self._url)[:2]:
            raise ClientError("The playlist names another server's addresses: that is not ours")
        return url

    async def _finish(self) -> None:
        decoding, self._decoding = self._decoding, None
        if decoding is not None:
            await asyncio.to_thread(decoding.finish)


async def listen(
    link: Link,
    wanted: Wanted,
    stop: asyncio.Event,
    watch: Callable[[Recorder], None],
) -> Heard:
    """Listen to what the link leads to. `watch` is called now and then; setting `stop` ends it.

    Raises:
        ClientError: the server refuses, or what it sends is no stream.
    """
    async with Api(Target(link.base, trusted=wanted.trusted)) as api:
        token = link.token or await _mint(api, link, wanted.pin)
        url = f"{link.base}/hls/{quote(link.room)}/stream.m3u8?token={quote(token, safe='')}"
        with Recorder(wanted.out, CHANNELS, wanted.seconds) as recorder:
            listener = Listener(api, url, recorder, stop)
            await listener.follow(lambda: watch(recorder))
    return Heard(
        room=link.room,
        seconds=round(recorder.seconds, 3),
        segments=listener.segments,
        missed=listener.missed,
        loudest_db=round(recorder.loudest_db, 1),
    )


async def _mint(api: Api, link: Link, pin: str) -> str:
    if not link.invite:
        raise ClientError(
            "The link holds neither an invite nor a token: copy the whole of it", Exit.MISTAKE
        )
    body = {"roomId": link.room, "invite": link.invite} | ({"pin": pin} if pin else {})
    return str((await api.call("POST", path("token"), body))["token"])


def _refused(status: int) -> ClientError:
    codes = {401: "forbidden", 403: "forbidden", 404: "room_not_found", 503: "not_ready"}
    sentences = {
        401: "The server wants a token for this stream",
        403: "The server refuses this token: it is expired or of another room",
        404: "There is no such room",
        503: "The broadcast does not begin",
    }
    sentence = sentences.get(status, f"The server answers {status}")
    return refused(status, codes.get(status, ""), sentence)
