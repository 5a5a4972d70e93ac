"""A room whose arrivals are recorded, chunk by chunk, without waiting for a disk."""

import hashlib
import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any, Protocol

from mixer.core.jitter import Arrival
from mixer.core.recording import (
    ROOM,
    Call,
    Fed,
    Header,
    Heard,
    Lost,
    Record,
    Seat,
    Sent,
    Tick,
    write_header,
    write_record,
)
from mixer.core.specjson import write_spec
from mixer.room.anchor import Anchor
from mixer.room.player import EVERYONE, FrameSource, Target
from mixer.room.room import Room
from mixer.types import (
    Delivery,
    Int16Frame,
    Outgoing,
    PeerId,
    Quality,
    RoomId,
    RoomSpec,
    RtpCodec,
    Tap,
)

CHUNK_BYTES = 16_384  # 100 people who speak fill one in 20 ms
FLUSH_TICKS = 250  # 5 s: what is lost when the process is killed
DIGEST_TICKS = 50

_FRAME = struct.Struct(">QI")


class ArrivalSink(Protocol):
    """Takes chunks of recordings on their way to a disk."""

    def write(self, name: str, chunk: bytes) -> bool:
        """Append to the recording `name`; False if it is lost. Never blocks, never raises."""


class Digest:
    """The running SHA-256 of what a room sends: of each frame the tick, the rows, the payload.

    Where no Opus was needed the samples stand for the payload.
    """

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, tick: int, sent: Sequence[Outgoing]) -> None:
        """Take one tick's frames."""
        for frame in sent:
            self._hash.update(_FRAME.pack(tick, len(frame.rows)))
            self._hash.update(frame.rows.astype(">u4").tobytes())
            body = frame.payload
            if not body and frame.pcm is not None:
                body = frame.pcm.astype("<i2").tobytes()
            self._hash.update(len(body).to_bytes(4, "big") + body)

    def value(self) -> bytes:
        """Return the digest so far, 32 bytes."""
        return self._hash.digest()


@dataclass(frozen=True, slots=True)
class Limits:
    """Where a recording ends: at a size, and at a tick if one is given."""

    size_bytes: int
    last_tick: int | None = None


class Recorder:
    """One recording of one room, to the last who leaves or a limit.

    One that `is_whole` began with the first who came, and has digests of what was sent.
    """

    def __init__(
        self,
        sink: ArrivalSink,
        room: RoomId,
        name: str,
        limits: Limits,
        *,
        is_whole: bool = True,
    ) -> None:
        self.counters: Counter[str] = Counter()
        self.digest = Digest()
        self.is_whole = is_whole
        self._sink = sink
        self._name = name
        self._last_tick = limits.last_tick
        self._left = limits.size_bytes
        self._lost = 0
        self._buffer = bytearray(write_header(Header(room, is_whole=is_whole)))

    @property
    def is_over(self) -> bool:
        """Nothing more is taken."""
        return self._left <= 0

    def put(self, record: Record) -> None:
        """Take a record; once a limit is reached nothing more is taken."""
        if self.is_over:
            return
        self._buffer += write_record(record)
        if len(self._buffer) >= CHUNK_BYTES:
            self.flush()

    def flush(self) -> None:
        """Hand on what there is."""
        if not self._buffer:
            return
        chunk = bytes(self._buffer)
        self._buffer.clear()
        self._left -= len(chunk)
        if self._left <= 0:
            self.counters["recordings_full"] += 1
        if self._sink.write(self._name, chunk):
            self.counters["recorded_bytes"] += len(chunk)
            self._lost = 0
            return
        self._lost += 1
        self.counters["recording_chunks_lost"] += 1
        self._buffer += write_record(Lost(self._lost))

    def note_sent(self, tick: int, sent: Sequence[Outgoing]) -> None:
        """Take what the room sends in a tick."""
        if self.is_whole:
            self.digest.add(tick, sent)
            if tick % DIGEST_TICKS == 0:
                self.put(Sent(self.digest.value()))
        if tick % FLUSH_TICKS == 0:
            self.flush()
        if self._last_tick is not None and tick >= self._last_tick:
            self.close()

    def close(self) -> None:
        """End the recording."""
        if self.is_over:
            return
        if self.is_whole:
            self.put(Sent(self.digest.value()))
        self.flush()
        self._left = 0


class Journal:
    """Where a room's records go: to a recorder while there is one."""

    def __init__(self) -> None:
        self.recorder: Recorder | None = None
        self._counters: Counter[str] = Counter()  # of the recordings that ended

    def put(self, record: Record) -> None:
        """Take a record."""
        if self.recorder is not None:
            self.recorder.put(record)

    def end(self) -> None:
        """End the recording, if there is one."""
        if self.recorder is not None:
            self.recorder.close()
            self._counters.update(self.recorder.counters)
            self.recorder = None

    def counters(self) -> Counter[str]:
        """Return what this room's recordings came to so far, by metric name; do not change it."""
        if self.recorder is None:
            return self._counters
        return self._counters + self.recorder.counters

    def make_anchor(
        self, peer: PeerId, row: int, codec: RtpCodec = RtpCodec.OPUS
    ) -> "RecordedAnchor":
        """Return an anchor whose packets are recorded."""
        return RecordedAnchor(self, peer, row, codec)


