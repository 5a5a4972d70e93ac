"""The rooms: made, listed and removed, in the store first and then on the planes."""

import asyncio
import secrets
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace

import structlog

from hls.errors import HlsError
from hls.types import BroadcastSpec, RecordingSpec
from mixer.types import Profile, RoomId, RoomSpec
from server.domain.air import AS_USUAL, Air, Studio
from server.domain.broadcast import broadcast_spec, is_heard_alike
from server.domain.closing import NOT_CLOSING, Closing, step
from server.domain.identity import UserId, room_id, user_id
from server.domain.livemeta import LiveMeta, StoredState, decode_livemeta, encode_livemeta
from server.domain.recording import Automatic
from server.domain.room import (
    CHAT_HISTORY_DEFAULT,
    EXPIRES_IN_DEFAULT_S,
    MAX_ANCHORS_DEFAULT,
    InviteRole,
    Invites,
    Room,
    RoomEvent,
    RoomState,
    decode_room,
    encode_room,
    transition,
)
from server.domain.stream import (
    KEY_BYTES,
    KEYS,
    SECRET_BYTES,
    Stream,
    StreamKey,
    decode_stream,
)
from server.domain.webhook import Kind
from server.errors import (
    BadRecord,
    PlaneUnavailable,
    RoomExists,
    RoomNotFound,
    RoomPermanent,
    SigningUnavailable,
    StoreLost,
)
from server.ports import Conflict, Record, StateStore
from server.rpc.codec import Notification
from server.services.clock import Clock
from server.services.happenings import Happened, nobody_hears
from server.services.pins import PIN_TRIES, PinGuard
from server.services.presence import Farewell, Presence
from server.services.reconcile import Reconciler
from server.telemetry import note, traced

log = structlog.get_logger(__name__)

PREFIX = "/rooms/"
WARNINGS_DEFAULT_S = (300, 60)
INVITE_BYTES = 18  # 144 bits, 24 characters in the link


@dataclass(frozen=True, slots=True)
class Wanted:
    """A room somebody asks for; None means: make it up (`id`, `pin`) or no limit."""

    id: RoomId | None = None
    pin: str | None = None
    max_anchors: int | None = MAX_ANCHORS_DEFAULT
    expires_in_s: int | None = EXPIRES_IN_DEFAULT_S
    name: str = ""
    profile: Profile = Profile.VOICE
    loudest: int = 0
    automix: bool = False
    buses: tuple[str, ...] = ()
    broadcast: bool = True
    radio: bool = True
    locked: bool = False
    lobby: bool = False
    chat: bool = True
    listener_chat: bool = False
    chat_history: int = CHAT_HISTORY_DEFAULT
    record: Automatic | None = None
    live_listeners: int | None = None
    air: Air = AS_USUAL
    upload: bool = True


@dataclass(slots=True)
class _Live:
    """A room in memory; `revoked` has until when (Unix s) whose tokens are refused."""

    room: Room
    stream: Stream
    state: RoomState = RoomState.CREATED
    revoked: dict[UserId, float] = field(default_factory=dict)
    closing: Closing = NOT_CLOSING
    # Held while its broadcast is ended, which one after another does: another spec would let it go
    # on.
    ending: asyncio.Lock = field(default_factory=asyncio.Lock)

    def is_calm(self, until_s: float) -> bool:
        """Whether nothing will be over before then (Unix s), nor anybody be told that it will."""
        return (
            self.state is RoomState.ON_AIR
            and self.closing is NOT_CLOSING
            and not self.revoked
            and self.room.ends_unix_s > until_s
        )

    def happen(self, event: RoomEvent) -> None:
        """Move on. Raises IllegalTransition."""
        self.state = transition(self.state, event)


