"""Who may do what: the admin's key and cookie, invites, PINs, and the tokens given for them."""

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from mixer.types import RoomId
from server.domain.grants import Right, Role
from server.domain.identity import UserId
from server.domain.room import InviteRole, Room, RoomState
from server.errors import (
    BadInvite,
    BadSecret,
    BadToken,
    Forbidden,
    TokenExpired,
    Unauthorized,
)
from server.services.endings import Ending
from server.services.keyring import Keyring, is_same
from server.services.presence import Presence
from server.services.rooms import Rooms
from server.services.tokens import Audience, Grant, Minted, Tokens

log = structlog.get_logger(__name__)

ENDLESS_S = 100 * 365 * 86_400  # a refusal goes with its room
_REVOKED = "This token was revoked"
_ANOTHER_ROOM = "This token is for another room"


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long what is given out is good for, in seconds.

    `session_s`: how long after it was made a listen token goes on, while its holder listens.
    """

    join_s: int
    listen_s: int
    admin_s: int
    session_s: int = 0

    @property
    def longest_s(self) -> int:
        """How long a token of a removed person could live."""
        return max(self.join_s, self.listen_s, self.session_s)


@dataclass(frozen=True, slots=True)
class Newcomer:
    """Who shall be let in: `explicit` replaces the role's grants, `once` makes a one-shot token."""

    role: Role = Role.ANCHOR
    display_name: str = ""
    explicit: frozenset[Right] | None = None
    once: bool = False


@dataclass(frozen=True, slots=True)
class Showing:
    """What a caller has to show for a token; `token` is a join or listen token."""

    is_admin: bool = False
    invite: str = ""
    pin: str = ""
    token: str = ""
    address: str = ""  # where it is shown from


@dataclass(frozen=True, slots=True)
class Anchor:
    """A person made up for a new join token."""

    user: UserId
    minted: Minted


