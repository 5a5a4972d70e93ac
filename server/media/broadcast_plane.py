"""A `BroadcastPlane` in a process of its own."""

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeGuard

import structlog

from hls.core.soundpart import SoundPart, decode
from hls.types import (
    BroadcastSpec,
    Caption,
    CaptionFate,
    PlaylistKind,
    Position,
    Reading,
    RecordingReport,
)
from mixer.types import Cancellable, PlaneStatistics, RoomId
from server.domain.media import Media
from server.domain.playlist_text import PlaylistText
from server.domain.reload import BLOCKED_S, Parts, PlaylistAsk, Wait
from server.errors import BlockedTooFar, NotFound, PlaneUnavailable
from server.media import wire
from server.media.blocked import Blocked
from server.media.child import ChildSpec, Patience, program
from server.media.link import Link, SpecForm
from server.media.progress import FOLLOWED_S
from server.media.segment_cache import SegmentCache
from server.media.single_flight import SingleFlight
from server.ports import Told
from server.rpc.dispatch import Dispatcher
from server.rpc.framing import FrameKind
from server.supervise import Supervisor

log = structlog.get_logger(__name__)

PLAYLIST_STALE_S: Final = 6.0  # served while the process is away: three segments, as players wait
# After we asked; who begins to wait then is still told of every part.
_TRUSTED_S: Final = FOLLOWED_S - BLOCKED_S - 0.5
_FRESH_S: Final = 2.0  # a text, if no part is told of: the process may hang

_FORM: SpecForm[BroadcastSpec] = SpecForm(
    params=wire.broadcast_params, is_over=lambda spec: not spec.on_air and spec.recording is None
)


def _nobody_hears(_report: RecordingReport) -> None:
    """Nobody wants to know how recordings are."""


class _Form(NamedTuple):
    """A playlist as all want it who ask for the same.

    `rendition` is as it was asked for, "" for the default one: the ways to the others depend on it.
    """

    rendition: str
    kind: PlaylistKind
    skip: bool


class _Name(NamedTuple):
    """A piece of media."""

    rendition: str
    name: str

    @property
    def path(self) -> str:
        return f"{self.rendition}/{self.name}"


class _Sound(NamedTuple):
    """A part in the clear."""

    part: int


@dataclass(frozen=True, slots=True)
class _Held:
    at: float
    position: int
    text: PlaylistText


@dataclass(slots=True)
class _Seen:
    """What is known of a room: `position` is the part to come, told of until `until`."""

    parts: Parts
    position: int = -1
    until: float = 0.0
    texts: dict[_Form, _Held] = field(default_factory=dict)

    def is_fresh(self, form: _Form, held: _Held, now: float) -> bool:
        """Whether a text is still what the process would answer."""
        if now >= self.until or now - held.at >= _FRESH_S:
            return False
        if form.kind is PlaylistKind.LOW_LATENCY:
            return held.position == self.position
        return self.parts.msn(held.position) == self.parts.msn(self.position)


