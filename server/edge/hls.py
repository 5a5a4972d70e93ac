"""The broadcast over HTTP: playlist, segments and keys."""

import re
from typing import Final

from aiohttp import web

from hls.core.playlist import with_token
from mixer.types import RoomId
from server.edge.context import CONTEXT, Context
from server.edge.models import path_room
from server.edge.rights import listen_token
from server.errors import NotFound, NotReady, RoomNotFound, Unauthorized
from server.services.endings import Ending

_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")
_NEVER_STORED: Final = {"Cache-Control": "no-store"}


async def get_playlist(request: web.Request) -> web.Response:
    """`GET /hls/{room}/stream.m3u8`."""
    context = request.app[CONTEXT]
    room = path_room(request)
    ending = _ending(context, room)
    token = request.query.get("token", "")
    if token:  # a bad one would only show later, as a player that cannot get its key
        context.access.check_listening(room, token)
    text = ending.text if ending is not None else await _running(context, room)
    return web.Response(
        text=with_token(text, token) if token else text,
        content_type="application/vnd.apple.mpegurl",
        headers={"Cache-Control": "no-cache"},
    )


async def get_media(request: web.Request) -> web.Response:
    """`GET /hls/{room}/{name}`: the init segment or a segment."""
    context = request.app[CONTEXT]
    room = path_room(request)
    ending, name = _ending(context, room), request.match_info["name"]
    if ending is not None:
        body = ending.media.get(name)
    else:
        body = await context.broadcast.fetch(room, name) if _NAME.fullmatch(name) else None
    if body is None:
        raise NotFound("There is no such segment, or not any more")
    return web.Response(
        body=body,
        content_type="video/mp4",
        headers={"Cache-Control": "public, max-age=31536000, immutable"},
    )


async def get_key(request: web.Request) -> web.Response:
    """`GET /hls/rooms/{room}/enc.key` or `/hls/rooms/{room}/{epoch}/enc.key`."""
    context = request.app[CONTEXT]
    room = path_room(request)
    token = listen_token(request, room)
    if not token:
        raise Unauthorized("This needs a listen token")
    context.access.check_listening(room, token)
    ending = _ending(context, room)
    stream = context.rooms.stream(room) if ending is None else ending.stream
    epoch = request.match_info.get("epoch")
    if epoch is not None and epoch != str(stream.epoch):
        raise NotFound("There is no such key")
    return web.Response(
        body=stream.key, content_type="application/octet-stream", headers=_NEVER_STORED
    )


def _ending(context: Context, room: RoomId) -> Ending | None:
    """Return what is left of a broadcast that is over, None if it is not. Raises RoomNotFound."""
    try:
        context.rooms.get(room)
    except RoomNotFound:
        ending = context.endings.get(room)
        if ending is None:
            raise
        return ending
    return None


async def _running(context: Context, room: RoomId) -> str:
    if not context.rooms.get(room).broadcast:
        raise NotReady("This room is not being broadcast now")
    text = await context.broadcast.playlist(room)
    if text is None:
        raise NotReady("The broadcast is starting")
    return text
