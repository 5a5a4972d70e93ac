"""The recordings of this node: asked for, stored, told to the planes, and followed to their end."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

import structlog

from hls.types import RecordedPerson, RecordingReport, RecordingSpec
from hls.types import RecordingState as Reported
from mixer.types import RoomId
from server.domain.recording import (
    BY_ROOM,
    KEEP_ALL,
    PREFIX,
    TEMPLATE_DEFAULT,
    Automatic,
    Kept,
    Recording,
    RecordingEvent,
    RecordingState,
    Retention,
    What,
    begin,
    decode_recording,
    encode_recording,
    key_of,
    make_name,
)
from server.domain.room import Room, RoomState
from server.domain.webhook import Kind
from server.errors import (
    AlreadyRecording,
    BadRecord,
    DiskFull,
    NotFound,
    RecordingBusy,
    RecordingOver,
    RoomNotFound,
    ServerError,
    StoreLost,
    TooMany,
)
from server.ports import RecordingArchive, StateStore
from server.rpc.codec import Notification
from server.services.clock import Clock
from server.services.happenings import Happened, nobody_hears
from server.services.presence import Presence
from server.services.rooms import Rooms
from server.services.storage import Storage

log = structlog.get_logger(__name__)

MAX_RECORDINGS: Final = 64  # at a time: each is a thread of the broadcast process
FINISH_S: Final = 10.0  # what is left is written within two seconds, or nobody writes it any more
LAST_LOOK_S: Final = 1.0  # at what nobody has confirmed: whoever stops waits no longer
RETRY_S: Final = 60.0  # a room that records by itself tries again so long after a failure
EMPTY_S: Final = 60.0  # people who reconnect, or come back after a restart, are in one recording
BY_SHUTDOWN: Final = "shutdown"
BY_REMOVAL: Final = "removal"

_KINDS: Final = {
    RecordingEvent.PAUSE: Kind.RECORDING_PAUSED,
    RecordingEvent.RESUME: Kind.RECORDING_RESUMED,
    RecordingEvent.FINISH: Kind.RECORDING_ENDED,
    RecordingEvent.FAIL: Kind.RECORDING_FAILED,
}


@dataclass(frozen=True, slots=True)
class RecorderPolicy:
    """What the operator decided: when rooms record that say nothing, names, space, how long."""

    automatic: Automatic = Automatic.OFF
    template: str = TEMPLATE_DEFAULT
    min_free_bytes: int = 1_000_000_000
    retention: Retention = KEEP_ALL


@dataclass(slots=True)
class _Wish:
    """What is remembered of a room that records by itself; times are monotonic."""

    is_declined: bool = False  # somebody stopped it: not again until there was no cause to
    not_before: float = 0.0
    occupied_at: float | None = None


@dataclass(slots=True)
class _Live:
    """A recording that is not over; `is_over` is set when it is.

    `is_left` by a life before this one, and nobody goes on with it.
    """

    now: Recording
    people: tuple[RecordedPerson, ...] = ()  # as last told
    is_over: asyncio.Event = field(default_factory=asyncio.Event)
    is_left: bool = False
    ends_at: float | None = None  # monotonic: nobody will say any more that it is written


class Recorder:
    """All recordings. The store is written before anybody else hears of a change.

    One of a room at a time. `is_needed` says of what is over whether somebody still reads it (an
    upload): such a recording is not removed.
    """

    def __init__(
        self,
        store: StateStore,
        rooms: Rooms,
        presence: Presence,
        clock: Clock,
        archive: RecordingArchive,
    ) -> None:
        self.policy = RecorderPolicy()
        self.storage = Storage(archive, clock)
        self.happened: Happened = nobody_hears
        self.is_needed: Callable[[Recording], bool] = _nobody_needs
        self.why_needed: Callable[[], str] = str  # what people are told then
        self._store = store
        self._rooms = rooms
        self._presence = presence
        self._clock = clock
        self._all: dict[tuple[RoomId, str], Recording] = {}
        self._live: dict[RoomId, _Live] = {}
        self._wishes: dict[RoomId, _Wish] = {}
        self._closed: dict[RoomId, float] = {}  # rooms that are being removed, until (monotonic)
        self._is_closing = False
        self._are_left_repaired = False
        # The first is held for the store alone, the second for the disk, outside of it.
        self._changing, self._on_disk = asyncio.Lock(), asyncio.Lock()
        self._reports: dict[tuple[RoomId, str], RecordingReport] = {}  # the newest, not looked at
        self._came = asyncio.Event()
        presence.when_changed = self._people_changed

    async def load(self) -> None:
        """Read all recordings; those that ran go on, if their room does. Raises StoreLost.

        A record that cannot be read is logged and left alone.
        """
        for record in (await self._store.scan(PREFIX)).records:
            try:
                one = decode_recording(record.key, record.value)
            except BadRecord as error:
                log.error("recording_unreadable", key=record.key, reason=str(error))  # noqa: TRY400 - the sentence is all
                continue
            self._all[one.room, one.name] = one
        # A room has one at a time. Of an earlier one that is there as well nobody was told that it
        # began: the store took it, and its answer was lost.
        for one in reversed(self.all()):
            if not one.is_over and one.room in self._live:
                await self._keep(
                    one.happen(RecordingEvent.FAIL, self._clock.now(), reason="It never began")
                )
            elif not one.is_over:
                is_gone = self._rooms.state(one.room) is RoomState.GONE
                self._live[one.room] = _Live(one, is_left=is_gone or not one.is_running)
                self._apply(one)
        for one in self.all():
            if one.is_over and self._rooms.state(one.room) is not RoomState.GONE:
                self._recall(one)

    # What is known

    def all(self, room: RoomId | None = None) -> list[Recording]:
        """Return the recordings of a room, or of all, oldest first."""
        found = [one for one in self._all.values() if room in {None, one.room}]
        return sorted(found, key=lambda one: (one.began_at, one.room, one.name))

    def get(self, room: RoomId, name: str) -> Recording:
        """Return a recording. Raises NotFound."""
        one = self._all.get((room, name))
        if one is None:
            raise NotFound("There is no such recording")
        return one

    def current(self, room: RoomId) -> Recording | None:
        """Return the recording of a room that is not over."""
        live = self._live.get(room)
        return None if live is None else live.now

    def notice(self, room: RoomId) -> dict[str, object] | None:
        """Return what everybody in a room may know of its recording, None if there is none."""
        one = self.current(room)
        return None if one is None else one.notice(self._clock.now())

    @property
    def count(self) -> int:
        """How many are not over."""
        return len(self._live)

    def spec(self, room: RoomId) -> RecordingSpec | None:
        """Return what the broadcast plane shall record of a room."""
        live = self._live.get(room)
        if live is None or not live.now.is_running:
            return None
        one, live.people = live.now, self._people(room)
        return RecordingSpec(
            name=one.name,
            folder=str(self.storage.archive.place(room, one.name)),
            is_paused=one.state is RecordingState.PAUSED,
            mix=one.what.mix,
            tracks=one.what.tracks,
            exact=one.what.exact,
            people=live.people,
        )

    # What people ask for

    async def start(self, room: RoomId, what: What, by: str) -> Recording:
        """Record a room from now on.

        Raises RoomNotFound, AlreadyRecording, TooMany, DiskFull, StoreLost.
        """
        async with self._on_disk:  # so that no name is taken twice
            self._check_start(room)
            await self._check_space()
            taken = await self.storage.names(room)
            async with self._changing:
                known = self._check_start(room)  # the disk may have taken its time
                now = self._clock.now()
                taken |= {one.name for one in self.all(room)}
                name = make_name(self.policy.template, room, known.name, now, taken)
                one = replace(begin(room, name, now, what, by), is_uploaded=known.upload)
                await self._keep(one)
                self._live[room] = _Live(one)
                self._apply(one)
        log.warning("recording_started", room=room, name=name, by=by, what="everybody's voice")
        self.happened(Kind.RECORDING_STARTED, room, self._told(one))
        return one

    def _check_start(self, room: RoomId) -> Room:
        known = self._rooms.get(room)
        is_closed = self._closed.get(room, 0.0) > self._clock.monotonic()
        if is_closed or self._is_closing:
            raise RoomNotFound(room)
        if room in self._live:
            raise AlreadyRecording
        if len(self._live) >= MAX_RECORDINGS:
            raise TooMany(f"This server records at most {MAX_RECORDINGS} rooms at a time")
        return known

    async def pause(self, room: RoomId, name: str | None = None) -> Recording:
        """Leave out what is said from now on. Raises NotFound, RecordingOver, StoreLost."""
        return await self._steer(room, name, RecordingEvent.PAUSE)

    async def resume(self, room: RoomId, name: str | None = None) -> Recording:
        """Go on. Raises NotFound, RecordingOver, StoreLost."""
        return await self._steer(room, name, RecordingEvent.RESUME)

    async def stop(self, room: RoomId, name: str | None, by: str) -> Recording:
        """End a recording; what is left of it is written soon.

        A room that records by itself does not begin again before its cause was away. Raises
        NotFound, RecordingOver, StoreLost.
        """
        async with self._changing:
            one = self._running(room, name)
            self._wish(room).is_declined = True
            return await self._happen(one, RecordingEvent.STOP, by=by)

    async def remove(self, room: RoomId, name: str, *, is_forced: bool = False) -> None:
        """Remove a recording and its files, if it is forced also what somebody still reads.

        Raises NotFound, RecordingBusy, StoreLost.
        """
        async with self._on_disk:
            one = self.get(room, name)
            if not one.is_over:
                raise RecordingBusy("This recording is not over: stop it first")
            if self.is_needed(one) and not is_forced:
                raise RecordingBusy(self.why_needed())
            # Files first: a record without files is nothing, files without a record are.
            await self.storage.remove(one)
            await self._store.commit(delete=[key_of(room, name)])
            self._all.pop((room, name), None)

    async def withhold(self, room: RoomId) -> None:
        """Have what is recorded of a room now not uploaded, nor any more. Raises StoreLost."""
        async with self._changing:
            live = self._live.get(room)
            if live is not None and live.now.is_uploaded:
                one = replace(live.now, is_uploaded=False)
                await self._keep(one)
                live.now = one

    # What the planes say

    def hear(self, report: RecordingReport) -> None:
        """Take how a recording is. Never waits, never raises."""
        self._reports[RoomId(report.room), report.name] = report
        self._came.set()

    async def run(self) -> None:
        """Look at what was heard, for ever."""
        while True:
            while self._reports:
                key, report = next(iter(self._reports.items()))
                await self._take(report)
                if self._reports[key] is report:  # else a newer one came meanwhile
                    del self._reports[key]
            self._came.clear()
            await self._came.wait()

    async def _take(self, report: RecordingReport) -> None:
        room = RoomId(report.room)
        live = self._live.get(room)
        if live is None or live.now.name != report.name:
            return
        if report.state is Reported.FINISHED:
            await self.finished(room, report.name, report.seconds)
        elif report.state is Reported.FAILED:
            await self.failed(room, report.name, report.sentence)

    async def finished(self, room: RoomId, name: str, seconds: float | None = None) -> None:
        """Take that everything of a recording is on the disk, so long it is. Raises StoreLost."""
        async with self._changing:
            live = self._live.get(room)
            if live is not None and live.now.name == name and not live.now.is_running:
                one = live.now if seconds is None else replace(live.now, kept_s=seconds)
                await self._happen(one, RecordingEvent.FINISH)

    async def failed(self, room: RoomId, name: str, reason: str) -> None:
        """Take that a recording cannot go on. Raises StoreLost."""
        async with self._changing:
            live = self._live.get(room)
            if live is not None and live.now.name == name:
                await self._happen(live.now, RecordingEvent.FAIL, reason=reason)
                self._wish(room).not_before = self._clock.monotonic() + RETRY_S

    # What happens by itself

    async def finish_room(self, room: RoomId) -> None:
        """End a room's recording before the room ends, and wait until it is written."""
        self._closed[room] = self._clock.monotonic() + 2 * FINISH_S  # or it was not removed
        await self._end([room], BY_REMOVAL)

    def forget_room(self, room: RoomId) -> None:
        """Let go of a room that is gone."""
        self._closed.pop(room, None)
        self._wishes.pop(room, None)

    async def close(self) -> None:
        """End all recordings, and wait until they are written; nothing begins any more."""
        self._is_closing = True
        await self._end(list(self._live), BY_SHUTDOWN)

    async def sweep(self) -> None:
        """Begin and end what records by itself; end what nobody will end otherwise."""
        now = self._clock.monotonic()
        for live in list(self._live.values()):
            await self._look_at(live, now)
        if not self._are_left_repaired:
            await self._quietly(self._repair_left)
        if not self._is_closing:
            for room in self._rooms.each():
                if room.id in self._wishes or (room.record or self.policy.automatic).is_on:
                    await self._follow(room, now)

    async def _look_at(self, live: _Live, now: float) -> None:
        if live.now.is_running:
            if self._rooms.state(live.now.room) is RoomState.GONE:
                await self._stop_quietly(live.now.room, BY_REMOVAL)
        elif live.ends_at is None:
            live.ends_at = now + FINISH_S
            if live.is_left:
                await self._conclude(live, is_due=False)
        elif now >= live.ends_at:
            await self._conclude(live, is_due=True)

    async def keep_space(self) -> None:
        """Remove what is kept no longer, and end what would fill the disk all the same."""
        if self.policy.retention != KEEP_ALL:
            await self._quietly(self._retain)
        if self._live:
            await self._quietly(self._end_if_full)

    async def _retain(self) -> None:
        found = self.all()
        kept = list(map(Kept, found, await self.storage.sizes(found)))
        due = self.policy.retention.due(kept, self._clock.now(), self.is_needed)
        if any(one.kept_s for one in due) and await self.storage.is_empty():
            # Who removed a record then would find the files again, and nothing that names them.
            raise StoreLost("The folder of recordings is empty: is its disk mounted?")
        for one in due:
            await self._quietly(partial(self._let_go, one))

    async def _let_go(self, one: Recording) -> None:
        await self.remove(one.room, one.name)
        log.warning("recording_removed", room=one.room, name=one.name, why="retention")

    async def _end_if_full(self) -> None:
        try:
            await self._check_space()
        except DiskFull as error:
            for room, live in list(self._live.items()):
                if live.now.is_running:
                    log.error("recording_ends", room=room, reason=str(error))  # noqa: TRY400 - the sentence is all
                    await self.failed(room, live.now.name, str(error))

    # Within

    async def _conclude(self, live: _Live, *, is_due: bool) -> None:
        """End what nobody has said is written, if who wrote it died: what it wrote is kept.

        Without a manifest to go by it is over only once that is due.
        """
        try:
            seconds = await self._repair(live.now)
        except BlockingIOError:  # it is being written still, however slowly
            live.ends_at = self._clock.monotonic() + FINISH_S
            return
        if is_due or seconds is not None:
            await self._quietly(partial(self.finished, live.now.room, live.now.name, seconds))

    async def _repair(self, one: Recording) -> float | None:
        """End on the disk what its process did not, and return how long it is if that is known.

        Raises BlockingIOError while a process writes it.
        """
        try:
            return await self.storage.repair(one)
        except BlockingIOError:
            raise
        except OSError as error:
            reason = error.strerror
            log.warning("recording_not_repaired", room=one.room, name=one.name, reason=reason)
            return None

    async def _repair_left(self) -> None:
        """Repair what was over before it was whole, as it had failed, or nobody waited for it."""
        for key in await self.storage.open_ones():
            one = self._all.get(key)
            if one is not None and one.is_over:
                with suppress(BlockingIOError):  # a process that outlived the one before us
                    await self._repair(one)
        self._are_left_repaired = True

    async def _steer(self, room: RoomId, name: str | None, event: RecordingEvent) -> Recording:
        async with self._changing:
            one = self._running(room, name)
            wanted = {
                RecordingEvent.PAUSE: RecordingState.PAUSED,
                RecordingEvent.RESUME: RecordingState.RECORDING,
            }
            if one.state is wanted[event]:  # twice is once
                return one
            return await self._happen(one, event)

    def _running(self, room: RoomId, name: str | None) -> Recording:
        """Return the room's recording, of that name if one is given."""
        one = self.current(room)
        if name is not None and (one is None or one.name != name):
            one = self.get(room, name)
        if one is None:
            self._rooms.get(room)
            raise NotFound("This room is not being recorded")
        if not one.is_running:
            raise RecordingOver
        return one

    async def _happen(
        self, one: Recording, event: RecordingEvent, *, by: str = "", reason: str = ""
    ) -> Recording:
        after = one.happen(event, self._clock.now(), by=by, reason=reason)
        await self._keep(after)
        live = self._live[one.room]
        live.now = after
        if after.is_over:
            del self._live[one.room]
            live.is_over.set()
        self._apply(after)
        log.info("recording_changed", room=one.room, name=one.name, state=after.state.value)
        if event in _KINDS:
            self.happened(_KINDS[event], one.room, self._told(after))
        return after

    def _people(self, room: RoomId) -> tuple[RecordedPerson, ...]:
        """Return who is in the room, by browser or plain RTP, as a recording knows them."""
        by_browser = (
            RecordedPerson(one.user, one.display_name, one.is_silent)
            for one in self._presence.people(room)
        )
        by_line = (
            RecordedPerson(line.user, line.display_name, line.spec.muted)
            for line in self._presence.lines(room).people.values()
        )
        return (*by_browser, *by_line)

    def _people_changed(self, room: RoomId) -> None:
        live = self._live.get(room)
        if live is not None and live.now.is_running and live.people != self._people(room):
            self._rooms.apply_recording(room)

    def _apply(self, one: Recording) -> None:
        """Tell the planes and everybody in the room."""
        self._presence.set_taps(one.room, one.what.taps() if one.is_running else None)
        self._rooms.apply_recording(one.room)
        self._presence.tell_everybody(
            one.room, Notification("recording", one.notice(self._clock.now()))
        )

    async def _keep(self, one: Recording) -> None:
        await self._store.commit(put={key_of(one.room, one.name): encode_recording(one)})
        self._all[one.room, one.name] = one

    async def _check_space(self) -> None:
        needed, free = self.policy.min_free_bytes, await self.storage.free_bytes()
        if free < needed:
            raise DiskFull(free, needed)

    async def _end(self, rooms: list[RoomId], by: str) -> None:
        """End recordings and wait until they are written, but not for ever."""
        waits = [live for room in rooms if (live := self._live.get(room)) is not None]
        try:
            async with asyncio.timeout(FINISH_S):
                for live in waits:
                    await self._stop_quietly(live.now.room, by)
                for live in waits:
                    await live.is_over.wait()
        except TimeoutError:
            waits = [live for live in waits if not live.is_over.is_set()]
            log.warning("recordings_end_unconfirmed", rooms=[live.now.room for live in waits])
            # Of what is not known then the next look decides, were it that of the next server.
            with suppress(TimeoutError):
                async with asyncio.timeout(LAST_LOOK_S):
                    for live in waits:
                        await self._conclude(live, is_due=True)

    async def _stop_quietly(self, room: RoomId, by: str) -> None:
        async def stop() -> None:
            async with self._changing:
                one = self.current(room)
                if one is not None and one.is_running:
                    await self._happen(one, RecordingEvent.STOP, by=by)

        await self._quietly(stop)

    async def _quietly(self, act: Callable[[], Awaitable[object]]) -> None:
        """Do something that nobody waits for; what the store refuses is tried at the next sweep."""
        try:
            await act()
        except ServerError as error:
            log.warning("recording_waits", reason=str(error))

    async def _follow(self, known: Room, now: float) -> None:
        """Begin or end the recording that a room wishes for by itself."""
        room, automatic = known.id, known.record or self.policy.automatic
        wish = self._wish(room)
        if self._presence.count(room):
            wish.occupied_at = now
        elif wish.occupied_at is None and self.current(room) is not None:
            wish.occupied_at = now  # we have just begun, and they may come back
        since = wish.occupied_at
        is_wanted = automatic.wants(
            is_on_air=known.broadcast,
            is_occupied=since is not None and now - since < EMPTY_S,
        )
        if not is_wanted:
            wish.is_declined = False
            one = self.current(room)
            if one is not None and one.is_running and one.by == BY_ROOM:
                await self._stop_quietly(room, BY_ROOM)
        elif room not in self._live and not wish.is_declined and now >= wish.not_before:
            wish.not_before = now + RETRY_S
            await self._quietly(partial(self.start, room, What(), BY_ROOM))

    def _wish(self, room: RoomId) -> _Wish:
        return self._wishes.setdefault(room, _Wish())

    def _recall(self, one: Recording) -> None:
        """Remember who stopped the last recording of a room that records by itself."""
        wish = self._wish(one.room)
        wish.is_declined = one.ended_by not in {BY_ROOM, BY_SHUTDOWN, BY_REMOVAL, ""}
        wish.occupied_at = self._clock.monotonic()  # who was there may come back

    def _told(self, one: Recording) -> dict[str, object]:
        return {**one.notice(self._clock.now()), "by": one.by}


def _nobody_needs(_one: Recording) -> bool:
    return False
