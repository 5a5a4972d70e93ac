"""Media planes that mix nothing: they note what they were told and say what a test wants."""

import asyncio
import os
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Collection, Mapping

from hls.core.fmp4 import AacFormat
from hls.core.soundpart import SoundPart
from hls.types import BroadcastSpec, Caption, CaptionFate, PlaylistKind, Reading, RecordingReport
from mixer.errors import PeerGone
from mixer.types import (
    Histogram,
    OverloadLevel,
    PeerId,
    PeerStatistics,
    PlaneEvent,
    PlaneStatistics,
    PlayerSpec,
    RoomId,
    RoomSpec,
)
from server.domain.media import Media
from server.domain.output import Target
from server.domain.playlist_text import PlaylistText
from server.domain.reload import PlaylistAsk, Wait
from server.errors import OutputFailed, PlaneUnavailable, SoundRefused
from server.ports import PlaneLost, Told

SOUND = SoundPart(AacFormat(b"\x11\x88", 1, 128_000), (b"sound",) * 15, b"silence")
ANSWER = "v=0\r\nanswer\r\n"


class FakeMixer:
    """A MediaPlane. `is_away` makes it unavailable, `refusal` is raised by the next offers."""

    def __init__(self, name: str = "mixer") -> None:
        self.name = name
        self.specs: dict[RoomId, RoomSpec] = {}
        self.offers: list[tuple[RoomId, PeerId, str]] = []
        self.candidates: list[str] = []
        self.listening: set[tuple[RoomId, PeerId]] = set()
        self.dropped: list[PeerId] = []
        self.is_away = False
        self.late_share = 0.0
        self.busy_share = 0.0
        self.overload_level = OverloadLevel.NONE
        self.described: tuple[PeerStatistics, ...] = ()
        self.refusal: Exception | None = None
        self.played: dict[tuple[RoomId, str], PlayerSpec] = {}
        self.fed: defaultdict[str, list[bytes]] = defaultdict(list)
        self.stopped: list[str] = []
        self.gains: dict[str, float] = {}
        self._events: deque[PlaneEvent | PlaneLost] = deque()
        self._came = asyncio.Event()

    @property
    def capabilities(self) -> frozenset[str]:
        return frozenset()

    async def apply(self, spec: RoomSpec) -> None:
        self._check()
        before = self.specs.get(spec.room)
        if before is None or spec.version > before.version:
            self.specs[spec.room] = spec

    async def accept_offer(
        self, room: RoomId, peer: PeerId, sdp: str, *, listener: bool = False
    ) -> str:
        self._check()
        if self.refusal is not None:
            raise self.refusal
        spec = self.specs.get(room)
        if spec is None or listener is (peer in {anchor.peer for anchor in spec.anchors}):
            raise PeerGone(f"{peer} is not in {room}")
        self.offers.append((room, peer, sdp))
        if listener:
            self.listening.add((room, peer))
        return ANSWER

    async def drop_peer(self, room: RoomId, peer: PeerId) -> None:
        self._check()
        self.dropped.append(peer)
        self.listening.discard((room, peer))

    async def add_candidate(self, room: RoomId, peer: PeerId, candidate: str) -> None:
        self._check()
        self.candidates.append(candidate)

    async def statistics(self) -> Mapping[str, PlaneStatistics]:
        self._check()
        gauges = {
            "rooms": float(len(self.specs)),
            "ticks_late_share": self.late_share,
            "tick_busy_share": self.busy_share,
            "overload_level": float(self.overload_level),
        }
        return {
            self.name: PlaneStatistics(
                {"packets_total": 7},
                gauges,
                {"tick_lateness_seconds": Histogram((0.001, 0.01), (5, 2, 1), 0.25)},
            )
        }

    async def peers(self, room: RoomId) -> tuple[PeerStatistics, ...]:
        self._check()
        return self.described if room in self.specs else ()

    async def play(self, room: RoomId, spec: PlayerSpec) -> None:
        self._check()
        if room not in self.specs:
            raise PeerGone(f"there is no room {room}")
        if self.refusal is not None:
            raise self.refusal
        self.played[room, spec.name] = spec

    def feed(self, room: RoomId, name: str, pcm: bytes) -> bool:
        if not self.is_away:
            self.fed[name].append(pcm)
        return not self.is_away

    async def stop(self, room: RoomId, name: str) -> None:
        self._check()
        self.stopped.append(name)

    async def set_volume(self, room: RoomId, name: str, gain_db: float) -> None:
        self._check()
        self.gains[name] = gain_db

    async def events(self) -> AsyncIterator[PlaneEvent | PlaneLost]:
        while True:
            while self._events:
                yield self._events.popleft()
            self._came.clear()
            await self._came.wait()

    def emit(self, event: PlaneEvent | PlaneLost) -> None:
        self._events.append(event)
        self._came.set()

    def _check(self) -> None:
        if self.is_away:
            raise PlaneUnavailable


