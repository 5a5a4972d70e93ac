"""The rooms' RTMP outputs: a process each, started again as long as the output is wanted."""

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import structlog

from mixer.types import RoomId
from server.backoff import delays_s
from server.domain.output import MAX_OUTPUTS, Output, decode_outputs, encode_outputs, read_url
from server.domain.stream import CLOCK
from server.errors import BadRecord, NotFound, NotReady, OutputFailed, RoomNotFound, TooMany
from server.ports import Conflict, SoundProcess, SoundProcesses, StateStore
from server.services.clock import Clock
from server.services.fan import Tap
from server.services.feeds import Feeds, HeardPart
from server.services.rooms import PREFIX, Rooms
from server.supervise import Supervisor

log = structlog.get_logger(__name__)

SILENT_S: Final = 20.0  # without a word that a part was sent: longer than the process gives a step
STEADY_S: Final = 60.0  # live for so long: the next failure is a new one
LOOK_S: Final = 1.0  # for a room that is not being broadcast


class OutputState(StrEnum):
    """How an output is."""

    OFF = "off"  # not wanted now
    WAITING = "waiting"  # the room is not being broadcast
    CONNECTING = "connecting"
    LIVE = "live"
    FAILED = "failed"  # tried again at `retry_at`


@dataclass(frozen=True, slots=True)
class OutputChange:
    """What is to change; None stays."""

    name: str | None = None
    url: str | None = None
    enabled: bool | None = None


@dataclass(slots=True)
class Standing:
    """An output and how it is; `since` and `retry_at` are Unix."""

    output: Output
    state: OutputState
    since: float
    reason: str = ""
    retry_at: float | None = None
    failures: int = 0
    task: "asyncio.Task[None] | None" = None


def retry_delays_s() -> Iterator[float]:
    """Yield how long to wait after each failure: a server that is started again is back soon."""
    return delays_s(first_s=1.0, limit_s=60.0, seed=secrets.randbits(32))