class Access:
    """Gives out tokens for what people show, and recognises them again."""

    def __init__(
        self,
        keyring: Keyring,
        tokens: Tokens,
        rooms: Rooms,
        presence: Presence,
        lifetimes: Lifetimes,
    ) -> None:
        self._keyring = keyring
        self._tokens = tokens
        self._rooms = rooms
        self._presence = presence
        self.lifetimes = lifetimes  # a reload changes them
        self.is_listening: Callable[[RoomId, UserId], bool] = _nobody_listens
        self.ending: Callable[[RoomId], Ending | None] = _nothing_is_left

    @property
    def refusal_s(self) -> int:
        """How long the tokens of a removed person must be refused."""
        return ENDLESS_S if self._tokens.has_endless else self.lifetimes.longest_s

    def is_admin_key(self, text: str) -> bool:
        """Whether `text` is the admin key; takes as long for a near miss as for any other."""
        return is_same(text, self._keyring.admin_key)

    def is_admin_cookie(self, text: str) -> bool:
        """Whether `text` is an admin cookie that is still good."""
        try:
            self._tokens.verify(text, Audience.ADMIN)
        except BadToken:
            return False
        return True

    async def log_in(self, secret: str) -> Minted:
        """Trade the first-run secret or the admin key for an admin cookie. Raises BadSecret.

        The first-run link may be opened until it was traded once, or somebody proved to have the
        admin key: from then on it is worthless.
        """
        first_run = self._keyring.first_run
        is_first_run = first_run is not None and is_same(secret, first_run)
        if not is_first_run and not self.is_admin_key(secret):
            raise BadSecret
        await asyncio.to_thread(self._keyring.spend_first_run)
        log.info("admin_logged_in", by="first_run" if is_first_run else "admin_key")
        return self._tokens.mint(Audience.ADMIN, Grant(), self.lifetimes.admin_s)

    async def anchor(self, room: Room, showing: Showing, wanted: Newcomer) -> Anchor:
        """Make up a person who may join the room.

        Raises Unauthorized, BadInvite, Forbidden, WrongPin, PinLocked, RoomFull, RoomLocked,
        SigningUnavailable. An admin need not show the PIN; it is then asked for at `join`. Only an
        admin makes a host, who may do things to others.
        """
        if not showing.is_admin:
            listen = (InviteRole.LISTEN,) if wanted.role is Role.LISTENER else ()
            _check_invite(room, showing, (InviteRole.JOIN, *listen))
            if wanted.role is Role.HOST or wanted.explicit is not None:
                raise Forbidden("Only the admin can let somebody in as host, or give single grants")
        shown = self._check_pin(room, showing)
        user = UserId(str(uuid.uuid4()))
        if wanted.role is not Role.LISTENER:  # who takes no seat
            self._presence.check_space(room, user)
        grant = Grant(
            room.id,
            user,
            wanted.role,
            pin=shown,
            display_name=wanted.display_name,
            explicit=wanted.explicit,
            made=room.made,
            once=wanted.once,
        )
        return Anchor(user, await self._tokens.issue(Audience.JOIN, grant, self.lifetimes.join_s))

    async def listener(self, room: Room, showing: Showing) -> Minted:
        """Return a listen token: for the same person if they show a token, else for a new one.

        Raises Unauthorized, BadInvite, BadToken, WrongPin, PinLocked, SigningUnavailable.
        """
        held = None if showing.is_admin else self._held(room, showing.token)
        if not showing.is_admin and held is None:
            _check_invite(room, showing, (InviteRole.LISTEN, InviteRole.JOIN))
            self._check_pin(room, showing)
        user = UserId(str(uuid.uuid4())) if held is None else held.user
        grant = Grant(room.id, user, Role.LISTENER, made=room.made)
        return await self._tokens.issue(Audience.LISTEN, grant, self.lifetimes.listen_s)

    def may_see(self, room: Room, showing: Showing) -> None:
        """Raise Unauthorized, BadInvite or BadToken unless the caller may know of the room."""
        if showing.is_admin or self._held(room, showing.token) is not None:
            return
        _check_invite(room, showing, (InviteRole.JOIN, InviteRole.LISTEN))

    def joining(self, token: str) -> Grant:
        """Return what a join token grants.

        Raises BadToken; also when the person was removed, or the room is another one by now.
        """
        return self._current(token, Audience.JOIN)

    def listening(self, token: str) -> Grant:
        """Return what a listen token grants. Raises BadToken as `joining` does."""
        return self._current(token, Audience.LISTEN)

    def check_listening(self, room: RoomId, token: str) -> Grant:
        """Return what the listen token grants. Raises BadToken unless it is good for that room."""
        grant = self.listening(token)
        if grant.room != room:
            raise BadToken(_ANOTHER_ROOM)
        return grant

    def hearing(self, token: str) -> Grant:
        """Return what a listen token grants whose holder may be listening already.

        A player goes on with the address it began with, for hours: the token is good beyond its
        time while they listen, up to `session_s` after it was made. Raises BadToken.
        """
        try:
            return self._current(token, Audience.LISTEN)
        except TokenExpired:
            grant = self._current(token, Audience.LISTEN, self.lifetimes.session_s)
            if not self.is_listening(grant.room, grant.user):
                raise
            return grant

    def check_hearing(self, room: RoomId, token: str) -> Grant:
        """Return what the listen token grants. Raises BadToken unless it is good for that room."""
        grant = self.hearing(token)
        if grant.room != room:
            raise BadToken(_ANOTHER_ROOM)
        return grant

    def check_welcome(self, room: RoomId, user: UserId) -> None:
        """Raise BadToken if that person's tokens are refused, or were when the room went."""
        ending = self._left_of(room)
        if self._rooms.is_revoked(room, user) or (ending is not None and user in ending.revoked):
            raise BadToken(_REVOKED)

    async def remove(self, room: RoomId, user: UserId) -> None:
        """Take a person out and refuse their tokens from now on, also after a restart."""
        await self._rooms.revoke(room, user, self.refusal_s)

    def _check_pin(self, room: Room, showing: Showing) -> bool:
        """Return whether the PIN was shown (true if there is none). Raises WrongPin, PinLocked."""
        if room.pin and showing.is_admin and not showing.pin:
            return False
        self._rooms.pins.check(room, showing.pin, showing.address)
        return True

    def _current(self, token: str, audience: Audience, lasting_s: int = 0) -> Grant:
        grant = self._tokens.verify(token, audience, lasting_s=lasting_s)
        self.check_welcome(grant.room, grant.user)
        ending = self._left_of(grant.room)
        made = self._rooms.made(grant.room) if ending is None else ending.made
        if grant.made and made and grant.made != made:
            raise BadToken("This token was for a room that is gone: ask for a new one")
        return grant

    def _left_of(self, room: RoomId) -> Ending | None:
        """Return what is left of a room that is gone, None if it is not."""
        return self.ending(room) if self._rooms.state(room) is RoomState.GONE else None

    def _held(self, room: Room, token: str) -> Grant | None:
        """Return the grant of a join or listen token, if one was shown. Raises BadToken."""
        if not token:
            return None
        try:
            grant = self.joining(token)
        except BadToken as not_joining:
            try:
                grant = self.listening(token)
            except BadToken:
                raise not_joining from None
        if grant.room != room.id:
            raise BadToken(_ANOTHER_ROOM)
        return grant


def _nobody_listens(_room: RoomId, _user: UserId) -> bool:
    """Nobody is known to listen."""
    return False


def _nothing_is_left(_room: RoomId) -> Ending | None:
    """Nothing is kept of rooms that are gone."""
    return None


def _check_invite(room: Room, showing: Showing, roles: tuple[InviteRole, ...]) -> None:
    if not showing.invite:
        raise Unauthorized("Open the link you were invited with, or log in as admin")
    if not any(is_same(showing.invite, room.invites.get(role)) for role in roles):
        raise BadInvite
