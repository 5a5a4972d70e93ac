"""One person's conversation with the server over one socket."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

from mixer.errors import PeerGone
from mixer.types import PeerId, RoomId, RoomSpec
from server.domain.grants import Role
from server.domain.identity import UserId
from server.domain.people import Status
from server.domain.room import Room
from server.errors import (
    AlreadyJoined,
    BadToken,
    Forbidden,
    IllegalTransition,
    NotJoined,
    PlaneUnavailable,
)
from server.services.desk import Desk
from server.services.presence import Arrival, Client, Farewell, Presence
from server.services.reconcile import Reconciler
from server.services.rooms import Rooms
from server.services.spent import Spent
from server.services.tokens import Audience, Grant, Tokens
from server.telemetry import traced


class SessionState(Enum):
    """Where a socket is in its life."""

    CONNECTED = "connected"
    JOINED = "joined"
    ENDED = "ended"


class SessionEvent(Enum):
    """What happens to a socket."""

    JOIN = "join"
    END = "end"


LEGAL: Final = {
    (SessionState.CONNECTED, SessionEvent.JOIN): SessionState.JOINED,
    (SessionState.CONNECTED, SessionEvent.END): SessionState.ENDED,
    (SessionState.JOINED, SessionEvent.END): SessionState.ENDED,
}


class Answerer(Protocol):
    """The part of a media plane that a conversation needs."""

    async def accept_offer(
        self, room: RoomId, peer: PeerId, sdp: str, *, listener: bool = False
    ) -> str:
        """Answer an SDP offer. Raises ClientMistake, PeerGone, NoCapacity, PlaneUnavailable."""

    async def drop_peer(self, room: RoomId, peer: PeerId) -> None:
        """End a connection, if it is there. Raises PlaneUnavailable."""

    async def add_candidate(self, room: RoomId, peer: PeerId, candidate: str) -> None:
        """Take one of the peer's ICE candidates."""


@dataclass(frozen=True, slots=True)
class Signalling:
    """What every conversation works with."""

    rooms: Rooms
    presence: Presence
    tokens: Tokens
    mixer: Answerer
    specs: Reconciler[RoomSpec]
    spent: Spent
    resume_token_s: int
    desk: Desk


@dataclass(frozen=True, slots=True)
class Joining:
    """The parameters of `join`."""

    pin: str = ""
    jtoken: str = ""
    display_name: str = ""


@dataclass(frozen=True, slots=True)
class Joined:
    """The result of `join`."""

    jtoken: str
    resumed: bool
    user: UserId
    room: Room


