"""Who in a room reads what is said there, and in which language."""

from typing import Final

from hls.types import Caption
from mixer.types import RoomId
from server.domain.identity import UserId
from server.rpc.codec import Notification
from server.services.presence import Presence

_MS: Final = 1000


class Readers:
    """Tells people on the stage what they asked to read; who left is forgotten."""

    def __init__(self, presence: Presence) -> None:
        self._presence = presence
        self._languages: dict[RoomId, dict[UserId, str]] = {}

    def choose(self, room: RoomId, user: UserId, language: str) -> None:
        """Let somebody read in a language from now on; "" for none."""
        readers = self._present(room)
        readers.pop(user, None)
        if language:
            readers[user] = language

    def are_in(self, room: RoomId, language: str) -> bool:
        """Whether anybody reads in that language now."""
        return language in self._present(room).values()

    def tell(self, room: RoomId, caption: Caption, starts_in_s: float) -> None:
        """Hand a caption to those who read in its language."""
        params = {
            "language": caption.language,
            "text": caption.text,
            "startsInMs": round(_MS * starts_in_s),
            "durationMs": round(_MS * (caption.end_unix_s - caption.start_unix_s)),
        }
        told = Notification("caption", params)
        for user, language in self._present(room).items():
            if language == caption.language:
                self._presence.tell(room, told, user)

    def forget(self, room: RoomId) -> None:
        """The room is gone."""
        self._languages.pop(room, None)

    def _present(self, room: RoomId) -> dict[UserId, str]:
        """Return those who are on the stage still, and their languages."""
        readers = self._languages.setdefault(room, {})
        for user in [one for one in readers if self._presence.person(room, one) is None]:
            del readers[user]
        return readers
