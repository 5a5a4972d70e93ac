"""REST: rooms, people, invites, tokens and the admin's session."""

from dataclasses import asdict
from typing import Final

from aiohttp import web

from mixer.types import TICK_S, PeerStatistics, RoomId
from server.domain.api_key import Scope
from server.domain.room import InviteRole, Room, RoomState, rfc3339
from server.edge.conditional import check_unchanged, mark_room
from server.edge.context import CONTEXT, Context
from server.edge.lines import forwarder_statistics, is_forwarder
from server.edge.models import (
    ChangeRoomRequest,
    CreateRoomRequest,
    CreateUserRequest,
    InviteRequest,
    SessionRequest,
    TokenRequest,
)
from server.edge.paging import page
from server.edge.queries import InviteQuery, RoomsQuery, fits
from server.edge.reading import path_room, path_user, read_body, read_fields
from server.edge.rights import (
    ADMIN_COOKIE,
    base_url,
    bearer,
    is_admin,
    listen_cookie,
    may,
    require,
    scopes_shown,
    showing,
)
from server.errors import Forbidden, Unauthorized
from server.services.access import Newcomer
from server.services.rooms import Wanted

_KEYS_PATH: Final = "/hls"  # the only place a listen cookie is sent to


async def open_session(request: web.Request) -> web.Response:
    """`POST /api/session`."""
    context = request.app[CONTEXT]
    body = await read_body(request, SessionRequest)
    minted = await context.access.log_in(body.secret)
    answer = web.json_response({"success": True, "admin": True})
    answer.set_cookie(
        ADMIN_COOKIE,
        minted.token,
        max_age=context.access.lifetimes.admin_s,
        httponly=True,
        secure=_is_secure(request),
        samesite="Strict",
    )
    return answer


async def get_session(request: web.Request) -> web.Response:
    """`GET /api/session`."""
    return web.json_response({"success": True, "admin": is_admin(request)})


async def close_session(_request: web.Request) -> web.Response:
    """`DELETE /api/session`."""
    answer = web.json_response({"success": True})
    answer.del_cookie(ADMIN_COOKIE)
    return answer


async def create_room(request: web.Request) -> web.Response:
    """`POST /api/rooms`."""
    require(request, Scope.ROOMS_WRITE)
    request.app[CONTEXT].drain.check()
    body = await read_body(request, CreateRoomRequest)
    if body.holdMusic:
        await request.app[CONTEXT].hold_music.check(body.holdMusic)
    settings = request.app[CONTEXT].settings
    lifetime_s = body.expiresIn
    if "expiresIn" not in body.model_fields_set:
        lifetime_s = settings.room_lifetime_s or None
    is_anchors_told = "maxAnchors" in body.model_fields_set and body.maxAnchors != 0
    wanted = Wanted(
        id=None if body.roomId is None else RoomId(body.roomId),
        pin=body.pin,
        max_anchors=body.maxAnchors if is_anchors_told else settings.room_anchors,
        expires_in_s=lifetime_s,
        name=body.name,
        profile=body.profile,
        loudest=body.loudest,
        automix=body.automix,
        buses=tuple(body.buses),
        broadcast=body.broadcast,
        radio=body.radio,
        locked=body.locked,
        lobby=body.lobby,
        chat=body.chat,
        listener_chat=body.chatListeners,
        chat_history=body.chatHistory,
        record=body.record,
        live_listeners=body.liveListeners,
        air=body.air,
        upload=body.upload,
    )
    context = request.app[CONTEXT]
    room = await context.rooms.create(wanted)
    shape = _brief(request, room) | _decided(context, request, room)
    return mark_room(web.json_response({"success": True, "room": shape}, status=201), room)


async def change_room(request: web.Request) -> web.Response:
    """`PATCH /api/rooms/{id}`."""
    require(request, Scope.ROOMS_WRITE)
    context = request.app[CONTEXT]
    room_id = path_room(request)
    body = await read_body(request, ChangeRoomRequest)
    if body.holdMusic and body.holdMusic != context.rooms.get(room_id).air.hold:
        await context.hold_music.check(body.holdMusic)
    now, anchors = context.clock.now(), context.settings.room_anchors

    def amend(before: Room) -> Room:
        check_unchanged(request, before)
        return body.amended(before, now, anchors)

    room = await context.rooms.change(room_id, amend)
    shape = _brief(request, room) | _decided(context, request, room)
    return mark_room(web.json_response({"success": True, "room": shape}), room)


