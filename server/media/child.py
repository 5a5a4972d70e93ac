"""A worker process that is kept alive."""

import asyncio
import itertools
import json
import os
import random
import signal
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import structlog

from server.backoff import delays_s
from server.media.environment import worker_environment
from server.media.log_relay import MAX_LINE_BYTES, relay_log
from server.media.wire import Failed, Ready
from server.rpc.dispatch import Dispatcher
from server.rpc.errors import RpcError, TransportClosed
from server.rpc.framing import MAX_FRAME_BYTES, FrameKind
from server.rpc.peer import Peer
from server.rpc.unix import UnixTransport, adopt
from server.telemetry import span

log = structlog.get_logger(__name__)

_TURNS = 5  # that a ping is waited for
LAST_WORDS_S = 0.3  # for what a dead child left in its pipe


def program() -> list[str]:
    """Return the command that runs this very program, whatever it was started as."""
    if getattr(sys, "frozen", False):
        return [sys.executable]
    # -P keeps server/ itself off the path, where its modules would pass for top-level ones.
    return [sys.executable, "-P", str(Path(__file__).resolve().parent.parent / "__main__.py")]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a child may take."""

    ready_s: float = 20.0  # a cold start from a slow disk
    ping_every_s: float = 2.0  # who was silent for so long is asked whether it lives
    ping_s: float = 5.0
    terminate_s: float = 0.7  # two stubborn children still end within two seconds of Ctrl-C


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """What to start: `command + ["worker", verb, <settings as JSON>]`.

    `settings` must be JSON; `control_fd` is added. No secret goes there: `ps` shows it.
    """

    name: str
    verb: str
    settings: Mapping[str, object]
    with_credentials: bool = False  # see worker_environment
    command: Sequence[str] = field(default_factory=program)
    patience: Patience = Patience()


class ChildOwner(Protocol):
    """Who speaks with the child."""

    def add_methods(self, dispatcher: Dispatcher) -> None:
        """Register what the child may call."""

    def take_frame(self, kind: FrameKind, body: bytes) -> None:
        """Take a binary frame. Must not block."""

    async def came_up(self, peer: Peer, greeting: Ready) -> None:
        """The child serves; once in each life. What is raised ends that life."""

    def went_down(self, reason: str) -> None:
        """The child is of no use any more; once in each life, whether it came up or not."""


class ChildLost(Exception):  # noqa: N818 - what happened
    """The child died, hangs or cannot start; the sentence says which."""


class Child:
    """Starts a worker process, and again whenever it dies or does not answer.

    The first time again at once, then after growing delays. The child's end of a socket pair is
    all it has of us: when we die, however, it reads the end of the stream and ends too.
    """

    def __init__(self, spec: ChildSpec, owner: ChildOwner) -> None:
        self.pid: int | None = None
        self.starts = 0
        self.transport: UnixTransport | None = None
        self._spec = spec
        self._owner = owner

    async def run(self) -> None:
        """Keep the child alive until cancelled, then end it."""
        loop = asyncio.get_running_loop()
        waits = _restart_delays()
        while True:
            born = loop.time()
            reason = await self._live()
            log.warning("worker_lost", process=self._spec.name, reason=reason)
            if loop.time() - born > self._spec.patience.ready_s:
                waits = _restart_delays()
            await asyncio.sleep(next(waits))

    async def _live(self) -> str:
        """Run one process to its end and return why it ended."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = await self._start(theirs)
            except OSError as error:
                ours.close()
                self._owner.went_down(str(error))
                return f"it cannot be started: {error}"
        self.pid = process.pid
        self.starts += 1
        assert process.stderr is not None, "it was asked for"
        async with asyncio.TaskGroup() as group:
            relay = group.create_task(
                relay_log(process.stderr, process=self._spec.name), name="child's log"
            )
            try:
                reason = await self._speak(ours)
            finally:
                self.pid = None
                await self._end(process)
                await asyncio.wait([relay], timeout=LAST_WORDS_S)
                relay.cancel()
        return reason

    async def _start(self, theirs: socket.socket) -> asyncio.subprocess.Process:
        spec = self._spec
        settings = json.dumps({**spec.settings, "control_fd": theirs.fileno()})
        return await asyncio.create_subprocess_exec(
            *spec.command,
            "worker",
            spec.verb,
            settings,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            limit=MAX_LINE_BYTES,
            pass_fds=[theirs.fileno()],
            env=worker_environment(with_credentials=spec.with_credentials),
            start_new_session=True,  # a terminal's Ctrl-C is for us; we end the child
        )

    async def _speak(self, ours: socket.socket) -> str:
        """Speak with the child until it is lost and return why."""
        transport = self.transport = await adopt(ours, self._owner.take_frame)
        dispatcher = Dispatcher()
        started: asyncio.Future[Ready | Failed] = asyncio.get_running_loop().create_future()
        _add_greetings(dispatcher, started)
        self._owner.add_methods(dispatcher)
        peer = Peer(transport, dispatcher, max_bytes=MAX_FRAME_BYTES)
        reason = "we end"
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_read(peer), name=f"{self._spec.name} reader")
                await self._watch(peer, transport, started)
        except* ChildLost as lost:
            reason = str(lost.exceptions[0])
        except* Exception as failed:  # the border of the owner: a bug there costs one life
            log.exception("worker_owner_failed", process=self._spec.name)
            reason = f"we failed to speak with it: {failed.exceptions[0]!r}"
        finally:
            transport.abort()
            self.transport = None
            self._owner.went_down(reason)
        return reason

    async def _watch(
        self, peer: Peer, transport: UnixTransport, started: "asyncio.Future[Ready | Failed]"
    ) -> None:
        with span("worker.start", process=self._spec.name, starts=self.starts):
            await self._await_start(peer, started)
        log.info("worker_up", process=self._spec.name, pid=self.pid, starts=self.starts)
        patience = self._spec.patience
        while True:
            await asyncio.sleep(patience.ping_every_s)
            if transport.has_come():
                continue  # who speaks is alive, and a call wakes both sides up
            try:
                if not await _answers(peer, patience.ping_s):
                    raise ChildLost(f"it did not answer for {patience.ping_s:g} s")
                transport.has_come()  # its answer says nothing of the time to come
            except TransportClosed:
                raise ChildLost("it closed the connection") from None

    async def _await_start(self, peer: Peer, started: "asyncio.Future[Ready | Failed]") -> None:
        patience = self._spec.patience
        try:
            async with asyncio.timeout(patience.ready_s):
                greeting = await started
        except TimeoutError:
            raise ChildLost(f"it did not start within {patience.ready_s:g} s") from None
        if isinstance(greeting, Failed):
            raise ChildLost(greeting.sentence)
        try:
            await self._owner.came_up(peer, greeting)
        except TransportClosed:
            raise ChildLost("it died at once") from None
        except TimeoutError:
            raise ChildLost("it did not answer at once") from None

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        _signal(process, signal.SIGTERM)
        try:
            async with asyncio.timeout(self._spec.patience.terminate_s):
                await process.wait()
        except TimeoutError:
            pass  # it had its chance
        finally:  # cancelled: somebody is in a hurry
            _signal(process, signal.SIGKILL)
            await process.wait()


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    # Not process.send_signal(): that polls first, takes the dead child's status away from
    # asyncio, and the log then tells of an unknown process.
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.kill(process.pid, number)


