"""What the control plane needs from the outside, as narrow Protocols."""

from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from hls.core.soundpart import SoundPart
from hls.types import BroadcastSpec, Caption, CaptionFate, Reading, RecordingReport
from mixer.types import (
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

Told: TypeAlias = Callable[[PlaylistText | Media | None, Exception | None], None]


@dataclass(frozen=True, slots=True)
class Record:
    """A stored value; `version` is the store-wide revision of its last write (from 1)."""

    key: str
    value: bytes
    version: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A prefix as it was at `revision`, ordered by key."""

    records: tuple[Record, ...]
    revision: int


@dataclass(frozen=True, slots=True)
class Change:
    """One write: `value` is None where the key was deleted (or its lease ran out)."""

    key: str
    value: bytes | None
    version: int


@dataclass(frozen=True, slots=True)
class Conflict:
    """Nothing was written: `key` was at `version` (0 = absent), not at the one required."""

    key: str
    version: int


class Lease(Protocol):
    """Keys written under it vanish `ttl_s` after its last renewal."""

    @property
    def id(self) -> int:
        """The lease's number in its store."""

    @property
    def ttl_s(self) -> float:
        """How long it holds without being renewed."""

    async def renew(self) -> None:
        """Start the time anew. Raises LeaseLost when it already ran out."""

    async def revoke(self) -> None:
        """Drop the lease and its keys now."""


class StateStore(Protocol):
    """Ordered keys with versions, watches, leases and multi-key compare-and-commit."""

    async def get(self, key: str) -> Record | None:
        """Return the record at `key`, None if there is none."""

    async def scan(self, prefix: str) -> Snapshot:
        """Return every record whose key begins with `prefix`, as of one revision."""

    def watch(self, prefix: str, *, after: int) -> AsyncIterator[Change]:
        """Yield every change with version > `after`, in order. Raises Compacted if it cannot."""

    async def lease(self, ttl_s: float) -> Lease:
        """Begin a lease that runs out `ttl_s` after its last renewal."""

    async def commit(
        self,
        *,
        require: Mapping[str, int] | None = None,
        put: Mapping[str, bytes] | None = None,
        delete: Collection[str] = (),
        lease: Lease | None = None,
    ) -> int | Conflict:
        """Write all or nothing, durably; return the new revision.

        `require` maps keys to the version they must have (0 = absent). A key that is put loses
        the lease it had, unless it is put under it again. Raises LeaseLost, StoreLost.
        """

    async def close(self) -> None:
        """Give everything back. Watches end."""


class Bus(Protocol):
    """Fire-and-forget messages between the parts of a node, later between nodes."""

    async def publish(self, topic: str, message: bytes) -> None:
        """Hand `message` to everybody who is subscribed to `topic` now."""

    def subscribe(self, topic: str) -> AsyncIterator[bytes]:
        """Yield messages published after the call. A slow reader loses the oldest, counted."""


@dataclass(frozen=True, slots=True)
class PlaneLost:
    """The plane, or a part of it, died: every connection in `rooms` is gone (None: in all rooms).

    Specs are applied again, where there is a mixer for them.
    """

    rooms: frozenset[RoomId] | None = None


class MediaPlane(Protocol):
    """Where rooms are mixed."""

    @property
    def capabilities(self) -> frozenset[str]:
        """What this plane can do beyond mixing voices."""

    async def apply(self, spec: RoomSpec) -> None:
        """Make the room so, now and after every restart of the plane.

        Raises ClientMistake for a value out of its range; then the spec before holds.
        """

    async def accept_offer(
        self, room: RoomId, peer: PeerId, sdp: str, *, listener: bool = False
    ) -> str:
        """Answer an SDP offer of an anchor, or of a listener: one whom the spec does not list.

        A listener hears what everybody hears, and nobody hears them. They are there until they go,
        are dropped, or the room closes or has no listeners any more.
        Raises ClientMistake, PeerGone (not in the room), NoCapacity, PlaneUnavailable.
        """

    async def drop_peer(self, room: RoomId, peer: PeerId) -> None:
        """End a connection, if it is there. Raises PlaneUnavailable."""

    async def add_candidate(self, room: RoomId, peer: PeerId, candidate: str) -> None:
        """Take one of the peer's ICE candidates (an ICE-lite plane needs none)."""

    async def statistics(self) -> Mapping[str, PlaneStatistics]:
        """Return what was counted so far, by process."""

    async def peers(self, room: RoomId) -> tuple[PeerStatistics, ...]:
        """Return how the anchors' connections are; none if there is no such room."""

    def events(self) -> AsyncIterator[PlaneEvent | PlaneLost]:
        """Yield what happens, in order, for one reader."""


@dataclass(frozen=True, slots=True)
class StoredRecording:
    """A recording of a room's arrivals that is on the disk, or still being written."""

    name: str
    size: int
    began_unix_s: float


class RecordingShelf(Protocol):
    """Where recordings of arrivals are kept. Calls block: they wait for a disk."""

    def list(self, room: RoomId) -> tuple[StoredRecording, ...]:
        """Return a room's recordings, oldest first."""

    def find(self, room: RoomId, name: str) -> Path | None:
        """Return the file of a room's recording, None if there is none."""

    def remove(self, room: RoomId, name: str) -> bool:
        """Remove a room's recording; whether there was one."""


@dataclass(frozen=True, slots=True)
class ArchivedFile:
    """A file of a recording: its name below the recording's folder, with / in it."""

    name: str
    size: int
    changed_unix_s: float


class RecordingArchive(Protocol):
    """Where recordings are kept. Calls block: they wait for a disk."""

    def place(self, room: RoomId, name: str) -> Path:
        """Return the folder of a recording, which need not be there."""

    def prepare(self) -> None:
        """Make the folder of all of them. Raises OSError."""

    def is_empty(self) -> bool:
        """Whether nothing is there: nothing was recorded, or the disk is not mounted."""

    def free_bytes(self) -> int:
        """Return what is left of the disk. Raises OSError."""

    def names(self, room: RoomId) -> frozenset[str]:
        """Return the names that are taken: by what is in a room's folder, or was sent from there.

        A recording with the name of one that was uploaded and removed would count as sent.
        """

    def files(self, room: RoomId, name: str) -> tuple[ArchivedFile, ...]:
        """Return the files of a recording by name; none if there is no such recording."""

    def size(self, room: RoomId, name: str) -> int:
        """Return what a recording takes, in bytes."""

    def manifest(self, room: RoomId, name: str) -> dict[str, Any] | None:
        """Return the manifest of a recording, None if it cannot be read."""

    def find(self, room: RoomId, name: str, file: str) -> Path | None:
        """Return a file of a recording by its name, None if there is none."""

    def repair(self, room: RoomId, name: str) -> float | None:
        """End what was cut off of a recording that nobody writes any more; return its seconds.

        None if it has no manifest that can be read. Raises OSError; of these BlockingIOError while
        somebody writes it.
        """

    def open_ones(self) -> list[tuple[RoomId, str]]:
        """Return by room and name what is being written, or was when its process died."""

    def remove(self, room: RoomId, name: str) -> None:
        """Remove a recording and its files. Raises OSError."""


class PlayerPlane(Protocol):
    """Where rooms play what comes from outside; it tells how far each is by `Played` events.

    After a `PlaneLost` the room's players are gone.
    """

    async def play(self, room: RoomId, spec: PlayerSpec) -> None:
        """Begin to play what will be fed.

        Raises PeerGone (no such room), ClientMistake, NoCapacity, PlaneUnavailable.
        """

    def feed(self, room: RoomId, name: str, pcm: bytes) -> bool:
        """Give it whole frames of 20 ms (16 bits, little-endian, 48 kHz mono); none is the end.

        False if they could not be sent now. What is more than a second ahead is dropped.
        """

    async def stop(self, room: RoomId, name: str) -> None:
        """Fade it out, if it is there. Raises PlaneUnavailable."""

    async def set_volume(self, room: RoomId, name: str, gain_db: float) -> None:
        """Set its gain, if it is there. Raises ClientMistake, PlaneUnavailable."""


class MixingPlane(MediaPlane, PlayerPlane, Protocol):
    """Where rooms are mixed and announcements played."""


class Decoding(Protocol):
    """A sound file that is being decoded."""

    @property
    def length_s(self) -> float | None:
        """How long it plays by its own account."""

    async def read(self) -> bytes:
        """Return the next whole frames (see PlayerPlane.feed), five at most; nothing at the end.

        Raises SoundRefused.
        """

    async def close(self) -> None:
        """Give everything back."""


class SoundDecoder(Protocol):
    """Decodes sound files, whatever is in them."""

    async def open(self, sound_fd: int, *, is_looped: bool) -> Decoding:
        """Begin to decode an open file, again and again if it is looped. Raises SoundRefused."""


class SoundProcess(Protocol):
    """A process that makes something of a room's sound."""

    @property
    def last_words(self) -> str:
        """Why it ended, once `read` raised."""

    def feed(self, first_frame: int, part: SoundPart) -> bool:
        """Give it the next part; False if it could not take it now, which is lost then."""

    async def read(self) -> bytes:
        """Return the next piece of what it makes: of MP3, or nothing for each part it sent.

        Raises OutputFailed when it is over.
        """

    async def close(self) -> None:
        """End it."""


class SoundProcesses(Protocol):
    """Starts processes that are fed with a room's sound: what harms one is its own."""

    def check(self, target: Target) -> None:
        """Raise Forbidden if nothing may be sent there, as far as it can be told by now."""

    async def encoder(self) -> SoundProcess:
        """Start an MP3 encoder. Raises OutputFailed."""

    async def publisher(self, target: Target) -> SoundProcess:
        """Start to publish by RTMP. Raises OutputFailed, also for what may not be reached."""


class HookSender(Protocol):
    """Calls other programs over HTTP."""

    def check(self, url: str) -> None:
        """Raise Forbidden if an address may not be called, as far as it can be told by now."""

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        """Send it and return the status of the answer. Raises HookFailed if there is none."""


class PromptBroadcast(Protocol):
    """What a broadcast plane knows without asking anybody: most of what most players ask for."""

    def playlist_now(self, room: RoomId, ask: PlaylistAsk) -> PlaylistText | Wait | None:
        """Return the playlist that `playlist` would, or what it waits for or would fetch.

        None if that is not known here, or if it would refuse: `playlist` is to be asked.
        """

    def media_now(self, room: RoomId, rendition: str, name: str) -> Media | Wait | None:
        """Return what `fetch` would, as `playlist_now` does."""

    def wait(self, room: RoomId, wait: Wait, done: Told) -> Callable[[], None]:
        """Have `done` called with what is waited for, None if the room is over, or what went wrong.

        It must not raise. Return what ends the wait; `done` is not called any more then. Raises
        TooManyBlocked.
        """


class BroadcastPlane(PromptBroadcast, Protocol):
    """Where a room's mix becomes an encrypted HLS stream, and is recorded."""

    reported: Callable[[RecordingReport], None]
    """Told how each recording is: on every change, and once a second."""

    async def apply(self, spec: BroadcastSpec) -> None:
        """Make the broadcast so, now and after every restart of the plane."""

    def spec(self, room: RoomId) -> BroadcastSpec | None:
        """Return what was applied of a room on air, None of one that is not."""

    def captioned(self, room: RoomId) -> BroadcastSpec | None:
        """Return what was applied of a room on air or recorded, None of one that is neither."""

    async def end(self, room: RoomId) -> None:
        """End a room's stream with all that was said until now, a second at most.

        Its playlists have the last part, then also an end mark. It is to be taken off the air; a
        newer spec that has it on air lets it go on. Raises PlaneUnavailable.
        """

    async def playlist(self, room: RoomId, ask: PlaylistAsk) -> PlaylistText | None:
        """Return the playlist once it holds what is asked for, None if the room is not on air.

        Raises:
            NotFound: there is no such rendition.
            BlockedTooFar: more is asked for than a player can know of.
            BlockedTooLong: it did not come in time.
            TooManyBlocked: as many wait as may.
            PlaneUnavailable: the plane is away, and nothing is held of it.
        """

    async def fetch(self, room: RoomId, rendition: str, name: str) -> Media | None:
        """Return an init segment, a segment or a part by its name in the rendition's playlist.

        The part that a playlist gives a hint of is waited for. None if there is no such name, or
        not any more. Raises as `playlist` does.
        """

    async def sound(self, room: RoomId, part: int) -> SoundPart | None:
        """Return part `part` (see Parts) of the default rendition, not encrypted.

        The next part is waited for. None if the room is not on air or the part is too old. Raises
        as `playlist` does.
        """

    async def talk(self, room: RoomId, names: Collection[str]) -> None:
        """Tell listeners who can be heard from now on; also after every restart of the plane."""

    async def caption(self, room: RoomId, caption: Caption) -> CaptionFate:
        """Let listeners read something, and write it down in a recording.

        Raises PlaneUnavailable.
        """

    async def loudness(self, room: RoomId) -> Mapping[str, Reading]:
        """Return how loud each bus is that is brought to a loudness; nothing while it is away."""

    def blocked(self, room: RoomId) -> int:
        """Return how many requests wait for the room's next parts."""

    async def statistics(self) -> PlaneStatistics:
        """Return what was counted so far."""
