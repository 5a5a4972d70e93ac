"""What a room was told of the people in it: a version, and what changed since the one before."""

from collections.abc import Mapping, Sequence

Entry = Mapping[str, object]


class Told:
    """The list as everybody in the room knows it; each change of it is one version higher.

    An entry is known by its `userId`.
    """

    def __init__(self) -> None:
        self._version = 0
        self._entries: dict[str, Entry] = {}

    def snapshot(self) -> dict[str, object]:
        """Return the whole list and its version."""
        return {"version": self._version, "snapshot": list(self._entries.values())}

    def advance(self, listing: Sequence[Entry]) -> dict[str, object] | None:
        """Return what makes the list so, and its version; None if it is so already.

        `changes` holds whole entries, and `{"userId", "gone": true}` for who is not there any more.
        """
        entries = {str(entry["userId"]): entry for entry in listing}
        changes: list[Entry] = [
            {"userId": user, "gone": True} for user in self._entries if user not in entries
        ]
        changes += [entry for user, entry in entries.items() if self._entries.get(user) != entry]
        if not changes:
            return None
        self._entries = entries
        self._version += 1
        return {"version": self._version, "changes": changes}
