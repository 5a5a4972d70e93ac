"""One person's conversation with the server over one socket."""

import asyncio
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

from mixer.errors import PeerGone
from mixer.types import PeerId, RoomId, RoomSpec
from server.domain.authority import check_authority, check_promotion
from server.domain.grants import Right, Role
from server.domain.identity import UserId
from server.domain.people import Status
from server.domain.room import Room
from server.errors import (
    AlreadyJoined,
    BadToken,
    IllegalTransition,
    NotJoined,
    PlaneUnavailable,
    Waiting,
)
from server.services.captions import Captions
from server.services.chat import Chat
from server.services.desk import Desk
from server.services.doorman import Doorman
from server.services.joined import Joined
from server.services.presence import Arrival, Client, Farewell, Presence
from server.services.reconcile import Reconciler
from server.services.recorder import Recorder
from server.services.resume import ResumeTokens
from server.services.rooms import Rooms
from server.services.spent import Spent
from server.services.tokens import Grant, Tokens
from server.telemetry import traced

NOBODY: Final = UserId("")


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
    resume: ResumeTokens
    desk: Desk
    doorman: Doorman
    chat: Chat
    captions: Captions
    recorder: Recorder

    async def answer(self, room: RoomId, peer: PeerId, sdp: str, *, listener: bool = False) -> str:
        """Answer an offer once the mixer knows the room. Raises what Answerer raises."""
        await self.specs.settle(room)
        try:
            return await self.mixer.accept_offer(room, peer, sdp, listener=listener)
        except PeerGone:  # the plane was restarted between the two calls
            raise PlaneUnavailable from None


@dataclass(frozen=True, slots=True)
class Joining:
    """The parameters of `join`."""

    pin: str = ""
    jtoken: str = ""
    display_name: str = ""
    deltas: bool = False
    publishes: bool = False


class Session:
    """Answers one socket's calls in the order they came, but keepalives at any time.

    `grant` is what the socket's token says, `address` where it was shown from. Every method raises
    NotJoined unless the person is in the room by this very socket, and Waiting if they are outside
    and must be in.
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
        """Enter the room, or stay outside to wait or to listen.

        Raises AlreadyJoined, RoomNotFound, BadToken, WrongPin, PinLocked, RoomFull,
        RoomLocked, TooMany.
        """
        async with self._turn:
            if (self._state, SessionEvent.JOIN) not in LEGAL:
                raise AlreadyJoined
            services, grant = self._services, self._grant
            room = self._check(joining)
            resumes = services.resume.open(joining.jtoken, grant.room, grant.user)
            if grant.once and not services.presence.holds(grant.room, grant.user, resumes):
                services.presence.check_space(room, grant.user)
                await services.spent.spend(grant.jti, grant.expires_at)
                room = self._check(joining)  # the store took its time
            name = joining.display_name or grant.display_name
            arrival = Arrival(
                grant.user,
                grant.role,
                name,
                resumes,
                grant.explicit,
                joining.deltas,
                joining.publishes,
            )
            entry = services.doorman.knock(room, arrival, self._client)
            self._happen(SessionEvent.JOIN)
            return services.doorman.joined(room, grant.user, entry)

    @traced("join")
    async def offer(self, sdp: str) -> str:
        """Connect to the mixer anew; return the answer. Raises what Answerer raises.

        Who publishes connects outside the stage too, and is not heard there.
        """
        async with self._turn:
            self._check_connectable()
            services, grant = self._services, self._grant
            answer = await services.answer(grant.room, PeerId(grant.user), sdp)
            self._check_connectable()  # they may have been removed meanwhile
            services.presence.media_answered(grant.room, grant.user)
            return answer

    async def candidate(self, candidate: str | None) -> None:
        """Hand on an ICE candidate; None or empty says there are no more."""
        async with self._turn:
            self._check_connectable()
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
        self._check_connected()
        self._services.presence.see(self._grant.room, self._grant.user, status)

    async def raise_hand(self, *, up: bool) -> None:
        """Ask for a word, or no more; also from outside the stage."""
        async with self._turn:
            self._check_connected()
            self._services.presence.raise_hand(self._grant.room, self._grant.user, up=up)

    async def resync(self) -> dict[str, object]:
        """Return the list of people, its version, and what this person is now."""
        self._check_joined()
        presence, grant = self._services.presence, self._grant
        person = presence.person(grant.room, grant.user)
        assert person is not None, "who is in the room with a socket is among its people"
        rights = sorted(right.value for right in person.rights)
        told = presence.told_people(grant.room)
        return {**told, "role": person.role.value, "grants": rights}

    async def leave(self) -> None:
        """Leave now; the socket is closed after the answer."""
        async with self._turn:
            self._check_connected()
            self._happen(SessionEvent.END)
            self._services.presence.leave(self._grant.room, self._grant.user, Farewell.LEFT)

    def act(
        self, needed: Collection[Right], on: UserId | None = None, role: Role | None = None
    ) -> RoomId:
        """Return the room if this person may do that to `on`, or make them `role`.

        Raises NotJoined, NotGranted.
        """
        self._check_joined()
        presence, room = self._services.presence, self._grant.room
        own = presence.rights(room, self._grant.user)
        # Nobody undoes by themselves what was decided about them.
        theirs = {Right.MANAGE} if on == self._grant.user else presence.rights(room, on or NOBODY)
        check_authority(own, needed, theirs)
        if role is not None:
            check_promotion(own, role)
        return room

    def connected(self) -> tuple[RoomId, UserId]:
        """Return where and who this is, on the stage or outside. Raises NotJoined."""
        self._check_connected()
        return self._grant.room, self._grant.user

    @property
    def services(self) -> Signalling:
        """What this conversation works with."""
        return self._services

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

    def _check_joined(self) -> None:
        joined = self._state is SessionState.JOINED
        room, user = self._grant.room, self._grant.user
        if not joined or not self._services.presence.is_current(room, user, self._client):
            raise Waiting if self._is_outside else NotJoined

    def _check_connected(self) -> None:
        if not self._is_outside:
            self._check_joined()

    def _check_connectable(self) -> None:
        held = self._services.presence.lobby.held(self._grant.room)
        if not (self._is_outside and self._grant.user in held):
            self._check_joined()

    @property
    def _is_outside(self) -> bool:
        lobby, grant = self._services.presence.lobby, self._grant
        return lobby.is_current(grant.room, grant.user, self._client)

    def _happen(self, event: SessionEvent) -> None:
        try:
            self._state = LEGAL[self._state, event]
        except KeyError:
            raise IllegalTransition(self._state, event) from None