async def list_rooms(request: web.Request) -> web.Response:
    """`GET /api/rooms`."""
    require(request, Scope.ROOMS_READ)
    context = request.app[CONTEXT]
    query = read_fields(request.query, RoomsQuery)
    wanted = [
        room
        for room in context.rooms.all(RoomState(query.state))
        if query.name.casefold() in room.name.casefold()
        and fits(query.locked, has=room.locked)
        and fits(query.broadcast, has=room.broadcast)
        and fits(query.occupied, has=context.presence.count(room.id) > 0)
    ]
    found, more = page(wanted, lambda room: (room.created_at.timestamp(), str(room.id)), query)
    rooms = [
        _brief(request, room)
        | {
            "anchors": context.presence.count(room.id),
            "listeners": context.listening.listeners.count(room.id),
            "announcements": context.announcer.playing_in(room.id),
            "recording": context.recorder.notice(room.id),
        }
        for room in found
    ]
    return web.json_response({"success": True, "count": len(rooms), "rooms": rooms, **more})


async def get_room(request: web.Request) -> web.Response:
    """`GET /api/rooms/{id}`."""
    context = request.app[CONTEXT]
    room_id = path_room(request)
    invite = read_fields(request.query, InviteQuery).invite
    shown = showing(request, Scope.ROOMS_READ, invite=invite)
    if not (shown.is_admin or shown.invite or shown.token):
        raise Unauthorized("Open the link you were invited with, or log in as admin")
    room = context.rooms.get(room_id)
    context.access.may_see(room, shown)
    shape = _brief(request, room) | {
        "pinRequired": bool(room.pin),
        "anchors": context.presence.count(room.id),
        "listeners": context.listening.listeners.count(room.id),
        "status": context.rooms.state(room.id).value,
        "recording": context.recorder.notice(room.id),
        **room.notice(),
    }
    if Scope.ROOMS_WRITE in scopes_shown(request):  # a link lets people in
        shape |= _decided(context, request, room)
    return mark_room(web.json_response({"success": True, "room": shape}), room)


async def delete_room(request: web.Request) -> web.Response:
    """`DELETE /api/rooms/{id}`."""
    require(request, Scope.ROOMS_WRITE)
    room = path_room(request)
    await request.app[CONTEXT].rooms.remove(room)
    return web.json_response({"success": True, "message": f"Room {room} stopped"})


async def get_statistics(request: web.Request) -> web.Response:
    """`GET /api/rooms/{id}/statistics`: how everybody's connection is."""
    require(request, Scope.ROOMS_READ)
    context = request.app[CONTEXT]
    room = context.rooms.get(path_room(request))
    peers = await context.mixer.peers(room.id)
    return web.json_response(
        {
            "success": True,
            "peers": [_peer(peer) for peer in peers if not is_forwarder(peer)],
            "forwarders": [forwarder_statistics(peer) for peer in peers if is_forwarder(peer)],
        }
    )


async def renew_invite(request: web.Request) -> web.Response:
    """`POST /api/rooms/{id}/invites`."""
    require(request, Scope.ROOMS_WRITE)
    room_id = path_room(request)
    body = await read_body(request, InviteRequest)
    room = await request.app[CONTEXT].rooms.renew_invite(room_id, body.role)
    return web.json_response({"success": True, "links": links_of(request, room)})


async def create_user(request: web.Request) -> web.Response:
    """`POST /api/rooms/{id}/users`."""
    context = request.app[CONTEXT]
    room_id = path_room(request)
    body = await read_body(request, CreateUserRequest)
    shown = showing(request, Scope.PEOPLE, invite=body.invite, pin=body.pin)
    if not (shown.is_admin or shown.invite or context.auto_rooms.is_open(room_id)):
        raise Unauthorized("Open the link you were invited with, or log in as admin")
    room, shown = await context.auto_rooms.find(room_id, shown, InviteRole.JOIN)
    newcomer = Newcomer(
        body.role,
        body.displayName,
        None if body.grants is None else frozenset(body.grants),
        once=body.oneShot,
    )
    anchor = await context.access.anchor(room, shown, newcomer)
    return web.json_response(
        {
            "userID": anchor.user,
            "token": anchor.minted.token,
            "expiresAt": rfc3339(anchor.minted.expires_at),
        }
    )


async def delete_user(request: web.Request) -> web.Response:
    """`DELETE /api/rooms/{id}/users/{userId}`: the admin, or that person themselves."""
    context = request.app[CONTEXT]
    room, user = path_room(request), path_user(request)
    token = bearer(request)
    if token and not may(request, Scope.PEOPLE):
        grant = context.access.joining(token)
        if (grant.room, grant.user) != (room, user):
            raise Forbidden("This token is another person's")
    else:
        require(request, Scope.PEOPLE)
    await context.access.remove(room, user)
    return web.json_response({})