class WorkerBroadcastPlane:
    """A broadcast process: started again when it dies or hangs, and told all broadcasts again.

    Meanwhile the last playlist is served for six seconds, and segments that were fetched before;
    who waits for a part goes on waiting.
    """

    def __init__(
        self,
        audio_socket: Path,
        *,
        command: Sequence[str] | None = None,
        patience: Patience | None = None,
        spool: wire.SpoolSettings | None = None,
    ) -> None:
        """Prepare a process that hears the mixers at `audio_socket`; `start` starts it."""
        child = ChildSpec(
            name="broadcast",
            verb="broadcast",
            settings={
                "audio_socket": str(audio_socket),
                "window_folder": str(audio_socket.parent),
                "spool": None if spool is None else spool.model_dump(),
            },
            command=command or program(),
            patience=patience or Patience(),
        )
        self.reported: Callable[[RecordingReport], None] = _nobody_hears
        self._link = Link(
            child,
            _FORM,
            add_methods=self._add_methods,
            take_frame=self._take_blob,
            lost=self._lose,
        )
        self._segments = SegmentCache()
        self._seen: dict[str, _Seen] = {}
        self._talking: dict[str, frozenset[str]] = {}  # who can be heard, as each process is told
        self._blobs: dict[int, bytes | None] = {}  # asked for; bounded by the calls under way
        self._blob_numbers = itertools.count(1)
        self._lost = asyncio.Event()
        self._scope: Supervisor | None = None
        self._following: SingleFlight[str, int | None] = SingleFlight(self._spawn, name="follow")
        self._asking: SingleFlight[tuple[str, _Form], _Held | None] = SingleFlight(
            self._spawn, name="playlist"
        )
        self._fetching: SingleFlight[tuple[str, _Name], Media | None] = SingleFlight(
            self._spawn, name="segment"
        )
        self._blocked: Blocked[_Form | _Name | _Sound, PlaylistText | Media | SoundPart] = Blocked(
            self._spawn, self._answer
        )

    async def start(self, supervisor: Supervisor) -> None:
        """Start the process and wait until it serves. Raises SetupMistake if it cannot."""
        self._scope = supervisor
        await self._link.start(supervisor)
        _ = supervisor.spawn(self._resume(), name="resume_blocked")  # ends with the supervisor

    async def close(self) -> None:
        """End the process."""
        await self._link.close()

    @property
    def is_up(self) -> bool:
        """The process serves."""
        return self._link.is_up

    async def wait_up(self) -> None:
        """Wait until it serves."""
        await self._link.wait_up()

    @property
    def pid(self) -> int | None:
        """The process, None between two."""
        return self._link.pid

    async def apply(self, spec: BroadcastSpec) -> None:
        """See BroadcastPlane. Raises BadSpec."""
        known = self._link.spec(spec.room)
        if known is not None and spec.version <= known.version:
            return
        if not spec.on_air or known is None or _stream(known) != _stream(spec):
            self._segments.forget(spec.room)  # a new stream begins; its names begin anew
            if not spec.on_air:
                self._talking.pop(spec.room, None)
            self._seen.pop(spec.room, None)
            self._blocked.end(spec.room)
        elif (seen := self._seen.get(spec.room)) is not None:
            seen.texts.clear()
            seen.parts = Parts(spec)
        await self._link.apply(spec)

    def spec(self, room: RoomId) -> BroadcastSpec | None:
        """See BroadcastPlane."""
        spec = self._link.spec(room)
        return spec if spec is not None and spec.on_air else None

    def captioned(self, room: RoomId) -> BroadcastSpec | None:
        """See BroadcastPlane."""
        spec = self._link.spec(room)
        return None if spec is None or _FORM.is_over(spec) else spec

    async def end(self, room: RoomId) -> None:
        """See BroadcastPlane."""
        spec, now = self.spec(room), asyncio.get_running_loop().time()
        if spec is None:
            return
        position = await self._link.ask(wire.POSITION_OR_NONE, "end", {"room": room})
        if position is None or self._link.spec(room) is not spec:
            return
        self._forget_texts(room)
        self._note(spec, position, now)  # players fetch the last part, and then hear of the end
        await self._link.ask(wire.NOTHING, "markEnd", {"room": room})
        self._forget_texts(room)

    def _forget_texts(self, room: RoomId) -> None:
        if (seen := self._seen.get(room)) is not None:
            seen.texts.clear()

    async def playlist(self, room: RoomId, ask: PlaylistAsk) -> PlaylistText | None:
        """See BroadcastPlane."""
        spec = self.spec(room)
        if spec is None:
            return None
        parts = Parts(spec)
        _check(spec, ask.rendition)
        form = _Form(ask.rendition, parts.kind(ask), parts.may_skip(ask))
        wanted = parts.wanted(ask)
        if wanted is None:
            return await self._newest(room, form)
        position = await self._position(room)
        if position is None:
            return None
        if position > wanted:
            try:
                return await self._current(room, form)
            except PlaneUnavailable:
                log.debug("playlist_waits", room=room)  # it is mostly back in time
        elif parts.is_too_far(ask, position):
            raise BlockedTooFar
        answer = await self._blocked.wait(room, wanted, form)
        assert not isinstance(answer, Media | SoundPart), "a form is answered by a text"
        return answer

    async def fetch(self, room: RoomId, rendition: str, name: str) -> Media | None:
        """See BroadcastPlane."""
        spec = self.spec(room)
        if spec is None:
            return None
        wanted = _Name(_rendition(spec, rendition), name)
        held = self._segments.get(room, wanted.path)
        if held is not None:
            return held
        part = Parts(spec).named(name)
        if part is not None:
            position = await self._position(room)
            if position is None or part > position:
                return None
            if part == position:  # what a playlist gives a hint of
                answer = await self._blocked.wait(room, part, wanted)
                assert not isinstance(answer, PlaylistText | SoundPart), "a name is media"
                return answer
        return await self._fetching.do((room, wanted), lambda: self._ask_segment(room, wanted))

    async def sound(self, room: RoomId, part: int) -> SoundPart | None:
        """See BroadcastPlane."""
        if self.spec(room) is None:
            return None
        position = await self._position(room)
        if position is None:
            return None
        if part < position:
            return await self._ask_sound(room, part)
        answer = await self._blocked.wait(room, part, _Sound(part))
        assert answer is None or isinstance(answer, SoundPart), "that is how it is answered"
        return answer

    def playlist_now(self, room: RoomId, ask: PlaylistAsk) -> PlaylistText | Wait | None:
        """See PromptBroadcast."""
        spec, seen = self.spec(room), self._seen.get(room)
        now = asyncio.get_running_loop().time()
        if spec is None or seen is None or now >= seen.until or not _has(spec, ask.rendition):
            return None
        form = _Form(ask.rendition, seen.parts.kind(ask), seen.parts.may_skip(ask))
        wanted = seen.parts.wanted(ask)
        if wanted is None or seen.position > wanted:
            held = seen.texts.get(form)
            if held is not None and seen.is_fresh(form, held, now):
                return held.text
        elif seen.parts.is_too_far(ask, seen.position):
            return None
        return None if self._blocked.is_full else Wait(-1 if wanted is None else wanted, form)

    def media_now(self, room: RoomId, rendition: str, name: str) -> Media | Wait | None:
        """See PromptBroadcast."""
        spec, seen = self.spec(room), self._seen.get(room)
        if spec is None or not _has(spec, rendition):
            return None
        wanted = _Name(_rendition(spec, rendition), name)
        held = self._segments.get_known(room, wanted.path)
        if held is not None or seen is None or self._blocked.is_full:
            return held
        if asyncio.get_running_loop().time() >= seen.until:
            return None
        part = seen.parts.named(name)
        return Wait(part, wanted) if part is not None and part <= seen.position else None

    def wait(self, room: RoomId, wait: Wait, done: Told) -> Callable[[], None]:
        """See PromptBroadcast."""
        what = wait.what
        assert isinstance(what, _Form | _Name), "it is one of ours"

        def tell(answer: PlaylistText | Media | SoundPart | None, error: Exception | None) -> None:
            assert not isinstance(answer, SoundPart), "forms and names are answered otherwise"
            done(answer, error)

        leave = partial(self._blocked.leave, self._blocked.park(room, wait.part, what, tell))
        seen = self._seen.get(room)
        if seen is not None and wait.part < seen.position:
            self._blocked.hurry(room, what, seen.position)  # it is there, and only to be fetched
        return leave

    def blocked(self, room: RoomId) -> int:
        """See BroadcastPlane."""
        return self._blocked.count(room)

    async def talk(self, room: RoomId, names: Collection[str]) -> None:
        """See BroadcastPlane."""
        if self.spec(room) is None:
            return
        if names:
            self._talking[room] = frozenset(names)
        else:
            self._talking.pop(room, None)
        with contextlib.suppress(PlaneUnavailable):  # the next process is told
            await self._tell_talking(room)

    async def _tell_talking(self, room: str) -> None:
        names = sorted(self._talking.get(room, ()))
        await self._link.ask(wire.NOTHING, "talk", {"room": room, "names": names})

    async def caption(self, room: RoomId, caption: Caption) -> CaptionFate:
        """See BroadcastPlane."""
        if self.captioned(room) is None:
            return CaptionFate.UNKNOWN
        params = {"room": room, "caption": asdict(caption)}
        return await self._link.ask(wire.CAPTION_FATE, "caption", params)

    async def loudness(self, room: RoomId) -> Mapping[str, Reading]:
        """See BroadcastPlane."""
        if self.spec(room) is None:
            return {}
        try:
            return await self._link.ask(wire.READINGS, "loudness", {"room": room})
        except PlaneUnavailable:
            return {}

    async def statistics(self) -> PlaneStatistics:
        """Return the process's statistics and our own; while it is away only our own."""
        counters = {
            "broadcast_restarts": self._link.restarts,
            "segment_cache_hits": self._segments.hits,
            "segment_cache_misses": self._segments.misses,
            "hls_wakeups": self._blocked.wakeups,
            "hls_blocked_refused": self._blocked.refused,
            "hls_blocked_expired": self._blocked.expired,
        }
        gauges = {
            "broadcast_up": float(self.is_up),
            "segment_cache_bytes": float(self._segments.held_bytes),
            "hls_blocked": float(len(self._blocked)),
        }
        try:
            theirs = await self._link.ask(wire.STATISTICS, "statistics")
        except PlaneUnavailable:
            return PlaneStatistics(counters, gauges)
        return theirs.joined(PlaneStatistics(counters, gauges))

    # What players ask for

    async def _newest(self, room: str, form: _Form) -> PlaylistText | None:
        """Return the newest text, or while the process is away the last one for some time."""
        try:
            return await self._current(room, form)
        except PlaneUnavailable:
            seen, now = self._seen.get(room), asyncio.get_running_loop().time()
            held = seen.texts.get(form) if seen else None
            if held is not None and now - held.at < PLAYLIST_STALE_S:
                return held.text
            raise

    async def _current(self, room: str, form: _Form) -> PlaylistText | None:
        """Return a text that holds every part we know of."""
        seen, now = self._seen.get(room), asyncio.get_running_loop().time()
        position = -1
        if seen is not None:
            position, held = seen.position, seen.texts.get(form)
            if held is not None and seen.is_fresh(form, held, now):
                return held.text
        told = await self._asking.do((room, form), lambda: self._ask_playlist(room, form))
        if told is not None and told.position < position:  # asked for before we knew of the part
            told = await self._asking.do((room, form), lambda: self._ask_playlist(room, form))
        return None if told is None else told.text

    async def _position(self, room: str) -> int | None:
        """Return the part to come, as far as we know while the process is away.

        None if there is no such stream, or not any more now that we have asked.
        """
        seen = self._seen.get(room)
        if seen is not None and asyncio.get_running_loop().time() < seen.until:
            return seen.position
        try:
            return await self._following.do(room, lambda: self._follow(room))
        except PlaneUnavailable:
            seen = self._seen.get(room)  # none any more if the room has ended meanwhile
            if seen is None:
                raise
            return seen.position

    async def _answer(
        self, room: str, what: _Form | _Name | _Sound
    ) -> PlaylistText | Media | SoundPart | None:
        if isinstance(what, _Form):
            return await self._current(room, what)
        if isinstance(what, _Sound):
            return await self._ask_sound(room, what.part)
        return await self._fetching.do((room, what), lambda: self._ask_segment(room, what))

    # What the process is asked, and says

    async def _follow(self, room: str) -> int | None:
        spec, now = self._link.spec(room), asyncio.get_running_loop().time()
        position = await self._link.ask(wire.POSITION_OR_NONE, "follow", {"room": room})
        if position is None or not self._is_still(spec):
            return None
        return self._note(spec, position, now)

    async def _ask_playlist(self, room: str, form: _Form) -> _Held | None:
        spec, now = self._link.spec(room), asyncio.get_running_loop().time()
        told = await self._link.ask(
            wire.PLAYLIST_OR_NONE, "playlist", {"room": room, **form._asdict()}
        )
        if told is None or not self._is_still(spec):
            return None
        index = self._note(spec, told.position, now)
        held = _Held(now, index, PlaylistText(told.text))
        if self._link.spec(room) is spec:  # else it may still be of the spec before
            self._seen[room].texts[form] = held
        return held

    async def _ask_segment(self, room: str, wanted: _Name) -> Media | None:
        spec = self._link.spec(room)
        data = await self._ask_blob("fetch", {"room": room, **wanted._asdict()})
        if data is None or not self._is_still(spec):
            return None
        media = Media(data)
        if self._link.spec(room) is spec:
            self._segments.put(room, wanted.path, media)
        return media

    async def _ask_sound(self, room: str, index: int) -> SoundPart | None:
        spec = self._link.spec(room)
        if spec is None or not spec.on_air:  # it went off the air meanwhile
            return None
        position = asdict(Parts(spec).position(index))
        data = await self._ask_blob("sound", {"room": room, "position": position})
        return None if data is None else decode(data)

    async def _ask_blob(self, method: str, params: Mapping[str, object]) -> bytes | None:
        """Return the bytes that come beside the answer of a call, None if there are none."""
        number = next(self._blob_numbers)
        self._blobs[number] = None
        try:
            found = await self._link.ask(wire.FLAG, method, {**params, "blob": number})
        finally:
            data = self._blobs.pop(number)
        if found and data is None:
            log.error("blob_missing", method=method, room=params["room"])
            raise PlaneUnavailable
        return data if found else None

    def _is_still(self, spec: BroadcastSpec | None) -> TypeGuard[BroadcastSpec]:
        """Whether the stream that was asked of is the one that is on air now."""
        known = None if spec is None else self.spec(RoomId(spec.room))
        return spec is not None and known is not None and _stream(known) == _stream(spec)

    def _note(self, spec: BroadcastSpec, position: Position, asked: float) -> int:
        """Remember how far a room is, as it was told to who asked at that time."""
        index = Parts(spec).index(position)
        seen = self._seen.setdefault(spec.room, _Seen(Parts(spec)))
        seen.until = max(seen.until, asked + _TRUSTED_S)
        self._go_on(spec.room, seen, index)
        return index

    def _go_on(self, room: str, seen: _Seen, position: int) -> None:
        seen.position = max(seen.position, position)
        self._blocked.reached(room, seen.position)

    def _add_methods(self, dispatcher: Dispatcher) -> None:
        dispatcher.add("progress", wire.Progress, self._take_progress)
        dispatcher.add("recording", wire.Recording, self._take_report)

    async def _take_report(self, params: wire.Recording) -> object:
        self.reported(params.report)
        return None

    async def _take_progress(self, params: wire.Progress) -> object:
        seen = self._seen.get(params.room)
        if seen is not None:
            self._go_on(params.room, seen, seen.parts.index(params.position))
        return None

    def _take_blob(self, kind: FrameKind, body: bytes) -> None:
        number, data = wire.read_blob(kind, body)
        if number in self._blobs:  # else its caller has given up
            self._blobs[number] = data

    # Between two processes

    def _lose(self) -> None:
        for seen in self._seen.values():
            seen.until = 0.0  # the next one follows nothing yet
        self._lost.set()

    async def _resume(self) -> None:
        """Tell each new process who speaks, and let who waits hear of its parts, for ever."""
        while True:
            await self._lost.wait()
            self._lost.clear()
            await self._link.wait_up()
            for room in self._blocked.rooms:
                with contextlib.suppress(PlaneUnavailable):  # lost again, and looked for again
                    await self._follow(room)
            for room in tuple(self._talking):
                with contextlib.suppress(PlaneUnavailable):  # likewise
                    await self._tell_talking(room)

    def _spawn(self, coro: Coroutine[Any, Any, None], /, *, name: str) -> Cancellable:
        assert self._scope is not None, "start() comes first"
        return self._scope.spawn(coro, name=name)


def _stream(spec: BroadcastSpec) -> tuple[object, ...]:
    """Return what must stay for names and positions to mean the same."""
    return (spec.stream, spec.base_tick, spec.base_unix_s, spec.part_frames, spec.renditions)


def _has(spec: BroadcastSpec, rendition: str) -> bool:
    return not rendition or rendition in spec.names


def _check(spec: BroadcastSpec, rendition: str) -> None:
    """Raises NotFound."""
    if not _has(spec, rendition):
        raise NotFound("This broadcast has no such rendition")


def _rendition(spec: BroadcastSpec, name: str) -> str:
    """Return a rendition's own name. Raises NotFound."""
    _check(spec, name)
    return name or spec.renditions[0].name
