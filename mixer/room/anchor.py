"""A person in a room, as heard: jitter buffer, gate and decoder."""

from collections import deque

from mixer.core.gate import Gate
from mixer.core.jitter import Arrival, JitterBuffer
from mixer.core.level import level_dbov
from mixer.core.mix import ramp
from mixer.core.sequence import distance
from mixer.room.playout import Playout
from mixer.room.tape import Tape
from mixer.types import Delivery, Int16Frame, PeerId, ReceptionStatistics, RtpCodec

PREROLL = 2  # packets before the one that opened the gate: a first syllable begins softly


class Anchor:
    """Turns one peer's packets into one frame a tick, or into nothing while it is silent.

    Frames are int16[960], for a room in stereo int16[960, 2]. Who is not gated is heard whatever
    level the packets claim: music has no room noise to hide.
    """

    def __init__(
        self,
        peer: PeerId,
        row: int,
        codec: RtpCodec = RtpCodec.OPUS,
        jitter: JitterBuffer | None = None,
    ) -> None:
        self.peer = peer
        self.row = row
        self.hears = False
        self.delivery = Delivery()  # of the mix to them
        self.level_dbov = -127
        self.jitter = jitter or JitterBuffer()
        self._playout = Playout(self.jitter, codec)
        self._gate = Gate()
        self._is_gated = True
        self._muted = False
        self._codec = codec
        self._preroll: deque[Arrival] = deque(maxlen=PREROLL)
        self._sounding = False
        self.tape: Tape | None = None
        """What takes their packets while the room is recorded."""
        self.packet: bytes | None = None
        """What alone and unchanged makes up the frame of this tick, ramps aside."""

    def counters(self) -> dict[str, int]:
        """Return what has happened to this peer's packets so far, by metric name."""
        jitter = self.jitter.statistics()
        return {
            "jitter_late": jitter.late,
            "jitter_duplicate": jitter.duplicate,
            "jitter_lost": jitter.lost,
            "jitter_recovered_fec": jitter.recovered_fec,
            "jitter_recovered_red": jitter.recovered_red,
            "jitter_concealed": jitter.concealed,
            "jitter_trimmed": jitter.trimmed,
            "jitter_compressed": jitter.compressed,
            "jitter_expanded": jitter.expanded,
            "jitter_resyncs": jitter.resyncs,
            "opus_corrupt": self._playout.corrupt,
        }

    def statistics(self) -> ReceptionStatistics:
        """Return how this person's packets arrive."""
        jitter = self.jitter.statistics()
        return ReceptionStatistics(
            depth_frames=jitter.depth_frames,
            target_frames=jitter.target_frames,
            received=jitter.received,
            late=jitter.late,
            duplicate=jitter.duplicate,
            lost=jitter.lost,
            recovered_fec=jitter.recovered_fec,
            recovered_red=jitter.recovered_red,
            concealed=jitter.concealed,
            trimmed=jitter.trimmed,
            compressed=jitter.compressed,
            expanded=jitter.expanded,
            corrupt=self._playout.corrupt,
        )

    @property
    def is_muted(self) -> bool:
        """Whether the control plane silenced this person."""
        return self._muted

    def mute(self, muted: bool) -> None:  # noqa: FBT001 - the value itself is the message
        """Silence the person within a tick, or let them speak again from the next packet on."""
        self._muted = muted
        self._preroll.clear()

    def adapt(self, channels: int, *, is_gated: bool) -> None:
        """Decode for a room of so many channels from the next packet on, gated by level or not."""
        self._is_gated = is_gated
        if channels != self._playout.channels:
            self._playout = self._playout.adapted(channels)

    def prepare(self, channels: int) -> None:
        """Make ready to be adapted to so many channels in 200 ms without losing the thread."""
        self._playout.prepare(channels)

    def restart(self) -> None:
        """Forget what has arrived: another stream begins."""
        self.jitter.reset()
        self._preroll.clear()
        if self.tape is not None:
            self.tape.begin(self.peer)

    def arrived(
        self, packet: Arrival, level: int | None, now: float, *, voice: bool = False
    ) -> bool:
        """Take one packet; return whether the anchor is to be heard from now on."""
        self._gate.update(level, now, voice=voice)
        if self._muted:
            return False
        if not self._is_open(now):
            self._preroll.append(packet)
            return False
        for earlier in self._preroll:
            if 0 < distance(packet.sequence, earlier.sequence) <= PREROLL:
                self._push(earlier)
        self._preroll.clear()
        self._push(packet)
        if level is not None:
            self.level_dbov = level
        return True

    def _push(self, packet: Arrival) -> None:
        self.jitter.push(packet)
        if self.tape is not None:
            self.tape.arrived(self.peer, packet, self._codec)

    def hear(self, now: float, most_bytes: int = 0) -> Int16Frame | None:
        """Return this tick's frame, None for silence. Once a tick while awake.

        `UNDECODED` if `packet` has at most `most_bytes`, which is for who is heard already.
        """
        self.packet = None
        if self._muted or not self._is_open(now):
            return self._end(now)
        frame = self._next(now, most_bytes if self._sounding else 0)
        if frame is None:
            return self._fade_out()
        self.packet = self._playout.packet
        if not self._sounding:
            self._sounding = True
            return ramp(frame, 0.0, 1.0)
        return frame

    def skip(self, now: float) -> None:
        """Pass over this tick's frame undecoded; in place of `hear` while nobody shall hear it."""
        self._sounding, self.packet = False, None
        if self._muted or not self._is_open(now):
            self._end(now)
        else:
            self._playout.skip(now)

    @property
    def is_levelled(self) -> bool:
        """Whether the person's packets tell their level."""
        return not self._gate.is_unlevelled

    @property
    def caught_up(self) -> Int16Frame | None:
        """The frame before this tick's, where it was not decoded until now."""
        return self._playout.caught_up

    @property
    def is_asleep(self) -> bool:
        """Whether nothing is left to hear until the next voiced packet."""
        return not self._sounding and self.jitter.depth_frames == 0 and self._playout.is_empty

    def _is_open(self, now: float) -> bool:
        return not self._is_gated or self._gate.is_open(now)

    def _end(self, now: float) -> Int16Frame | None:
        """Close: the last frame fades out, what is buffered is forgotten."""
        last = None
        if self._sounding:
            frame = self._next(now)
            last = self._fade_out() if frame is None else ramp(frame, 1.0, 0.0)
        self._sounding = False
        self.jitter.pause()
        self._playout.clear()
        self.level_dbov = -127
        return last

    def _fade_out(self) -> Int16Frame | None:
        """Bridge into a gap by what the decoder makes up, faded over 10 ms: no click."""
        if not self._sounding:
            return None
        self._sounding = False
        frame = self._playout.bridge()
        return None if frame is None else ramp(frame, 1.0, 0.0)

    def _next(self, now: float, most_bytes: int = 0) -> Int16Frame | None:
        frame = self._playout.next(now, sounding=self._sounding, most_bytes=most_bytes)
        if frame is not None and self._gate.is_unlevelled:
            self.level_dbov = level_dbov(frame.reshape(-1))
        return frame
