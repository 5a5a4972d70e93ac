"""The TCP connections of the port: few enough from each address, and none that stands still."""

import asyncio
import ssl
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from socket import socket
from typing import Any, Final, Protocol

import structlog
from aiohttp import web, web_fileresponse
from aiohttp.typedefs import Handler

from server.domain.address import one_caller
from server.domain.plain_get import Request, Requests
from server.edge.context import CONTEXT
from server.edge.errors import unreadable
from server.edge.proxies import PROXIES

log = structlog.get_logger(__name__)

# What the kernel sends of a file by itself cannot be seen to stand still.
web_fileresponse.NOSENDFILE = True  # type: ignore[misc]

IDLE_S: Final = 75.0  # between two requests, or before the first: longer than proxies keep theirs
HEAD_S: Final = 20.0  # from the first byte of a request to the end of its headers
STUCK_S: Final = 30.0  # while the other side takes nothing of what it was sent
SWEEP_S: Final = 5.0
HANDSHAKE_S: Final = 15.0  # of TLS
BACKLOG: Final = 1024  # of the kernel: a crowd that comes back at once

# One header of 8 KiB holds any token; browsers send thirty headers.
CAPS: Final[dict[str, Any]] = {
    "max_line_size": 8190,
    "max_field_size": 8190,
    "max_headers": 100,
    "keepalive_timeout": IDLE_S,
    "lingering_time": 2.0,  # for who still sends when the answer is ready: they shall see it
}


class Answers(Protocol):
    """What answers plain requests; see Prompt."""

    def take(self, line: "Connection", request: Request) -> bool:
        """Answer a request, now or once it can be; return whether that is done here."""


PROMPT = web.AppKey("prompt", Answers)


class Connection(web.RequestHandler):
    """One connection, as aiohttp has it; `busy` counts its requests under way.

    While all that came were whole requests, one that comes between two others may be answered
    before aiohttp has seen it (see Prompt); from the first byte that is not, aiohttp has them all.
    """

    __slots__ = (
        *("_connections", "began", "busy", "caller", "idle_since", "least", "stuck_since"),
        *("_closes", "_held", "_is_parked", "_is_whole", "_unparked", "leave"),
    )

    def __init__(self, connections: "Connections", **options: Any) -> None:
        super().__init__(connections.server, **options)
        self._connections = connections
        self.caller = ""
        self.busy = 0
        self.idle_since = connections.now()
        self.began: float | None = None
        self.stuck_since: float | None = None
        self.least = 0
        self.leave: Callable[[], object] | None = None  # ends what waits for a caller who is gone
        self._is_whole = True
        self._is_parked = False
        self._held = b""  # came while a request was parked
        self._closes = False
        self._unparked: asyncio.Future[None] | None = None

    @property
    def waiting(self) -> int:
        """Bytes that were written and not yet taken by the kernel."""
        transport = self.transport
        return (
            transport.get_write_buffer_size()
            if isinstance(transport, asyncio.WriteTransport)
            else 0
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, or cut it if its address has too many."""
        super().connection_made(transport)
        peer = transport.get_extra_info("peername")
        self.caller = str(peer[0]) if isinstance(peer, tuple) else ""
        if not self._connections.add(self):
            self.cut("too many from one address")

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the connection."""
        self._connections.discard(self)
        if self.leave is not None:
            self.leave()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Answer a plain request at once, or note when the head of another begins."""
        if self._is_parked:
            self._held += data
            if isinstance(self.transport, asyncio.ReadTransport):
                self.transport.pause_reading()  # one read is enough to keep
            return
        if self._is_whole and data and self._is_taken(data):
            return
        if not self.busy and self.began is None:
            self.began = self._connections.now()
        super().data_received(data)

    def _is_taken(self, data: bytes) -> bool:
        request = self._connections.requests.read(data)
        if request is None:
            self._is_whole = False
            return False
        prompt = self._connections.prompt
        if prompt is None or not self._is_between or not request.is_plain_get:
            return False
        return prompt.take(self, request)

    @property
    def _is_between(self) -> bool:
        """Whether aiohttp waits for a request, and everything was sent."""
        waiter = self._waiter
        if waiter is None or waiter.done() or self._messages or self._close or self._force_close:
            return False
        return not self.busy and not self.waiting

    def now(self) -> float:
        """See Line."""
        return self._connections.now()

    def reply(self, data: bytes) -> None:
        """See Line."""
        assert isinstance(self.transport, asyncio.WriteTransport), "it is open"
        self.transport.write(data)
        self.idle_since = self._connections.now()
        self._next_keepalive_close_time = self.idle_since + IDLE_S

    def park(self, leave: Callable[[], None]) -> None:
        """See Line."""
        self.busy += 1
        self._is_parked, self.leave = True, leave
        # Longer than anything waits.
        self._next_keepalive_close_time = self._connections.now() + IDLE_S

    def unpark(self) -> None:
        """See Line."""
        self.busy -= 1
        self._is_parked, self.leave = False, None
        self.idle_since = self._connections.now()
        if self._unparked is not None and not self._unparked.done():
            self._unparked.set_result(None)

    def hand_over(self, request: Request) -> None:
        """See Line."""
        self.began = self._connections.now()
        super().data_received(request.line + request.block)

    def go_on(self) -> None:
        """See Line."""
        if self._closes:
            super().close()
            return
        held, self._held = self._held, b""
        if held:
            if isinstance(self.transport, asyncio.ReadTransport):
                self.transport.resume_reading()
            self.data_received(held)

    def close(self) -> None:
        """Take no more requests; what is parked is answered first."""
        if self._is_parked:
            self._closes = True
        else:
            super().close()

    async def shutdown(self, timeout: float | None = 15.0) -> None:  # noqa: ASYNC109 - aiohttp's
        """End the connection once what is under way is answered, or the time is over."""
        if self._is_parked:
            self._closes = True
            self._unparked = asyncio.get_running_loop().create_future()
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._unparked
        await super().shutdown(timeout)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer, however long that takes the other side."""
        with self.at_work():
            answered = await super().finish_response(request, resp, start_time)
        if self._messages:  # more came at once: first it is the others' turn (from Python 3.12 on
            await asyncio.sleep(0)  # aiohttp would answer all of them in one)
        return answered

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Keep a request under way from being taken for one that does not come."""
        self.busy += 1
        self.began = None
        try:
            yield
        finally:
            self.busy -= 1
            self.idle_since = self._connections.now()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is no request in the shape of every refusal; it is no error of ours."""
        if status != 400 or request.writer.output_size > 0:
            return super().handle_error(request, status, exc, message)
        log.info("unreadable", address=self.caller, reason=type(exc).__name__)
        answer = unreadable()
        answer.force_close()
        return answer

    def check(self, now: float) -> None:
        """Cut the connection if it stands still."""
        waiting = self.waiting
        if waiting:  # the end of an answer
            self.idle_since = now
        if waiting == 0 or self.stuck_since is None or waiting < self.least:
            self.stuck_since, self.least = (now if waiting else None), waiting
        if self.stuck_since is not None and now - self.stuck_since >= STUCK_S:
            self.cut("reads nothing")
        elif not self.busy and self.began is not None and now - self.began >= HEAD_S:
            self.cut("headers do not end")
        elif not self.busy and now - self.idle_since >= IDLE_S:
            self.cut("idle")

    def cut(self, reason: str) -> None:
        """End the connection without a word."""
        self._connections.cut[reason] += 1
        log.debug("connection_cut", reason=reason, address=self.caller)
        if self.transport is not None:
            self.transport.abort()


class Connections:
    """All connections of one port; `now` is monotonic, in seconds."""

    def __init__(
        self,
        server: web.Server,
        most: int,
        is_proxy: Callable[[str], bool],
        now: Callable[[], float],
        prompt: "Answers | None" = None,
    ) -> None:
        self.server = server
        self.now = now
        self.prompt = prompt
        self.requests = Requests()
        self.cut: Counter[str] = Counter()
        self._most = most
        self._is_proxy = is_proxy
        self._open: set[Connection] = set()
        self._by_caller: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Connection]:
        return iter(self._open)

    def __call__(self) -> Connection:
        """Make the protocol of a new connection."""
        return Connection(self, loop=asyncio.get_running_loop(), access_log=None, **CAPS)

    def add(self, connection: Connection) -> bool:
        """Count a connection; return whether its address may have it."""
        self._open.add(connection)
        caller = one_caller(connection.caller)
        self._by_caller[caller] += 1
        is_one_too_many = 0 < self._most < self._by_caller[caller]
        return not is_one_too_many or self._is_proxy(connection.caller)

    def discard(self, connection: Connection) -> None:
        """Count a connection no more."""
        if connection not in self._open:
            return
        self._open.discard(connection)
        caller = one_caller(connection.caller)
        self._by_caller[caller] -= 1
        if not self._by_caller[caller]:
            del self._by_caller[caller]

    def sweep(self) -> None:
        """Cut those that stand still."""
        now = self.now()
        for connection in list(self._open):
            connection.check(now)


