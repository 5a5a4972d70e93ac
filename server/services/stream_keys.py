"""The keys of all broadcasts on air: planned ahead, stored, then told to the broadcast plane."""

import asyncio
import math
import secrets
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

import structlog

from hls.core.timeline import SEGMENT_S
from mixer.types import RoomId
from server.backoff import delays_s
from server.domain import key_token
from server.domain.livemeta import decode_livemeta
from server.domain.room import RoomState
from server.domain.rotation import Rotation, early_by, needed
from server.domain.stream import (
    CLOCK,
    KEY_BYTES,
    Stream,
    StreamKey,
    decode_stream,
    encode_key,
    key_name,
)
from server.errors import (
    BadRecord,
    KeyNotYet,
    NotFound,
    RoomNotFound,
    SigningUnavailable,
    StoreLost,
)
from server.ports import Conflict, StateStore
from server.services.clock import Clock
from server.services.rooms import PREFIX, Rooms

log = structlog.get_logger(__name__)

MOST_A_ROUND: Final = 64  # rooms; the rest waits for the next round, other work comes between
LOOK_S: Final = 60.0  # how often keys are looked through that nobody needs any more
# Beyond the window: the last segments of a broadcast that ended are served for a minute, and as
# many again lie between two looks.
SLACK_S: Final = 120.0

Holder = Callable[[RoomId], int | None]


