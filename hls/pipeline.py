"""The broadcaster: every room's PCM in, playlists and encrypted segments out."""

from collections import Counter
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from hls.background import Job
from hls.codec import codec
from hls.core.hold import Music
from hls.core.playlist import Window
from hls.core.soundpart import SoundPart
from hls.core.speccheck import check_spec
from hls.core.timeline import TICK_SAMPLES
from hls.disk import DiskWindow
from hls.room import Room, Station
from hls.types import (
    DEFAULT_RENDITIONS,
    BroadcastSpec,
    Caption,
    CaptionFate,
    LoopSpec,
    PlaylistKind,
    Position,
    Reading,
)

DEFAULT_DELAY_TICKS = 5  # 100 ms for a tick on its way from a mixer
_REMOVED_ROOMS = 4096  # whose versions are remembered, against a late spec
_IDLE_LOOPS = 8  # of hold music: some megabytes of disk each, and seconds of work
_TICK_SIZES = (TICK_SAMPLES, 2 * TICK_SAMPLES)


class Broadcaster:
    """All rooms of a process that are on air.

    It has no clock, task or timer: `now_tick` is floor(CLOCK_MONOTONIC / 20 ms), and a room's media
    moves on when something is written to it or asked of it. A room in which nobody speaks and to
    which nobody listens costs nothing; catching up costs the same after a second and after a day.
    """

    def __init__(
        self, *, delay_ticks: int = DEFAULT_DELAY_TICKS, disk: DiskWindow | None = None
    ) -> None:
        """Wait `delay_ticks` for late PCM; what is older than a minute goes to `disk`.

        Without one no window is longer than that. Raises EncoderLost.
        """
        for one in DEFAULT_RENDITIONS:
            codec(one.bit_rate, channels=1)
        self._disk = disk
        self._rooms: dict[str, Room] = {}
        self._removed: dict[str, int] = {}
        self._counters: Counter[str] = Counter()
        self._loops: dict[LoopSpec, Music] = {}  # the newest last
        self._station = Station(delay_ticks, disk, self._counters, self._loops)

    def apply(self, spec: BroadcastSpec, now_tick: int) -> None:
        """Put a room on air, change it, or take it off. Raises BadSpec, changing nothing.

        A spec whose version is not above the applied one is ignored. Keys and channels change with
        the next segment, renditions at once. Another base or length of parts starts the stream
        anew.

        Raises EncoderLost where there is no AAC encoder.
        """
        room = self._rooms.get(spec.room)
        if spec.version <= (room.spec.version if room else self._removed.get(spec.room, -1)):
            self._counters["specs_stale_total"] += 1
            return
        if not spec.on_air:
            self._remove(spec)
            return
        check_spec(spec)
        for one in spec.renditions:
            codec(one.bit_rate, spec.channels)  # if it fails, before anything has changed
        self._removed.pop(spec.room, None)
        before = None if room is None else LoopSpec.of(room.spec)
        if room is not None and room.goes_on_as(spec):
            room.apply(spec, now_tick)
        else:
            if room is not None:
                room.close()
            self._rooms[spec.room] = Room(spec, now_tick, self._station)
        if before != LoopSpec.of(spec):
            self._let_go(before)

    def write(
        self, room: str, bus: str, tick: int, pcm: NDArray[np.int16], now_tick: int | None = None
    ) -> None:
        """Take one tick of what is heard on a bus: 48 kHz int16[960 * channels]; it is copied.

        Late, early, repeated or malformed ticks and those of unknown rooms or buses are counted and
        dropped; nothing is raised. Without `now_tick` the clock is taken to be at least `tick`, and
        no tick is too early.
        """
        found = self._rooms.get(room)
        if pcm.ndim != 1 or pcm.size not in _TICK_SIZES or pcm.dtype != np.int16:
            fate = "malformed"
        elif found is None:
            fate = "unknown_room"
        else:
            laid = found.write(bus, tick, pcm, tick if now_tick is None else now_tick)
            fate = "unknown_bus" if laid is None else laid.value
        self._counters[f"ticks_{fate}_total"] += 1

    def loops(self) -> set[LoopSpec]:
        """Return the hold music that rooms want now."""
        wanted = (LoopSpec.of(room.spec) for room in self._rooms.values())
        return {one for one in wanted if one is not None}

    def plays(self, loop: LoopSpec) -> bool:
        """Whether it is here."""
        return loop in self._loops

    def play(self, loop: LoopSpec, music: Music, now_tick: int) -> None:
        """Take hold music; every room that wants it now has it, or has it in place of the former.

        The last few that nobody wants now are kept, for when people leave again.
        """
        self._loops[loop] = music
        self._let_go(loop)
        for room in self._rooms.values():
            if LoopSpec.of(room.spec) == loop:
                room.play(now_tick)

    def talk(self, room: str, names: Iterable[str], now_tick: int) -> None:
        """Tell listeners who can be heard in a room from now on, by their displayed names."""
        found = self._rooms.get(room)
        if found is not None:
            found.talk(names, now_tick)

    def caption(self, room: str, caption: Caption, now_tick: int) -> CaptionFate:
        """Show listeners of a room what is said, if it is captioned in that language."""
        found = self._rooms.get(room)
        fate = found.caption(caption, now_tick) if found else CaptionFate.UNKNOWN
        self._counters[f"captions_{fate.value}_total"] += 1
        return fate

    def loudness(self, room: str, now_tick: int) -> dict[str, Reading]:
        """Return how loud each bus of a room is, if it is on air and brought to a loudness."""
        found = self._rooms.get(room)
        return found.loudness(now_tick) if found else {}

    def end_tick(self, room: str, now_tick: int) -> int | None:
        """Return from when on `end` has all that was said in a room until now; None if off air."""
        found = self._rooms.get(room)
        return found.end_tick(now_tick) if found else None

    def end(self, room: str, now_tick: int) -> None:
        """Let a room's stream be over, to be fetched to its end until the room is taken off air.

        A newer spec that has it on air lets it go on, as after a restart.
        """
        found = self._rooms.get(room)
        if found is not None:
            found.end(now_tick)

    def marked_tick(self, room: str) -> int | None:
        """Return from when on the playlists of a stream that is over say so; None if it is not."""
        found = self._rooms.get(room)
        return found.marked_tick() if found else None

    def position(self, room: str, now_tick: int) -> Position | None:
        """Return the next part that is not complete, None if the room is not on air."""
        found = self._rooms.get(room)
        return found.position(now_tick) if found else None

    def due_tick(self, room: str) -> int | None:
        """Return the tick at which the part of the last `position` will be complete."""
        found = self._rooms.get(room)
        return found.due_tick() if found else None

    def playlist(
        self, room: str, rendition: str, kind: PlaylistKind, now_tick: int, *, skip: bool = False
    ) -> str | None:
        """Return a playlist; `rendition` "" is the default one.

        None if there is no such room or rendition, or its first segment is yet to come. `skip` asks
        for the delta update of a low-latency one.
        """
        found = self._rooms.get(room)
        return found.playlist(rendition, kind, now_tick, skip=skip) if found else None

    def specs(self) -> tuple[BroadcastSpec, ...]:
        """Return the specs of all rooms on air."""
        return tuple(room.spec for room in self._rooms.values())

    def began_tick(self, room: str) -> int | None:
        """Return when a room was put on the air here, at which tick; None if it is not."""
        found = self._rooms.get(room)
        return found.began_tick if found else None

    def finished(self, room: str, rendition: str, first_msn: int, now_tick: int) -> Window | None:
        """Return the complete segments from `first_msn` on that can be fetched, as they are listed.

        None if there are none.
        """
        found = self._rooms.get(room)
        return found.finished(rendition, first_msn, now_tick) if found else None

    def unread(self, room: str, rendition: str, name: str) -> Job | None:
        """Return what must be done, in any thread, for `fetch` not to wait for the disk."""
        found = self._rooms.get(room)
        return found.unread(rendition, name) if found else None

    def fetch(self, room: str, rendition: str, name: str, now_tick: int) -> bytes | None:
        """Return what a playlist names: the init segment, or an encrypted part or segment.

        None if there is no such room, rendition or name, or it is not yet or no longer here.
        """
        found = self._rooms.get(room)
        return found.fetch(rendition, name, now_tick) if found else None

    def sound(self, room: str, wanted: Position, now_tick: int) -> SoundPart | None:
        """Return a complete part of the default rendition, not encrypted; None if not in memory."""
        found = self._rooms.get(room)
        return found.sound(wanted, now_tick) if found else None

    def statistics(self) -> dict[str, int]:
        """Return counters (their names end in `_total`) and gauges (the others)."""
        rooms = self._rooms.values()
        found = {**self._counters, "rooms": len(rooms)}
        found["segments_held"] = sum(room.segments_held for room in rooms)
        found["captions_held"] = sum(room.captions_held for room in rooms)
        found["hold_rooms"] = sum(LoopSpec.of(room.spec) in self._loops for room in rooms)
        found["dates_dropped_total"] = sum(room.dates.dropped for room in rooms)
        if self._disk is not None:
            found["disk_bytes"] = self._disk.held_bytes
            found["disk_failures_total"] = self._disk.failures
        return found

    def _let_go(self, loop: LoopSpec | None) -> None:
        """Let hold music that a room wanted be the newest; of what none wants the last few stay."""
        if loop not in self._loops:
            return
        self._loops[loop] = self._loops.pop(loop)
        wanted = self.loops()
        idle = [one for one in self._loops if one not in wanted]
        for one in idle[: max(0, len(idle) - _IDLE_LOOPS)]:
            del self._loops[one]

    def _remove(self, spec: BroadcastSpec) -> None:
        room = self._rooms.pop(spec.room, None)
        if room is not None:
            room.close()
            self._let_go(LoopSpec.of(room.spec))
        self._removed.pop(spec.room, None)
        self._removed[spec.room] = spec.version
        if len(self._removed) > _REMOVED_ROOMS:
            del self._removed[next(iter(self._removed))]
