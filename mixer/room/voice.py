"""A source of sound in a room: whom it is for, how loud it goes into the mixes."""

from mixer.core.agc import Agc
from mixer.core.gain import factor
from mixer.core.level import level_dbov
from mixer.core.strip import Strip, Voiced
from mixer.types import FLOOR, AnchorSpec, Int16Frame, PeerId


class Voice:
    """What everybody hears of one source: its fader, automatic gain and place.

    `peer` is the speaker, None for a player. `only` is who alone hears it, None for whoever hears
    one of `buses`.
    """

    def __init__(self, channels: int, peer: PeerId | None = None) -> None:
        self.peer = peer
        self.buses = frozenset({FLOOR})
        self.only: PeerId | None = None
        self.heard_at = -1
        """The tick it was heard in last."""
        self.is_on_stage = False
        self.strip = Strip(channels)
        self._fader = 1.0
        self._agc: Agc | None = None

    def configure(self, spec: AnchorSpec) -> None:
        """Become what the spec says; gains move there over one tick of sound."""
        self.buses = frozenset(spec.speaks)
        self.set_gain(spec.gain_db)
        self.strip.pan = spec.pan
        if spec.agc_target_dbov is None:
            self._agc = None
        elif self._agc is None:
            self._agc = Agc(spec.agc_target_dbov)
        else:
            self._agc.target_dbov = spec.agc_target_dbov

    @property
    def is_plain(self) -> bool:
        """Whether it is heard as it comes, and its loudness is nobody's business."""
        return self._agc is None and self.strip.is_open

    def set_channels(self, channels: int) -> None:
        """Go on at once in a room of so many channels, as loud as before."""
        before, self.strip = self.strip, Strip(channels, self.strip.gain)
        self.strip.pan = before.pan

    def set_gain(self, gain_db: float) -> None:
        """Set the fader."""
        self._fader = factor(gain_db)

    def shape(self, frame: Int16Frame, share: float = 1.0) -> Voiced:
        """Bring a frame to the room's channels, its gain times `share` (see Strip.shape)."""
        gain = self._fader * share
        if self._agc is not None:
            gain *= factor(self._agc.follow(level_dbov(frame)))
        self.strip.gain = gain
        return self.strip.shape(frame)
