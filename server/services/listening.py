"""Listening to a broadcast: what a listener's token opens, and for how long."""

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from mixer.types import RoomId
from server.domain import key_token
from server.domain.identity import UserId
from server.domain.playlist_text import PlaylistText
from server.domain.stream import Stream, StreamKey
from server.errors import BadToken
from server.services.access import Access
from server.services.listeners import Listener, Listeners
from server.services.sessions import Sessions
from server.services.stream_keys import StreamKeys
from server.services.tokens import Grant

_KEPT: Final = 2  # epochs: the one in force, and the one that is announced


@dataclass(frozen=True, slots=True)
class Pass:
    """What the addresses in a playlist carry that a listener asked for with their token.

    It is the same whenever they ask: `shown` for other playlists, and for each key a token that
    opens that one alone. A segment that was listed never changes (draft-pantos-hls-rfc8216bis
    §6.2.1), nor does its key's address.
    """

    shown: bytes  # as a query
    stream: Stream
    listener: Listener

    def into(self, text: PlaylistText) -> bytes:
        """Return a playlist for this listener."""
        return text.with_queries(self.shown, self._key_query)

    def _key_query(self, epoch: int) -> bytes:
        known = self.listener.key_queries
        query = known.get(epoch)
        if query is None:
            token = key_token.make(self.stream, self.listener.user, epoch)
            query = f"?token={token}".encode()
            known[epoch] = query
            if len(known) > _KEPT:  # a long window has many, which are seldom asked for
                del known[min(known)]
        return query


class Listening:
    """Gives out keys and the tokens for them, and knows who has them.

    A listen token opens the playlist and the keys, also after its time while somebody goes on
    listening with it (see Access.hearing). A key token, which playlists carry, opens one key and
    nothing else, and renews nothing.
    """

    def __init__(
        self, access: Access, keys: StreamKeys, listeners: Listeners, sessions: Sessions
    ) -> None:
        self.access = access
        self.keys = keys
        self.listeners = listeners
        self.sessions = sessions
        access.is_listening = sessions.is_under_way

    def pass_of(self, room: RoomId, stream: Stream, token: str) -> Pass:
        """Return what a playlist that is asked for with `token` carries. Raises BadToken."""
        query = f"?token={quote(token, safe='')}".encode()
        return Pass(query, stream, self.seen(room, token))

    def seen(self, room: RoomId, token: str) -> Listener:
        """Note that somebody with a listen token is listening. Raises BadToken."""
        if token.startswith(key_token.PREFIX):
            raise BadToken("This token opens a key alone: show the one you listen with")
        grant = self.access.check_hearing(room, token)
        return self._seen(room, grant.user, grant)

    def key(self, room: RoomId, stream: Stream, token: str, epoch: str | None) -> StreamKey:
        """Give out the key of an epoch, or the one in force now.

        Raises BadToken, NotFound, KeyNotYet.
        """
        grant = None
        if token.startswith(key_token.PREFIX):
            user = self._holder(room, stream, token, epoch)
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

    def _holder(self, room: RoomId, stream: Stream, token: str, epoch: str | None) -> UserId:
        """Return whom a key token was made for, if it opens that key now. Raises BadToken."""
        found = key_token.read(stream, token)
        if epoch is None:
            epoch = str(stream.key_at(self.keys.now_msn(stream)).epoch)
        if found is None or epoch != str(found[1]) or self.keys.is_over(room, stream, found[1]):
            raise BadToken("This address is over or another room's: load the playlist again")
        self.access.check_welcome(room, found[0])
        return found[0]
