"""One encoder of a mix, and who gets its packets."""

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mixer.core.encode_terms import ROBUST_ALONE_BPS, EncodeTerms, clear_terms, robust_terms
from mixer.core.mix import ramp
from mixer.opus import Application, Encoder
from mixer.types import PCM_ROWS, Delivery, Int16Frame, Outgoing, Quality

MUSIC_BPS = 128_000  # stereo
CLEAR_BPS = 96_000  # what a clear encoder takes of itself
TICKS_PER_S = 50
# Between two words: from the third soft frame on a decoder that begins amid the speaker's packets
# is right within 11 dB of its noise in the first frame, within 22 in the second.
QUIET_DBOV, QUIET_TICKS = -50, 2
# A hearer's decoder leads out of the speaker's packets over the first 5 ms that are encoded. A step
# where they begin, which nobody hears, would cost the whole frame its bits.
ONSET_SAMPLES = 60
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
        self.is_recorded = False
        """Whether its packets are wanted though nobody is sent them."""
        self._terms = EncodeTerms()
        self._complexity = 0
        self._kind = kind
        self._channels = channels
        self._encoder: Encoder | None = None
        self._is_fed = False  # whether the encoder has had the frame before the next one
        self._sent: tuple[bytes, ...] = ()  # the payloads of the ticks before, newest first
        self._is_passing = False  # the last payload was a speaker's own
        self._has_joined = False  # somebody who has not had the others of these payloads
        self._quiet = 0  # ticks in a row that were encoded and soft
        self._needs_sound = False  # not all take Opus

    def branch(self) -> "Encoding":
        """Return an encoding that goes on from this one: who changes over hears no seam."""
        encoding = Encoding(self._kind, self._channels)
        encoding.rows, encoding._is_passing = self.rows, self._is_passing
        if self._is_fed and self._encoder is not None:
            encoding._encoder, encoding._is_fed = self._encoder.clone(), True
            encoding._complexity = self._complexity
        return encoding

    def seat(self, hearers: Sequence[tuple[int, Delivery]]) -> None:
        """Take who hears it from now on: rows of the peer table, and what suits their links."""
        rows = np.array([row for row, _ in hearers], np.intp)
        if self._is_passing:
            self._has_joined = self._has_joined or not np.isin(rows, self.rows).all()
        self.rows = rows
        self._needs_sound = bool((rows >= PCM_ROWS).any())
        deliveries = [delivery for _, delivery in hearers]
        if self._kind is Kind.ROBUST and deliveries:
            self._terms = robust_terms(deliveries, self._channels)
        else:
            self._terms = clear_terms(deliveries)

    @property
    def is_wanted(self) -> bool:
        """Whether it is to encode at all."""
        return self.is_recorded or len(self.rows) > 0

    def most_bytes(self, quality: Quality) -> int:
        """Return how long a packet may be to be passed on undecoded: 0 if the sound is needed."""
        return self._longest(quality) if self._is_passing and not self._needs_sound else 0

    def pass_on(
        self, packet: bytes, frame: Int16Frame, level_dbov: int, quality: Quality, *, begins: bool
    ) -> Outgoing | None:
        """Return a speaker's own packet as what to send; None if the frame is to be encoded.

        It `begins` where the mix does, for the hearers' decoders start anew there, or between two
        words. From there on all packets are passed on, or it is over until then.
        """
        is_quiet = level_dbov <= QUIET_DBOV and self._quiet >= QUIET_TICKS
        if begins or is_quiet:
            self._has_joined = False
        elif not self._is_passing or self._has_joined:
            return None
        if (
            self._kind is not Kind.CLEAR
            or not self.is_wanted
            or len(packet) > self._longest(quality)
        ):
            return None
        if self._needs_sound and self._needs_nothing_else:
            return None
        earlier = () if begins else self._sent
        self._sent = (packet, *earlier[: KEPT - 1])
        self._is_passing, self._is_fed, self._quiet = True, False, 0
        return Outgoing(packet, self.rows, level_dbov, begins, earlier, frame, is_passed=True)

    def _longest(self, quality: Quality) -> int:
        """Return the bytes that 20 ms may have: no more than an encoder would make of them."""
        ceilings = (CLEAR_BPS, quality.max_bitrate_bps, self._terms.ceiling_bps)
        return min(one for one in ceilings if one is not None) // (8 * TICKS_PER_S)

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
        changes_over, self._is_passing = self._is_passing, False
        self._quiet = self._quiet + 1 if level_dbov <= QUIET_DBOV else 0
        if not self.is_wanted:
            self._is_fed, self._sent = False, ()
            return None
        if self._needs_nothing_else:
            self._is_fed, self._sent = False, ()
            return Outgoing(b"", self.rows, level_dbov, marker=begins, pcm=frame)
        encoder = self._prepare(previous, quality, is_primed=not changes_over)
        payload = encoder.encode(ramp(frame, 0.0, 1.0, ONSET_SAMPLES) if changes_over else frame)
        earlier = () if begins else self._sent
        self._sent = (payload, *earlier[: KEPT - 1])
        return Outgoing(payload, self.rows, level_dbov, marker=begins, previous=earlier, pcm=frame)

    @property
    def _needs_nothing_else(self) -> bool:
        """Whether the sound alone is wanted, no packets."""
        return not self.is_recorded and bool((self.rows >= PCM_ROWS).all())

    def _prepare(
        self, previous: Int16Frame | None, quality: Quality, *, is_primed: bool
    ) -> Encoder:
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
            if is_primed and self._kind is Kind.CLEAR:
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
