"""A recorded room, run again: the same code, the times of the file, no clock."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from mixer.core.jitter import JitterBuffer
from mixer.core.recording import (
    ROOM,
    BadRecording,
    Call,
    Fed,
    Heard,
    Lost,
    Record,
    Seat,
    Sent,
    Tick,
)
from mixer.core.specjson import read_spec
from mixer.errors import MixerError
from mixer.room.anchor import Anchor
from mixer.room.mix import mono
from mixer.room.player import Target
from mixer.room.recorder import Digest
from mixer.room.room import Room
from mixer.types import (
    FLOOR,
    FRAME_SAMPLES,
    Delivery,
    Int16Frame,
    Outgoing,
    PeerId,
    Quality,
    RoomId,
    Tapped,
)

MAX_SEATS = 4096  # in one recording; each is remembered for the table
MAX_TICKS_APART = 24 * 3600 * 50
MAX_FED_FRAMES = 64  # a player takes no more at a time
MAX_PLAYERS = 4096  # names in one recording; the room itself bounds how many play at a time
BITRATES = range(500, 512_001)  # libopus refuses others
ANCHOR_CALLS = frozenset({"mute", "restart"})


@dataclass(frozen=True, slots=True)
class ReplaySettings:
    """What may be other than it was; None leaves it."""

    jitter_min_frames: int | None = None
    jitter_max_frames: int | None = None
    jitter_percentile: float | None = None

    def jitter(self) -> dict[str, Any]:
        """Return what a JitterBuffer is to be made with."""
        wanted = {
            "min_frames": self.jitter_min_frames,
            "max_frames": self.jitter_max_frames,
            "percentile": self.jitter_percentile,
        }
        return {name: value for name, value in wanted.items() if value is not None}


@dataclass(frozen=True, slots=True, eq=False)
class Played:
    """One tick run again: what was sent, and the full mix (int16[960]), None for silence."""

    tick: int
    sent: list[Outgoing]
    mix: Int16Frame | None


class _LastFrame:
    """A tap that keeps one frame of the floor, in one channel."""

    def __init__(self) -> None:
        self.frame: Int16Frame | None = None

    def write(self, room: RoomId, bus: str, tick: int, pcm: Int16Frame) -> None:
        del room, tick
        if bus == FLOOR:
            self.frame = pcm if len(pcm) == FRAME_SAMPLES else mono(pcm)

    def record(self, room: RoomId, tick: int, tapped: Tapped) -> None:
        """See Tap. What a recording got is not the replay's business."""


class _FedSource:
    """A FrameSource that gives what the recording says was taken."""

    def __init__(self) -> None:
        self.frames: deque[Int16Frame] = deque()  # bounded where it is fed
        self.is_closed = False

    @property
    def is_over(self) -> bool:
        return self.is_closed and not self.frames

    def take_nowait(self) -> Int16Frame | None:
        return self.frames.popleft() if self.frames else None