class FakeMember(FakeMixer):
    """A mixer of a fleet. `refuses_to_start` is what its start raises."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.starts = 0
        self.refuses_to_start: Exception | None = None
        self.able = frozenset({"mix-minus"})

    @property
    def capabilities(self) -> frozenset[str]:
        return self.able

    @property
    def is_up(self) -> bool:
        return not self.is_away

    async def start(self, _supervisor: object) -> None:
        self.starts += 1
        if self.refuses_to_start is not None:
            raise self.refuses_to_start

    async def close(self) -> None:
        self.is_away = True

    async def statistics(self) -> Mapping[str, PlaneStatistics]:
        if self.is_away:
            return {self.name: PlaneStatistics(gauges={"mixer_up": 0.0})}
        return await super().statistics()

    async def apply(self, spec: RoomSpec) -> None:
        """Keep it while away, as a worker's plane does; a closed room is forgotten."""
        before = self.specs.get(spec.room)
        if before is None or spec.version > before.version:
            self.specs[spec.room] = spec
        if self.specs[spec.room].closed and not self.is_away:
            del self.specs[spec.room]

    def die(self) -> None:
        """Be away, and say so."""
        self.is_away = True
        self.emit(PlaneLost())

    def come_back(self) -> None:
        """Serve again; what was wanted while it was away is done."""
        self.is_away = False
        for room in [room for room, spec in self.specs.items() if spec.closed]:
            del self.specs[room]


def nobody_hears_reports(_report: RecordingReport) -> None:
    """Nobody wants to know how recordings are."""


class FakeBroadcast:
    """A BroadcastPlane: all rooms have the same playlists and media, once they are set.

    Unless it `is_prompt` it knows nothing without being asked.
    `texts` has other playlists by rendition and kind. What is asked for with `msn`, and media in
    `hinted`, waits until `go_on`; `refusal` is raised instead of any answer.
    """

    def __init__(self) -> None:
        self.specs: dict[str, BroadcastSpec] = {}
        self.playlist_text: str | None = None
        self.texts: dict[tuple[str, PlaylistKind], str] = {}
        self.media: dict[str, bytes] = {}
        self.captions: list[tuple[str, Caption]] = []
        self.caption_fate = CaptionFate.SHOWN
        self.talking: list[tuple[str, list[str]]] = []
        self.ended: list[str] = []
        self.last_words: str | None = None  # the playlist as it is when the stream has ended
        self.readings: dict[str, Reading] = {}
        self.reported: Callable[[RecordingReport], None] = nobody_hears_reports
        self.hinted: set[str] = set()
        self.asked: list[PlaylistAsk] = []
        self.refusal: Exception | None = None
        self.missing: set[int] = set()
        self.is_prompt = True
        self.waiting: dict[asyncio.Future[None], str] = {}

    async def apply(self, spec: BroadcastSpec) -> None:
        self.specs[spec.room] = spec
        if not spec.on_air:
            self.go_on(spec.room)

    def spec(self, room: RoomId) -> BroadcastSpec | None:
        spec = self.specs.get(room)
        return spec if spec is not None and spec.on_air else None

    def captioned(self, room: RoomId) -> BroadcastSpec | None:
        spec = self.specs.get(room)
        return None if spec is None or not (spec.on_air or spec.recording) else spec

    async def end(self, room: RoomId) -> None:
        self._check()
        self.ended.append(room)
        if self.last_words is not None:
            self.playlist_text = self.last_words

    async def playlist(self, room: RoomId, ask: PlaylistAsk) -> PlaylistText | None:
        self.asked.append(ask)
        if ask.msn is not None:
            await self._wait(room)
        self._check()
        return self._text(room, ask)

    def _text(self, room: RoomId, ask: PlaylistAsk) -> PlaylistText | None:
        spec = self.spec(room)
        if spec is None or self.playlist_text is None:
            return None
        rendition = ask.rendition or spec.renditions[0].name
        return PlaylistText(self.texts.get((rendition, ask.kind), self.playlist_text))

    async def fetch(self, room: RoomId, rendition: str, name: str) -> Media | None:
        if name in self.hinted:
            await self._wait(room)
        self._check()
        return self._media(rendition, name) if self.spec(room) else None

    def _media(self, rendition: str, name: str) -> Media | None:
        data = self.media.get(f"{rendition}/{name}", self.media.get(name))
        return None if data is None else Media(data)

    async def sound(self, room: RoomId, part: int) -> SoundPart | None:
        await asyncio.sleep(0.002)  # sleep: a part takes its time, or readers would get no turn
        self._check()
        if part in self.missing or self.spec(room) is None:
            return None
        return SOUND

    async def caption(self, room: RoomId, caption: Caption) -> CaptionFate:
        self._check()
        self.captions.append((room, caption))
        return self.caption_fate

    async def talk(self, room: RoomId, names: Collection[str]) -> None:
        self.talking.append((room, sorted(names)))

    def playlist_now(self, room: RoomId, ask: PlaylistAsk) -> PlaylistText | Wait | None:
        if not self.is_prompt or self.refusal is not None:
            return None
        if ask.msn is not None:
            return Wait(0, ask)
        self.asked.append(ask)
        return self._text(room, ask)

    def media_now(self, room: RoomId, rendition: str, name: str) -> Media | Wait | None:
        if not self.is_prompt or self.refusal is not None:
            return None
        return Wait(0, (rendition, name)) if name in self.hinted else self._media(rendition, name)

    def wait(self, room: RoomId, wait: Wait, done: Told) -> Callable[[], None]:
        mine = asyncio.get_running_loop().create_future()
        self.waiting[mine] = room

        def tell(_: object) -> None:
            if self.waiting.pop(mine, None) is None:
                return
            what = wait.what
            if isinstance(what, PlaylistAsk):
                self.asked.append(what)
                done(None if self.refusal else self._text(room, what), self.refusal)
            else:
                assert isinstance(what, tuple)
                done(None if self.refusal else self._media(*what), self.refusal)

        mine.add_done_callback(tell)

        def leave() -> None:
            self.waiting.pop(mine, None)

        return leave

    async def loudness(self, room: RoomId) -> Mapping[str, Reading]:
        return self.readings if self.spec(room) else {}

    def blocked(self, room: RoomId) -> int:
        return sum(one == room for one in self.waiting.values())

    async def statistics(self) -> PlaneStatistics:
        return PlaneStatistics({"segments_total": 3})

    def go_on(self, room: str) -> None:
        """Answer everybody who waits for a room."""
        for one, waiting_for in list(self.waiting.items()):
            if waiting_for == room and not one.done():
                one.set_result(None)

    async def _wait(self, room: RoomId) -> None:
        mine = asyncio.get_running_loop().create_future()
        self.waiting[mine] = room
        try:
            await mine
        finally:
            del self.waiting[mine]

    def _check(self) -> None:
        if self.refusal is not None:
            raise self.refusal


