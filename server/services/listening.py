"""Listening to a broadcast: what a listener's token opens, and for how long."""

from mixer.types import RoomId
from server.domain import key_token
from server.domain.identity import UserId
from server.domain.stream import Stream, StreamKey
from server.errors import BadToken
from server.services.access import Access
from server.services.listeners import Listener, Listeners
from server.services.sessions import Sessions
from server.services.stream_keys import StreamKeys
from server.services.tokens import Grant


class Listening:
    """Gives out keys and the tokens for them, and knows who has them.

    A listen token opens the playlist and the keys, also after its time while somebody goes on
    listening with it (see Access.hearing). Addresses in a playlist carry a key token instead: it
    opens the keys of an epoch and nothing else, and renews nothing.
    """

    def __init__(
        self, access: Access, keys: StreamKeys, listeners: Listeners, sessions: Sessions
    ) -> None:
        self.access = access
        self.keys = keys
        self.listeners = listeners
        self.sessions = sessions
        access.is_listening = sessions.is_under_way

    def token_for(self, room: RoomId, stream: Stream, token: str) -> str:
        """Return what the addresses in a media playlist carry that was asked for with `token`.

        A key token is handed on as it is: it does not outlive itself. Raises BadToken.
        """
        if token.startswith(key_token.PREFIX):
            _ = self._holder(room, stream, token)
            return token
        listener = self.seen(room, token)
        msn = self.keys.now_msn(stream)
        until_msn = key_token.last_msn(self.keys.rotation.every, msn)
        if listener.token_msn != until_msn:
            listener.token = key_token.make(stream, listener.user, until_msn)
            listener.token_msn = until_msn
        return listener.token

    def seen(self, room: RoomId, token: str) -> Listener:
        """Note that somebody with a listen token is listening. Raises BadToken."""
        grant = self.access.check_hearing(room, token)
        return self._seen(room, grant.user, grant)

    def key(self, room: RoomId, stream: Stream, token: str, epoch: str | None) -> StreamKey:
        """Give out the key of an epoch, or the one in force now.

        Raises BadToken, NotFound, KeyNotYet.
        """
        grant = None
        if token.startswith(key_token.PREFIX):
            user = self._holder(room, stream, token)
        else:
            grant = self.access.check_hearing(room, token)
            user = grant.user
        if epoch is None:
            key = self.keys.current(room, stream)
        else:
            key = self.keys.of_epoch(room, stream, epoch)
        self._seen(room, user, grant).keys += 1
        return key

    def forget_room(self, room: RoomId) -> None:
        """Forget what was known of a room that is gone."""
        self.keys.forget_room(room)
        self.listeners.forget_room(room)

    def _seen(self, room: RoomId, user: UserId, grant: Grant | None) -> Listener:
        """Note that somebody listens, by what they showed (a listen token, or one made of it).

        Of a broadcast that is over nobody is counted any more: they come to its end.
        """
        if self.keys.is_on_air(room):
            listener = self.listeners.seen(room, user)
            if grant is not None:
                self.sessions.note(listener, grant.expires_at)
            return listener
        return Listener(room, user, since_unix_s=0.0, since_s=0.0, seen_s=0.0)

    def _holder(self, room: RoomId, stream: Stream, token: str) -> UserId:
        user = key_token.read(stream, token, self.keys.now_msn(stream))
        if user is None:
            raise BadToken("This address is over or another room's: load the playlist again")
        self.access.check_welcome(room, user)
        return user