class Rooms:
    """All rooms of this node. The store is written before anybody else hears of a change."""

    def __init__(
        self,
        store: StateStore,
        presence: Presence,
        mixer: Reconciler[RoomSpec],
        broadcast: Reconciler[BroadcastSpec],
        clock: Clock,
    ) -> None:
        self._store = store
        self._presence = presence
        self._mixer = mixer
        self._broadcast = broadcast
        self._clock = clock
        self._live: dict[RoomId, _Live] = {}
        self.when_changed: Callable[[RoomId], None] = _nobody_cares
        self.when_gone: Callable[[RoomId], None] = _nobody_cares
        # Its room, stream and whose tokens it refuses, at the moment in which it is gone.
        self.when_over: Callable[[Room, Stream, Iterable[UserId]], None] = _nothing_is_left
        self.when_revoked: Callable[[RoomId, UserId], Awaitable[None]] = _nothing_to_end
        self.permanent: frozenset[RoomId] = frozenset()  # of the configuration
        self.happened: Happened = nobody_hears
        self.before_end: Callable[[RoomId, Stream], Awaitable[None]] = _nothing_to_do
        self.before_removal: Callable[[RoomId], Awaitable[None]] = _nothing_to_finish
        self.when_withheld: Callable[[RoomId], Awaitable[None]] = _nothing_to_finish
        self.recording: Callable[[RoomId], RecordingSpec | None] = _not_recorded
        self.warnings_s: tuple[int, ...] = WARNINGS_DEFAULT_S
        self.pins = PinGuard(PIN_TRIES, clock.monotonic)
        self.make_key: Callable[[RoomId, int, str], Awaitable[bytes]] = _random_key
        self.studio = Studio()
        presence.when_filled = self._filled
        self._changing = asyncio.Lock()  # create and remove wait for each other

    def __len__(self) -> int:
        return len(self._live)

    async def load(self) -> None:
        """Read all rooms and put them on air again. Raises StoreLost.

        A room whose records cannot be read is logged and left alone.
        """
        snapshot = await self._store.scan(PREFIX)
        for text, records in _by_room(snapshot.records).items():
            room = room_id(text)
            if room is None or "meta" not in records:
                continue
            try:
                await self._load_room(room, records)
            except (BadRecord, SigningUnavailable) as error:
                log.error("room_unreadable", room=room, reason=str(error))  # noqa: TRY400 - the sentence is all

    def get(self, room: RoomId) -> Room:
        """Return a room that is on air. Raises RoomNotFound."""
        return self._on_air(room).room

    def state(self, room: RoomId) -> RoomState:
        """Return where the room is in its life."""
        live = self._live.get(room)
        return RoomState.GONE if live is None else live.state

    def all(self, state: RoomState = RoomState.ON_AIR) -> list[Room]:
        """Return the rooms in a state (on air), oldest first."""
        rooms = [live.room for live in self._live.values() if live.state is state]
        return sorted(rooms, key=lambda room: room.created_at)

    def each(self) -> list[Room]:
        """Return the rooms on air in no order, for who looks at them again and again."""
        return [live.room for live in self._live.values() if live.state is RoomState.ON_AIR]

    def stream(self, room: RoomId) -> Stream:
        """Return the clock and keys of a room's broadcast. Raises RoomNotFound."""
        return self._on_air(room).stream

    def window_s(self, room: RoomId) -> float:
        """Return how far back a room's listeners may go. Raises RoomNotFound."""
        return self.studio.window_of(self.get(room).air)

    def change_studio(self, studio: Studio) -> None:
        """Make the broadcasts of all rooms so from now on."""
        if studio == self.studio:
            return
        self.studio = studio
        for live in self._live.values():
            if live.state is RoomState.ON_AIR and live.room.broadcast:
                self._put_on_air(live)

    def rekey(self, room: RoomId, before: Stream, stream: Stream) -> bool:
        """Let a room's broadcast go on with keys that are stored.

        Nothing and false if what is on air is not `before` (any more): another room has its id.
        """
        live = self._live.get(room)
        if live is None or live.state is not RoomState.ON_AIR or live.stream is not before:
            return False
        live.stream = stream
        if live.room.broadcast:
            self._put_on_air(live)
        return True

    @traced("room.create")
    async def create(self, wanted: Wanted) -> Room:
        """Make a room and put it on air. Raises RoomExists, SigningUnavailable, StoreLost."""
        room = Room(
            id=wanted.id or RoomId(secrets.token_hex(10)),
            created_at=self._clock.now(),
            invites=Invites(_secret(), _secret()),
            pin=secrets.token_hex(3) if wanted.pin is None else wanted.pin,
            max_anchors=wanted.max_anchors,
            expires_in_s=wanted.expires_in_s,
            name=wanted.name,
            profile=wanted.profile,
            loudest=wanted.loudest,
            automix=wanted.automix,
            buses=wanted.buses,
            broadcast=wanted.broadcast,
            radio=wanted.radio,
            locked=wanted.locked,
            lobby=wanted.lobby,
            chat=wanted.chat,
            listener_chat=wanted.listener_chat,
            chat_history=wanted.chat_history,
            record=wanted.record,
            live_listeners=wanted.live_listeners,
            air=wanted.air,
            upload=wanted.upload,
        )
        live = _Live(room, await self._new_stream(room.id))
        async with self._changing:
            answer = await self._store.commit(
                require={_key(room.id, "meta"): 0},
                put={
                    _key(room.id, "meta"): encode_room(room),
                    _key(room.id, "livemeta"): self._livemeta(RoomState.ON_AIR),
                    **_stream_records(live),
                },
            )
            if isinstance(answer, Conflict):
                raise RoomExists(room.id)
            self._start(live)
        note(room=room.id)
        log.info("room_created", room=room.id)
        self.happened(Kind.ROOM_CREATED, room.id, room.notice())
        if room.broadcast:
            self._tell_broadcast(room)
        return room

    async def renew_invite(self, room: RoomId, role: InviteRole) -> Room:
        """Give a room a new link for that role; the old one is worthless. Raises RoomNotFound."""
        return await self.change(
            room, lambda before: replace(before, invites=before.invites.renewed(role, _secret()))
        )

    @traced("room.change")
    async def change(self, room: RoomId, amend: Callable[[Room], Room]) -> Room:
        """Make a room on air what `amend` returns of it. Raises RoomNotFound, StoreLost."""
        live = self._on_air(room)
        is_withheld = live.room.upload and not amend(live.room).upload
        if is_withheld:
            # First: should the store fail then, too little is uploaded, not too much.
            await self.when_withheld(room)
        changed = await self._changed(live, amend)
        if is_withheld:
            await self.when_withheld(room)  # what began to be recorded meanwhile
        return changed

    async def _changed(self, live: _Live, amend: Callable[[Room], Room]) -> Room:
        if live.room.broadcast and not amend(live.room).broadcast:
            async with self._ending(live):
                return await self._change(live, amend)
        return await self._change(live, amend)

    async def _change(self, live: _Live, amend: Callable[[Room], Room]) -> Room:
        async with self._changing:
            self._check_there(live)
            before, room = live.room, live.room.id
            changed = amend(before)
            if changed == before:
                return before
            await self._store.commit(put={_key(room, "meta"): encode_room(changed)})
            live.room = changed
            self._presence.change_room(changed)
            if changed.notice() != before.notice():
                self.happened(Kind.ROOM_CHANGED, room, changed.notice())
            if not is_heard_alike(changed, before):
                self._put_on_air(live)
            if changed.broadcast != before.broadcast:
                self._tell_broadcast(changed)
            self.when_changed(room)
        return changed

    @asynccontextmanager
    async def _ending(self, live: _Live) -> AsyncIterator[None]:
        """End a room's broadcast, if it has one, in order; then it is taken off the air.

        Should that fail the room is on air as before. Raises RoomNotFound if it went meanwhile.
        """
        try:
            async with live.ending:
                self._check_there(live)
                if live.room.broadcast:
                    with suppress(PlaneUnavailable, HlsError):  # there is nothing to be ended
                        await self._broadcast.settle(live.room.id)
                    await self.before_end(live.room.id, live.stream)
                yield
        finally:
            if live.state is RoomState.ON_AIR:
                self._put_on_air(live)

    @traced("room.remove")
    async def remove(self, room: RoomId, reason: str = "deleted") -> None:
        """End a room and everything of it. Raises RoomNotFound, RoomPermanent, StoreLost."""
        live = self._on_air(room)
        if room in self.permanent:
            raise RoomPermanent(room)
        await self.before_removal(room)
        async with self._ending(live), self._changing:
            self._check_there(live)
            await self._store.commit(
                put={_key(room, "livemeta"): self._livemeta(RoomState.REMOVING)}
            )
            live.happen(RoomEvent.REMOVE)
            await self._finish(live, reason)
        note(room=room, reason=reason)
        log.info("room_removed", room=room, reason=reason)

    async def expire(self) -> None:
        """Warn those in the rooms whose time runs out, and remove the rooms whose time is over.

        What the store does not let us do waits for the next time, and keeps no other room waiting.
        """
        until_s = self._clock.unix() + max(self.warnings_s, default=0)
        for live in list(self._live.values()):
            try:
                await self._look_after(live, until_s)
            except RoomNotFound:  # it was removed meanwhile
                continue
            except StoreLost as error:
                log.warning("room_expiry_waits", room=live.room.id, reason=str(error))

    async def _look_after(self, live: _Live, until_s: float) -> None:
        """Raises RoomNotFound, StoreLost."""
        if self._live.get(live.room.id) is not live or live.is_calm(until_s):
            return
        if live.state is RoomState.REMOVING:
            await self._retry_finish(live)
        elif (
            live.state is RoomState.ON_AIR
            and live.room.id not in self.permanent
            and self._is_over(live)
        ):
            await self.remove(live.room.id, "expired")
        else:
            await self._forget_refusals(live)

    def _is_over(self, live: _Live) -> bool:
        """Whether a room is to be removed now; if it soon is, those in it are told."""
        end = live.room.expires_at
        if end is None:
            live.closing = NOT_CLOSING
            return False
        room = live.room.id
        todo = step(
            live.closing,
            (end - self._clock.now()).total_seconds(),
            self._clock.monotonic(),
            self.warnings_s,
            is_occupied=self._presence.count(room) > 0,
        )
        live.closing = todo.closing
        if todo.tell_s is not None:
            told = {"seconds": todo.tell_s, "reason": "expired"}
            self._presence.tell(room, Notification("roomClosing", told))
        return todo.is_over

    async def _forget_refusals(self, live: _Live) -> None:
        now = self._clock.unix()
        over = [user for user, until in live.revoked.items() if until <= now]
        if over:
            await self._store.commit(
                delete=[_key(live.room.id, f"revoked/{user}") for user in over]
            )
            for user in over:
                live.revoked.pop(user, None)

    async def revoke(self, room: RoomId, user: UserId, ttl_s: int) -> None:
        """Take a person out; their tokens are refused for `ttl_s`. Raises RoomNotFound."""
        live = self._on_air(room)
        until, key = self._clock.unix() + ttl_s, _key(room, f"revoked/{user}")
        await self._store.commit(put={key: str(int(until)).encode()})
        if self._live.get(room) is not live:  # it was removed meanwhile, and its records with it
            await self._store.commit(delete=[key])
            raise RoomNotFound(room)
        live.revoked[user] = until
        self._presence.leave(room, user, Farewell.REVOKED)
        await self.when_revoked(room, user)

    def is_revoked(self, room: RoomId, user: UserId) -> bool:
        """Whether that person was taken out of that room."""
        live = self._live.get(room)
        return live is not None and live.revoked.get(user, 0) > self._clock.unix()

    def made(self, room: RoomId) -> str:
        """Return the room's `made`, empty if there is no such room."""
        live = self._live.get(room)
        return "" if live is None else live.room.made

    def _on_air(self, room: RoomId) -> _Live:
        live = self._live.get(room)
        if live is None or live.state is not RoomState.ON_AIR:
            raise RoomNotFound(room)
        return live

    def _check_there(self, live: _Live) -> None:
        """Raise RoomNotFound if a room is gone meanwhile, also if another one has its id."""
        if self._on_air(live.room.id) is not live:
            raise RoomNotFound(live.room.id)

    async def _load_room(self, room: RoomId, records: Mapping[str, Record]) -> None:
        meta = decode_room(room, records["meta"].key, records["meta"].value)
        if "stream" in records:
            clock = self._clock
            values = {part: record.value for part, record in records.items()}
            stored = decode_stream(room, values, secrets.token_bytes(SECRET_BYTES))
            stream = stored.continued(clock.boot, clock.tick(), clock.unix())
        else:
            stream = await self._new_stream(room)
        live = _Live(meta, stream, revoked=_revoked(records, self._clock.unix()))
        wanted = _stream_records(live)
        known = {record.key: record.value for record in records.values()}
        repairs = {key: value for key, value in wanted.items() if known.get(key) != value}
        worthless = [
            record.key
            for part, record in records.items()
            if part.startswith(KEYS) and record.key not in wanted
        ]
        removing = False
        if "livemeta" in records:
            on_air = decode_livemeta(records["livemeta"].key, records["livemeta"].value)
            removing = on_air.state is RoomState.REMOVING
        else:
            repairs[_key(room, "livemeta")] = self._livemeta(RoomState.ON_AIR)
        if repairs or worthless:
            await self._store.commit(put=repairs, delete=worthless)
        if removing:  # the server was stopped in the middle of it
            live.happen(RoomEvent.REMOVE)
            self._live[room] = live
            await self._finish(live, "deleted")
        else:
            self._start(live)

    def _start(self, live: _Live) -> None:
        live.happen(RoomEvent.START)
        self._live[live.room.id] = live
        self._presence.open_room(live.room)
        if live.room.broadcast:
            self._put_on_air(live)

    def apply_recording(self, room: RoomId) -> None:
        """Record a room that is on air as `recording` says now."""
        live = self._live.get(room)
        if live is not None and live.state is RoomState.ON_AIR:
            self._put_on_air(live)

    def _put_on_air(self, live: _Live) -> None:
        """Let listeners hear the room, or no more; and record it, or no more."""
        if live.ending.locked():
            return
        self._broadcast.want_as_made(live.room.id, lambda: self._spec(live))

    def _spec(self, live: _Live) -> BroadcastSpec:
        room, is_empty = live.room, not self._presence.is_occupied(live.room.id)
        version = self._broadcast.next_version()
        spec = broadcast_spec(room, live.stream, version, self.studio, is_empty=is_empty)
        return replace(spec, recording=self.recording(room.id))

    def _filled(self, room: RoomId) -> None:
        """Let the hold music of a room go, or come: somebody is in it, or nobody any more."""
        live = self._live.get(room)
        if live is None or live.state is not RoomState.ON_AIR:
            return
        if live.room.broadcast and self.studio.hold_of(live.room.air):
            self._put_on_air(live)

    async def _finish(self, live: _Live, reason: str) -> None:
        room = live.room.id
        self.when_gone(room)
        self._presence.close_room(room, reason)
        self._mixer.close(RoomSpec(room, self._mixer.next_version(), closed=True))
        version = self._broadcast.next_version()
        self._broadcast.close(live.stream.spec(room, version, on_air=False))
        records = (await self._store.scan(_key(room, ""))).records
        await self._store.commit(delete=[record.key for record in records])
        live.happen(RoomEvent.FINISH)
        self.when_over(live.room, live.stream, live.revoked)
        del self._live[room]
        if live.room.broadcast:
            self._tell_broadcast(replace(live.room, broadcast=False))
        self.happened(Kind.ROOM_REMOVED, room, {"roomId": room, "reason": reason})

    def _tell_broadcast(self, room: Room) -> None:
        kind = Kind.BROADCAST_STARTED if room.broadcast else Kind.BROADCAST_ENDED
        self.happened(kind, room.id, {"roomId": room.id})

    async def _retry_finish(self, live: _Live) -> None:
        """Finish what the store did not let us finish before."""
        async with self._changing:
            if live.state is RoomState.REMOVING:
                await self._finish(live, "deleted")

    async def _new_stream(self, room: RoomId) -> Stream:
        key = await self.make_key(room, 0, secrets.token_hex(KEY_BYTES))
        return Stream(
            boot=self._clock.boot,
            base_tick=self._clock.tick(),
            base_unix_s=self._clock.unix(),
            keys=(StreamKey(0, key, secrets.token_bytes(KEY_BYTES)),),
            secret=secrets.token_bytes(SECRET_BYTES),
        )

    def _livemeta(self, state: StoredState) -> bytes:
        return encode_livemeta(LiveMeta(state, self._clock.now()))


