"""The broadcast over HTTP: playlist and segments."""

import re
from typing import Final

from aiohttp import web

from hls.core.playlist import with_token
from mixer.types import RoomId
from server.edge.context import CONTEXT, Context
from server.edge.models import path_room
from server.edge.stream_keys import ending_of, token_to_hand_on
from server.errors import NotFound, NotReady

_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")


async def get_playlist(request: web.Request) -> web.Response:
    """`GET /hls/{room}/stream.m3u8`."""
    context = request.app[CONTEXT]
    room = path_room(request)
    ending = ending_of(context, room)
    token = token_to_hand_on(request, room)
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
    ending, name = ending_of(context, room), request.match_info["name"]
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


async def _running(context: Context, room: RoomId) -> str:
    if not context.rooms.get(room).broadcast:
        raise NotReady("This room is not being broadcast now")
    text = await context.broadcast.playlist(room)
    if text is None:
        raise NotReady("The broadcast is starting")
    return text