class StreamKeys:
    """Plans the next keys of each room in the state store before the plane hears of them.

    Whoever takes a room over, after a crash at any point or in another process, finds the keys of
    everything that was announced, and the same for what comes. Nothing is planned for rooms to
    which nobody listens. While the keys cannot be made or stored the one in force stays so.
    """

    def __init__(self, store: StateStore, rooms: Rooms, clock: Clock, rotation: Rotation) -> None:
        self._store = store
        self._rooms = rooms
        self._clock = clock
        self.rotation = rotation  # a reload changes it
        # Recordings and uploads add theirs: the oldest segment of a room they need the key of.
        self.holders: list[Holder] = []
        self.counters: Counter[str] = Counter(
            stream_keys_planned_total=0, stream_keys_delayed_total=0, stream_keys_given_total=0
        )
        self._heard: dict[RoomId, int] = {}
        self._due: dict[RoomId, None] = {}  # in the order they came
        self._late: set[RoomId] = set()
        self._is_delayed = False
        self._looked_s = clock.monotonic()
        self._came = asyncio.Event()

    def now_msn(self, stream: Stream) -> int:
        """Return the segment that is made now."""
        return stream.msn(self._clock.tick())

    def is_on_air(self, room: RoomId) -> bool:
        """Whether the room is there, and not only what is left of its broadcast."""
        return self._rooms.state(room) is RoomState.ON_AIR

    def heard(self, room: RoomId) -> None:
        """Note that somebody may listen to a room on air; costs nothing. Raises RoomNotFound."""
        stream = self._rooms.stream(room)
        self._note(room, stream, stream.key_at(self.now_msn(stream)).epoch)

    def current(self, room: RoomId, stream: Stream) -> StreamKey:
        """Give out the key that is in force now."""
        return self._give(room, stream, stream.key_at(self.now_msn(stream)))

    def of_epoch(self, room: RoomId, stream: Stream, epoch: str) -> StreamKey:
        """Give out the key of an epoch that has begun or is about to.

        Raises NotFound, KeyNotYet.
        """
        known = len(epoch) <= 16 and epoch.isascii() and epoch.isdigit()
        key = stream.key_of(int(epoch)) if known else None
        if key is None:
            raise NotFound("There is no such key, or not any more")
        early = early_by(key, self.now_msn(stream))
        if early:
            raise KeyNotYet(round(1000 * early * SEGMENT_S))
        return self._give(room, stream, key)

    def is_over(self, room: RoomId, stream: Stream, epoch: int) -> bool:
        """Whether no player can need the key of an epoch any more.

        What is left of a broadcast that is over goes within a minute anyhow.
        """
        if not self.is_on_air(room):
            return False
        listed = math.ceil(self._rooms.window_s(room) / SEGMENT_S)
        return key_token.is_over(stream, epoch, self.now_msn(stream), listed)

    def forget_room(self, room: RoomId) -> None:
        """Forget what was known of a room that is gone."""
        self._heard.pop(room, None)
        self._due.pop(room, None)
        self._late.discard(room)

    async def run(self) -> None:
        """Plan whatever is due, and drop what is not needed, for ever."""
        delays = delays_s(first_s=1.0, limit_s=30.0)
        while True:
            await self._came.wait()
            if await self.work():
                delays = delays_s(first_s=1.0, limit_s=30.0)
            else:
                await asyncio.sleep(next(delays))

    def look(self) -> None:
        """Once a minute, have all rooms worked on whose keys are not as they should be."""
        now = self._clock.monotonic()
        if now - self._looked_s < LOOK_S:
            return
        self._looked_s = now
        for room in self._rooms.all():
            stream = self._rooms.stream(room.id)
            is_too_much = len(self._needed(room.id, stream)) < len(stream.keys)
            if is_too_much or self._planned(room.id, stream):
                self._want(room.id)

    async def work(self) -> bool:
        """Do one round of what is due; false if the store or the signing server is away."""
        for room in list(self._due)[:MOST_A_ROUND]:
            self._due.pop(room, None)  # before, for meanwhile more of it may become due
            try:
                await self._bring_up_to_date(room)
                # Others may have stored what we now follow, or more was heard of meanwhile.
                if self._planned(room, self._rooms.stream(room)):
                    self._want(room)
            except (SigningUnavailable, StoreLost) as error:
                self._want(room)
                self._delayed(error)
                return False
            except (RoomNotFound, BadRecord) as error:
                log.info("stream_keys_left_alone", room=room, reason=str(error))
        if not self._due:
            self._came.clear()
            self._recovered()
        return True

    def _give(self, room: RoomId, stream: Stream, key: StreamKey) -> StreamKey:
        self.counters["stream_keys_given_total"] += 1
        self._note(room, stream, key.epoch)
        return key

    def _note(self, room: RoomId, stream: Stream, epoch: int) -> None:
        if epoch <= self._heard.get(room, -1) or not self.is_on_air(room):
            return
        self._heard[room] = epoch
        if self._planned(room, stream):
            self._want(room)

    def _want(self, room: RoomId) -> None:
        self._due[room] = None
        self._came.set()

    def _planned(self, room: RoomId, stream: Stream) -> tuple[int, ...]:
        heard = self._heard.get(room, -1)
        return self.rotation.planned(stream.keys[-1], heard, self.now_msn(stream))

    def _needed(self, room: RoomId, stream: Stream) -> tuple[StreamKey, ...]:
        held = [msn for holder in self.holders if (msn := holder(room)) is not None]
        listed = self.now_msn(stream) - int((self._rooms.window_s(room) + SLACK_S) / SEGMENT_S)
        return needed(stream.keys, min([listed, *held]))

    async def _bring_up_to_date(self, room: RoomId) -> None:
        """Store what follows, without what is over, and tell the plane.

        Raises RoomNotFound, BadRecord, SigningUnavailable, StoreLost.
        """
        stream = self._rooms.stream(room)
        first_msns = self._planned(room, stream)
        if first_msns and room in self._late:
            in_time = self.rotation.next_after(stream.keys[-1].first_msn)
            self.counters["stream_keys_delayed_total"] += first_msns[0] > in_time
        new = await self._made(room, stream, first_msns)
        kept = self._needed(room, stream)
        if not new and len(kept) == len(stream.keys):
            return
        gone = stream.keys[: len(stream.keys) - len(kept)]
        if not await self._commit(room, stream, new, gone):
            await self._follow(room, stream)
            return
        self.counters["stream_keys_planned_total"] += len(new)
        self._late.discard(room)
        self._rekey(room, stream, (*kept, *new))

    async def _made(
        self, room: RoomId, stream: Stream, first_msns: Iterable[int]
    ) -> tuple[StreamKey, ...]:
        new = []
        for epoch, first_msn in enumerate(first_msns, stream.keys[-1].epoch + 1):
            key = await self._rooms.make_key(room, epoch, secrets.token_hex(KEY_BYTES))
            new.append(StreamKey(epoch, key, secrets.token_bytes(KEY_BYTES), first_msn))
        if new and not early_by(new[0], self.now_msn(stream)):
            raise SigningUnavailable  # an answer that comes too late is none
        return tuple(new)

    async def _commit(
        self,
        room: RoomId,
        stream: Stream,
        new: Iterable[StreamKey],
        gone: Iterable[StreamKey],
    ) -> bool:
        """Store keys if nobody stored others meanwhile, and the room is not being removed.

        Raises RoomNotFound; also if there is another room of its id.
        """
        require = {f"{PREFIX}{room}/{key_name(key.epoch)}": 0 for key in new}
        for name in (CLOCK, "livemeta"):
            record = await self._store.get(f"{PREFIX}{room}/{name}")
            if record is None:
                raise RoomNotFound(room)
            if name == CLOCK:
                is_over = record.value != stream.clock_record()
            else:
                meta = decode_livemeta(record.key, record.value)
                is_over = meta.state is RoomState.REMOVING
            if is_over:
                raise RoomNotFound(room)
            require[record.key] = record.version
        answer = await self._store.commit(
            require=require,
            put={f"{PREFIX}{room}/{key_name(key.epoch)}": encode_key(key) for key in new},
            delete=[f"{PREFIX}{room}/{key_name(key.epoch)}" for key in gone],
        )
        return not isinstance(answer, Conflict)

    async def _follow(self, room: RoomId, stream: Stream) -> None:
        """Take the keys that somebody else stored. Raises RoomNotFound, BadRecord, StoreLost."""
        prefix = f"{PREFIX}{room}/"
        records = (await self._store.scan(prefix)).records
        found = decode_stream(
            room, {one.key.removeprefix(prefix): one.value for one in records}, stream.secret
        )
        if not found.goes_on_as(stream):
            raise RoomNotFound(room)
        self._rekey(room, stream, found.keys)
        log.info("stream_keys_followed", room=room, epoch=found.keys[-1].epoch)

    def _rekey(self, room: RoomId, stream: Stream, keys: tuple[StreamKey, ...]) -> None:
        if not self._rooms.rekey(room, stream, replace(stream, keys=keys)):
            raise RoomNotFound(room)

    def _delayed(self, error: Exception) -> None:
        if not self._is_delayed:
            log.warning("stream_keys_delayed", reason=str(error))
        self._is_delayed = True
        self._late.update(self._due)

    def _recovered(self) -> None:
        if self._is_delayed:
            log.info("stream_keys_go_on")
        self._is_delayed = False
        self._late.clear()
