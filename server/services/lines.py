"""Plain RTP of the rooms: made and ended by the admin, stored, and told to the mixer."""

import asyncio
import ipaddress
import secrets
import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

import structlog

from mixer.types import FLOOR, ForwarderSpec, PeerId, RoomId, RtcpMode, RtpCodec, RtpParticipantSpec
from server.domain.identity import UserId
from server.domain.lines import (
    MAX_FORWARDERS,
    MAX_PARTICIPANTS,
    Line,
    Lines,
    decode_lines,
    encode_lines,
)
from server.errors import (
    BadInput,
    BadRecord,
    FieldMistake,
    Forbidden,
    NotEnabled,
    NotFound,
    RoomNotFound,
    TooMany,
)
from server.ports import StateStore
from server.services.presence import Presence
from server.services.rooms import PREFIX, Rooms

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LinePolicy:
    """What the operator allows: plain RTP at all, and the networks it may be sent to."""

    rtp_port: int | None = None
    forward_to: tuple[str, ...] = ()

    def check_destination(self, host: str) -> None:
        """Raise Forbidden if nothing may be sent there."""
        address = ipaddress.ip_address(host)
        if not any(address in ipaddress.ip_network(network) for network in self.forward_to):
            raise Forbidden(
                f"Nothing may be sent to {host}: the server's setting forward_to does not name it"
            )


@dataclass(frozen=True, slots=True)
class WantedForwarder:
    """A forwarder somebody asks for; None means: make it up."""

    host: str
    port: int
    codec: RtpCodec
    payload_type: int
    ssrc: int | None = None
    bus: str = FLOOR
    always_on: bool = False
    rtcp: RtcpMode = RtcpMode.MUX


@dataclass(frozen=True, slots=True)
class WantedLine:
    """A participant somebody asks for; with `is_any_ssrc` they choose their SSRC themselves."""

    codec: RtpCodec
    payload_type: int
    display_name: str = ""
    allow: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
    host: str = ""
    port: int = 0
    is_any_ssrc: bool = False
    rtcp: RtcpMode = RtcpMode.MUX


@dataclass(frozen=True, slots=True)
class ForwarderChange:
    """What is to be other about a forwarder; None: as it is."""

    host: str | None = None
    port: int | None = None
    bus: str | None = None
    always_on: bool | None = None
    rtcp: RtcpMode | None = None


@dataclass(frozen=True, slots=True)
class LineChange:
    """What is to be other about a participant; None: as it is."""

    display_name: str | None = None
    muted: bool | None = None
    gain_db: float | None = None
    pan: float | None = None
    allow: tuple[str, ...] | None = None
    host: str | None = None
    port: int | None = None
    rtcp: RtcpMode | None = None


