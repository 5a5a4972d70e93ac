"""One encoder of a mix, and who gets its packets."""

from enum import Enum

import numpy as np
from numpy.typing import NDArray

from mixer.opus import Application, Encoder
from mixer.types import PCM_ROWS, Int16Frame, Outgoing

MUSIC_BPS = 128_000  # stereo
# Of speech at 10 % loss no other of libopus's modes leaves more: SILK's packets carry the one
# before at a quarter of its size. Complexity 5 is a third dearer than 0 and heard (3.23 for 2.62).
ROBUST_BPS, ROBUST_COMPLEXITY = 40_000, 5


class Kind(Enum):
    """What an encoding is good for."""

    CLEAR = "clear"  # CELT: cheap, best without loss
    ROBUST = "robust"  # SILK or hybrid with in-band FEC: for who loses packets
    RETURN = "return"  # CELT from its beginning: for who comes from ROBUST, until it is as CLEAR


class Encoding:
    """Encodes what a mix plays, for those who take this kind of it; without hearers it sleeps."""

    def __init__(self, kind: Kind, channels: int) -> None:
        self.rows: NDArray[np.intp] = np.zeros(0, np.intp)
        self.loss_percent = 0
        """Expected: the more, the more of a packet is FEC. Of a robust encoding alone."""
        self._kind = kind
        self._channels = channels
        self._encoder: Encoder | None = None
        self._is_fed = False  # whether the encoder has had the frame before the next one
        self._sent: tuple[bytes, ...] = ()  # the payload of the tick before, for redundancy

    def branch(self) -> "Encoding":
        """Return an encoding that goes on from this one: who changes over hears no seam."""
        encoding = Encoding(self._kind, self._channels)
        if self._is_fed and self._encoder is not None:
            encoding._encoder, encoding._is_fed = self._encoder.clone(), True
        return encoding

    def advance(
        self,
        frame: Int16Frame,
        level_dbov: int,
        previous: Int16Frame | None,
        ceiling_bps: int | None,
    ) -> Outgoing | None:
        """Take the next 20 ms, their level and the 20 ms before; return what to send.

        `previous` is None where the mix begins. A clear encoder whose mix went on without it is
        primed: it encodes the frame before, whose output is thrown away. The others begin as their
        hearers' decoders do, which start anew when a stream changes between SILK and CELT.
        """
        begins = previous is None
        if not len(self.rows):
            self._is_fed, self._sent = False, ()
            return None
        if (self.rows >= PCM_ROWS).all():
            self._is_fed, self._sent = False, ()
            return Outgoing(b"", self.rows, level_dbov, marker=begins, pcm=frame)
        encoder = self._prepare(previous, ceiling_bps)
        payload = encoder.encode(frame)
        earlier, self._sent = () if begins else self._sent, (payload,)
        return Outgoing(payload, self.rows, level_dbov, marker=begins, previous=earlier, pcm=frame)

    def _prepare(self, previous: Int16Frame | None, ceiling_bps: int | None) -> Encoder:
        if self._encoder is None:
            self._encoder = self._make()
        encoder = self._encoder
        encoder.limit_bitrate(ceiling_bps)
        if self._kind is Kind.ROBUST:
            encoder.set_expected_loss(self.loss_percent)
        if previous is None:
            encoder.reset()  # whoever has lost count in the pause starts with this frame
        elif not self._is_fed:
            encoder.reset()
            if self._kind is Kind.CLEAR:
                encoder.encode(previous)
        self._is_fed = True
        return encoder

    def _make(self) -> Encoder:
        if self._kind is not Kind.ROBUST:
            return (
                Encoder()
                if self._channels == 1
                else Encoder(channels=self._channels, bitrate_bps=MUSIC_BPS)
            )
        encoder = Encoder(
            channels=self._channels,
            application=Application.VOIP,
            bitrate_bps=ROBUST_BPS * self._channels,
            complexity=ROBUST_COMPLEXITY,
        )
        encoder.set_fec(enabled=True)
        return encoder
