"""A place in a room: who sits there, what goes in from it and what comes out to it."""

from dataclasses import dataclass, field

from mixer.core.routing import Ear
from mixer.room.anchor import Anchor
from mixer.room.encoding import Form, Kind
from mixer.room.mix import Mix
from mixer.room.voice import Voice
from mixer.types import Delivery, PeerId


@dataclass(eq=False, slots=True)
class Hearer:
    """Somebody who hears the room: an anchor, or the tap, which has neither row nor voice."""

    ear: Ear
    row: int | None = None
    """Of the peer table."""
    voice: Voice | None = None
    """Their own, which they never hear."""
    peer: PeerId | None = None
    mix: Mix | None = None
    delivery: Delivery = field(default_factory=Delivery)
    returning_ticks: int = 0
    """For how long they are still on their way back from FEC."""

    is_recorded: bool = False
    """Whether the packets are taken though nobody is sent them."""
    is_mono: bool = False
    """Whether they take one channel, however many the mix has."""

    @property
    def form(self) -> Form:
        """Which encoding of the mix they take."""
        if self.delivery.is_robust:
            return Form(Kind.ROBUST, self.is_mono)
        return Form(Kind.RETURN if self.returning_ticks else Kind.CLEAR, self.is_mono)


@dataclass(eq=False, slots=True)
class Seat:
    """An anchor's place."""

    anchor: Anchor
    voice: Voice
    hearer: Hearer
