"""The control process's link to one worker: calls to it, and what it should be doing."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import structlog
from pydantic import TypeAdapter

from hls.errors import HlsError
from mixer.errors import MixerError
from server.errors import PlaneUnavailable, SetupMistake
from server.media import wire
from server.media.child import Child, ChildSpec
from server.media.wire import Ready
from server.rpc.codec import Params
from server.rpc.dispatch import Dispatcher
from server.rpc.errors import RpcError, TransportClosed
from server.rpc.framing import FrameKind
from server.rpc.peer import Peer
from server.supervise import Supervisor

log = structlog.get_logger(__name__)

CALL_S = 5.0  # as long as a worker may be silent before it is killed


class Versioned(Protocol):
    """A spec of one room."""

    @property
    def room(self) -> str:
        """Whose it is."""

    @property
    def version(self) -> int:
        """The higher one holds."""


Spec = TypeVar("Spec", bound=Versioned)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SpecForm(Generic[Spec]):
    """How specs of one kind travel, and which of them end a room."""

    params: Callable[[Spec], Mapping[str, object]]
    is_over: Callable[[Spec], bool]


def _ignore_frame(_kind: FrameKind, _body: bytes) -> None:
    """No answer of this worker comes with a blob."""


def _no_methods(_dispatcher: Dispatcher) -> None:
    """This worker calls nothing."""


def _no_interest() -> None:
    """Nobody wants to know."""


class Link(Generic[Spec]):
    """Keeps a worker alive and told: each new process is given all specs before any other call.

    Args:
        child: the process to keep.
        form: how specs travel.
        add_methods: registers what the worker may call.
        take_frame: takes the worker's binary frames.
        lost: told when a worker that had come up is gone, other than by `close`.
    """

    def __init__(
        self,
        child: ChildSpec,
        form: SpecForm[Spec],
        *,
        add_methods: Callable[[Dispatcher], None] = _no_methods,
        take_frame: Callable[[FrameKind, bytes], None] = _ignore_frame,
        lost: Callable[[], None] = _no_interest,
    ) -> None:
        self.add_methods = add_methods
        self.take_frame = take_frame
        self.greeting = Ready()
        self._name = child.name
        self._form = form
        self._lost = lost
        self._child = Child(child, self)
        self._specs: dict[str, Spec] = {}
        self._peer: Peer | None = None  # set while the worker has all specs
        self._is_up = asyncio.Event()
        self._first: asyncio.Future[str | None] | None = None  # why the first start failed
        self._scope: Supervisor | None = None
        self._is_closing = False

    @property
    def is_up(self) -> bool:
        """The worker answers calls."""
        return self._peer is not None

    @property
    def pid(self) -> int | None:
        """The worker's process, None between two."""
        return self._child.pid

    @property
    def restarts(self) -> int:
        """How often the worker was started again."""
        return max(0, self._child.starts - 1)

    async def start(self, supervisor: Supervisor) -> None:
        """Start the worker. Raises SetupMistake with its own words if it cannot serve."""
        self._first = asyncio.get_running_loop().create_future()
        self._scope = supervisor.scope(self._name)
        _ = self._scope.spawn(self._child.run(), name=self._name)  # ends in close()
        reason = await self._first
        if reason is not None:
            await self.close()
            raise SetupMistake(f"The {self._name} process cannot start: {reason}")

    async def wait_up(self) -> None:
        """Wait until the worker answers calls."""
        await self._is_up.wait()

    async def close(self) -> None:
        """End the worker."""
        self._is_closing = True
        if self._scope is not None:
            await self._scope.close()

    def spec(self, room: str) -> Spec | None:
        """Return the remembered spec of a room."""
        return self._specs.get(room)

    async def apply(self, spec: Spec) -> None:
        """Remember a spec and tell the worker, now or when it is back.

        Raises what the plane raises for a spec that cannot be; then the one before holds again.
        """
        known = self._specs.get(spec.room)
        if known is not None and spec.version <= known.version:
            return
        self._specs[spec.room] = spec
        try:
            await self.ask(wire.NOTHING, "apply", self._form.params(spec))
        except PlaneUnavailable:
            return  # it will be told when it is back
        except (MixerError, HlsError):
            if self._specs.get(spec.room) is spec:
                self._put_back(spec.room, known)
            raise
        if self._form.is_over(spec) and self._specs.get(spec.room) is spec:
            del self._specs[spec.room]

    async def ask(self, form: TypeAdapter[T], method: str, params: Params = None) -> T:
        """Return the checked result of a call.

        Raises:
            PlaneUnavailable: the worker is not there, died meanwhile, or failed.
            MixerError, HlsError: it refused.
        """
        if self._peer is None:
            raise PlaneUnavailable
        try:
            return wire.read(form, await self._peer.call(method, params, timeout_s=CALL_S))
        except (TransportClosed, TimeoutError):
            raise PlaneUnavailable from None
        except wire.WireError as error:
            self._complain(method, str(error))
            raise PlaneUnavailable from None
        except RpcError as error:
            refusal = wire.plane_error(error)
            if refusal is None:  # its own log has the rest, under the id in the data
                self._complain(method, f"{error} {error.data}")
                raise PlaneUnavailable from None
            raise refusal from None

    def offer_frame(self, kind: FrameKind, body: bytes) -> bool:
        """Send a binary frame without waiting; False if the worker cannot take it now."""
        transport = None if self._peer is None else self._child.transport
        return transport is not None and transport.offer_frame(kind, body)

    # ChildOwner

    async def came_up(self, peer: Peer, greeting: Ready) -> None:
        """Give the new process all specs, then let calls through."""
        told: dict[str, Spec] = {}
        while news := [s for s in self._specs.values() if told.get(s.room) is not s]:
            for spec in news:
                await self._tell(peer, spec)
                told[spec.room] = spec
        # No await since the last look: nothing is missing.
        for room, spec in told.items():
            if self._form.is_over(spec):
                del self._specs[room]
        self.greeting = greeting
        self._peer = peer
        self._is_up.set()
        self._settle_first(None)

    def went_down(self, reason: str) -> None:
        """Fail calls from now on."""
        was_up, self._peer = self._peer is not None, None
        self._is_up.clear()
        self._settle_first(reason)
        if was_up and not self._is_closing:
            self._lost()

    async def _tell(self, peer: Peer, spec: Spec) -> None:
        try:
            await peer.call("apply", self._form.params(spec), timeout_s=CALL_S)
        except RpcError as error:  # one room must not keep the others out
            self._complain(f"apply {spec.room}", str(error))

    def _complain(self, method: str, reason: str) -> None:
        log.error("worker_failed", process=self._name, method=method, reason=reason)

    def _put_back(self, room: str, spec: Spec | None) -> None:
        if spec is None:
            del self._specs[room]
        else:
            self._specs[room] = spec

    def _settle_first(self, reason: str | None) -> None:
        if self._first is not None and not self._first.done():
            self._first.set_result(reason)
