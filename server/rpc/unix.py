"""JSON-RPC and binary frames over a Unix stream socket."""

import asyncio
import itertools
import socket
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import structlog

from server.rpc.errors import TransportClosed
from server.rpc.framing import (
    MAX_FRAME_BYTES,
    Frame,
    FrameError,
    FrameKind,
    FrameReader,
    frame_head,
)

log = structlog.get_logger(__name__)

MAX_OUTGOING_BYTES = 2 * MAX_FRAME_BYTES  # a segment being sent, and one more
SLOW_READER_BYTES = 1024 * 1024  # from here on senders wait and optional frames are refused
MAX_UNREAD_TEXTS = 256  # then the socket is not read until the peer has caught up

OnFrame = Callable[[FrameKind, bytes], None]


class UnixTransport(asyncio.Protocol):
    """A `server.rpc.peer.Transport` that carries binary frames beside the texts.

    `on_frame` gets every binary frame as it arrives; it must not block, and what it raises
    is logged. A stream that breaks the framing, or a side that stops reading with 32 MiB before
    it, loses the connection.
    """

    def __init__(
        self,
        on_frame: OnFrame | None = None,
        *,
        on_open: "Callable[[UnixTransport], None] | None" = None,
        on_close: "Callable[[UnixTransport], None] | None" = None,
    ) -> None:
        self._on_frame = on_frame
        self._on_open = on_open
        self._on_close = on_close
        self._frames = FrameReader()
        self._stream: asyncio.Transport | None = None
        self._texts: deque[str] = deque()  # paused at MAX_UNREAD_TEXTS
        self._text_came = asyncio.Event()
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._closed = asyncio.Event()
        self._has_come = False

    @property
    def is_closed(self) -> bool:
        """Nothing can be sent any more."""
        return self._stream is None or self._stream.is_closing()

    def has_come(self) -> bool:
        """Whether anything came since this was asked the last time."""
        has_come, self._has_come = self._has_come, False
        return has_come

    def take_frames(self, on_frame: OnFrame) -> None:
        """Hand the binary frames that come from now on to `on_frame`."""
        self._on_frame = on_frame

    async def send(self, text: str) -> None:
        """Send a JSON-RPC message. Raises TransportClosed."""
        await self.send_frame(FrameKind.JSON, text.encode("utf-8", "surrogatepass"))

    async def send_frame(self, kind: FrameKind, body: bytes) -> None:
        """Send a frame, waiting while the other side does not read. Raises TransportClosed."""
        self._write(kind, body)
        await self._may_write.wait()

    def offer_frame(self, kind: FrameKind, body: bytes) -> bool:
        """Send a frame without waiting; False if the other side is gone or reads too slowly."""
        if self.is_closed or not self._may_write.is_set():
            return False
        self._write(kind, body)
        return True

    def offer_frames(self, frames: Sequence[tuple[FrameKind, bytes]]) -> bool:
        """Send many at once, all or none of them, as `offer_frame` does."""
        if self.is_closed or not self._may_write.is_set():
            return False
        self._write_all(frames)
        return True

    async def receive(self) -> str:
        """Wait for the next JSON-RPC message. Raises TransportClosed.

        Of many that came at once each is handed out in a turn of the loop of its own, so that what
        they ask for does not hold up a timer that is due: the mixer's tick.
        """
        if self._texts:
            await asyncio.sleep(0)
        while not self._texts:
            if self._closed.is_set():
                raise TransportClosed
            self._text_came.clear()
            await self._text_came.wait()
        if len(self._texts) == MAX_UNREAD_TEXTS and self._stream is not None:
            self._stream.resume_reading()
        return self._texts.popleft()

    def close(self) -> None:
        """Close once what was written is sent."""
        if self._stream is not None:
            self._stream.close()

    def abort(self) -> None:
        """Close now."""
        if self._stream is not None:
            self._stream.abort()

    async def wait_closed(self) -> None:
        """Wait until the connection is gone."""
        await self._closed.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there."""
        self._stream = cast("asyncio.Transport", transport)
        self._stream.set_write_buffer_limits(high=SLOW_READER_BYTES)
        if self._on_open is not None:
            self._on_open(self)

    def data_received(self, data: bytes) -> None:
        """Sort what came; a broken framing ends the connection."""
        self._has_come = True
        try:
            frames = self._frames.feed(data)
        except FrameError as error:
            log.warning("frame_refused", reason=str(error))
            self.abort()
            return
        for frame in frames:
            self._take(frame)

    def pause_writing(self) -> None:
        """The other side reads too slowly: let senders wait."""
        self._may_write.clear()

    def resume_writing(self) -> None:
        """The other side caught up."""
        self._may_write.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's shape
        """Wake everybody who waits: what came is still handed out, then TransportClosed."""
        self._closed.set()
        self._text_came.set()
        self._may_write.set()
        if self._on_close is not None:
            self._on_close(self)

    def _take(self, frame: Frame) -> None:
        if frame.kind is FrameKind.JSON:
            # Whatever is not UTF-8 becomes what the codec refuses.
            self._texts.append(frame.body.decode("utf-8", "surrogateescape"))
            self._text_came.set()
            if len(self._texts) == MAX_UNREAD_TEXTS and self._stream is not None:
                self._stream.pause_reading()
        elif self._on_frame is not None:
            try:
                self._on_frame(frame.kind, frame.body)
            except Exception:  # the border of what we were given
                log.exception("frame_failed", kind=frame.kind.name)

    def _write(self, kind: FrameKind, body: bytes) -> None:
        self._write_all(((kind, body),))

    def _write_all(self, frames: Sequence[tuple[FrameKind, bytes]]) -> None:
        if self._stream is None or self._stream.is_closing():
            raise TransportClosed
        size = sum(len(body) for _, body in frames)
        if self._stream.get_write_buffer_size() + size > MAX_OUTGOING_BYTES:
            log.warning("reader_stalled", waiting_bytes=self._stream.get_write_buffer_size())
            self._stream.abort()
            raise TransportClosed
        pieces = ((frame_head(kind, len(body)), body) for kind, body in frames)
        self._stream.writelines(itertools.chain.from_iterable(pieces))


async def adopt(end: socket.socket, on_frame: OnFrame | None = None) -> UnixTransport:
    """Take over a connected Unix socket, closed if that fails. Raises OSError, ValueError."""
    loop = asyncio.get_running_loop()
    try:
        end.setblocking(False)
        _, transport = await loop.create_unix_connection(lambda: UnixTransport(on_frame), sock=end)
    except BaseException:
        end.close()
        raise
    return transport


async def connect(path: Path, on_frame: OnFrame | None = None) -> UnixTransport:
    """Connect to a listening Unix socket. Raises OSError."""
    loop = asyncio.get_running_loop()
    _, transport = await loop.create_unix_connection(lambda: UnixTransport(on_frame), str(path))
    return transport


async def listen(path: Path, accept: Callable[[], UnixTransport]) -> asyncio.Server:
    """Listen at `path`, for this user only; `accept()` makes the transport of each connection.

    A socket file left behind by a dead process is replaced. Raises OSError.
    """
    listener = _bind(path)
    try:
        return await asyncio.get_running_loop().create_unix_server(accept, sock=listener)
    except BaseException:
        listener.close()
        raise


def _bind(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        listener.bind(str(path))
        path.chmod(0o600)
    except BaseException:
        listener.close()
        raise
    return listener