class LineKeeper:
    """All plain RTP of this node. The store is written before the mixer hears of a change."""

    def __init__(
        self, store: StateStore, rooms: Rooms, presence: Presence, policy: LinePolicy
    ) -> None:
        self.policy = policy
        self._store = store
        self._rooms = rooms
        self._presence = presence
        self._changing = asyncio.Lock()

    async def load(self) -> None:
        """Read the lines of the rooms that are on air. Raises StoreLost.

        A record that cannot be read is logged and left alone.
        """
        for room in self._rooms.all():
            record = await self._store.get(_key(room.id))
            if record is None:
                continue
            try:
                self._presence.set_lines(room.id, decode_lines(record.key, record.value))
            except BadRecord as error:
                log.error("lines_unreadable", room=room.id, reason=str(error))  # noqa: TRY400 - the sentence is all

    def get(self, room: RoomId) -> Lines:
        """Return a room's lines. Raises RoomNotFound."""
        self._rooms.get(room)
        return self._presence.lines(room)

    async def add_forwarder(self, room: RoomId, wanted: WantedForwarder) -> ForwarderSpec:
        """Begin to send a room somewhere.

        Raises RoomNotFound, Forbidden, BadInput (no such bus), TooMany, StoreLost.
        """
        self.policy.check_destination(wanted.host)
        async with self._changing:
            lines = self.get(room)
            self._check_bus(room, wanted.bus)
            if len(lines.forwarders) >= MAX_FORWARDERS:
                raise TooMany(f"A room has at most {MAX_FORWARDERS} forwarders")
            spec = ForwarderSpec(
                id=secrets.token_hex(8),
                host=wanted.host,
                port=wanted.port,
                ssrc=secrets.randbits(32) if wanted.ssrc is None else wanted.ssrc,
                codec=wanted.codec,
                payload_type=wanted.payload_type,
                bus=wanted.bus,
                always_on=wanted.always_on,
                rtcp=wanted.rtcp,
            )
            await self._put(room, lines.with_forwarder(spec))
        return spec

    async def change_forwarder(
        self, room: RoomId, name: str, change: ForwarderChange
    ) -> ForwarderSpec:
        """Change a forwarder that goes on meanwhile.

        Raises RoomNotFound, NotFound, Forbidden, BadInput (no such bus), StoreLost.
        """
        if change.host:
            self.policy.check_destination(change.host)
        async with self._changing:
            lines = self.get(room)
            if name not in lines.forwarders:
                raise NotFound("There is no such forwarder")
            if change.bus is not None:
                self._check_bus(room, change.bus)
            spec = replace(lines.forwarders[name], **_given(change))
            await self._put(room, lines.with_forwarder(spec))
        return spec

    async def remove_forwarder(self, room: RoomId, name: str) -> None:
        """End a forwarder. Raises RoomNotFound, NotFound, StoreLost."""
        async with self._changing:
            lines = self.get(room)
            if name not in lines.forwarders:
                raise NotFound("There is no such forwarder")
            await self._put(room, lines.without_forwarder(name))

    async def add_line(self, room: RoomId, wanted: WantedLine) -> Line:
        """Expect a person on plain RTP.

        Raises RoomNotFound, NotEnabled, Forbidden, TooMany, StoreLost.
        """
        if self.policy.rtp_port is None:
            raise NotEnabled("Plain RTP is off: start the server with the setting rtp_port")
        if wanted.host:
            self.policy.check_destination(wanted.host)
        async with self._changing:
            lines = self.get(room)
            if len(lines.people) >= MAX_PARTICIPANTS:
                raise TooMany(f"A room has at most {MAX_PARTICIPANTS} people on plain RTP")
            spec = RtpParticipantSpec(
                peer=PeerId(str(uuid.uuid4())),
                codec=wanted.codec,
                payload_type=wanted.payload_type,
                ssrc=None if wanted.is_any_ssrc else secrets.randbits(32),
                allow=wanted.allow,
                host=wanted.host,
                port=wanted.port,
                rtcp=wanted.rtcp,
            )
            line = Line(spec, wanted.display_name)
            await self._put(room, lines.with_person(line))
        return line

    async def change_line(self, room: RoomId, user: UserId, change: LineChange) -> Line:
        """Change a person on plain RTP, whose call goes on.

        Raises RoomNotFound, NotFound, Forbidden, StoreLost.
        """
        if change.host:
            self.policy.check_destination(change.host)
        async with self._changing:
            lines = self.get(room)
            if user not in lines.people:
                raise NotFound("There is no such person on plain RTP")
            line, fields = lines.people[user], _given(change)
            name = fields.pop("display_name", line.display_name)
            line = replace(line, spec=replace(line.spec, **fields), display_name=name)
            await self._put(room, lines.with_person(line))
        return line

    async def remove_line(self, room: RoomId, user: UserId) -> None:
        """Let a person on plain RTP go. Raises RoomNotFound, NotFound, StoreLost."""
        async with self._changing:
            lines = self.get(room)
            if user not in lines.people:
                raise NotFound("There is no such person on plain RTP")
            await self._put(room, lines.without_person(user))

    def _check_bus(self, room: RoomId, bus: str) -> None:
        if bus != FLOOR and bus not in self._rooms.get(room).buses:
            sentence = f"There is no such bus in room {room}"
            raise BadInput(sentence, (FieldMistake("Bus", sentence),))

    async def _put(self, room: RoomId, lines: Lines) -> None:
        await self._store.commit(put={_key(room): encode_lines(lines)})
        try:
            self._rooms.get(room)
        except RoomNotFound:  # it was removed meanwhile, and its records with it
            await self._store.commit(delete=[_key(room)])
            raise
        self._presence.set_lines(room, _with_life(lines, self._presence.lines(room)))


def _with_life(lines: Lines, before: Lines) -> Lines:
    """Return `lines` with who is live as it is now: it may have changed while we wrote."""
    for line in _changed(lines, before):
        lines = lines.with_person(line)
    return lines


def _changed(lines: Lines, before: Lines) -> Iterable[Line]:
    for user, line in lines.people.items():
        known = before.people.get(user)
        if known is not None and known.is_live != line.is_live:
            yield replace(line, is_live=known.is_live)


def _given(change: ForwarderChange | LineChange) -> dict[str, Any]:
    return {name: value for name, value in asdict(change).items() if value is not None}


def _key(room: RoomId) -> str:
    return f"{PREFIX}{room}/lines"
