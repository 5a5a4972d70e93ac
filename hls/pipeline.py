"""The broadcaster: every room's PCM in, playlists and encrypted segments out."""

import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hls.core import fmp4
from hls.core.keyring import Keyring
from hls.core.playlist import Entry, media_playlist
from hls.core.segmenter import Segment, Segmenter
from hls.core.ticks import Fate, TickBuffer
from hls.core.timeline import (
    AAC_SAMPLES,
    SEGMENT_FRAMES,
    TICK_SAMPLES,
    Timeline,
)
from hls.encoder import (
    DEFAULT_BIT_RATE,
    LOOKAHEAD_FRAMES,
    AacEncoder,
    GatedEncoder,
    silent_frame,
)
from hls.errors import BadSpec, EncoderLost
from hls.sink import MemoryWindow, encrypt
from hls.types import BroadcastSpec

DEFAULT_WINDOW = 8  # 15 s listed: a player that paused for a breath still finds its place
DEFAULT_DELAY_TICKS = 5  # 100 ms for a tick on its way from a mixer
KEPT_SEGMENTS = 4  # no longer listed, but a slow player is still fetching them
_REMOVED_ROOMS = 4096  # whose versions are remembered, against a late spec
_SEGMENT_NAME = re.compile(r"seg-(0|[1-9]\d{0,14})\.m4s", re.ASCII)
_URI = re.compile(r'[^\s"\x00-\x20\x7f]+')
_MOST_TICKS = 2**40  # 700 years: sums of both still have a date
_LAST_UNIX_S = 32_503_680_000.0  # the year 3000


class Broadcaster:
    """All rooms of a process that are on air.

    It has no clock, task or timer: `now_tick` is floor(CLOCK_MONOTONIC / 20 ms), and a room's media
    moves on when something is written to it or asked of it. A room in which nobody speaks and to
    which nobody listens costs nothing; catching up costs the same after a second and after a day.
    """

    def __init__(
        self,
        *,
        window: int = DEFAULT_WINDOW,
        delay_ticks: int = DEFAULT_DELAY_TICKS,
        bit_rate: int = DEFAULT_BIT_RATE,
    ) -> None:
        """List `window` segments; wait `delay_ticks` for late PCM. Raises EncoderLost."""
        self._window = window
        self._delay_ticks = delay_ticks
        self._codec = _Codec(bit_rate)
        self._rooms: dict[str, _Room] = {}
        self._removed: dict[str, int] = {}
        self._counters: Counter[str] = Counter()

    def apply(self, spec: BroadcastSpec, now_tick: int) -> None:
        """Put a room on air, change its key, or take it off. Raises BadSpec, changing nothing.

        A spec whose version is not above the applied one is ignored. A new key is in force from
        the first segment that is not complete yet. A moved base starts the stream anew.
        """
        room = self._rooms.get(spec.room)
        if spec.version <= (room.spec.version if room else self._removed.get(spec.room, -1)):
            self._counters["specs_stale_total"] += 1
            return
        if not spec.on_air:
            self._remove(spec)
            return
        _check(spec)
        self._removed.pop(spec.room, None)
        if room is not None and room.timeline == Timeline(spec.base_tick, spec.base_unix_s):
            room.rekey(spec, now_tick)
            return
        self._rooms[spec.room] = _Room(
            spec, now_tick, self._codec, self._counters, (self._window, self._delay_ticks)
        )

    def write(
        self, room: str, tick: int, pcm: NDArray[np.int16], now_tick: int | None = None
    ) -> None:
        """Take one tick of a room's mix: int16, 48 kHz mono, shape (960,); it is copied.

        Late, early, repeated or malformed ticks and those of unknown rooms are counted and dropped;
        nothing is raised. Without `now_tick` the clock is taken to be at least `tick`, and no tick
        is too early.
        """
        if pcm.shape != (TICK_SAMPLES,) or pcm.dtype != np.int16:
            self._counters["ticks_malformed_total"] += 1
        elif (found := self._rooms.get(room)) is None:
            self._counters["ticks_unknown_room_total"] += 1
        else:
            fate = found.write(tick, pcm, tick if now_tick is None else now_tick)
            self._counters[f"ticks_{fate.value}_total"] += 1

    def playlist(self, room: str, now_tick: int) -> str | None:
        """Return the playlist, None if the room is not on air (or its base is yet to come)."""
        found = self._rooms.get(room)
        return found.playlist(now_tick) if found else None

    def fetch(self, room: str, name: str, now_tick: int) -> bytes | None:
        """Return what the playlist names: the init segment, or an encrypted media segment.

        None if there is no such room or name, or the segment is not yet or no longer here.
        """
        found = self._rooms.get(room)
        return found.fetch(name, now_tick) if found else None

    def statistics(self) -> dict[str, int]:
        """Return counters (their names end in `_total`) and gauges (the others)."""
        held = sum(room.segments_held for room in self._rooms.values())
        return {**self._counters, "rooms": len(self._rooms), "segments_held": held}

    def _remove(self, spec: BroadcastSpec) -> None:
        self._rooms.pop(spec.room, None)
        self._removed.pop(spec.room, None)
        self._removed[spec.room] = spec.version
        if len(self._removed) > _REMOVED_ROOMS:
            del self._removed[next(iter(self._removed))]


