"""Who may do what: the admin's key and cookie, invites, PINs, and the tokens given for them."""

import asyncio
import uuid
from dataclasses import dataclass

import structlog

from mixer.types import RoomId
from server.domain.grants import Role
from server.domain.identity import UserId
from server.domain.room import InviteRole, Room
from server.errors import BadInvite, BadSecret, BadToken, Forbidden, Unauthorized, WrongPin
from server.services.keyring import Keyring, is_same
from server.services.presence import Presence
from server.services.rooms import Rooms
from server.services.tokens import Audience, Grant, Minted, Tokens

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long what is given out is good for, in seconds."""

    join_s: int
    listen_s: int
    admin_s: int


@dataclass(frozen=True, slots=True)
class Showing:
    """What a caller has to show for a token; `token` is a join or listen token."""

    is_admin: bool = False
    invite: str = ""
    pin: str = ""
    token: str = ""


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
        self._lifetimes = lifetimes

    @property
    def lifetimes(self) -> Lifetimes:
        """How long tokens are good for."""
        return self._lifetimes

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
        return self._tokens.mint(Audience.ADMIN, Grant(), self._lifetimes.admin_s)

    def anchor(self, room: Room, showing: Showing, role: Role, display_name: str) -> Anchor:
        """Make up a person who may join the room.

        Raises Unauthorized, BadInvite, Forbidden, WrongPin, RoomFull, RoomLocked. An admin need not
        show the PIN; it is then asked for at `join`. Only an admin makes a host, who may do things
        to others.
        """
        if not showing.is_admin:
            is_listening = role is Role.LISTENER
            listen = (InviteRole.LISTEN,) if is_listening else ()
            _check_invite(room, showing, (InviteRole.JOIN, *listen))
            if role is Role.HOST:
                raise Forbidden("Only the admin can let somebody in as host")
        shown = _check_pin(room, showing)
        user = UserId(str(uuid.uuid4()))
        if role is not Role.LISTENER:  # who takes no seat
            self._presence.check_space(room, user)
        grant = Grant(room.id, user, role, pin=shown, display_name=display_name)
        return Anchor(user, self._tokens.mint(Audience.JOIN, grant, self._lifetimes.join_s))

    def listener(self, room: Room, showing: Showing) -> Minted:
        """Return a listen token. Raises Unauthorized, BadInvite, BadToken, WrongPin."""
        if not showing.is_admin and not self._holds_token(room, showing.token):
            _check_invite(room, showing, (InviteRole.LISTEN, InviteRole.JOIN))
            _check_pin(room, showing)
        grant = Grant(room.id, UserId(str(uuid.uuid4())))
        return self._tokens.mint(Audience.LISTEN, grant, self._lifetimes.listen_s)

    def may_see(self, room: Room, showing: Showing) -> None:
        """Raise Unauthorized, BadInvite or BadToken unless the caller may know of the room."""
        if showing.is_admin or self._holds_token(room, showing.token):
            return
        _check_invite(room, showing, (InviteRole.JOIN, InviteRole.LISTEN))

    def joining(self, token: str) -> Grant:
        """Return what a join token grants. Raises BadToken; also when the person was removed."""
        grant = self._tokens.verify(token, Audience.JOIN)
        if self._rooms.is_revoked(grant.room, grant.user):
            raise BadToken("This token was revoked")
        return grant

    def check_listening(self, room: RoomId, token: str) -> None:
        """Raise BadToken unless the listen token is good for that room."""
        if self._tokens.verify(token, Audience.LISTEN).room != room:
            raise BadToken("This token is for another room")

    def _holds_token(self, room: Room, token: str) -> bool:
        """Whether a join or listen token of the room was shown. Raises BadToken if a bad one."""
        if not token:
            return False
        try:
            grant = self.joining(token)
        except BadToken as not_joining:
            try:
                grant = self._tokens.verify(token, Audience.LISTEN)
            except BadToken:
                raise not_joining from None
        if grant.room != room.id:
            raise BadToken("This token is for another room")
        return True


def _check_invite(room: Room, showing: Showing, roles: tuple[InviteRole, ...]) -> None:
    if not showing.invite:
        raise Unauthorized("Open the link you were invited with, or log in as admin")
    if not any(is_same(showing.invite, room.invites.get(role)) for role in roles):
        raise BadInvite


def _check_pin(room: Room, showing: Showing) -> bool:
    """Return whether the PIN was shown (true if there is none). Raises WrongPin."""
    if not room.pin or is_same(showing.pin, room.pin):
        return True
    if showing.is_admin and not showing.pin:
        return False
    raise WrongPin
