"""What a room's broadcast is, from the room and its stream."""

from dataclasses import replace

from hls.types import BroadcastSpec
from mixer.types import Profile
from server.domain.air import Studio
from server.domain.captions import captions_of
from server.domain.room import Room
from server.domain.stream import Stream

_STUDIO = Studio()


def broadcast_spec(
    room: Room, stream: Stream, version: int, studio: Studio = _STUDIO, *, is_empty: bool = False
) -> BroadcastSpec:
    """Return the broadcast as the plane shall have it: of a music room in stereo.

    A room that `is_empty` has hold music.
    """
    return replace(
        stream.spec(room.id, version, on_air=room.broadcast),
        channels=2 if room.profile is Profile.MUSIC else 1,
        title=room.air.title or room.name,
        renditions=studio.renditions(room.air.within(room.buses)),
        part_frames=studio.part_frames,
        window_s=studio.window_of(room.air),
        container=studio.container,
        loudness_lufs=studio.loudness_lufs,
        captions=captions_of(room.air.captions),
        hold=studio.hold_of(room.air) if is_empty else "",
        is_uploaded=room.upload,
    )


def is_heard_alike(room: Room, other: Room) -> bool:
    """Whether the broadcasts of both are the same and go the same ways, but for keys.

    Off the air a room's captions count all the same: it may be recorded.
    """
    if not (room.broadcast or other.broadcast):
        return room.air.captions == other.air.captions
    mine, theirs = (
        (one.broadcast, one.profile, one.name, one.air, one.air.within(one.buses), one.upload)
        for one in (room, other)
    )
    return mine == theirs
