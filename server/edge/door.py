"""The doors of the rooms: lobby, hands and moves, by REST for the admin, by JSON-RPC for people."""

from dataclasses import replace
from functools import partial

from aiohttp import web

from mixer.types import RoomId
from server.domain.api_key import Scope
from server.domain.grants import Right, Role
from server.domain.identity import UserId
from server.domain.room import InviteRole
from server.edge.context import CONTEXT
from server.edge.models import AdmitRequest, MoveRequest
from server.edge.params import AdmitParams, HandParams, MoveParams, NoParams, ParticipantParams
from server.edge.reading import path_room, path_user, read_body
from server.edge.rights import require
from server.errors import BadInvite, RoomNotFound
from server.rpc.dispatch import Dispatcher
from server.services.doorman import Doorman
from server.services.keyring import is_same
from server.services.signalling import Session, Signalling


async def list_lobby(request: web.Request) -> web.Response:
    """`GET /api/rooms/{id}/lobby`."""
    require(request, Scope.PEOPLE)
    listing = _doorman(request).waiting(path_room(request))
    return web.json_response({"success": True, **listing})


async def admit(request: web.Request) -> web.Response:
    """`POST /api/rooms/{id}/lobby/{userId}`."""
    require(request, Scope.PEOPLE)
    room, user = path_room(request), path_user(request)
    body = await read_body(request, AdmitRequest)
    await _doorman(request).admit(room, user, body.role)
    return web.json_response({"success": True})


async def deny(request: web.Request) -> web.Response:
    """`DELETE /api/rooms/{id}/lobby/{userId}`."""
    require(request, Scope.PEOPLE)
    _doorman(request).deny(path_room(request), path_user(request))
    return web.json_response({"success": True})


async def move(request: web.Request) -> web.Response:
    """`POST /api/rooms/{id}/participants/{userId}/move`."""
    require(request, Scope.PEOPLE)
    room, user = path_room(request), path_user(request)
    body = await read_body(request, MoveRequest)
    await _doorman(request).move(room, user, RoomId(body.roomId), as_host=True)
    return web.json_response({"success": True})


def add_door_methods(dispatcher: Dispatcher, session: Session) -> None:
    """Add hands, the lobby, moves, and the list of people."""

    async def raise_hand(params: HandParams) -> None:
        await session.raise_hand(up=params.raised)

    async def step_down(_params: NoParams) -> None:
        room, user = session.act(()), session.connected()[1]
        listener = partial(replace, role=Role.LISTENER)
        await session.services.desk.control(room, user, listener)

    async def resync(_params: NoParams) -> object:
        return await session.resync()

    async def let_in(params: AdmitParams) -> None:
        user = UserId(params.userId)
        room = session.act({Right.ADMIT}, role=params.role)
        await session.services.doorman.admit(room, user, params.role)

    async def turn_away(params: ParticipantParams) -> None:
        session.services.doorman.deny(session.act({Right.ADMIT}), UserId(params.userId))

    async def see_to(params: MoveParams) -> None:
        user, target = UserId(params.userId), RoomId(params.roomId)
        room = session.act({Right.MOVE}, user)
        _check_invite(session.services, target, params.invite)
        await session.services.doorman.move(room, user, target)

    dispatcher.add("raiseHand", HandParams, raise_hand)
    dispatcher.add("stepDown", NoParams, step_down)
    dispatcher.add("resync", NoParams, resync)
    dispatcher.add("admit", AdmitParams, let_in)
    dispatcher.add("deny", ParticipantParams, turn_away)
    dispatcher.add("move", MoveParams, see_to)


def _check_invite(services: Signalling, target: RoomId, invite: str) -> None:
    """Raise BadInvite unless it is the target's, or there is no such room: both look alike."""
    try:
        there = services.rooms.get(target)
    except RoomNotFound:
        raise BadInvite from None
    if not is_same(invite, there.invites.get(InviteRole.JOIN)):
        raise BadInvite


def _doorman(request: web.Request) -> Doorman:
    return request.app[CONTEXT].signalling.doorman
