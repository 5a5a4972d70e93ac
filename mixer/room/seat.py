"""A place in a room: who sits there, what goes in from it and what comes out to it."""

from dataclasses import dataclass

from mixer.core.routing import Ear
from mixer.room.anchor import Anchor
from mixer.room.mix import Mix
from mixer.room.voice import Voice
from mixer.types import PeerId


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


@dataclass(eq=False, slots=True)
class Seat:
    """An anchor's place."""

    anchor: Anchor
    voice: Voice
    hearer: Hearer