async def _answers(peer: Peer, within_s: float) -> bool:
    """Whether the child answers a ping within a time in which we have run ourselves.

    While we stand still, on a machine that is paused or has too much to do, its answer lies unread:
    that costs it one of several turns, however long it is. Raises TransportClosed.
    """
    loop, left = asyncio.get_running_loop(), _TURNS
    timer: asyncio.TimerHandle

    def turn() -> None:
        nonlocal left, timer
        left -= 1
        if left > 0:
            timer = loop.call_later(within_s / _TURNS, turn)
        else:
            scope.reschedule(loop.time())

    timer = loop.call_later(within_s / _TURNS, turn)
    try:
        async with asyncio.timeout(None) as scope:
            with suppress(RpcError):  # busy, but alive
                await peer.call("ping", timeout_s=None)
    except TimeoutError:
        return False
    finally:
        timer.cancel()
    return True


async def _read(peer: Peer) -> None:
    await peer.run()
    raise ChildLost("it died")


def _add_greetings(dispatcher: Dispatcher, started: "asyncio.Future[Ready | Failed]") -> None:
    async def take(greeting: Ready | Failed) -> object:
        if not started.done():
            started.set_result(greeting)
        return None

    dispatcher.add("ready", Ready, take)
    dispatcher.add("failed", Failed, take)


def _restart_delays() -> Iterator[float]:
    seed = random.randrange(2**32)  # noqa: S311 - spreads attempts, protects nothing
    return itertools.chain([0.0], delays_s(seed=seed))
