from dataclasses import replace
from datetime import UTC, datetime

import pytest

from mixer.types import Profile, RoomId
from server.domain.broadcast import broadcast_spec, is_heard_alike
from server.domain.room import Invites, Room
from tests.server.domain.test_stream import STREAM

ROOM = Room(RoomId("demo"), datetime(2026, 1, 2, tzinfo=UTC), Invites("j", "l"))


@pytest.mark.parametrize(("profile", "channels"), [(Profile.VOICE, 1), (Profile.MUSIC, 2)])
def test_music_is_stereo(profile: Profile, channels: int) -> None:
    """The rest is the stream's."""
    spec = broadcast_spec(replace(ROOM, profile=profile, name="Jazz"), STREAM, 9)
    assert (spec.channels, spec.title, spec.on_air, spec.version) == (channels, "Jazz", True, 9)
    assert spec.keys == STREAM.spec(RoomId("demo"), 9).keys


@pytest.mark.parametrize(
    "change", [{"profile": Profile.MUSIC}, {"name": "x"}, {"broadcast": False}]
)
def test_what_is_heard(change: dict[str, object]) -> None:
    """Profile and name concern listeners, if there is a broadcast; a lock does not."""
    assert not is_heard_alike(ROOM, replace(ROOM, **change))  # type: ignore[arg-type]
    assert is_heard_alike(ROOM, replace(ROOM, locked=True))
    off = replace(ROOM, broadcast=False)
    assert is_heard_alike(off, replace(off, **change))  # type: ignore[arg-type]
