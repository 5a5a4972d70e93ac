"""Connections that are made by HTTP alone: WHIP publishers (RFC 9725) and WHEP listeners."""

import asyncio
import hashlib
import hmac
import secrets
import uuid
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

import structlog

from mixer.errors import ClientMistake, MixerError, PeerGone
from mixer.types import GoneReason, PeerChanged, PeerId, PeerState, PlaneEvent, RoomId
from server.domain.identity import UserId
from server.domain.room import Room
from server.domain.sdp import Fragment, answer_fragment, credentials, directed, restarted
from server.errors import (
    BadToken,
    Forbidden,
    NotEnabled,
    NotFound,
    NotJoined,
    NotReady,
    PlaneUnavailable,
    PreconditionFailed,
    RoomNotFound,
    TooMany,
)
from server.ports import PlaneLost
from server.services.presence import Farewell
from server.services.signalling import Joining, Session, Signalling
from server.services.tokens import Grant

log = structlog.get_logger(__name__)

SEEN_EVERY_S: Final = 10.0  # people are listed for 30 s after a sign of life


class Kind(Enum):
    """What a connection is for; the value is the first part of its address."""

    WHIP = "whip"
    WHEP = "whep"


@dataclass(eq=False, slots=True)
class Standing:
    """One such connection: a resource that is gone with it.

    `user` showed the token that it was made with, `shown` is that one's SHA-256. `tag` names its
    ICE session, `offer` is what its client last offered. `conversation` is a publisher's, who is a
    person in the room.
    """

    kind: Kind
    room: RoomId
    user: UserId
    peer: PeerId
    shown: bytes
    offer: str
    conversation: Session | None = None
    name: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    tag: str = field(default_factory=lambda: secrets.token_hex(8))
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    is_over: bool = False


@dataclass(frozen=True, slots=True)
class _Publisher:
    """What the room knows of a publisher instead of a socket."""

    over: Callable[[], None]

    def push(self, text: str) -> None:
        """See Client: there is no way to tell them anything."""

    def end(self, _why: Farewell) -> None:
        """See Client."""
        self.over()


