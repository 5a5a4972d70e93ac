"""One encoder of a mix, and who gets its packets."""

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mixer.core.encode_terms import ROBUST_ALONE_BPS, EncodeTerms, clear_terms, robust_terms
from mixer.opus import Application, Encoder
from mixer.types import PCM_ROWS, Delivery, Int16Frame, Outgoing, Quality

MUSIC_BPS = 128_000  # stereo
KEPT = 2  # earlier payloads, for redundancy


class Kind(Enum):
    """What an encoding is good for."""

    CLEAR = "clear"  # CELT: cheap, best without loss
    ROBUST = "robust"  # SILK or hybrid with in-band FEC: for who loses packets
    RETURN = "return"  # CELT from its beginning: for who comes from ROBUST, until it is as CLEAR


class Form(NamedTuple):
    """What somebody takes of a mix: which kind, and whether one channel of two."""

    kind: Kind
    is_mono: bool = False


class Encoding:
    """Encodes what a mix plays, for those who take this kind of it; without hearers it sleeps."""

    def __init__(self, kind: Kind, channels: int) -> None:
        self.rows: NDArray[np.intp] = np.zeros(0, np.intp)
        self._terms = EncodeTerms()
        self._complexity = 0
        self._kind = kind
        self._channels = channels
        self._encoder: Encoder | None = None
        self._is_fed = False  # whether the encoder has had the frame before the next one
        self._sent: tuple[bytes, ...] = ()  # the payloads of the ticks before, newest first

    def branch(self) -> "Encoding":
        """Return an encoding that goes on from this one: who changes over hears no seam."""
        encoding = Encoding(self._kind, self._channels)
        if self._is_fed and self._encoder is not None:
            encoding._encoder, encoding._is_fed = self._encoder.clone(), True
            encoding._complexity = self._complexity
        return encoding

    def seat(self, hearers: Sequence[tuple[int, Delivery]]) -> None:
        """Take who hears it from now on: rows of the peer table, and what suits their links."""
        self.rows = np.array([row for row, _ in hearers], np.intp)
        deliveries = [delivery for _, delivery in hearers]
        if self._kind is Kind.ROBUST and deliveries:
            self._terms = robust_terms(deliveries, self._channels)
        else:
            self._terms = clear_terms(deliveries)

    def advance(
        self,
        frame: Int16Frame,
        level_dbov: int,
        previous: Int16Frame | None,
        quality: Quality,
    ) -> Outgoing | None:
        """Take the next 20 ms, their level and the 20 ms before; return what to send.

        `previous` is None where the mix begins. A clear encoder whose mix went on without it is
        primed: it encodes the frame before, whose output is thrown away. The others begin as their
        hearers' decoders do, which start anew when a stream changes between SILK and CELT: a voice
        dips by 2 dB for a frame there, primed it would by 6 for five.
        """
        begins = previous is None
        if not len(self.rows):
            self._is_fed, self._sent = False, ()
            return None
        if (self.rows >= PCM_ROWS).all():
            self._is_fed, self._sent = False, ()
            return Outgoing(b"", self.rows, level_dbov, marker=begins, pcm=frame)
        encoder = self._prepare(previous, quality)
        payload = encoder.encode(frame)
        earlier = () if begins else self._sent
        self._sent = (payload, *earlier[: KEPT - 1])
        return Outgoing(payload, self.rows, level_dbov, marker=begins, previous=earlier, pcm=frame)

    def _prepare(self, previous: Int16Frame | None, quality: Quality) -> Encoder:
        if self._encoder is None:
            self._encoder = self._make()
        encoder, terms = self._encoder, self._terms
        ceilings = (quality.max_bitrate_bps, terms.ceiling_bps)
        encoder.limit_bitrate(min((one for one in ceilings if one is not None), default=None))
        if self._kind is Kind.ROBUST:
            encoder.set_expected_loss(terms.loss_percent)
            if quality.robust_complexity != self._complexity:
                self._complexity = quality.robust_complexity
                encoder.set_complexity(self._complexity)
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
            bitrate_bps=ROBUST_ALONE_BPS * self._channels,
        )
        encoder.set_fec(enabled=True)
        return encoder