class Session:
    """Answers one socket's calls in the order they came, but keepalives at any time.

    `grant` is what the socket's token says, `address` where it was shown from. Every method raises
    NotJoined unless the person is in the room by this very socket.
    """

    def __init__(
        self, signalling: Signalling, grant: Grant, client: Client, address: str = ""
    ) -> None:
        self._services = signalling
        self._grant = grant
        self._client = client
        self._address = address
        self._state = SessionState.CONNECTED
        self._turn = asyncio.Lock()

    async def join(self, joining: Joining) -> Joined:
        """Enter the room.

        Raises AlreadyJoined, RoomNotFound, BadToken, WrongPin, PinLocked, RoomFull.
        """
        async with self._turn:
            if (self._state, SessionEvent.JOIN) not in LEGAL:
                raise AlreadyJoined
            services, grant = self._services, self._grant
            room = self._check(joining)
            if grant.once and not self._resumes(joining.jtoken):
                services.presence.check_space(room, grant.user)
                await services.spent.spend(grant.jti, grant.expires_at)
                room = self._check(joining)  # the store took its time
            name = joining.display_name or grant.display_name
            resumes = self._resumes(joining.jtoken)
            arrival = Arrival(grant.user, grant.role, name, resumes)
            entry = services.presence.enter(room, arrival, self._client)
            self._happen(SessionEvent.JOIN)
            session = Grant(grant.room, grant.user, grant.role, session=entry.session)
            minted = services.tokens.mint(Audience.RESUME, session, services.resume_token_s)
            return Joined(minted.token, entry.resumed, grant.user, room)

    @traced("join")
    async def offer(self, sdp: str) -> str:
        """Connect to the mixer anew; return the answer. Raises what Answerer raises."""
        async with self._turn:
            self._check_joined()
            services, grant = self._services, self._grant
            await services.specs.settle(grant.room)
            try:
                answer = await services.mixer.accept_offer(grant.room, PeerId(grant.user), sdp)
            except PeerGone:  # the plane was restarted between the two calls
                raise PlaneUnavailable from None
            self._check_joined()  # they may have been removed meanwhile
            services.presence.media_answered(grant.room, grant.user)
            return answer

    async def candidate(self, candidate: str | None) -> None:
        """Hand on an ICE candidate; None or empty says there are no more."""
        async with self._turn:
            self._check_joined()
            if candidate:
                with suppress(PeerGone):  # before the offer; an ICE-lite plane needs none anyway
                    await self._services.mixer.add_candidate(
                        self._grant.room, PeerId(self._grant.user), candidate
                    )

    async def mute(self, *, muted: bool) -> None:
        """Take the voice out of the mix, or back in."""
        async with self._turn:
            self._check_joined()
            self._services.presence.mute(self._grant.room, self._grant.user, muted=muted)

    async def hear(self, other: UserId, gain_db: float | None) -> None:
        """Hear another person so, nobody else does. Raises NotFound, TooMany."""
        async with self._turn:
            self._check_joined()
            self._services.presence.hear(self._grant.room, self._grant.user, other, gain_db)

    async def keep_alive(self, status: Status | None) -> None:
        """Note a sign of life."""
        self._check_joined()
        self._services.presence.see(self._grant.room, self._grant.user, status)

    async def leave(self) -> None:
        """Leave now; the socket is closed after the answer."""
        async with self._turn:
            self._check_joined()
            self._happen(SessionEvent.END)
            self._services.presence.leave(self._grant.room, self._grant.user, Farewell.LEFT)

    def desk(self) -> tuple[Desk, RoomId]:
        """Return what the others in the room are run with. Raises NotJoined, Forbidden."""
        self._check_joined()
        person = self._services.presence.person(self._grant.room, self._grant.user)
        if person is None or person.role is not Role.HOST:
            raise Forbidden("Only a host may do that")
        return self._services.desk, self._grant.room

    def lost(self) -> None:
        """Note that the socket is gone, in whatever way."""
        if self._state is not SessionState.ENDED:
            self._happen(SessionEvent.END)
            self._services.presence.lose(self._grant.room, self._grant.user, self._client)

    def _check(self, joining: Joining) -> Room:
        """Return the room if the token and the PIN are good for it now."""
        services, grant = self._services, self._grant
        room = services.rooms.get(grant.room)
        if services.rooms.is_revoked(grant.room, grant.user):
            raise BadToken("This token was revoked")
        if not grant.pin:
            services.rooms.pins.check(room, joining.pin, self._address)
        return room

    def _resumes(self, jtoken: str) -> str:
        """Return the media session that a jtoken of this person continues, else nothing."""
        if not jtoken:
            return ""
        try:
            before = self._services.tokens.verify(jtoken, Audience.RESUME)
        except BadToken:
            return ""  # an old or foreign one means: begin anew
        is_mine = (before.room, before.user) == (self._grant.room, self._grant.user)
        return before.session if is_mine else ""

    def _check_joined(self) -> None:
        joined = self._state is SessionState.JOINED
        room, user = self._grant.room, self._grant.user
        if not joined or not self._services.presence.is_current(room, user, self._client):
            raise NotJoined

    def _happen(self, event: SessionEvent) -> None:
        try:
            self._state = LEGAL[self._state, event]
        except KeyError:
            raise IllegalTransition(self._state, event) from None