def _nothing_is_left(_room: Room, _stream: Stream, _revoked: Iterable[UserId]) -> None:
    """Nobody asks for anything of a room that is gone."""


async def _nothing_to_do(_room: RoomId, _stream: Stream) -> None:
    """Nothing has to be done before a room ends."""


async def _nothing_to_finish(_room: RoomId) -> None:
    """Nothing has to be finished before a room is removed."""


async def _nothing_to_end(_room: RoomId, _user: UserId) -> None:
    """Somebody who was taken out hears nothing in any other way."""


def _not_recorded(_room: RoomId) -> RecordingSpec | None:
    """Nothing is recorded."""
    return None


async def _random_key(_room: RoomId, _epoch: int, _salt: str) -> bytes:
    """Nobody else makes the keys."""
    return secrets.token_bytes(KEY_BYTES)


def _nobody_cares(_room: RoomId) -> None:
    """Nobody is told what becomes of rooms."""


def _key(room: RoomId, part: str) -> str:
    return f"{PREFIX}{room}/{part}"


def _stream_records(live: _Live) -> dict[str, bytes]:
    return {_key(live.room.id, part): value for part, value in live.stream.records().items()}


def _secret() -> str:
    return secrets.token_urlsafe(INVITE_BYTES)


def _by_room(records: Iterable[Record]) -> Mapping[str, dict[str, Record]]:
    rooms: defaultdict[str, dict[str, Record]] = defaultdict(dict)
    for record in records:
        room, _, part = record.key.removeprefix(PREFIX).partition("/")
        rooms[room][part] = record
    return rooms


def _revoked(records: Mapping[str, Record], now: float) -> dict[UserId, float]:
    revoked = {}
    for part, record in records.items():
        kind, _, text = part.partition("/")
        user = user_id(text)
        if kind == "revoked" and user is not None and record.value.isdigit():
            until = float(record.value)
            if until > now:
                revoked[user] = until
    return revoked