class RecordedAnchor(Anchor):
    """An anchor whose calls are recorded."""

    def __init__(self, journal: Journal, peer: PeerId, row: int, codec: RtpCodec) -> None:
        super().__init__(peer, row, codec)
        self.codec = codec
        self._journal = journal

    def arrived(
        self, packet: Arrival, level: int | None, now: float, *, voice: bool = False
    ) -> bool:
        """See Anchor."""
        if self._journal.recorder is not None:  # a packet comes oftener than anything else
            self._journal.recorder.put(Heard(self.row, packet, level, voice, now))
        return super().arrived(packet, level, now, voice=voice)

    def mute(self, muted: bool) -> None:  # noqa: FBT001 - as in Anchor
        """See Anchor."""
        self._journal.put(Call(self.row, "mute", (muted,)))
        super().mute(muted)

    def restart(self) -> None:
        """See Anchor."""
        self._journal.put(Call(self.row, "restart"))
        super().restart()


class RecordedRoom(Room):
    """A room whose calls are recorded. Its anchors are the recorder's.

    A tick stands behind what its players took in it, so that a replay has that when it comes to it.
    """

    def __init__(self, room: RoomId, tap: Tap | None, journal: Journal) -> None:
        super().__init__(room, tap)
        self._journal = journal
        self._written: dict[str, Any] | None = None  # the spec
        self._plays: dict[str, RecordedSource] = {}

    def begin(self, recorder: Recorder) -> None:
        """Record from the next call on, behind how the room is now, in place of what was recorded.

        A replay begins so, with coders and buffers as new.
        """
        self._journal.end()
        self._journal.recorder = recorder
        put = recorder.put
        put(Call(ROOM, "spend", astuple(self.quality)))
        if self._written is not None:
            put(Call(ROOM, "configure", (self._written,)))
        for peer, anchor in self.anchors.items():
            put(Seat(anchor.row, peer, _codec(anchor)))
            if anchor.is_muted:
                put(Call(anchor.row, "mute", (True,)))
            if anchor.hears:
                put(Call(ROOM, "connect", (peer,)))
            if anchor.delivery != Delivery():
                put(Call(ROOM, "deliver", (peer, *astuple(anchor.delivery))))
        for name, source in self._plays.items():
            if not source.was_over:
                put(Call(ROOM, "play", (name, source.to.peer, source.to.bus, source.gain_db)))

    def add(self, anchor: Anchor) -> None:
        """See Room."""
        super().add(anchor)  # which removes an earlier one of the same person, recorded first
        self._journal.put(Seat(anchor.row, anchor.peer, _codec(anchor)))

    def remove(self, peer: PeerId) -> None:
        """See Room."""
        self._journal.put(Call(ROOM, "remove", (peer,)))
        super().remove(peer)

    def connect(self, peer: PeerId) -> None:
        """See Room."""
        self._journal.put(Call(ROOM, "connect", (peer,)))
        super().connect(peer)

    def disconnect(self, peer: PeerId) -> None:
        """See Room."""
        self._journal.put(Call(ROOM, "disconnect", (peer,)))
        super().disconnect(peer)

    def deliver(self, peer: PeerId, delivery: Delivery) -> None:
        """See Room."""
        self._journal.put(Call(ROOM, "deliver", (peer, *astuple(delivery))))
        super().deliver(peer, delivery)

    def tick(self, tick: int, now: float) -> list[Outgoing]:
        """See Room."""
        try:
            sent = super().tick(tick, now)
        finally:
            self._journal.put(Tick(tick, now))
        if self._journal.recorder is not None:
            self._journal.recorder.note_sent(tick, sent)
            if self._journal.recorder.is_over:
                self._journal.end()
        return sent

    def configure(self, spec: RoomSpec) -> None:
        """See Room."""
        super().configure(spec)
        # Without a tap nothing is mixed for the air.
        if self._tap is None:
            spec = replace(spec, on_air=False, record=None)
        self._written = write_spec(spec)
        self._journal.put(Call(ROOM, "configure", (self._written,)))

    def spend(self, quality: Quality) -> None:
        """See Room."""
        self._journal.put(Call(ROOM, "spend", astuple(quality)))
        super().spend(quality)

    def play(
        self, name: str, source: FrameSource, *, to: Target = EVERYONE, gain_db: float = 0.0
    ) -> None:
        """See Room."""
        recorded = RecordedSource(self._journal, name, source)
        recorded.to, recorded.gain_db = to, gain_db
        super().play(name, recorded, to=to, gain_db=gain_db)
        self._plays = {key: one for key, one in self._plays.items() if not one.was_over}
        self._plays[name] = recorded
        self._journal.put(Call(ROOM, "play", (name, to.peer, to.bus, gain_db)))

    def stop(self, name: str) -> None:
        """See Room."""
        self._journal.put(Call(ROOM, "stop", (name,)))
        self._plays.pop(name, None)
        super().stop(name)

    def set_volume(self, name: str, gain_db: float) -> None:
        """See Room."""
        super().set_volume(name, gain_db)
        if name in self._plays:
            self._plays[name].gain_db = gain_db
        self._journal.put(Call(ROOM, "set_volume", (name, gain_db)))


def _codec(anchor: Anchor) -> RtpCodec:
    return anchor.codec if isinstance(anchor, RecordedAnchor) else RtpCodec.OPUS


class RecordedSource:
    """A FrameSource whose frames and end are recorded as they are taken."""

    def __init__(self, journal: Journal, name: str, source: FrameSource) -> None:
        self.to = EVERYONE
        self.gain_db = 0.0
        self.was_over = False
        self._journal = journal
        self._name = name
        self._source = source

    @property
    def is_over(self) -> bool:
        """See FrameSource."""
        is_over = self._source.is_over
        if is_over and not self.was_over:
            self.was_over = True
            self._journal.put(Call(ROOM, "over", (self._name,)))
        return is_over

    def take_nowait(self) -> Int16Frame | None:
        """See FrameSource."""
        frame = self._source.take_nowait()
        if frame is not None:
            self._journal.put(Fed(self._name, frame))
        return frame
