"""What somebody is told who has joined, or was let in later."""

from dataclasses import dataclass

from server.domain.grants import Right, Role
from server.domain.identity import UserId
from server.domain.room import Room


@dataclass(frozen=True, slots=True)
class Joined:
    """The result of `join`, and the params of `admitted`.

    `place` is `stage`, or outside it `lobby` (they wait) or `audience` (they listen); `jtoken` is
    empty there. `people` is the list for those who want changes, None for others. `recording` is
    the room's, None if it is not recorded.
    """

    jtoken: str
    resumed: bool
    user: UserId
    room: Room
    place: str = "stage"
    role: Role = Role.ANCHOR
    rights: frozenset[Right] = frozenset()
    people: dict[str, object] | None = None
    recording: dict[str, object] | None = None

    def shape(self) -> dict[str, object]:
        """Return it as it travels."""
        shape: dict[str, object] = {
            "jtoken": self.jtoken,
            "resume": self.resumed,
            "userId": self.user,
            "room": self.room.notice(),
            "place": self.place,
            "role": self.role.value,
            "grants": sorted(right.value for right in self.rights),
            "recording": self.recording,
        }
        if self.people is not None:
            shape["participants"] = self.people
        return shape
