"""What a room's broadcast is, from the room and its stream."""

from dataclasses import replace

from hls.types import BroadcastSpec
from mixer.types import Profile
from server.domain.room import Room
from server.domain.stream import Stream


def broadcast_spec(room: Room, stream: Stream, version: int) -> BroadcastSpec:
    """Return the broadcast as the plane shall have it: of a music room in stereo."""
    return replace(
        stream.spec(room.id, version, on_air=room.broadcast),
        channels=2 if room.profile is Profile.MUSIC else 1,
        title=room.name,
    )


def is_heard_alike(room: Room, other: Room) -> bool:
    """Whether the broadcasts of both are the same, but for keys."""
    if not (room.broadcast or other.broadcast):
        return True
    mine, theirs = ((one.broadcast, one.profile, one.name) for one in (room, other))
    return mine == theirs
