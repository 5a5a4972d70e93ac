"""What a jitter buffer hands out, as sound: decoded, repaired, at the pace it asks for."""

from collections import deque
from contextlib import suppress

import numpy as np

from mixer.core.jitter import Conceal, Continue, Idle, JitterBuffer, Play
from mixer.core.steadiness import Steadiness
from mixer.core.stretch import SLOW_PERIOD, cut, is_quiet, least_likeness, lengthen, shorten
from mixer.core.toc import is_plain_speech, is_stereo
from mixer.opus import FrameDecoder, OpusError
from mixer.room.decoders import make_decoder
from mixer.types import FRAME_SAMPLES, Int16Frame, RtpCodec

LITTLE = (
    FRAME_SAMPLES // 2
)  # surplus that can wait for a pause: 10 ms are not worth a seam in a word
CATCH_UP = 10  # frames: a hybrid decoder's loudness above 8 kHz is right after 200 ms
UNDECODED: Int16Frame = np.zeros(FRAME_SAMPLES, np.int16)
"""Stands for a frame that nobody needs as sound."""
UNDECODED.flags.writeable = False


class Playout:
    """One frame a tick from a jitter buffer, or none where nothing is due.

    To win back delay it takes a frame more than is due from the buffer and leaves out one pitch
    period of what it holds at a time; to gain some it repeats them until it can spare a frame.
    What it holds beyond the tick is its *surplus*.
    """

    def __init__(
        self, jitter: JitterBuffer, codec: RtpCodec = RtpCodec.OPUS, *, channels: int = 1
    ) -> None:
        self.channels = channels
        self._jitter = jitter
        self._codec = codec
        self._decoder: FrameDecoder | None = None  # made with the first sound: most people listen
        self._next: FrameDecoder | None = None  # for another number of channels, unheard as yet
        self._is_stereo = False  # the packets are, by their own account
        self._skipped = deque[Play](maxlen=CATCH_UP)  # lately, undecoded
        self._nothing: Int16Frame = np.zeros((0,) if channels == 1 else (0, channels), np.int16)
        self._pending = self._nothing  # the rest of a long packet, and the surplus
        self._surplus = 0
        self._is_hurrying = False  # the surplus is there to be left out, not to wait with
        self._waited = 0  # ticks that found no place to change the pace
        self._before = self._nothing  # the frame played last
        self._is_repairing = False
        self._steadiness = Steadiness()  # of what is here in time
        self.corrupt = 0
        self.packet: bytes | None = None
        """What alone and unchanged makes up the frame of this tick, if one packet does."""
        self.caught_up: Int16Frame | None = None
        """The frame before this tick's, where it was not decoded until now."""

    def adapted(self, channels: int) -> "Playout":
        """Return a playout that goes on with the same buffer in so many channels; G.711 has one.

        Best after it was told to `prepare` for that.
        """
        if self._codec is not RtpCodec.OPUS or channels == self.channels:
            return self
        playout = Playout(self._jitter, self._codec, channels=channels)
        playout.corrupt = self.corrupt
        playout._decoder, playout._is_stereo = self._next, self._is_stereo
        return playout

    def prepare(self, channels: int) -> None:
        """Decode beside, unheard, for `adapted` to as many channels; for those of now: no more.

        A CELT decoder that begins amid a stream is wrong about its loudness for 200 ms.
        """
        self._next = None
        if self._codec is RtpCodec.OPUS and channels != self.channels:
            self._next = make_decoder(self._codec, channels)

    @property
    def is_empty(self) -> bool:
        """Whether nothing decoded waits."""
        return len(self._pending) == 0

    def clear(self) -> None:
        """Forget what waits."""
        self._pending = self._before = self._nothing
        self._surplus = self._waited = 0
        self._is_hurrying = False
        self._skipped.clear()

    def skip(self, now: float) -> None:
        """Pass over this tick's frame undecoded."""
        self.clear()
        step = self._jitter.pop(now)
        if isinstance(step, Play):
            self._skipped.append(step)

    def next(self, now: float, *, sounding: bool, most_bytes: int = 0) -> Int16Frame | None:
        """Return this tick's frame: int16[960], or int16[960, 2] of packets in stereo.

        What is missing is made up only while the voice is `sounding`. `UNDECODED` is returned where
        `packet` is enough, as the caller says: it has at most `most_bytes`.
        """
        self.packet = self.caught_up = None
        if self._surplus >= FRAME_SAMPLES and not self._is_hurrying:
            self._jitter.hold()
            self._surplus -= FRAME_SAMPLES
            return self._spread(self._take())
        step = self._jitter.pop(now)
        match step:
            case Play():
                self.packet = self._plain(step)
                if self.packet is not None and self._can_pass_over(self.packet, most_bytes):
                    self._skipped.append(step)
                    return UNDECODED
                self._play(step, now)
            case Conceal():
                if sounding:
                    self._is_repairing = True
                    self._append(self._repair(step.next_payload))
            case Idle():
                self._is_repairing = False  # that was an end, not a loss
                if step.comfort and sounding:
                    self._append(self._repair(None))
            case Continue():
                pass
        return self._spread(self._take()) if len(self._pending) >= FRAME_SAMPLES else None

    def bridge(self) -> Int16Frame | None:
        """Return a frame that leads out of what was played last, if anything was."""
        self._catch_up()
        if self._decoder is None:
            return None
        self._append(self._decoder.conceal(FRAME_SAMPLES))
        frame = self._spread(self._take())
        self.clear()
        return frame

    def _spread(self, frame: Int16Frame) -> Int16Frame:
        """Return one channel of what is mono: it has a place of its own in a stereo room."""
        return frame[:, 0] if self.channels == 2 and not self._is_stereo else frame

    def _plain(self, step: Play) -> bytes | None:
        """Return the one packet that is all there is to play, if nothing is to be done to it."""
        payload = step.payloads[0]
        if self._is_repairing:
            self._is_repairing = False
            self._steadiness.note_flaw()
        if not self._steadiness.next_tick():
            return None
        is_plain = len(step.payloads) == 1 and is_plain_speech(payload) and not self._surplus
        return payload if is_plain and self._codec is RtpCodec.OPUS else None

    def _can_pass_over(self, packet: bytes, most_bytes: int) -> bool:
        return len(packet) <= most_bytes and not self._jitter.steering

    def _play(self, step: Play, now: float) -> None:
        self._catch_up()
        self._pending = self._pending[: self._surplus]
        corrupt = self.corrupt
        self._append(self._decode(step))
        self._pace(now)
        if self.corrupt > corrupt or self._surplus or len(self._pending) > FRAME_SAMPLES:
            self.packet = None

    def _catch_up(self) -> None:
        """Let the decoder find its feet on what was skipped last: nobody hears it."""
        while self._skipped:
            self._before = self.caught_up = self._decode(self._skipped.popleft())[-FRAME_SAMPLES:]

    def _append(self, pcm: Int16Frame) -> None:
        self._pending = np.concatenate((self._pending, pcm)) if len(self._pending) else pcm

    def _take(self) -> Int16Frame:
        if len(self._pending) == FRAME_SAMPLES:
            frame, self._pending = self._pending, self._nothing
        else:
            frame, self._pending = self._pending[:FRAME_SAMPLES], self._pending[FRAME_SAMPLES:]
        self._before = frame
        return frame

    def _pace(self, now: float) -> None:
        """Follow the buffer's wish by one pitch period, if there is one."""
        steering = self._jitter.steering
        if not (steering or self._surplus):
            return
        if steering > 0:
            self._is_hurrying = False
            most = max(FRAME_SAMPLES - self._surplus, SLOW_PERIOD)
            least = least_likeness(self._waited)
            self._stretch(lengthen(self._before, self._pending, most, least=least))
            return
        is_pause = is_quiet(self._pending)
        if is_pause and not steering and self._surplus < LITTLE:
            self._stretch(cut(self._pending, self._surplus))  # packets begin with the tick again
            return
        self._is_hurrying = self._is_hurrying or steering < -1
        if self._surplus < LITTLE:
            self._waited = 0
            if steering < -1 or (steering and is_pause):
                self._take_ahead(now)
        if is_pause or (self._is_hurrying and self._surplus >= LITTLE):
            least = least_likeness(self._waited)
            self._stretch(shorten(self._pending, self._surplus, least=least))

    def _take_ahead(self, now: float) -> None:
        more = self._jitter.ahead(now)
        if more is not None:
            self._is_hurrying = True
            pcm = self._decode(more)
            self._append(pcm)
            self._surplus += len(pcm)

    def _stretch(self, pcm: Int16Frame) -> None:
        """Let `pcm` wait in place of what does."""
        gained = len(pcm) - len(self._pending)
        self._pending = pcm
        self._surplus += gained
        self._waited = 0 if gained else self._waited + 1

    def _repair(self, next_payload: bytes | None) -> Int16Frame:
        """Return a missing frame: from its successor's FEC, else made up."""
        self._catch_up()
        if self._decoder is None:
            self._decoder = make_decoder(self._codec, self.channels)
        if self._next is not None:
            _repair(self._next, next_payload)
        return _repair(self._decoder, next_payload)

    def _decode(self, step: Play) -> Int16Frame:
        """Return the packets' audio, in whole frames."""
        if self._decoder is None:
            self._decoder = make_decoder(self._codec, self.channels)
        self._is_stereo = is_stereo(step.payloads[-1])
        if self._next is not None:
            with suppress(OpusError):  # counted below
                for payload in step.payloads:
                    self._next.decode(payload)
        try:
            parts = [self._decoder.decode(payload) for payload in step.payloads]
        except OpusError:
            self.corrupt += 1
            parts = [self._decoder.conceal(FRAME_SAMPLES)]
        pcm = parts[0] if len(parts) == 1 else np.concatenate(parts)
        if lacking := -len(pcm) % FRAME_SAMPLES:  # a lone 10 ms packet: its other half was lost
            pcm = np.concatenate((pcm, np.zeros((lacking, *pcm.shape[1:]), np.int16)))
        return pcm


def _repair(decoder: FrameDecoder, next_payload: bytes | None) -> Int16Frame:
    if next_payload is not None:
        with suppress(OpusError):  # it will be counted when it is played
            return decoder.decode_fec(next_payload)
    return decoder.conceal(FRAME_SAMPLES)
