"""A room's tick: who speaks, what each distinct mix is, one encode for each."""

from collections.abc import Mapping, Sequence
from zlib import crc32

import numpy as np

from mixer.core.level import SILENCE_DBOV
from mixer.core.routing import EVERYBODY, PLAIN, Ear, ear_of
from mixer.core.speccheck import check_gain
from mixer.core.strip import Voiced
from mixer.room.anchor import Anchor
from mixer.room.fade import Fade, faded
from mixer.room.groups import APART_TICKS, NO_PACKETS, Advanced, Groups
from mixer.room.mix import COMFORT_EVERY_TICKS, COMFORT_PAYLOAD, COMFORT_STEREO
from mixer.room.player import EVERYONE, FrameSource, Player, Target
from mixer.room.playout import UNDECODED
from mixer.room.seat import Hearer, Seat
from mixer.room.stage import Playing, Stage
from mixer.room.tape import Tape
from mixer.room.voice import Voice
from mixer.types import (
    FLOOR,
    AnchorSpec,
    Delivery,
    Outgoing,
    PeerId,
    Profile,
    Quality,
    RecordTaps,
    RoomId,
    RoomSpec,
    Tap,
)

# 30 s. Sound that is passed on is 5.5 ms ahead of what is encoded, and a word in which that changes
# has lost more than a minute's passing on has won (PESQ).
CROWDED_TICKS = 1500


