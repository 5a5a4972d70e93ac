"""A person in a room, as heard: jitter buffer, gate and decoder."""

from collections import deque

import numpy as np

from mixer.core.gate import Gate
from mixer.core.jitter import Arrival, Conceal, Continue, Idle, JitterBuffer, Play
from mixer.core.level import level_dbov
from mixer.core.mix import ramp
from mixer.core.sequence import distance
from mixer.opus import FrameDecoder, OpusError
from mixer.room.decoders import make_decoder
from mixer.types import FRAME_SAMPLES, Int16Frame, PeerId, RtpCodec

PREROLL = 2  # packets before the one that opened the gate: a first syllable begins softly


class Anchor:
    """Turns one peer's packets into one frame a tick, or into nothing while it is silent."""

    def __init__(self, peer: PeerId, row: int, codec: RtpCodec = RtpCodec.OPUS) -> None:
        self.peer = peer
        self.row = row
        self.hears = False
        self.loss_percent = 0  # of what we send them, where in-band FEC would help
        self.level_dbov = -127
        self._corrupt = 0
        self.jitter = JitterBuffer()
        self._gate = Gate()
        self._muted = False
        self._codec = codec
        self._decoder: FrameDecoder | None = (
            None  # made with the first sound: most people only listen
        )
        self._preroll: deque[Arrival] = deque(maxlen=PREROLL)
        self._decoded: deque[Int16Frame] = deque()
        self._skipped: Play | None = None  # last, while the person was left out
        self._sounding = False

    def counters(self) -> dict[str, int]:
        """Return what has happened to this peer's packets so far, by metric name."""
        jitter = self.jitter.statistics()
        return {
            "jitter_late": jitter.late,
            "jitter_duplicate": jitter.duplicate,
            "jitter_concealed": jitter.concealed,
            "jitter_trimmed": jitter.trimmed,
            "jitter_resyncs": jitter.resyncs,
            "opus_corrupt": self._corrupt,
        }

    @property
    def is_muted(self) -> bool:
        """Whether the control plane silenced this person."""
        return self._muted

    def mute(self, muted: bool) -> None:  # noqa: FBT001 - the value itself is the message
        """Silence the person within a tick, or let them speak again from the next packet on."""
        self._muted = muted
        self._preroll.clear()

    def restart(self) -> None:
        """Forget what has arrived: another stream begins."""
        self.jitter.reset()
        self._preroll.clear()

    def arrived(
        self, packet: Arrival, level: int | None, now: float, *, voice: bool = False
    ) -> bool:
        """Take one packet; return whether the anchor is to be heard from now on."""
        self._gate.update(level, now, voice=voice)
        if self._muted:
            return False
        if not self._gate.is_open(now):
            self._preroll.append(packet)
            return False
        for earlier in self._preroll:
            if 0 < distance(packet.sequence, earlier.sequence) <= PREROLL:
                self.jitter.push(earlier)
        self._preroll.clear()
        self.jitter.push(packet)
        if level is not None:
            self.level_dbov = level
        return True

    def hear(self, now: float) -> Int16Frame | None:
        """Return this tick's frame (int16[960]), None for silence. Once a tick while awake."""
        if self._muted or not self._gate.is_open(now):
            return self._end(self._next(now) if self._sounding else None)
        frame = self._next(now)
        if frame is None:
            return self._fade_out()
        if not self._sounding:
            self._sounding = True
            return ramp(frame, 0.0, 1.0)
        return frame

    def skip(self, now: float) -> None:
        """Pass over this tick's frame undecoded; in place of `hear` while nobody shall hear it."""
        if self._muted or not self._gate.is_open(now):
            self._skipped = None
            self._end(None)
            return
        step = self.jitter.pop(now)
        if isinstance(step, Play):
            self._skipped = step
        self._sounding = False
        self._decoded.clear()

    @property
    def is_levelled(self) -> bool:
        """Whether the person's packets tell their level."""
        return not self._gate.is_unlevelled

    @property
    def is_asleep(self) -> bool:
        """Whether nothing is left to hear until the next voiced packet."""
        return not self._sounding and self.jitter.depth_frames == 0 and not self._decoded

    def _end(self, frame: Int16Frame | None) -> Int16Frame | None:
        """Close: the last frame fades out, what is buffered is forgotten."""
        sounding, self._sounding = self._sounding, False
        self.jitter.reset()
        self._decoded.clear()
        self.level_dbov = -127
        if not sounding or frame is None:
            return None
        return ramp(frame, 1.0, 0.0)

    def _fade_out(self) -> Int16Frame | None:
        """Bridge into a gap by what the decoder makes up, faded over 10 ms: no click."""
        if not self._sounding or self._decoder is None:
            return None
        self._sounding = False
        return ramp(self._decoder.conceal(FRAME_SAMPLES), 1.0, 0.0)

    def _next(self, now: float) -> Int16Frame | None:
        step = self.jitter.pop(now)
        match step:
            case Play():
                self._catch_up()
                self._decode(step)
            case Conceal():
                if self._sounding and self._decoder is not None:
                    self._decoded.append(self._decoder.conceal(FRAME_SAMPLES))
            case Continue() | Idle():
                pass
        if not self._decoded:
            return None
        return self._decoded.popleft()

    def _catch_up(self) -> None:
        """Let the decoder find its feet on what was skipped last: nobody hears it."""
        skipped, self._skipped = self._skipped, None
        if skipped is not None:
            self._decode(skipped)
            self._decoded.clear()

    def _decode(self, step: Play) -> None:
        if self._decoder is None:
            self._decoder = make_decoder(self._codec)
        try:
            parts = [self._decoder.decode(payload) for payload in step.payloads]
        except OpusError:
            self._corrupt += 1
            parts = [self._decoder.conceal(FRAME_SAMPLES)]
        pcm = parts[0] if len(parts) == 1 else np.concatenate(parts)
        if len(pcm) % FRAME_SAMPLES:  # a lone 10 ms packet: the other half of its tick was lost
            pcm = np.concatenate((pcm, np.zeros(-len(pcm) % FRAME_SAMPLES, np.int16)))
        self._decoded.clear()
        self._decoded.extend(
            pcm[at : at + FRAME_SAMPLES] for at in range(0, len(pcm), FRAME_SAMPLES)
        )
        if self._gate.is_unlevelled:
            self.level_dbov = level_dbov(self._decoded[0])