class Standings:
    """All of them on this node; a room has at most `max_listeners` by WHEP."""

    def __init__(
        self, signalling: Signalling, monotonic: Callable[[], float], max_listeners: int
    ) -> None:
        self._services = signalling
        self._monotonic = monotonic
        self._max_listeners = max_listeners
        self._by_name: dict[str, Standing] = {}
        self._by_peer: dict[tuple[RoomId, PeerId], Standing] = {}
        self._listening: Counter[RoomId] = Counter()
        self._seen_at = monotonic()

    def count(self, kind: Kind) -> int:
        """Return how many there are of a kind."""
        listeners = self._listening.total()
        return listeners if kind is Kind.WHEP else len(self._by_name) - listeners

    def listeners(self, room: RoomId) -> int:
        """Return how many listen to a room by WHEP."""
        return self._listening[room]

    def most_listeners(self, room: Room) -> int:
        """Return how many may listen to a room by WHEP at a time."""
        own = room.live_listeners
        return self._max_listeners if own is None else min(own, self._max_listeners)

    # What clients want

    async def publish(self, grant: Grant, token: str, offer: str) -> tuple[Standing, str]:
        """Bring a person in who sends and does not hear; return their connection and the answer.

        Where there is a lobby it is held unheard until they are let in. An earlier connection of
        the same token is over. Raises what `join` and `offer` raise.
        """
        sent = directed(offer, "sendonly")
        if sent is None:
            raise ClientMistake("no_audio", "The SDP offer sends no audio: WHIP is for sending")
        peer = PeerId(grant.user)
        one = Standing(Kind.WHIP, grant.room, grant.user, peer, _digest(token), sent)
        client = _Publisher(lambda: self._forget(one))
        one.conversation = conversation = Session(self._services, grant, client)
        await conversation.join(Joining(publishes=True))
        self._keep(one)
        try:
            return one, await self._answered(one, sent)
        except BaseException:
            if not one.is_over:
                self._services.presence.leave(one.room, grant.user)
            raise

    async def listen(self, grant: Grant, token: str, offer: str) -> tuple[Standing, str]:
        """Let somebody hear a room without delay; return their connection and the answer.

        Raises RoomNotFound, BadToken (who was revoked meanwhile), NotReady, NotEnabled, TooMany,
        and what an Answerer raises.
        """
        room, user = grant.room, grant.user
        self._check_listening(self._services.rooms.get(room))
        self._check_welcome(room, user)
        heard = directed(offer, "recvonly")
        if heard is None:
            raise ClientMistake("no_audio", "The SDP offer takes no audio: WHEP is for hearing")
        one = Standing(Kind.WHEP, room, user, PeerId(str(uuid.uuid4())), _digest(token), heard)
        self._keep(one)
        try:
            return one, await self._answered(one, heard)
        except BaseException:
            self._forget(one)
            raise

    def get(self, kind: Kind, room: RoomId, name: str, token: str) -> Standing:
        """Return a connection to who made it. Raises NotFound, Forbidden.

        The token may have run out meanwhile: it let them in, and now shows that they are the same.
        """
        one = self._by_name.get(name)
        if one is None or one.kind is not kind or one.room != room:
            raise NotFound("There is no such connection (any more)")
        if not hmac.compare_digest(one.shown, _digest(token)):
            raise Forbidden("This connection was made with another token")
        return one

    async def change(self, one: Standing, fragment: Fragment, tags: frozenset[str]) -> str | None:
        """Take candidates, or restart ICE; return the answer's fragment after a restart.

        `tags` are the ICE sessions it may be, or "*". Raises PreconditionFailed, NotFound, and
        what an Answerer raises; the connection goes on as it was then.
        """
        async with one.turn:
            _check_over(one)
            if not tags & {"*", one.tag}:
                raise PreconditionFailed("There was an ICE restart meanwhile")
            if fragment.ufrag and (fragment.ufrag, fragment.password) != credentials(one.offer):
                offer = restarted(one.offer, fragment)
                answer = await self._answered(one, offer)
                one.offer, one.tag = offer, secrets.token_hex(8)
                return answer_fragment(answer)
            for candidate in fragment.candidates:
                await self._take_candidate(one, candidate)
        return None

    async def end(self, one: Standing) -> None:
        """End a connection as its client wishes."""
        async with one.turn:
            _check_over(one)
            if one.conversation is not None:
                self._services.presence.leave(one.room, UserId(one.peer))
                return
            self._forget(one)
            with suppress(PlaneUnavailable):  # the connection went with it
                await self._services.mixer.drop_peer(one.room, one.peer)

    async def revoke(self, room: RoomId, user: UserId) -> None:
        """End what a person hears by WHEP: they may do so no more. Publishers go with the person.

        Whoever is being answered right now ends in `listen`.
        """
        for one in list(self._by_name.values()):
            if (one.kind, one.room, one.user) == (Kind.WHEP, room, user):
                log.info("connection_revoked", room=room, user=user)
                self._forget(one)
                with suppress(PlaneUnavailable, MixerError):  # the connection went with it
                    await self._services.mixer.drop_peer(room, one.peer)

    def _check_welcome(self, room: RoomId, user: UserId) -> None:
        if self._services.rooms.is_revoked(room, user):
            raise BadToken("This token was revoked")

    def _check_listening(self, room: Room) -> None:
        """Raise NotReady, NotEnabled or TooMany unless one more may hear the room."""
        if not room.broadcast:
            raise NotReady("The room is not broadcast now")
        if self._max_listeners == 0:
            raise NotEnabled("Nobody may listen by WHEP: the setting live_listeners is 0")
        most = self.most_listeners(room)
        if most == 0:
            raise NotEnabled("Nobody may listen to this room by WHEP: its liveListeners is 0")
        if self._listening[room.id] >= most:
            raise TooMany(f"This room has at most {most} listeners by WHEP")

    async def _answered(self, one: Standing, offer: str) -> str:
        services = self._services
        if one.conversation is not None:
            try:
                return await one.conversation.offer(offer)
            except NotJoined:
                raise NotFound("The connection ended meanwhile") from None
        answer = await services.answer(one.room, one.peer, offer, listener=True)
        if one.is_over:  # they were revoked, the room was removed, or the mixer died
            with suppress(PlaneUnavailable):
                await services.mixer.drop_peer(one.room, one.peer)
            self._check_welcome(one.room, one.user)
            raise RoomNotFound(one.room)
        return answer

    async def _take_candidate(self, one: Standing, candidate: str) -> None:
        with suppress(PeerGone, NotJoined):
            if one.conversation is not None:
                await one.conversation.candidate(candidate)
            else:
                await self._services.mixer.add_candidate(one.room, one.peer, candidate)

    # What happens

    def handle(self, event: PlaneEvent | PlaneLost) -> None:
        """Take what the mixer says, after the rooms have: who lost their connection is gone."""
        if isinstance(event, PlaneLost):
            for one in list(self._by_name.values()):
                if event.rooms is None or one.room in event.rooms:
                    self._lose(one)
        elif isinstance(event, PeerChanged) and event.state is PeerState.GONE:
            lost = self._by_peer.get((event.room, event.peer))
            # A publisher's is removed with the person, and replaced by a newer one of theirs.
            is_ours = lost is not None and lost.conversation is not None
            if is_ours and event.reason in (GoneReason.REPLACED, GoneReason.REMOVED):
                return
            if lost is not None:
                self._lose(lost)

    def sweep(self) -> None:
        """Give a sign of life for the publishers, who send no keepalives."""
        now = self._monotonic()
        if now - self._seen_at < SEEN_EVERY_S:
            return
        self._seen_at = now
        for one in self._by_name.values():
            if one.conversation is not None:
                self._services.presence.see(one.room, UserId(one.peer), None)

    def forget_room(self, room: RoomId) -> None:
        """Let go of a room's listeners: it is gone. Its publishers go with its people."""
        for one in list(self._by_name.values()):
            if one.room == room and one.conversation is None:
                self._forget(one)

    def _lose(self, one: Standing) -> None:
        log.info("connection_lost", room=one.room, kind=one.kind.value)
        if one.conversation is not None:
            self._services.presence.leave(one.room, UserId(one.peer))
        self._forget(one)

    def _keep(self, one: Standing) -> None:
        self._by_name[one.name] = one
        self._by_peer[one.room, one.peer] = one
        if one.kind is Kind.WHEP:
            self._listening[one.room] += 1

    def _forget(self, one: Standing) -> None:
        if one.is_over:
            return
        one.is_over = True
        self._by_name.pop(one.name, None)
        if self._by_peer.get((one.room, one.peer)) is one:
            del self._by_peer[one.room, one.peer]
        if one.kind is Kind.WHEP:
            self._listening[one.room] -= 1
            if not self._listening[one.room]:
                del self._listening[one.room]


def _check_over(one: Standing) -> None:
    if one.is_over:
        raise NotFound("There is no such connection (any more)")


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()
