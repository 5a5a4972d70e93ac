"""A room whose arrivals are recorded, chunk by chunk, without waiting for a disk."""

import hashlib
import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import astuple, replace
from typing import Protocol

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


class Recorder:
    """One recording of one room, from the first who comes to the last who leaves."""

    def __init__(self, sink: ArrivalSink, room: RoomId, name: str, *, limit_bytes: int) -> None:
        self.counters: Counter[str] = Counter()
        self.digest = Digest()
        self._sink = sink
        self._name = name
        self._left = limit_bytes
        self._lost = 0
        self._buffer = bytearray(write_header(Header(room)))

    def put(self, record: Record) -> None:
        """Take a record; once the limit is reached nothing more is taken."""
        if self._left <= 0:
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
        self.digest.add(tick, sent)
        if tick % DIGEST_TICKS == 0:
            self.put(Sent(self.digest.value()))
        if tick % FLUSH_TICKS == 0:
            self.flush()

    def close(self) -> None:
        """End the recording."""
        self.put(Sent(self.digest.value()))
        self.flush()

    def make_anchor(
        self, peer: PeerId, row: int, codec: RtpCodec = RtpCodec.OPUS
    ) -> "RecordedAnchor":
        """Return an anchor whose packets are recorded."""
        return RecordedAnchor(self, peer, row, codec)


class RecordedAnchor(Anchor):
    """An anchor whose calls are recorded."""

    def __init__(self, recorder: Recorder, peer: PeerId, row: int, codec: RtpCodec) -> None:
        super().__init__(peer, row, codec)
        self.codec = codec
        self._recorder = recorder

    def arrived(
        self, packet: Arrival, level: int | None, now: float, *, voice: bool = False
    ) -> bool:
        """See Anchor."""
        self._recorder.put(Heard(self.row, packet, level, voice, now))
        return super().arrived(packet, level, now, voice=voice)

    def mute(self, muted: bool) -> None:  # noqa: FBT001 - as in Anchor
        """See Anchor."""
        self._recorder.put(Call(self.row, "mute", (muted,)))
        super().mute(muted)

    def restart(self) -> None:
        """See Anchor."""
        self._recorder.put(Call(self.row, "restart"))
        super().restart()


class RecordedRoom(Room):
    """A room whose calls are recorded. Its anchors are the recorder's.

    A tick stands behind what its players took in it, so that a replay has that when it comes to it.
    """

    def __init__(self, room: RoomId, tap: Tap | None, recorder: Recorder) -> None:
        super().__init__(room, tap)
        self._recorder = recorder

    def add(self, anchor: Anchor) -> None:
        """See Room."""
        super().add(anchor)  # which removes an earlier one of the same person, recorded first
        codec = anchor.codec if isinstance(anchor, RecordedAnchor) else RtpCodec.OPUS
        self._recorder.put(Seat(anchor.row, anchor.peer, codec))

    def remove(self, peer: PeerId) -> None:
        """See Room."""
        self._recorder.put(Call(ROOM, "remove", (peer,)))
        super().remove(peer)

    def connect(self, peer: PeerId) -> None:
        """See Room."""
        self._recorder.put(Call(ROOM, "connect", (peer,)))
        super().connect(peer)

    def disconnect(self, peer: PeerId) -> None:
        """See Room."""
        self._recorder.put(Call(ROOM, "disconnect", (peer,)))
        super().disconnect(peer)

    def deliver(self, peer: PeerId, delivery: Delivery) -> None:
        """See Room."""
        self._recorder.put(Call(ROOM, "deliver", (peer, *astuple(delivery))))
        super().deliver(peer, delivery)

    def tick(self, tick: int, now: float) -> list[Outgoing]:
        """See Room."""
        try:
            sent = super().tick(tick, now)
        finally:
            self._recorder.put(Tick(tick, now))
        self._recorder.note_sent(tick, sent)
        return sent

    def configure(self, spec: RoomSpec) -> None:
        """See Room."""
        super().configure(spec)
        # Without a tap nothing is mixed for the air.
        written = write_spec(replace(spec, on_air=spec.on_air and self._tap is not None))
        self._recorder.put(Call(ROOM, "configure", (written,)))

    def spend(self, quality: Quality) -> None:
        """See Room."""
        self._recorder.put(Call(ROOM, "spend", astuple(quality)))
        super().spend(quality)

    def play(
        self, name: str, source: FrameSource, *, to: Target = EVERYONE, gain_db: float = 0.0
    ) -> None:
        """See Room."""
        super().play(name, RecordedSource(self._recorder, name, source), to=to, gain_db=gain_db)
        self._recorder.put(Call(ROOM, "play", (name, to.peer, to.bus, gain_db)))

    def stop(self, name: str) -> None:
        """See Room."""
        self._recorder.put(Call(ROOM, "stop", (name,)))
        super().stop(name)

    def set_volume(self, name: str, gain_db: float) -> None:
        """See Room."""
        super().set_volume(name, gain_db)
        self._recorder.put(Call(ROOM, "set_volume", (name, gain_db)))


class RecordedSource:
    """A FrameSource whose frames and end are recorded as they are taken."""

    def __init__(self, recorder: Recorder, name: str, source: FrameSource) -> None:
        self._recorder = recorder
        self._name = name
        self._source = source
        self._was_over = False

    @property
    def is_over(self) -> bool:
        """See FrameSource."""
        is_over = self._source.is_over
        if is_over and not self._was_over:
            self._was_over = True
            self._recorder.put(Call(ROOM, "over", (self._name,)))
        return is_over

    def take_nowait(self) -> Int16Frame | None:
        """See FrameSource."""
        frame = self._source.take_nowait()
        if frame is not None:
            self._recorder.put(Fed(self._name, frame))
        return frame