class Replay:
    """Feeds records to a room of its own."""

    def __init__(self, room: RoomId, settings: ReplaySettings | None = None) -> None:
        self.digest = Digest()
        self.ticks = 0
        self.lost_chunks = 0
        self.failures = 0
        self.recorded_digest: bytes | None = None
        self.is_as_recorded = True
        self.seats: list[tuple[Seat, Anchor]] = []
        self._settings = settings or ReplaySettings()
        self._tap = _LastFrame()
        self.room = Room(room, self._tap)  # the tap hears what was on air
        self._fed: dict[str, _FedSource] = {}
        self._room_calls: dict[str, Callable[..., None]] = {
            "connect": self._connect,
            "disconnect": self._disconnect,
            "deliver": self._deliver,
            "remove": self._remove,
            "configure": self._configure,
            "spend": self._spend,
            "play": self._play,
            "over": self._over,
            "stop": self.room.stop,
            "set_volume": self.room.set_volume,
        }
        self._by_row: dict[int, Anchor] = {}
        self._last_tick: int | None = None

    def feed(self, record: Record) -> Played | None:
        """Take the next record; return what a tick made. Raises BadRecording."""
        match record:
            case Heard():
                self._hear(record)
            case Tick():
                return self._tick(record)
            case Seat():
                self._seat(record)
            case Call():
                self._call(record)
            case Sent(digest):
                self.recorded_digest = digest
                self.is_as_recorded = self.is_as_recorded and digest == self.digest.value()
            case Lost(chunks):
                self.lost_chunks += chunks
                self.is_as_recorded = False
            case Fed():
                self._feed(record)
        return None

    def statistics(self) -> Iterator[tuple[Seat, dict[str, Any]]]:
        """Yield every seat with its counters, in the order they came."""
        for seat, anchor in self.seats:
            yield (
                seat,
                asdict(anchor.jitter.statistics()) | {"corrupt": anchor.counters()["opus_corrupt"]},
            )

    def _seat(self, seat: Seat) -> None:
        if len(self.seats) >= MAX_SEATS:
            raise BadRecording(f"The recording has more than {MAX_SEATS} people")
        jitter = JitterBuffer(**self._settings.jitter())
        anchor = Anchor(PeerId(seat.peer), seat.row, seat.codec, jitter)
        self.room.add(anchor)
        self._by_row[seat.row] = anchor
        self.seats.append((seat, anchor))

    def _hear(self, heard: Heard) -> None:
        anchor = self._by_row.get(heard.row)
        if anchor is None:  # their seat was in a chunk that is lost
            self.is_as_recorded = False
        elif anchor.arrived(heard.packet, heard.level, heard.now, voice=heard.voice):
            self.room.wake(anchor)

    def _call(self, call: Call) -> None:
        if call.row == ROOM:
            self._call_room(call)
            return
        anchor = self._by_row.get(call.row)
        if call.name not in ANCHOR_CALLS:
            raise BadRecording(f"The recording calls a person's {call.name!r}, which is unknown")
        if anchor is not None:
            if call.name == "mute":
                anchor.mute(bool(call.args and call.args[0]))
            else:
                anchor.restart()

    def _call_room(self, call: Call) -> None:
        method = self._room_calls.get(call.name)
        if method is None:
            raise BadRecording(f"The recording calls the room's {call.name!r}, which is unknown")
        try:
            method(*call.args)
        except BadRecording:
            raise
        except (MixerError, TypeError, ValueError, KeyError, AttributeError) as error:
            raise BadRecording(
                f"The recording calls the room's {call.name!r} with something else: {error}"
            ) from None

    def _connect(self, peer: str) -> None:
        if PeerId(peer) in self.room.anchors:
            self.room.connect(PeerId(peer))

    def _disconnect(self, peer: str) -> None:
        if PeerId(peer) in self.room.anchors:
            self.room.disconnect(PeerId(peer))

    def _deliver(
        self, peer: str, is_robust: object, loss_percent: int, bitrate_bps: int | None
    ) -> None:
        if not 0 <= loss_percent <= 100:
            raise ValueError(f"{loss_percent} is no percentage")
        _check_bitrate(bitrate_bps)
        if PeerId(peer) in self.room.anchors:
            delivery = Delivery(bool(is_robust), loss_percent, bitrate_bps)
            self.room.deliver(PeerId(peer), delivery)

    def _remove(self, peer: str) -> None:
        anchor = self.room.anchors.get(PeerId(peer))
        if anchor is not None:
            self._by_row.pop(anchor.row, None)
            self.room.remove(PeerId(peer))

    def _configure(self, written: dict[str, Any]) -> None:
        self.room.configure(read_spec(self.room.id, written))

    def _spend(self, max_bitrate_bps: int | None, loudest: int, robust_complexity: int) -> None:
        _check_bitrate(max_bitrate_bps)
        if robust_complexity not in range(11):
            raise ValueError(f"{robust_complexity} is no complexity")
        self.room.spend(Quality(max_bitrate_bps, loudest, robust_complexity))

    def _play(self, name: str, peer: str | None, bus: str | None, gain_db: float) -> None:
        if len(self._fed) >= MAX_PLAYERS and name not in self._fed:
            raise BadRecording(f"The recording plays more than {MAX_PLAYERS} things")
        source = self._fed[name] = _FedSource()
        target = Target(None if peer is None else PeerId(peer), bus)
        self.room.play(name, source, to=target, gain_db=gain_db)

    def _over(self, name: str) -> None:
        if name in self._fed:
            self._fed[name].is_closed = True

    def _feed(self, fed: Fed) -> None:
        source = self._fed.get(fed.name)
        if source is None:  # what began it was in a chunk that is lost
            self.is_as_recorded = False
        elif len(source.frames) >= MAX_FED_FRAMES:
            raise BadRecording("The recording feeds a player more than it can take")
        else:
            source.frames.append(fed.frame)

    def _tick(self, record: Tick) -> Played:
        last = record.tick - 1 if self._last_tick is None else self._last_tick
        if not 0 < record.tick - last <= MAX_TICKS_APART:
            raise BadRecording(f"The recording goes from tick {last} to {record.tick}")
        self._last_tick = record.tick
        self.ticks += 1
        self._tap.frame = None
        try:
            sent = self.room.tick(record.tick, record.now)
        except Exception:  # noqa: BLE001 - as in the engine: the next tick goes on
            self.failures += 1
            sent = []
        self.digest.add(record.tick, sent)
        return Played(record.tick, sent, self._tap.frame)


def _check_bitrate(bitrate_bps: int | None) -> None:
    if bitrate_bps is not None and bitrate_bps not in BITRATES:
        raise ValueError(f"{bitrate_bps} is no bit rate")