@contextmanager
def ends_with_caller(request: web.Request) -> Iterator[None]:
    """Cancel what waits inside when the caller goes away; it must be something that only reads."""
    connection, task = request.protocol, asyncio.current_task()
    if not isinstance(connection, Connection) or task is None:
        yield
        return
    connection.leave = task.cancel
    try:
        yield
    finally:
        connection.leave = None


@web.middleware
async def mark_busy(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Note that the connection has a request under way."""
    connection = request.protocol
    if not isinstance(connection, Connection):
        return await handler(request)
    with connection.at_work():
        return await handler(request)


async def listen(
    runner: web.AppRunner, listener: socket, tls: ssl.SSLContext | None
) -> "Listening":
    """Serve the runner's application on a bound socket. `runner` is set up, and cleaned up last."""
    server, app = runner.server, runner.app
    assert server is not None, "the runner is set up"
    loop = asyncio.get_running_loop()
    most = app[CONTEXT].settings.limit_connections
    is_proxy = app[PROXIES].is_trusted
    connections = Connections(server, most, is_proxy, loop.time, app.get(PROMPT))
    accepting = await loop.create_server(
        connections,
        sock=listener,
        ssl=tls,
        backlog=BACKLOG,
        ssl_handshake_timeout=HANDSHAKE_S if tls else None,
    )
    return Listening(connections, accepting)


class Listening:
    """A port that is served; `connections` are looked after until it is closed."""

    def __init__(self, connections: Connections, accepting: asyncio.Server) -> None:
        self.connections = connections
        self._accepting = accepting
        self._timer = self._next()

    def close(self) -> None:
        """Accept nothing more; what is open stays."""
        self._timer.cancel()
        self._accepting.close()

    def _next(self) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(SWEEP_S, self._sweep)

    def _sweep(self) -> None:
        self.connections.sweep()
        self._timer = self._next()
