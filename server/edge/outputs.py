"""REST of the rooms' RTMP outputs, for the admin; an address is shown without its key."""

from datetime import UTC, datetime

from aiohttp import web

from server.domain.api_key import Scope
from server.domain.room import rfc3339
from server.edge.context import CONTEXT
from server.edge.models import OutputPatch, OutputRequest
from server.edge.reading import path_room, read_body
from server.edge.rights import require
from server.services.outputs import OutputChange, Standing


async def create_output(request: web.Request) -> web.Response:
    """`POST /api/rooms/{id}/outputs`."""
    require(request, Scope.LINES)
    room = path_room(request)
    body = await read_body(request, OutputRequest)
    standing = await request.app[CONTEXT].outputs.add(room, body.url, body.name)
    return web.json_response({"success": True, "output": _shape(standing)}, status=201)


async def list_outputs(request: web.Request) -> web.Response:
    """`GET /api/rooms/{id}/outputs`."""
    require(request, Scope.LINES)
    found = request.app[CONTEXT].outputs.all(path_room(request))
    return web.json_response({"success": True, "outputs": [_shape(one) for one in found]})


async def change_output(request: web.Request) -> web.Response:
    """`PATCH /api/rooms/{id}/outputs/{outputId}`."""
    require(request, Scope.LINES)
    room, output = path_room(request), request.match_info["outputId"]
    body = await read_body(request, OutputPatch)
    change = OutputChange(body.name, body.url, body.enabled)
    standing = await request.app[CONTEXT].outputs.change(room, output, change)
    return web.json_response({"success": True, "output": _shape(standing)})


async def delete_output(request: web.Request) -> web.Response:
    """`DELETE /api/rooms/{id}/outputs/{outputId}`."""
    require(request, Scope.LINES)
    room, output = path_room(request), request.match_info["outputId"]
    await request.app[CONTEXT].outputs.remove(room, output)
    return web.json_response({"success": True})


def _shape(one: Standing) -> dict[str, object]:
    return {
        "outputId": one.output.id,
        "name": one.output.name,
        "url": one.output.target.shown,
        "enabled": one.output.enabled,
        "state": one.state.value,
        "since": _time(one.since),
        "reason": one.reason,
        "retryAt": None if one.retry_at is None else _time(one.retry_at),
        "failures": one.failures,
    }


def _time(unix_s: float) -> str:
    return rfc3339(datetime.fromtimestamp(unix_s, UTC))