class _Codec:
    """What all rooms share: the format, the init segment and the silent frame."""

    def __init__(self, bit_rate: int) -> None:
        self.bit_rate = bit_rate
        self.silent_frame = silent_frame(bit_rate)
        self.init = fmp4.init_segment(AacEncoder(bit_rate).format)
        self.init_name = f"init-{hashlib.sha256(self.init).hexdigest()[:8]}.mp4"


class _Room:
    """One room on air: tick buffer → encoder → segmenter → memory window.

    A room whose stream had begun before this process goes on where the clock is. What was said
    before is silence now, on the same timeline: numbers, names and timestamps depend on the clock
    alone, so nothing is discontinuous. (Nor may it be marked so: a player that knows a segment from
    before refuses a playlist that lists it with another discontinuity sequence or name, and who is
    new here cannot know how often others were.)
    """

    def __init__(
        self,
        spec: BroadcastSpec,
        now_tick: int,
        codec: _Codec,
        counters: Counter[str],
        window_and_delay: tuple[int, int],
    ) -> None:
        self._window, self._delay_ticks = window_and_delay
        self._codec = codec
        self._counters = counters
        self.spec = spec
        self.timeline = Timeline(spec.base_tick, spec.base_unix_s)
        self._now_tick = now_tick
        first_tick = now_tick - self._delay_ticks
        self._ticks = TickBuffer(self.timeline, first_tick, ahead_ticks=self._delay_ticks)
        self._encoder = GatedEncoder(codec.bit_rate)
        self._segmenter = Segmenter(codec.silent_frame)
        self._memory = MemoryWindow(self._window + KEPT_SEGMENTS)
        self._keys = Keyring(spec.keys)
        self._text: tuple[int, str] = (0, "")  # the newest playlist, by its number of segments
        self._advance(now_tick)

    @property
    def segments_held(self) -> int:
        return len(self._memory)

    def rekey(self, spec: BroadcastSpec, now_tick: int) -> None:
        self._advance(now_tick)
        self.spec = spec
        self._keys.plan(spec.keys, self._segmenter.complete)

    def write(self, tick: int, pcm: NDArray[np.int16], now_tick: int) -> Fate:
        self._advance(now_tick)
        return self._ticks.push(tick, pcm, self._now_tick)

    def playlist(self, now_tick: int) -> str | None:
        self._advance(now_tick)
        complete = self._segmenter.complete
        if complete == 0:
            return None
        if self._text[0] != complete:
            listed = range(max(0, complete - self._window), complete)
            self._text = (complete, media_playlist([self._entry(msn) for msn in listed]))
        return self._text[1]

    def fetch(self, name: str, now_tick: int) -> bytes | None:
        self._advance(now_tick)
        if name == self._codec.init_name:
            return self._codec.init
        found = _SEGMENT_NAME.fullmatch(name)
        if found is None:
            return None
        msn = int(found[1])
        if msn not in range(self._oldest_kept, self._segmenter.complete):
            return None
        data = self._memory.get(msn)
        if data is None:
            self._counters["segments_silent_total"] += 1
            data = self._keep(self._segmenter.silent(msn))
        return data

    def _advance(self, now_tick: int) -> None:
        """Bring the media up to `now_tick` minus the delay."""
        self._now_tick = max(self._now_tick, now_tick)
        sounding = self._ticks.seal(self._now_tick - self._delay_ticks)
        sealed_frames = self._ticks.sealed_frames
        for index, samples in sounding:
            self._encode(index, samples)
        self._encode(sealed_frames, None)
        complete = self._segmenter.complete
        for segment in self._segmenter.seal(sealed_frames - LOOKAHEAD_FRAMES):
            if segment.msn >= self._oldest_kept:
                self._counters["segments_sounding_total"] += 1
                self._keep(segment)
        if self._segmenter.complete > complete:
            self._forget()

    def _encode(self, index: int, samples: NDArray[np.int16] | None) -> None:
        """Encode the sounding frame `index`, or silence up to it."""
        try:
            if samples is None:
                frames: Iterable[tuple[int, bytes]] = self._encoder.advance(index)
            else:
                frames = self._encoder.push(index, samples)
        except EncoderLost:
            self._counters["encoder_lost_total"] += 1
            return
        for frame_index, frame in frames:
            self._segmenter.push(frame_index, frame)

    def _keep(self, segment: Segment) -> bytes:
        key = self._keys.of(segment.msn)
        clear = fmp4.media_segment(
            segment.msn + 1, segment.msn * SEGMENT_FRAMES * AAC_SAMPLES, segment.frames
        )
        data = encrypt(key.key, key.iv, clear)
        self._memory.put(segment.msn, data)
        return data

    @property
    def _oldest_kept(self) -> int:
        return max(0, self._segmenter.complete - self._window - KEPT_SEGMENTS)

    def _forget(self) -> None:
        """Drop the segments that left the window, and the keys that no segment is left of."""
        self._memory.drop_before(self._oldest_kept)
        self._keys.forget_before(self._oldest_kept)

    def _entry(self, msn: int) -> Entry:
        return Entry(
            msn=msn,
            name=f"seg-{msn}.m4s",
            init=self._codec.init_name,
            key=self._keys.of(msn),
            unix_s=self.timeline.unix_s(msn),
        )


def _check(spec: BroadcastSpec) -> None:
    if not spec.keys:
        raise BadSpec("keys", "a stream is never in the clear")
    for key in spec.keys:
        if len(key.key) != 16:
            raise BadSpec("key", "an AES-128 key has 16 bytes")
        if len(key.iv) != 16:
            raise BadSpec("iv", "an AES initialisation vector has 16 bytes")
        if _URI.fullmatch(key.uri) is None:
            raise BadSpec(
                "uri", "it must not be empty or hold quotes, spaces or control characters"
            )
    if any(one.first_msn >= next_.first_msn for one, next_ in pairwise(spec.keys)):
        raise BadSpec("keys", "each must be in force from a later segment than the one before")
    if abs(spec.base_tick) > _MOST_TICKS:
        raise BadSpec("base_tick", "it is no tick of this machine")
    if not (math.isfinite(spec.base_unix_s) and 0 <= spec.base_unix_s < _LAST_UNIX_S):
        raise BadSpec("base_unix_s", "it is no time of this millennium")
