"""The broadcast over HTTP: playlist, segments and keys."""

import re
from typing import Final

from aiohttp import web

from hls.core.playlist import with_token
from server.edge.context import CONTEXT
from server.edge.models import path_room
from server.edge.rights import listen_token
from server.errors import NotFound, NotReady, Unauthorized

_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")
_NEVER_STORED: Final = {"Cache-Control": "no-store"}


async def get_playlist(request: web.Request) -> web.Response:
    """`GET /hls/{room}/stream.m3u8`."""
    context = request.app[CONTEXT]
    room = path_room(request)
    broadcast = context.rooms.get(room).broadcast
    token = request.query.get("token", "")
    if token:  # a bad one would only show later, as a player that cannot get its key
        context.access.check_listening(room, token)
    if not broadcast:
        raise NotReady("This room is not being broadcast now")
    text = await context.broadcast.playlist(room)
    if text is None:
        raise NotReady("The broadcast is starting")
    return web.Response(
        text=with_token(text, token) if token else text,
        content_type="application/vnd.apple.mpegurl",
        headers={"Cache-Control": "no-cache"},
    )


async def get_media(request: web.Request) -> web.Response:
    """`GET /hls/{room}/{name}`: the init segment or a segment."""
    context = request.app[CONTEXT]
    room = path_room(request)
    context.rooms.get(room)
    name = request.match_info["name"]
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
    stream = context.rooms.stream(room)
    epoch = request.match_info.get("epoch")
    if epoch is not None and epoch != str(stream.epoch):
        raise NotFound("There is no such key")
    return web.Response(
        body=stream.key, content_type="application/octet-stream", headers=_NEVER_STORED
    )
