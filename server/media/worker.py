"""The life of a worker process: greet the parent, serve it, end with it."""

import asyncio
import gc
import signal
import socket
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from hls.errors import HlsError
from mixer.errors import MixerError
from server.errors import ServerError
from server.media.wire import Failed, Ready
from server.rpc.codec import Params
from server.rpc.dispatch import Dispatcher
from server.rpc.errors import TransportClosed
from server.rpc.framing import MAX_FRAME_BYTES
from server.rpc.peer import Peer
from server.rpc.unix import UnixTransport, adopt
from server.supervise import Supervisor

MAX_CALLS = 1024  # that run at once: offers wait for their turns, and of a storm none is refused
EXIT_S = 1  # an orphan that cannot end by itself is ended by SIGALRM

Settings = TypeVar("Settings", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Service:
    """What a worker offers: its methods, and its first words."""

    dispatcher: Dispatcher
    greeting: Ready


OpenService = Callable[[Supervisor, UnixTransport], AbstractAsyncContextManager[Service]]


def read_settings(model: type[Settings], arguments: Sequence[str]) -> Settings:
    """Read the worker's one argument. Exits with a sentence if somebody else started it."""
    try:
        (text,) = arguments
        return model.model_validate_json(text)
    except (ValueError, ValidationError):
        raise SystemExit("Workers are started by roomtone itself; try: roomtone serve") from None


def run(control_fd: int, open_service: OpenService) -> None:
    """Serve until the parent closes its end (or dies), or SIGTERM."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    asyncio.run(_serve(control_fd, open_service))


async def _serve(control_fd: int, open_service: OpenService) -> None:
    transport = await adopt(socket.socket(fileno=control_fd))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, transport.close)
    try:
        async with Supervisor("worker", grace_s=EXIT_S / 2) as supervisor:
            await _open(transport, open_service, supervisor)
    except TransportClosed:
        pass  # the parent is gone, and so are we
    finally:
        signal.alarm(EXIT_S)
        transport.close()


async def _open(
    transport: UnixTransport, open_service: OpenService, supervisor: Supervisor
) -> None:
    try:
        async with open_service(supervisor, transport) as service:
            service.dispatcher.add("ping", None, _pong)
            settle_heap()
            peer = Peer(
                transport, service.dispatcher, max_in_flight=MAX_CALLS, max_bytes=MAX_FRAME_BYTES
            )
            await peer.notify("ready", service.greeting.model_dump(mode="json"))
            await peer.run()
            signal.alarm(EXIT_S)  # closing the service is part of the end
    except (MixerError, HlsError, ServerError, OSError) as error:
        peer = Peer(transport, Dispatcher())
        await peer.notify("failed", Failed(sentence=str(error)).model_dump())


def settle_heap() -> None:
    """Let garbage collections pass over what the start left: it stays.

    They would look at 60,000 objects of imported modules each time, 25 ms without a tick.
    """
    gc.collect()
    gc.freeze()


async def _pong(_params: Params) -> object:
    return None