class FakeSoundProcess:
    """A SoundProcess that answers each part with its own frames; `die` ends it."""

    def __init__(self, target: Target | None) -> None:
        self.target = target
        self.fed: list[tuple[int, SoundPart]] = []
        self.last_words = ""
        self.is_closed = False
        self.is_full = False
        self._answers: deque[bytes] = deque()
        self._came = asyncio.Event()

    def feed(self, first_frame: int, part: SoundPart) -> bool:
        if self.is_full:
            return False
        self.fed.append((first_frame, part))
        self._answers.append(b"" if self.target else b"mp3 " * 100)
        self._came.set()
        return True

    async def read(self) -> bytes:
        while not self._answers:
            if self.last_words or self.is_closed:
                raise OutputFailed(self.last_words)
            self._came.clear()
            await self._came.wait()
        return self._answers.popleft()

    async def close(self) -> None:
        self.is_closed = True
        self._came.set()

    def die(self, last_words: str) -> None:
        self.last_words = last_words
        self._came.set()


class FakeSoundProcesses:
    """A SoundProcesses; `refusal` is raised instead of starting one."""

    def __init__(self) -> None:
        self.started: list[FakeSoundProcess] = []
        self.refusal: Exception | None = None
        self.forbidden: Exception | None = None

    def check(self, _target: Target) -> None:
        if self.forbidden is not None:
            raise self.forbidden

    async def encoder(self) -> FakeSoundProcess:
        return self._start(None)

    async def publisher(self, target: Target) -> FakeSoundProcess:
        return self._start(target)

    def _start(self, target: Target | None) -> FakeSoundProcess:
        if self.refusal is not None:
            raise self.refusal
        self.started.append(FakeSoundProcess(target))
        return self.started[-1]


class FakeDecoding:
    """A Decoding of a second of nothing: `chunks` are what is left to read."""

    def __init__(self, chunks: list[bytes]) -> None:
        self.length_s: float | None = 1.0
        self.chunks = chunks
        self.is_closed = False
        self.fails: str | None = None

    async def read(self) -> bytes:
        if self.chunks:
            return self.chunks.pop(0)
        if self.fails is not None:
            raise SoundRefused(self.fails)
        return b""

    async def close(self) -> None:
        self.is_closed = True


class FakeDecoder:
    """A SoundDecoder whose next files are `chunks` long. `refusal` is raised instead."""

    def __init__(self) -> None:
        self.opened: list[FakeDecoding] = []
        self.chunks = 10
        self.read: list[bytes] = []
        self.refusal: Exception | None = None
        self.fails: str | None = None
        self.length_s: float | None = 1.0

    async def open(self, sound_fd: int, *, is_looped: bool) -> FakeDecoding:
        self.read.append(os.pread(sound_fd, 1 << 20, 0))
        if self.refusal is not None:
            raise self.refusal
        made = FakeDecoding([bytes([n]) * 1920 * 5 for n in range(self.chunks)])
        made.fails, made.length_s = self.fails, self.length_s
        self.opened.append(made)
        return made
