"""A room's tick: who speaks, what each distinct mix is, one encode for each."""

import logging
from collections.abc import Mapping
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from mixer.core.level import SILENCE_DBOV
from mixer.core.limiter import limit
from mixer.core.mix import mix_minus
from mixer.room.anchor import Anchor
from mixer.room.mix import COMFORT_EVERY_TICKS, COMFORT_PAYLOAD, Mix
from mixer.types import FRAME_SAMPLES, Int16Frame, Outgoing, PeerId, RoomId, Tap

PRIVATE_HOLD_TICKS = 50  # a speaker keeps the private mix for 1 s: pauses in speech are shorter

_log = logging.getLogger(__name__)


class Room:
    """The audio of one room. A tick costs nothing while everybody is silent."""

    def __init__(self, room: RoomId, tap: Tap | None) -> None:
        self.id = room
        self.on_air = False
        self.anchors: dict[PeerId, Anchor] = {}
        self.encodes = 0
        self.failures = 0  # of anchors that could not be heard in a tick
        self._tap = tap
        self._awake: dict[PeerId, Anchor] = {}
        self._shared = Mix()
        self._private: dict[PeerId, Mix] = {}
        self._left_stage: dict[PeerId, int] = {}  # tick of a private mix's last own voice
        self._levels: dict[PeerId, int] = {}
        self._is_comfort_due = False
        self._comfort_phase = crc32(room.encode()) % COMFORT_EVERY_TICKS  # not all in one tick
        self._failed: set[PeerId] = set()

    def add(self, anchor: Anchor) -> None:
        """Seat an anchor, in place of an earlier connection of the same person."""
        self.remove(anchor.peer)
        self.anchors[anchor.peer] = anchor

    def remove(self, peer: PeerId) -> None:
        """Forget an anchor."""
        for seats in (self.anchors, self._awake, self._private, self._left_stage, self._levels):
            seats.pop(peer, None)
        self._failed.discard(peer)

    def connect(self, peer: PeerId) -> None:
        """Begin to send an anchor the mix, silence included."""
        self.anchors[peer].hears = True
        self._is_comfort_due = True

    def wake(self, anchor: Anchor) -> None:
        """Listen to an anchor from the next tick on."""
        self._awake[anchor.peer] = anchor

    def counters(self) -> dict[str, int]:
        """Return what this room has done so far, by metric name."""
        return {"opus_encodes": self.encodes, "anchor_failures": self.failures}

    @property
    def talking(self) -> Mapping[PeerId, int]:
        """Who was heard in the last tick: level in dBov by person."""
        return self._levels

    @property
    def is_idle(self) -> bool:
        """Whether the next tick has nothing to do but comfort."""
        return not (self._awake or self._private or self._shared.is_sounding)

    def tick(self, tick: int, now: float) -> list[Outgoing]:
        """Advance 20 ms; return what is to be sent."""
        if not self.anchors:
            return []
        if self.is_idle:
            self._levels = {}
            if not self._is_time_for_comfort(tick):
                return []
            return _comfort([anchor.row for anchor in self.anchors.values() if anchor.hears])
        speakers = self._listen(now)
        self._assign(speakers, tick)
        return self._mix(speakers, tick)

    def _listen(self, now: float) -> dict[PeerId, Int16Frame]:
        speakers: dict[PeerId, Int16Frame] = {}
        for peer, anchor in list(self._awake.items()):
            try:
                frame = anchor.hear(now)
            except Exception:  # noqa: BLE001 - a boundary: one person's packets are not the room's
                self._note_failure(peer)
                continue
            if frame is not None:
                speakers[peer] = frame
            elif anchor.is_asleep:
                del self._awake[peer]
        self._levels = {peer: self.anchors[peer].level_dbov for peer in speakers}
        return speakers

    def _note_failure(self, peer: PeerId) -> None:
        self.failures += 1
        if peer not in self._failed:
            self._failed.add(peer)
            _log.exception("%s in room %s cannot be heard", peer, self.id)

    def _assign(self, speakers: Mapping[PeerId, Int16Frame], tick: int) -> None:
        """Give speakers a private mix; take it back when their pause is long or all are silent."""
        for peer in speakers:
            self._left_stage[peer] = tick
            if peer not in self._private:
                self._private[peer] = self._shared.branch()
        for peer, mix in list(self._private.items()):
            rested = tick - self._left_stage[peer]
            if rested >= PRIVATE_HOLD_TICKS or (
                rested and not mix.is_sounding and not self._shared.is_sounding
            ):
                del self._private[peer], self._left_stage[peer]

    def _mix(self, speakers: Mapping[PeerId, Int16Frame], tick: int) -> list[Outgoing]:
        if speakers:
            total, minus = mix_minus(np.stack(list(speakers.values())))
        else:
            total, minus = np.zeros(FRAME_SAMPLES, np.int32), np.zeros((0, FRAME_SAMPLES), np.int32)
        own = dict(zip(speakers, minus, strict=True))
        others_speak = len(speakers) > 1
        wanted: list[tuple[Mix, NDArray[np.int32], bool]] = []
        for peer, mix in self._private.items():
            anchor = self.anchors[peer]
            mix.rows = np.array([anchor.row] if anchor.hears else [], np.intp)
            has_sound = others_speak if peer in own else bool(speakers)
            wanted.append((mix, own.get(peer, total), has_sound))
        shared = [a.row for p, a in self.anchors.items() if a.hears and p not in self._private]
        self._shared.rows = np.array(shared, np.intp)
        wanted.append((self._shared, total, bool(speakers)))
        return self._encode(wanted, tick)

    def _encode(
        self, wanted: list[tuple[Mix, NDArray[np.int32], bool]], tick: int
    ) -> list[Outgoing]:
        # One tick more than there is sound: it carries the limiter's look-ahead out.
        sounding = [entry for entry in wanted if entry[2] or entry[0].is_sounding]
        quiet = [mix for mix, _, has_sound in wanted if not (has_sound or mix.is_sounding)]
        sent = []
        if self._is_time_for_comfort(tick):
            sent = _comfort([row for mix in quiet for row in mix.rows.tolist()])
        if not sounding:
            return sent
        frames = limit(
            np.stack([pcm for _, pcm, _ in sounding]), [mix.limiter for mix, _, _ in sounding]
        )
        for (mix, _, has_sound), frame in zip(sounding, frames, strict=True):
            self._is_comfort_due |= not has_sound
            if mix is self._shared and self.on_air and self._tap is not None:
                self._tap.write(self.id, tick, frame)
            if (outgoing := mix.advance(frame, has_sound=has_sound)) is not None:
                self.encodes += bool(outgoing.payload)
                sent.append(outgoing)
        return sent

    def _is_time_for_comfort(self, tick: int) -> bool:
        """Whether to say that silence is meant: when it begins, then now and again."""
        due, self._is_comfort_due = self._is_comfort_due, False
        return due or tick % COMFORT_EVERY_TICKS == self._comfort_phase


def _comfort(rows: list[int]) -> list[Outgoing]:
    return [Outgoing(COMFORT_PAYLOAD, np.array(rows, np.intp), SILENCE_DBOV)] if rows else []
