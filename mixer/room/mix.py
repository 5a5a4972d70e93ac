"""One distinct mix of a room: its limiter, its encodings and who hears it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mixer.core.limiter import LimiterState
from mixer.room.encoding import Encoding, Form, Kind
from mixer.types import Delivery, Int16Frame, Outgoing, Quality

# Opus TOC alone (RFC 6716 §3.1: CELT, full band, 20 ms, one empty frame): the receiver's decoder
# takes it as DTX and makes comfort noise instead of concealing a loss.
COMFORT_PAYLOAD = b"\xf8"
COMFORT_STEREO = b"\xfc"
COMFORT_EVERY_TICKS = 20  # 400 ms, libopus's own interval of DTX updates

RECORDED = Form(Kind.CLEAR)
"""What a recording takes of a mix."""

Row = tuple[float, ...]
"""A gain for every voice on the stage."""


class Mix:
    """What one group of people hears. Sounds, then is silent; never encodes silence.

    It is encoded once, or twice: again with FEC while some of them lose packets, and for an instant
    a third time for those who cease to. Nobody's loss changes what the others are sent. Who takes
    one channel of two has encodings of their own.
    """

    def __init__(self, channels: int = 1) -> None:
        self.limiter = LimiterState(channels)
        self.is_sounding = False
        self.quality = Quality()
        self.rows: NDArray[np.intp] = np.zeros(0, np.intp)
        """Of all who hear it."""
        self.recorded = b""
        """The last packet, where it `is_recorded`: with it that is made though nobody hears it."""
        self.gains: Row = ()
        self.fades_from: Row | None = None
        """What it is to come from in the next tick, where that is not `gains`."""
        self.apart_ticks = 0
        """For how long nobody may come from this mix to another: its encoder is too different."""
        self._last: Int16Frame | None = None
        self._encodings: dict[Form, Encoding] = {}  # made when the first hearer needs them

    def branch(self) -> "Mix":
        """Return a mix that goes on from this one: its hearers change over without a click."""
        mix = Mix(self.limiter.channels)
        mix.limiter = self.limiter.branch()
        mix.is_sounding = self.is_sounding
        mix.apart_ticks = self.apart_ticks
        mix._last = self._last
        mix._encodings = {form: one.branch() for form, one in self._encodings.items()}
        return mix

    def seat(
        self, hearers: Sequence[tuple[int, Form, Delivery]], *, is_recorded: bool = False
    ) -> None:
        """Take who hears it from now on, and whether it is recorded.

        For each the row of the peer table, the form they take it in, and what suits their link.
        """
        self.rows = np.array([row for row, _, _ in hearers], np.intp)
        forms = {form for _, form, _ in hearers} | ({RECORDED} if is_recorded else set())
        for form in forms - self._encodings.keys():
            channels = 1 if form.is_mono else self.limiter.channels
            self._encodings[form] = Encoding(form.kind, channels)
        for form, encoding in self._encodings.items():
            encoding.seat([(row, delivery) for row, its, delivery in hearers if its == form])
            encoding.is_recorded = is_recorded and form == RECORDED

    def most_bytes(self) -> int:
        """Return how long a packet may be to be passed on undecoded: 0 if the sound is needed."""
        used = [one for one in self._encodings.values() if one.is_wanted]
        return min((one.most_bytes(self.quality) for one in used), default=0)

    def recover(self, frame: Int16Frame) -> None:
        """Have had `frame` last: so far it was passed on undecoded."""
        self._last = frame

    def advance(
        self, frame: Int16Frame, level_dbov: int, *, has_sound: bool, packet: bytes | None = None
    ) -> list[Outgoing]:
        """Take the next 20 ms (int16[960 * channels], limited) and its level; return what to send.

        Nothing if nobody hears. `packet` may be sent on for it: who speaks sent just that.
        """
        previous = self._last if self.is_sounding else None
        self.is_sounding, self._last = has_sound, frame
        begins = previous is None
        self.recorded = b""
        sent = []
        for form, encoding in self._encodings.items():
            outgoing = None
            if packet is not None:
                outgoing = encoding.pass_on(packet, frame, level_dbov, self.quality, begins=begins)
            if outgoing is None:
                taken, before = frame, previous
                if form.is_mono and self.limiter.channels > 1 and len(encoding.rows):
                    taken, before = mono(frame), None if previous is None else mono(previous)
                outgoing = encoding.advance(taken, level_dbov, before, self.quality)
            if outgoing is not None:
                if encoding.is_recorded:
                    self.recorded = outgoing.payload
                if len(outgoing.rows):
                    sent.append(outgoing)
        return sent


def mono(frame: Int16Frame) -> Int16Frame:
    """Return the mean (int16[960]) of both channels of a frame (int16[1920])."""
    mean: Int16Frame = (frame.reshape(-1, 2).sum(axis=1, dtype=np.int32) >> 1).astype(np.int16)
    return mean
