"""REST of recordings of a room's arrivals: begin, end, list, fetch and remove, for the admin."""

import asyncio
from datetime import UTC, datetime
from typing import Final

from aiohttp import web

from mixer.types import ArrivalsSpec, RoomId
from server.domain.api_key import Scope
from server.domain.room import rfc3339
from server.edge.context import CONTEXT
from server.edge.models import ArrivalsRequest
from server.edge.paging import page
from server.edge.queries import PageQuery
from server.edge.reading import path_room, read_body, read_fields
from server.edge.rights import require
from server.errors import NotFound, RoomNotFound
from server.ports import StoredRecording

_MB: Final = 1_000_000


async def start_arrivals(request: web.Request) -> web.Response:
    """`POST /api/rooms/{id}/arrivals`."""
    require(request, Scope.RECORDINGS)
    room = path_room(request)
    body = await read_body(request, ArrivalsRequest)
    limit_mb = body.limitMb or request.app[CONTEXT].settings.record_limit_mb
    wish = request.app[CONTEXT].arrivals.start(room, body.seconds, limit_mb * _MB)
    return web.json_response({"success": True, "recording": _wish(wish)}, status=201)


async def stop_arrivals(request: web.Request) -> web.Response:
    """`DELETE /api/rooms/{id}/arrivals`."""
    require(request, Scope.RECORDINGS)
    request.app[CONTEXT].arrivals.stop(path_room(request))
    return web.json_response({"success": True})


async def list_arrivals(request: web.Request) -> web.Response:
    """`GET /api/rooms/{id}/arrivals`: of a room that is gone, too."""
    require(request, Scope.RECORDINGS)
    room, context = path_room(request), request.app[CONTEXT]
    query = read_fields(request.query, PageQuery)
    stored, more = page(
        await asyncio.to_thread(context.shelf.list, room),
        lambda one: (one.began_unix_s, one.name),
        query,
    )
    try:
        wish = context.arrivals.current(room)
    except RoomNotFound:
        wish = None
    return web.json_response(
        {
            "success": True,
            "recording": None if wish is None else _wish(wish),
            "recordings": [_stored(one) for one in stored],
            **more,
        }
    )


async def get_arrivals(request: web.Request) -> web.StreamResponse:
    """`GET /api/rooms/{id}/arrivals/{name}`: the file, as far as it is written."""
    require(request, Scope.RECORDINGS)
    room, name = _path(request)
    path = await asyncio.to_thread(request.app[CONTEXT].shelf.find, room, name)
    if path is None:
        raise NotFound("There is no such recording")
    headers = {
        "Content-Type": "application/octet-stream",
        "Content-Disposition": f'attachment; filename="{path.name}"',
        "Cache-Control": "no-store",
    }
    return web.FileResponse(path, headers=headers)


async def delete_arrivals(request: web.Request) -> web.Response:
    """`DELETE /api/rooms/{id}/arrivals/{name}`."""
    require(request, Scope.RECORDINGS)
    room, name = _path(request)
    if not await asyncio.to_thread(request.app[CONTEXT].shelf.remove, room, name):
        raise NotFound("There is no such recording")
    return web.json_response({"success": True})


def _path(request: web.Request) -> tuple[RoomId, str]:
    return path_room(request), request.match_info["name"]


def _wish(wish: ArrivalsSpec) -> dict[str, object]:
    return {"until": _time(wish.until_unix_s), "limitMb": wish.limit_bytes // _MB}


def _stored(one: StoredRecording) -> dict[str, object]:
    return {"name": one.name, "bytes": one.size, "beganAt": _time(one.began_unix_s)}


def _time(unix_s: float) -> str:
    return rfc3339(datetime.fromtimestamp(unix_s, UTC))