class Outputs:
    """All outputs of this server; they are stored, and go on after a restart."""

    def __init__(
        self,
        store: StateStore,
        rooms: Rooms,
        feeds: Feeds,
        processes: SoundProcesses,
        clock: Clock,
    ) -> None:
        self.counters: Counter[str] = Counter(
            outputs_connected_total=0, outputs_failed_total=0, outputs_parts_lost_total=0
        )
        self.delays: Callable[[], Iterator[float]] = retry_delays_s
        self._store = store
        self._rooms = rooms
        self._feeds = feeds
        self._processes = processes
        self._clock = clock
        self._outputs: dict[RoomId, dict[str, Standing]] = {}
        self._changing = asyncio.Lock()
        self._owner: Supervisor | None = None

    async def load(self) -> None:
        """Read the outputs of all rooms. Raises StoreLost."""
        for room in self._rooms.all():
            record = await self._store.get(_key(room.id))
            if record is None:
                continue
            try:
                found = decode_outputs(record.key, record.value)
            except BadRecord as error:
                log.error("outputs_unreadable", room=room.id, reason=str(error))  # noqa: TRY400 - the sentence is all
                continue
            self._outputs[room.id] = {one.id: self._standing(one) for one in found}

    def serve(self, owner: Supervisor) -> None:
        """Publish on tasks of this supervisor."""
        self._owner = owner
        for room, outputs in self._outputs.items():
            for standing in outputs.values():
                self._start(room, standing)

    def states(self) -> Counter[OutputState]:
        """Return how many outputs are how."""
        return Counter(one.state for room in self._outputs.values() for one in room.values())

    def all(self, room: RoomId) -> list[Standing]:
        """Return a room's outputs, in the order they were made. Raises RoomNotFound."""
        self._rooms.get(room)
        return list(self._outputs.get(room, {}).values())

    async def add(self, room: RoomId, url: str, name: str = "") -> Standing:
        """Publish a room there. Raises RoomNotFound, BadInput, Forbidden, TooMany, StoreLost."""
        self._processes.check(read_url(url))
        async with self._changing:
            known = self.all(room)
            if len(known) >= MAX_OUTPUTS:
                raise TooMany(f"A room has at most {MAX_OUTPUTS} outputs")
            standing = self._standing(Output(secrets.token_hex(8), url, name))
            await self._put(room, [*known, standing])
            self._outputs.setdefault(room, {})[standing.output.id] = standing
            self._start(room, standing)
        log.info("output_added", room=room, output=standing.output.id)
        return standing

    async def change(self, room: RoomId, output: str, change: OutputChange) -> Standing:
        """Change an output; only its name leaves the connection as it is.

        Raises RoomNotFound, NotFound, BadInput, Forbidden, StoreLost.
        """
        if change.url is not None:
            self._processes.check(read_url(change.url))
        async with self._changing:
            before = self._get(room, output)
            changed = replace(
                before.output,
                name=before.output.name if change.name is None else change.name,
                url=before.output.url if change.url is None else change.url,
                enabled=before.output.enabled if change.enabled is None else change.enabled,
            )
            others = [
                replace(one, output=changed) if one is before else one for one in self.all(room)
            ]
            await self._put(room, others)
            is_moved = replace(changed, name="") != replace(before.output, name="")
            if not is_moved:
                before.output = changed
                return before
            _stop(before)
            standing = self._outputs[room][output] = self._standing(changed)
            self._start(room, standing)
        return standing

    async def remove(self, room: RoomId, output: str) -> None:
        """Publish there no more. Raises RoomNotFound, NotFound, StoreLost."""
        async with self._changing:
            standing = self._get(room, output)
            await self._put(room, [one for one in self.all(room) if one is not standing])
            _stop(standing)
            self._outputs[room].pop(output, None)
        log.info("output_removed", room=room, output=output)

    def forget_room(self, room: RoomId) -> None:
        """End the outputs of a room that is gone; its records are gone with it."""
        for standing in self._outputs.pop(room, {}).values():
            _stop(standing)

    # The life of an output

    def _start(self, room: RoomId, standing: Standing) -> None:
        if self._owner is not None and standing.output.enabled:
            # Ends with the output, its room, or the server.
            standing.task = self._owner.spawn(
                self._keep(room, standing), name=f"output {standing.output.id}"
            )

    async def _keep(self, room: RoomId, standing: Standing) -> None:
        """Publish again and again, for ever."""
        delays = self.delays()
        while True:
            if not self._feeds.is_on_air(room):
                self._note(standing, OutputState.WAITING)
                await asyncio.sleep(LOOK_S)  # waits: it may be broadcast again
                continue
            self._note(standing, OutputState.CONNECTING)
            try:
                await self._publish(room, standing)
                await asyncio.sleep(LOOK_S)  # waits: it may be broadcast again
            except NotReady:
                await asyncio.sleep(LOOK_S)  # waits: the same
            except OutputFailed as error:
                was_live = standing.state is OutputState.LIVE
                if was_live and self._clock.unix() - standing.since >= STEADY_S:
                    delays = self.delays()
                delay_s = next(delays)
                self._note(standing, OutputState.FAILED, str(error), delay_s)
                self.counters["outputs_failed_total"] += 1
                standing.failures += 1
                log.warning(
                    "output_failed", room=room, output=standing.output.id, reason=str(error)
                )
                await asyncio.sleep(delay_s)  # waits: back-off

    async def _publish(self, room: RoomId, standing: Standing) -> None:
        """Publish until the broadcast ends. Raises OutputFailed, NotReady."""
        assert self._owner is not None, "serve() comes first"
        process = await self._processes.publisher(standing.output.target)
        try:
            with self._feeds.open(room, burst=False) as tap:
                # Ends with the process, in this call.
                feeding = self._owner.spawn(self._feed(tap, process), name="output feed")
                try:
                    while True:
                        await _hear(process)
                        if standing.state is not OutputState.LIVE:
                            self._went_live(room, standing)
                except OutputFailed:
                    if not tap.is_over:
                        raise
                finally:
                    feeding.cancel()
        finally:
            await process.close()

    async def _feed(self, tap: Tap[HeardPart], process: SoundProcess) -> None:
        while (heard := await tap.next()) is not None:
            if not process.feed(heard.first_frame, heard.part):
                self.counters["outputs_parts_lost_total"] += 1
        await process.close()  # which ends the reading

    def _went_live(self, room: RoomId, standing: Standing) -> None:
        self._note(standing, OutputState.LIVE)
        self.counters["outputs_connected_total"] += 1
        log.info("output_live", room=room, output=standing.output.id)

    def _note(
        self, standing: Standing, state: OutputState, reason: str = "", retry_s: float | None = None
    ) -> None:
        now = self._clock.unix()
        if standing.state is not state:
            standing.since = now
        standing.state = state
        if state is not OutputState.CONNECTING:  # until it is live one wants to know why it was not
            standing.reason = reason
        standing.retry_at = None if retry_s is None else now + retry_s

    def _standing(self, output: Output) -> Standing:
        state = OutputState.CONNECTING if output.enabled else OutputState.OFF
        return Standing(output, state, self._clock.unix())

    def _get(self, room: RoomId, output: str) -> Standing:
        self._rooms.get(room)
        standing = self._outputs.get(room, {}).get(output)
        if standing is None:
            raise NotFound("There is no such output")
        return standing

    async def _put(self, room: RoomId, outputs: list[Standing]) -> None:
        """Store them, in this room and in none that has its id later. Raises RoomNotFound."""
        stream = self._rooms.stream(room)
        clock = await self._store.get(f"{PREFIX}{room}/{CLOCK}")
        if clock is None or clock.value != stream.clock_record():
            raise RoomNotFound(room)
        answer = await self._store.commit(
            require={clock.key: clock.version},
            put={_key(room): encode_outputs(tuple(one.output for one in outputs))},
        )
        if isinstance(answer, Conflict):
            raise RoomNotFound(room)
        try:
            is_there = self._rooms.stream(room).goes_on_as(stream)
        except RoomNotFound:
            is_there = False
        if not is_there:  # it was removed meanwhile, and its records with it, but perhaps for this
            await self._store.commit(delete=[_key(room)])
            raise RoomNotFound(room)


async def _hear(process: SoundProcess) -> None:
    """Wait for word that a part was sent. Raises OutputFailed."""
    try:
        async with asyncio.timeout(SILENT_S):
            _ = await process.read()
    except TimeoutError:
        raise OutputFailed("The other side takes nothing any more") from None


def _stop(standing: Standing) -> None:
    if standing.task is not None:
        standing.task.cancel()
        standing.task = None


def _key(room: RoomId) -> str:
    return f"{PREFIX}{room}/outputs"