async def create_token(request: web.Request) -> web.Response:
    """`POST /api/token`."""
    context = request.app[CONTEXT]
    body = await read_body(request, TokenRequest)
    shown = showing(request, Scope.BROADCAST, invite=body.invite, pin=body.pin)
    room_id = RoomId(body.roomId)
    is_open = context.auto_rooms.is_open(room_id)
    if not (shown.is_admin or shown.invite or shown.token or is_open):
        raise Unauthorized("Open the link you were invited with, or log in as admin")
    room, shown = await context.auto_rooms.find(room_id, shown, InviteRole.LISTEN)
    minted = await context.access.listener(room, shown)
    answer = web.json_response(
        {
            "token": minted.token,
            "expiresAt": rfc3339(minted.expires_at),
            "hlsUrl": _hls_url(request, room),
        }
    )
    answer.set_cookie(
        listen_cookie(room.id),
        minted.token,
        max_age=context.access.lifetimes.listen_s,
        path=_KEYS_PATH,
        httponly=True,
        secure=_is_secure(request),
        samesite="Lax",
    )
    return answer


async def get_stats(request: web.Request) -> web.Response:
    """`GET /api/stats`."""
    require(request, Scope.ROOMS_READ)
    context = request.app[CONTEXT]
    rooms = {
        "total": len(context.rooms),
        "totalParticipants": context.presence.total,
        "totalListeners": len(context.listening.listeners),
    }
    return web.json_response({"success": True, "stats": {"rooms": rooms}})


def _brief(request: web.Request, room: Room) -> dict[str, object]:
    return {
        "roomId": room.id,
        "hlsUrl": _hls_url(request, room),
        "createdAt": rfc3339(room.created_at),
        "name": room.name,
    }


def _decided(context: Context, request: web.Request, room: Room) -> dict[str, object]:
    """Return what the admin alone sees of a room, and what those in it do."""
    return {
        **room.notice(),
        "pin": room.pin,
        "loudest": room.loudest,
        "liveListeners": room.live_listeners,
        "liveListenersMost": context.standings.most_listeners(room),
        "automix": room.automix,
        "radio": room.radio,
        "upload": _upload(request, room),
        "broadcastBuses": [asdict(one) for one in room.air.buses],
        "dvrSeconds": room.air.dvr_s,
        "title": room.air.title,
        "broadcastNames": room.air.names,
        "holdMusic": room.air.hold,
        "record": None if room.record is None else room.record.value,
        "links": links_of(request, room),
    }


def _upload(request: web.Request, room: Room) -> bool | None:
    """Return whether a room is uploaded; None where nothing is, and nobody said no."""
    is_asked = request.app[CONTEXT].uploads.plane is not None or not room.upload
    return room.upload if is_asked else None


def _peer(peer: PeerStatistics) -> dict[str, object]:
    transport, reception = peer.transport, peer.reception
    round_trip_s, capacity_bps = transport.round_trip_s, transport.capacity_bps
    return {
        "userId": peer.peer,
        "state": peer.state.value,
        "levelDbov": peer.level_dbov,
        "roundTripMs": None if round_trip_s is None else round(1000 * round_trip_s, 1),
        "lossIn": round(transport.loss_in, 4),
        "lossOut": round(transport.loss_out, 4),
        "jitterInMs": round(1000 * transport.jitter_in_s, 1),
        "jitterOutMs": round(1000 * transport.jitter_out_s, 1),
        "bitrateIn": round(transport.bitrate_in),
        "bitrateOut": round(transport.bitrate_out),
        "sending": transport.mode.value,
        "capacityOut": None if capacity_bps is None else round(capacity_bps),
        "received": peer.received,
        "lost": peer.lost,
        "bufferedMs": round(1000 * TICK_S * reception.depth_frames),
        "targetMs": round(1000 * TICK_S * reception.target_frames),
        "late": reception.late,
        "recoveredFec": reception.recovered_fec,
        "recoveredRed": reception.recovered_red,
        "concealed": reception.concealed,
        "compressed": reception.compressed,
        "expanded": reception.expanded,
    }


def _hls_url(request: web.Request, room: Room) -> str:
    return f"{base_url(request)}/hls/{room.hls_path}"


def links_of(request: web.Request, room: Room) -> dict[str, str]:
    """Return the addresses to hand out, by role."""
    return {
        role.value: f"{base_url(request)}/{role.value}/{room.id}#invite={room.invites.get(role)}"
        for role in InviteRole
    }


def _is_secure(request: web.Request) -> bool:
    return base_url(request).startswith("https:")
