"""Announcements of all rooms: from a decoder to a player, and what became of each."""

import asyncio
import secrets
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import IO, Final

import structlog

from mixer.errors import MixerError, PeerGone
from mixer.types import PlaneEvent, Played, RoomId
from server.backoff import delays_s
from server.domain.announcement import EVERYBODY, Announcement, Lookahead, PlayEvent, PlayState
from server.domain.identity import user_id
from server.domain.webhook import Kind
from server.errors import NotFound, PlaneUnavailable, SoundRefused, TooMany
from server.ports import Decoding, PlaneLost, PlayerPlane, SoundDecoder
from server.rpc.codec import Notification
from server.services.happenings import Happened, nobody_hears
from server.services.presence import Presence
from server.supervise import Supervisor

log = structlog.get_logger(__name__)

MAX_IN_ROOM: Final = 8  # a mixer's room plays 16, those that fade out included
MAX_PLAYING: Final = 32  # decoders are processes, of 75 MB each
MAX_OVER: Final = 8  # of each room, for whoever wants to know what became of them
READ_FRAMES: Final = 5  # a decoder gives that many at a time
RETRY_S: Final = 0.2  # a player that could not be fed is fed then
LAST_WORDS_S: Final = 2.0  # five times a second the mixer says how far it is
BEGIN_S: Final = 10.0  # a mixer is back after half a second, or something is wrong


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody asks for; `to` is EVERYBODY, a user id or the name of a bus."""

    name: str = ""
    to: str = EVERYBODY
    gain_db: float = 0.0
    is_looped: bool = False


@dataclass(eq=False, slots=True)
class _Run:
    """An announcement that is being played."""

    now: Announcement
    decoding: Decoding
    ahead: Lookahead = field(default_factory=Lookahead)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    has_space: asyncio.Event = field(default_factory=asyncio.Event)
    heard_at: float = 0.0
    """When the mixer last said how far it is."""
    is_lost: bool = False
    is_over: bool = False
    task: asyncio.Task[None] | None = None


class Announcer:
    """Plays sounds into rooms; a mixer that dies costs a gap, a decoder that dies its own sound."""

    def __init__(self, plane: PlayerPlane, decoder: SoundDecoder, presence: Presence) -> None:
        self.counters: Counter[str] = Counter()
        self._plane = plane
        self._decoder = decoder
        self._presence = presence
        self._runs: dict[tuple[RoomId, str], _Run] = {}
        self._over: dict[RoomId, dict[str, Announcement]] = {}
        self._owner: Supervisor | None = None
        self.happened: Happened = nobody_hears

    def serve(self, owner: Supervisor) -> None:
        """Play on tasks of this supervisor; with it everything ends."""
        self._owner = owner

    @property
    def count(self) -> int:
        """How many are being played."""
        return len(self._runs)

    def list(self, room: RoomId) -> list[Announcement]:
        """Return what is played in a room, behind what was played lately."""
        running = [run.now for (where, _), run in self._runs.items() if where == room]
        return [*self._over.get(room, {}).values(), *running]

    def playing_in(self, room: RoomId) -> int:
        """How many are being played in a room."""
        return sum(where == room for where, _ in self._runs)

    def check_space(self, room: RoomId) -> None:
        """Raise TooMany if one more could not be played there now."""
        if self.playing_in(room) >= MAX_IN_ROOM:
            raise TooMany(f"A room plays at most {MAX_IN_ROOM} announcements at a time")
        if len(self._runs) >= MAX_PLAYING:
            raise TooMany(f"This server plays at most {MAX_PLAYING} announcements at a time")

    async def play(self, room: RoomId, wanted: Wanted, sound: IO[bytes]) -> Announcement:
        """Begin to play an open sound file, which is closed in any case.

        Raises SoundRefused, NotFound (no such person), TooMany, PlaneUnavailable, MixerError.
        """
        with sound:
            user = user_id(wanted.to)
            if user is not None and not self._presence.is_in(room, user):
                raise NotFound("There is no such person in the room")
            self.check_space(room)
            decoding = await self._decoder.open(sound.fileno(), is_looped=wanted.is_looped)
        try:
            run = await self._begin_first(room, wanted, decoding)
        except BaseException:
            await decoding.close()
            raise
        self.counters["announcements_started"] += 1
        self._tell(run.now)
        return run.now

    async def _begin_first(self, room: RoomId, wanted: Wanted, decoding: Decoding) -> _Run:
        self.check_space(room)  # others may have begun meanwhile
        now = Announcement(
            id=secrets.token_hex(8),
            room=room,
            name=wanted.name,
            to=wanted.to,
            gain_db=wanted.gain_db,
            is_looped=wanted.is_looped,
            length_s=decoding.length_s,
        )
        run = self._runs[room, now.id] = _Run(now, decoding)
        try:
            await self._begin(run)
        except BaseException:
            self._runs.pop((room, now.id), None)
            raise
        if (room, now.id) not in self._runs:
            raise NotFound("The room is gone")
        assert self._owner is not None, "serve() comes first"
        # Ends with what it plays, with the room, or with the server.
        run.task = self._owner.spawn(self._live(run), name=f"announcement {now.id}")
        return run

    def get(self, room: RoomId, name: str) -> Announcement:
        """Return an announcement by its id. Raises NotFound."""
        run = self._runs.get((room, name))
        found = run.now if run is not None else self._over.get(room, {}).get(name)
        if found is None:
            raise NotFound("There is no such announcement")
        return found

    async def set_gain(self, room: RoomId, name: str, gain_db: float) -> Announcement:
        """Make an announcement as loud as that. Raises NotFound, MixerError."""
        run = self._runs.get((room, name))
        if run is None:
            return self.get(room, name)  # too late, and no harm
        run.now = replace(run.now, gain_db=gain_db)
        with suppress(PlaneUnavailable):  # then it begins anew, as loud as that
            await self._plane.set_volume(room, name, gain_db)
        return run.now

    async def stop(self, room: RoomId, name: str) -> None:
        """Fade an announcement out; one that is over is forgotten. Raises NotFound."""
        run = self._runs.get((room, name))
        if run is None:
            self.get(room, name)
            del self._over[room][name]
            return
        run.now = run.now.happen(PlayEvent.STOP)
        try:
            await self._plane.stop(room, name)
        except PlaneUnavailable:  # silent already
            run.is_over = True
            run.changed.set()

    def forget(self, room: RoomId) -> None:
        """The room is gone, and with it what it played."""
        self._over.pop(room, None)
        for key, run in list(self._runs.items()):
            if key[0] == room:
                del self._runs[key]
                if run.task is not None:
                    run.task.cancel()

    def handle(self, event: PlaneEvent | PlaneLost) -> None:
        """Take what the mixer says."""
        if isinstance(event, Played):
            run = self._runs.get((event.room, event.name))
            if run is not None:
                self._moved(run, event)
        elif isinstance(event, PlaneLost):
            for (room, _), run in self._runs.items():
                if event.rooms is None or room in event.rooms:
                    run.is_lost = True
                    run.changed.set()

    def _moved(self, run: _Run, event: Played) -> None:
        run.ahead.take(event.frames)
        run.now = replace(run.now, frames=run.ahead.taken)
        run.heard_at = asyncio.get_running_loop().time()
        run.has_space.set()
        if event.is_over:
            run.is_over = True
            run.changed.set()

    # The life of one

    async def _live(self, run: _Run) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                reader = group.create_task(self._read(run), name=f"sound of {run.now.id}")
                await self._keep_playing(run)
                reader.cancel()
        except* (SoundRefused, PlaneUnavailable, MixerError) as failed:
            self._finish(run, PlayEvent.FAIL, str(failed.exceptions[0]))
            self._plane.feed(run.now.room, run.now.id, b"")  # what it has may be heard
        else:
            self._finish(run, PlayEvent.OVER)
        finally:
            self._runs.pop((run.now.room, run.now.id), None)
            await run.decoding.close()

    async def _read(self, run: _Run) -> None:
        """Read as far ahead as may be, until the end."""
        while True:
            while not run.ahead.has_space(READ_FRAMES):
                run.has_space.clear()
                await run.has_space.wait()
            chunk = await run.decoding.read()
            run.ahead.push(chunk)
            self._feed(run)
            if not chunk:
                return

    async def _keep_playing(self, run: _Run) -> None:
        """Return when it is over, or should be and the mixer says nothing."""
        loop = asyncio.get_running_loop()
        run.heard_at = loop.time()
        while not run.is_over:
            run.changed.clear()
            if run.is_lost:
                if run.now.state is PlayState.STOPPING:
                    return
                await self._begin(run)
            self._feed(run)
            try:
                async with asyncio.timeout(RETRY_S):
                    await run.changed.wait()
            except TimeoutError:
                if loop.time() - run.heard_at > LAST_WORDS_S and _has_nothing_left(run):
                    return

    def _feed(self, run: _Run) -> None:
        room, name = run.now.room, run.now.id
        while not run.is_lost and (chunk := run.ahead.to_send()) is not None:
            if not self._plane.feed(room, name, chunk):
                return
            run.ahead.sent()

    async def _begin(self, run: _Run) -> None:
        """Have it played, or go on where another player was. Raises PlaneUnavailable, MixerError.

        The mixer may be on its way back, or not have heard of the room yet.
        """
        deadline = asyncio.get_running_loop().time() + BEGIN_S
        for delay_s in delays_s(0.05, 1.0):
            run.is_lost = False
            run.ahead.restart()
            try:
                await self._plane.play(run.now.room, run.now.spec())
            except (PlaneUnavailable, PeerGone):
                if asyncio.get_running_loop().time() > deadline:
                    raise
                await asyncio.sleep(delay_s)
            else:
                return

    def _finish(self, run: _Run, event: PlayEvent, reason: str = "") -> None:
        run.now = run.now.happen(event, reason)
        if self._runs.pop((run.now.room, run.now.id), None) is None:
            return  # the room is gone
        over = self._over.setdefault(run.now.room, {})
        over[run.now.id] = run.now
        while len(over) > MAX_OVER:
            del over[next(iter(over))]
        self.counters[f"announcements_{run.now.state.value}"] += 1
        self._tell(run.now)

    def _tell(self, now: Announcement) -> None:
        what: dict[str, object] = {"id": now.id, "name": now.name, "state": now.state.value}
        log.info("announcement", room=now.room, **what, reason=now.reason)
        if now.reason:
            what["reason"] = now.reason
        told = Notification("announcement", what)
        self._presence.tell(now.room, told, only=user_id(now.to))
        is_playing = now.state is PlayState.PLAYING
        kind = Kind.ANNOUNCEMENT_STARTED if is_playing else Kind.ANNOUNCEMENT_ENDED
        self.happened(kind, now.room, {"roomId": now.room, "announcementId": now.id} | what)


def _has_nothing_left(run: _Run) -> bool:
    return run.now.state is PlayState.STOPPING or run.ahead.is_done
