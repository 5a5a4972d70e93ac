"""One end of a JSON-RPC connection: it calls and is called over one transport."""

import asyncio
import itertools
from dataclasses import dataclass
from typing import Protocol, assert_never

from server.rpc.codec import (
    MAX_BYTES,
    Batch,
    Failure,
    Notification,
    Params,
    Request,
    Response,
    encode,
    encode_batch,
    failure,
    parse_any,
)
from server.rpc.dispatch import Dispatcher, internal_error
from server.rpc.errors import (
    INTERNAL_ERROR,
    Id,
    InvalidRequest,
    ParseError,
    RpcError,
    TransportClosed,
    why,
)

MAX_IN_FLIGHT = 64
BUSY_RETRY_MS = 200

_Answer = Response | Failure | None  # None: the connection ended first


class Transport(Protocol):
    """Carries texts both ways, in order, each as a whole."""

    async def send(self, text: str) -> None:
        """Send, waiting while the other side does not read. Raises TransportClosed."""

    async def receive(self) -> str:
        """Wait for the next text. Raises TransportClosed once no more will come."""


@dataclass(slots=True)
class PeerCounters:
    """What a peer saw that its other side should not have sent."""

    malformed: int = 0
    refused_busy: int = 0
    unexpected_answers: int = 0


class Peer:
    """Calls the other side and answers its calls.

    Calls of the other side start in the order they came and run side by side, at most
    `max_in_flight` of them: further requests are refused as busy, further notifications wait (and
    with them whatever comes behind). They end with `run()`. A batch counts as one:
    its calls run one after the other, and their answers go out together.
    """

    def __init__(
        self,
        transport: Transport,
        dispatcher: Dispatcher,
        *,
        max_in_flight: int = MAX_IN_FLIGHT,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self.counters = PeerCounters()
        self._transport = transport
        self._dispatcher = dispatcher
        self._max_bytes = max_bytes
        self._free = asyncio.Semaphore(max_in_flight)
        self._ids = itertools.count(1)
        self._waiting: dict[Id, asyncio.Future[_Answer]] = {}
        self._closed = False

    async def call(self, method: str, params: Params = None, *, timeout_s: float | None) -> object:
        """Return the result of a call, which is answered only while `run()` runs.

        Raises:
            RpcError: the other side refused.
            TransportClosed: the connection ended before the answer came.
            TimeoutError: no answer within `timeout_s`; None is for ever.
        """
        if self._closed:
            raise TransportClosed
        call_id = next(self._ids)
        waiting: asyncio.Future[_Answer] = asyncio.get_running_loop().create_future()
        self._waiting[call_id] = waiting
        try:
            async with asyncio.timeout(timeout_s):
                await self._transport.send(encode(Request(call_id, method, params)))
                answer = await waiting
        finally:
            del self._waiting[call_id]
        match answer:
            case Response(_, result):
                return result
            case Failure(_, code, message, data):
                raise RpcError(code, message, data)
            case None:
                raise TransportClosed

    async def notify(self, method: str, params: Params = None) -> None:
        """Tell the other side. Raises TransportClosed."""
        await self._transport.send(encode(Notification(method, params)))

    async def run(self) -> None:
        """Read until the transport closes; then what runs is cancelled and what waits fails."""
        try:
            async with asyncio.TaskGroup() as calls:
                await self._read(calls)  # leaves with TransportClosed, which cancels the calls
        except* TransportClosed:
            pass
        finally:
            self._closed = True
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_result(None)

    async def _read(self, calls: asyncio.TaskGroup) -> None:
        while True:
            try:
                message = parse_any(await self._transport.receive(), max_bytes=self._max_bytes)
            except (ParseError, InvalidRequest) as error:
                self.counters.malformed += 1
                await self._transport.send(encode(failure(error.id, error)))
                continue
            match message:
                case Request():
                    await self._take_request(message, calls)
                case Batch():
                    await self._free.acquire()
                    calls.create_task(self._answer_batch(message), name="rpc batch")
                case Notification():
                    await self._free.acquire()
                    calls.create_task(self._answer(message), name=f"rpc {message.method[:32]}")
                case Response() | Failure():
                    self._settle(message)
                case _:
                    assert_never(message)

    async def _take_request(self, request: Request, calls: asyncio.TaskGroup) -> None:
        if self._free.locked():
            await asyncio.sleep(0)  # those that need no waiting finish here
        if self._free.locked():
            self.counters.refused_busy += 1
            await self._transport.send(encode(failure(request.id, _busy())))
            return
        await self._free.acquire()
        calls.create_task(self._answer(request), name=f"rpc {request.method[:32]}")

    async def _answer(self, call: Request | Notification) -> None:
        try:
            answer = await self._dispatcher.dispatch(call)
            if answer is not None:
                await self._transport.send(_encode_answer(call, answer))
        except TransportClosed:
            pass  # the reader sees it too and ends everything
        finally:
            self._free.release()

    async def _answer_batch(self, batch: Batch) -> None:
        try:
            texts: list[str] = []
            for message in batch.messages:
                match message:
                    case Request() | Notification():
                        answer = await self._dispatcher.dispatch(message)
                        if answer is not None:
                            texts.append(_encode_answer(message, answer))
                    case InvalidRequest():
                        self.counters.malformed += 1
                        texts.append(encode(failure(message.id, message)))
                    case Response() | Failure():
                        self._settle(message)
                    case _:
                        assert_never(message)
            if texts:  # nothing but notifications is never answered
                await self._transport.send(encode_batch(texts))
        except TransportClosed:
            pass  # the reader sees it too and ends everything
        finally:
            self._free.release()

    def _settle(self, answer: Response | Failure) -> None:
        waiting = self._waiting.get(answer.id) if answer.id is not None else None
        if waiting is None or waiting.done():
            self.counters.unexpected_answers += 1  # after a timeout, or made up
        else:
            waiting.set_result(answer)


def _busy() -> RpcError:
    data = why("busy", retryable=True, retry_after_ms=BUSY_RETRY_MS)
    return RpcError(INTERNAL_ERROR, "too many calls at once", data)


def _encode_answer(call: Request | Notification, answer: Response | Failure) -> str:
    try:
        return encode(answer)
    except (TypeError, ValueError) as error:  # a handler returned what JSON cannot hold
        return encode(failure(answer.id, internal_error(call.method, error)))
