"""The people in a room and what is done to them: REST for the admin, JSON-RPC for people."""

from aiohttp import web

from server.domain.api_key import Scope
from server.domain.grants import Right
from server.domain.identity import UserId
from server.domain.people import Person
from server.edge.context import CONTEXT
from server.edge.models import (
    ControlParams,
    ControlRequest,
    KickParams,
    KickQuery,
    ParticipantParams,
    PeopleQuery,
    RoomParams,
    fits,
    path_room,
    path_user,
    read_body,
    read_fields,
)
from server.edge.paging import page
from server.edge.rights import require
from server.rpc.dispatch import Dispatcher
from server.services.signalling import Session


async def list_people(request: web.Request) -> web.Response:
    """`GET /api/rooms/{id}/participants`."""
    require(request, Scope.PEOPLE)
    room, query = path_room(request), read_fields(request.query, PeopleQuery)
    wanted = [
        one
        for one in request.app[CONTEXT].desk.people(room)
        if query.name.casefold() in one.display_name.casefold()
        and query.role in {None, one.role}
        and query.status in {None, one.status}
        and fits(query.muted, has=one.muted or one.controls.muted)
    ]
    found, more = page(wanted, lambda one: (str(one.user),), query)
    people = [_shape(one) for one in found]
    return web.json_response({"success": True, "participants": people, **more})


async def control(request: web.Request) -> web.Response:
    """`PATCH /api/rooms/{id}/participants/{userId}`."""
    require(request, Scope.PEOPLE)
    room, user = path_room(request), path_user(request)
    body = await read_body(request, ControlRequest)
    person = await request.app[CONTEXT].desk.control(room, user, body.amended)
    return web.json_response({"success": True, "participant": _shape(person)})


async def request_unmute(request: web.Request) -> web.Response:
    """`POST /api/rooms/{id}/participants/{userId}/unmute-request`."""
    require(request, Scope.PEOPLE)
    request.app[CONTEXT].desk.ask_to_unmute(path_room(request), path_user(request))
    return web.json_response({"success": True})


async def kick(request: web.Request) -> web.Response:
    """`DELETE /api/rooms/{id}/participants/{userId}?ban=`."""
    require(request, Scope.PEOPLE)
    context = request.app[CONTEXT]
    room, user = path_room(request), path_user(request)
    if read_fields(request.query, KickQuery).ban == "true":
        await context.desk.ban(room, user)
    else:
        await context.desk.kick(room, user)
    return web.json_response({"success": True})


def add_host_methods(dispatcher: Dispatcher, session: Session) -> None:
    """Add what people may do to others over their own socket, with the rights for it."""

    async def change(params: ControlParams) -> object:
        user = UserId(params.userId)
        role = params.role if "role" in params.model_fields_set else None
        room = session.act(params.needed, user, role)
        return _shape(await session.services.desk.control(room, user, params.amended))

    async def ask(params: ParticipantParams) -> None:
        user = UserId(params.userId)
        session.services.desk.ask_to_unmute(session.act({Right.MUTE}, user), user)

    async def take_out(params: KickParams) -> None:
        user = UserId(params.userId)
        room, desk = session.act({Right.KICK}, user), session.services.desk
        if params.ban:
            await desk.ban(room, user)
        else:
            await desk.kick(room, user)

    async def change_room(params: RoomParams) -> object:
        room = session.act(params.needed)
        changed = await session.services.rooms.change(room, params.amended)
        return changed.notice()

    dispatcher.add("control", ControlParams, change)
    dispatcher.add("requestUnmute", ParticipantParams, ask)
    dispatcher.add("kick", KickParams, take_out)
    dispatcher.add("changeRoom", RoomParams, change_room)


def _shape(person: Person) -> dict[str, object]:
    controls = person.controls
    return {
        "userId": person.user,
        "displayName": person.display_name,
        "role": person.role.value,
        "status": person.status.value,
        "canSpeak": Right.SPEAK in person.rights,
        "hand": person.hand,
        "selfMuted": person.muted,
        "muted": controls.muted,
        "gainDb": controls.gain_db,
        "pan": controls.pan,
        "agcTargetDbov": controls.agc_target_dbov,
        "speaks": list(controls.speaks),
        "hears": dict(controls.hears),
        "profile": None if controls.profile is None else controls.profile.value,
    }