class Room:
    """The audio of one room. A tick costs nothing while everybody is silent."""

    def __init__(self, room: RoomId, tap: Tap | None) -> None:
        self.id = room
        self.quality = Quality()
        self.anchors: dict[PeerId, Anchor] = {}
        self.encodes = 0
        self.passed = 0
        self._tap = tap
        self._specs: dict[PeerId, AnchorSpec] = {}
        self._channels = self._wanted_channels = 1
        self._turn_ticks = 0  # until another profile is heard
        self._is_rising = False  # from the silence between two profiles
        self._seats: dict[PeerId, Seat] = {}
        self._stage = Stage(room)
        self._groups = Groups(self._channels)
        self._air: dict[str, Hearer] = {}  # what the tap hears of each bus on air
        self._tape: Tape | None = None  # while recorded
        self._tape_refused = 0  # by those before
        self._recorded = Hearer(PLAIN)  # what it hears
        self._is_stale = False  # somebody came, went or changed since the mixes were dealt out
        self._returning: list[Hearer] = []  # to the packets without FEC
        self._is_comfort_due = False
        self._passes_through = True
        self._crowded_until = 0  # until which tick people are likely to interrupt each other
        self._undecoded: Seat | None = None  # whose packet was all that was needed of the last tick
        self._most_bytes = 0  # of such a packet in the next one
        self._comfort_phase = crc32(room.encode()) % COMFORT_EVERY_TICKS  # not all in one tick

    # What the control plane wants

    def configure(self, spec: RoomSpec) -> None:
        """Mix as a valid spec says from the next tick on; who comes and goes is told by others.

        Gains move there without a step. For another profile all mixes begin anew 240 ms later, in a
        tick of silence; what is heard fades out in the one before and in again in the one after.
        """
        before, self._specs = self._specs, {anchor.peer: anchor for anchor in spec.anchors}
        self._stage.configure(spec)
        on_air = (FLOOR, *spec.air_buses) if spec.on_air and self._tap is not None else ()
        self._air = {bus: self._air.get(bus) or Hearer(_ear_on(bus)) for bus in on_air}
        self._tune(None if self._tap is None else spec.record)
        self._passes_through = spec.pass_through
        self._wanted_channels = 2 if spec.profile is Profile.MUSIC else 1
        self._prepare()
        for peer, seat in self._seats.items():
            if self._specs.get(peer) != before.get(peer):  # a large room is told of every change
                self._brief(seat)
        self._is_stale = True

    def _tune(self, taps: RecordTaps | None) -> None:
        """Gather what a recording asks for, or nothing."""
        self._recorded.is_recorded = taps is not None and taps.mix_packets
        if taps is None:
            self._tape_refused = self._refused
            self._tape, self._recorded.mix = None, None
        elif self._tape is None:
            self._tape = Tape(taps)
        else:
            self._tape.taps = taps
        for anchor in self.anchors.values():
            anchor.tape = self._tape

    def spend(self, quality: Quality) -> None:
        """Spend no more than that from the next tick on, whatever the spec says."""
        self.quality = quality
        self._most_bytes = 0
        self._stage.limit_loudest(quality.loudest)

    def add(self, anchor: Anchor) -> None:
        """Seat an anchor, in place of an earlier connection of the same person."""
        self.remove(anchor.peer)
        self.anchors[anchor.peer] = anchor
        voice = Voice(self._channels, anchor.peer)
        hearer = Hearer(PLAIN, anchor.row, voice, anchor.peer)
        self._seats[anchor.peer] = seat = Seat(anchor, voice, hearer)
        anchor.prepare(self._wanted_channels)
        anchor.tape = self._tape
        if self._tape is not None:
            self._tape.begin(anchor.peer)
        self._brief(seat)
        self._is_stale = True

    def remove(self, peer: PeerId) -> None:
        """Forget an anchor."""
        self.anchors.pop(peer, None)
        seat = self._seats.pop(peer, None)
        if seat is not None:
            self._stage.remove(seat)
            self._is_stale = True

    def connect(self, peer: PeerId) -> None:
        """Begin to send an anchor the mix, silence included."""
        self.anchors[peer].hears = True
        self._is_comfort_due = self._is_stale = True

    def disconnect(self, peer: PeerId) -> None:
        """Cease to send an anchor anything; it is heard as before."""
        self.anchors[peer].hears = False
        self._is_stale = True

    def deliver(self, peer: PeerId, delivery: Delivery) -> None:
        """Send an anchor what suits their link from the next tick on."""
        self.anchors[peer].delivery = delivery
        hearer = self._seats[peer].hearer
        if hearer.delivery.is_robust and not delivery.is_robust:
            hearer.returning_ticks = APART_TICKS
            self._returning.append(hearer)
        hearer.delivery = delivery
        self._is_stale = True

    def hears_mono(self, peer: PeerId) -> bool:
        """Whether a seated anchor is sent one channel."""
        return self._channels == 1 or self._seats[peer].hearer.is_mono

    def wake(self, anchor: Anchor) -> None:
        """Listen to an anchor from the next tick on."""
        seat = self._seats.get(anchor.peer)
        if seat is not None and seat.anchor is anchor:
            self._stage.wake(seat)

    def play(
        self, name: str, source: FrameSource, *, to: Target = EVERYONE, gain_db: float = 0.0
    ) -> None:
        """Play a source from the next tick on, in place of what was played under that name.

        Raises:
            ClientMistake: the gain is out of its range.
            NoCapacity: the room plays too much already.
        """
        check_gain(gain_db)
        voice = Voice(self._channels)
        voice.set_gain(gain_db)
        voice.buses, voice.only = frozenset({EVERYBODY if to.bus is None else to.bus}), to.peer
        self._stage.play(Playing(name, Player(source), voice))

    def stop(self, name: str) -> None:
        """Fade out what is played under that name, if anything is."""
        self._stage.stop(name)

    def set_volume(self, name: str, gain_db: float) -> None:
        """Set the gain of what is played under that name, if anything is.

        Raises:
            ClientMistake: the gain is out of its range.
        """
        check_gain(gain_db)
        self._stage.set_volume(name, gain_db)

    def is_playing(self, name: str) -> bool:
        """Whether something is played under that name, fading out included."""
        return self._stage.is_playing(name)

    def counters(self) -> dict[str, int]:
        """Return what this room has done so far, by metric name."""
        return {
            "opus_encodes": self.encodes,
            "packets_passed": self.passed,
            "anchor_failures": self._stage.failures,
            "player_failures": self._stage.player_failures,
            "room_recording_packets_refused": self._refused,
        }

    @property
    def _refused(self) -> int:
        return self._tape_refused + (0 if self._tape is None else self._tape.refused)

    @property
    def talking(self) -> Mapping[PeerId, int]:
        """Who was heard in the last tick: level in dBov by person."""
        return self._stage.levels

    # Time

    @property
    def is_idle(self) -> bool:
        """Whether the next tick has nothing to do but comfort."""
        return self._stage.is_empty and not self._groups.is_sounding

    def tick(self, tick: int, now: float) -> list[Outgoing]:
        """Advance 20 ms; return what is to be sent."""
        sent = self._advance(tick, now)
        if self._tape is not None and self._tap is not None:
            tapped = self._tape.take()
            if tapped is not None:
                self._tap.record(self.id, tick, tapped)
        return sent

    def _advance(self, tick: int, now: float) -> list[Outgoing]:
        if self.is_idle:
            self._turn()
            if not self.anchors or not self._is_time_for_comfort(tick):
                return []
            return self._comfort([one.row for one in self.anchors.values() if one.hears])
        heard, frames = self._listen(tick, now)
        if self._undecoded is not None:
            return self._send(self._pass_on(self._undecoded, tick), tick)
        changed = self._stage.hold(heard, tick, is_silent=not self._groups.is_sounding)
        if changed or self._is_stale or not self._groups.is_settled:
            self._is_stale = False
            self._groups.regroup(self._hearers(), self._stage.voices)
        if self._returning:
            self._bring_back()
        if len(heard) > 1:
            self._crowded_until = tick + CROWDED_TICKS
        packets = self._stage.packets if self._may_pass(tick) else NO_PACKETS
        advanced = self._groups.advance(heard, frames, packets)
        if self._turn_ticks or self._is_rising:
            advanced = self._lead(advanced)
        sent = self._send(advanced, tick)
        if self._turn_ticks:
            self._turn_ticks -= 1
            if not self._turn_ticks:
                self._turn()
                self._is_rising = self._is_comfort_due = True
        return sent

    def _listen(self, tick: int, now: float) -> tuple[list[Voice], list[Voiced]]:
        """Hear everybody; who was not decoded in the last tick has been now, if they are here."""
        lone = self._stage.lone if self._most_bytes and not self._is_stale else None
        heard, frames = self._stage.listen(tick, now, self._most_bytes if lone else 0)
        before, self._undecoded = self._undecoded, lone if self._stage.is_undecoded else None
        if before is not None and self._undecoded is None:
            missed = before.anchor.caught_up
            self._groups.recover(before.voice, UNDECODED if missed is None else missed)
        if self._tape is not None:
            self._tape.heard(heard, frames, PLAIN)
        return heard, frames

    def _pass_on(self, seat: Seat, tick: int) -> list[Advanced]:
        """Return what all hear of a packet that was not decoded; nothing else has changed."""
        voice, level_dbov = seat.voice, seat.anchor.level_dbov
        voice.heard_at = tick
        return self._groups.pass_on(voice, self._stage.packets[voice], level_dbov)

    def _may_pass(self, tick: int) -> bool:
        """Whether a speaker's own packets can be sent on: in one channel, which all will keep."""
        is_turning = self._turn_ticks or self._is_rising
        is_monologue = tick >= self._crowded_until
        return self._passes_through and self._channels == 1 and is_monologue and not is_turning

    def _lead(self, advanced: list[Advanced]) -> list[Advanced]:
        """Lead what is heard out of one profile and into the other."""
        if self._is_rising:
            self._is_rising = False
            return faded(advanced, self._channels, Fade.IN)
        way = {2: Fade.OUT, 1: Fade.SILENCE}.get(self._turn_ticks)
        return advanced if way is None else faded(advanced, self._channels, way)

    def _send(self, advanced: Sequence[Advanced], tick: int) -> list[Outgoing]:
        sent = []
        if self._is_time_for_comfort(tick):
            sounding = {one.mix for one in advanced}
            quiet = [mix for mix in self._groups.mixes if mix not in sounding]
            sent = self._comfort([row for mix in quiet for row in mix.rows.tolist()])
        self._most_bytes = 0
        most: list[int] = []
        for mix, frame, level, has_sound, packet in advanced:
            self._is_comfort_due |= not has_sound
            if self._tap is not None:
                for bus, hearer in self._air.items():
                    if mix is hearer.mix:
                        self._tap.write(self.id, bus, tick, frame)
            mix.quality = self.quality
            outgoing = mix.advance(frame, level, has_sound=has_sound, packet=packet)
            if self._tape is not None and mix is self._recorded.mix:
                self._tape.mixed(mix.recorded, frame)
            passed = sum(one.is_passed for one in outgoing)
            self.passed += passed
            self.encodes += sum(bool(one.payload) for one in outgoing) - passed
            most.append(mix.most_bytes() if passed else 0)
            sent += outgoing
        if most and not self._air and self._tape is None and self._groups.is_at_rest:
            self._most_bytes = min(most)
        return sent

    def _bring_back(self) -> None:
        """Count down for those who come back from FEC; their own encoder is soon as the others'."""
        for hearer in self._returning:
            hearer.returning_ticks = max(0, hearer.returning_ticks - 1)
        still = [hearer for hearer in self._returning if hearer.returning_ticks]
        self._is_stale |= len(still) < len(self._returning)
        self._returning = still

    def _is_time_for_comfort(self, tick: int) -> bool:
        """Whether to say that silence is meant: when it begins, then now and again."""
        due, self._is_comfort_due = self._is_comfort_due, False
        return due or tick % COMFORT_EVERY_TICKS == self._comfort_phase

    def _comfort(self, rows: list[int]) -> list[Outgoing]:
        if not rows:
            return []
        in_mono = set(rows)
        if self._channels > 1:
            in_mono &= {one.anchor.row for one in self._seats.values() if one.hearer.is_mono}
        comfort = [
            (COMFORT_PAYLOAD, [row for row in rows if row in in_mono]),
            (COMFORT_STEREO, [row for row in rows if row not in in_mono]),
        ]
        return [
            Outgoing(payload, np.array(some, np.intp), SILENCE_DBOV)
            for payload, some in comfort
            if some
        ]

    # The seats

    def _hearers(self) -> list[Hearer]:
        hearers = [seat.hearer for seat in self._seats.values() if seat.anchor.hears]
        recorded = [] if self._tape is None else [self._recorded]
        return [*hearers, *self._air.values(), *recorded]

    def _brief(self, seat: Seat) -> None:
        spec = self._specs.get(seat.anchor.peer, AnchorSpec(seat.anchor.peer))
        seat.voice.configure(spec)
        seat.hearer.ear = ear_of(spec)
        seat.hearer.is_mono = spec.profile is Profile.VOICE
        self._adapt(seat)

    def _adapt(self, seat: Seat) -> None:
        """Decode for the room's channels, and gate as the room does unless told otherwise."""
        spec = self._specs.get(seat.anchor.peer)
        profile = None if spec is None else spec.profile
        is_gated = self._channels == 1 if profile is None else profile is Profile.VOICE
        seat.anchor.adapt(self._channels, is_gated=is_gated)

    def _prepare(self) -> None:
        """Begin to decode for as many channels as are wanted, to `_turn` to them later."""
        if self.is_idle:
            self._turn()  # nobody hears it
        elif bool(self._turn_ticks) == (self._wanted_channels == self._channels):
            self._is_rising |= self._turn_ticks == 1  # the way back, from silence
            self._turn_ticks = 0 if self._turn_ticks else APART_TICKS + 2
            for anchor in self.anchors.values():
                anchor.prepare(self._wanted_channels)

    def _turn(self) -> None:
        """Go on with as many channels as are wanted: every mix begins anew."""
        channels, self._turn_ticks = self._wanted_channels, 0
        if channels == self._channels:
            return
        self._channels, self._is_stale = channels, True
        self._groups = Groups(channels)
        self._stage.set_channels(channels)
        for seat in self._seats.values():
            self._adapt(seat)
            seat.voice.set_channels(channels)
            seat.hearer.mix = None
        for hearer in (*self._air.values(), self._recorded):
            hearer.mix = None


def _ear_on(bus: str) -> Ear:
    """Return how a bus is heard by who hears nothing else."""
    return PLAIN if bus == FLOOR else Ear(frozenset({(bus, 1.0)}))
