"""REST of plain RTP: forwarders and participants of a room, for the admin."""

from aiohttp import web

from mixer.core.g711 import STATIC_PAYLOAD_TYPES
from mixer.types import ForwarderSpec, RtpCodec
from server.domain.lines import Line
from server.edge.context import CONTEXT
from server.edge.models import ForwarderRequest, LineRequest, path_room, path_user, read_body
from server.edge.rights import require_admin
from server.services.lines import WantedForwarder, WantedLine

OPUS_PAYLOAD_TYPE = 111


async def create_forwarder(request: web.Request) -> web.Response:
    """`POST /api/rooms/{id}/forwarders`."""
    require_admin(request)
    room = path_room(request)
    body = await read_body(request, ForwarderRequest)
    wanted = WantedForwarder(
        host=body.host,
        port=body.port,
        codec=body.codec,
        payload_type=_payload_type(body.codec, body.payloadType),
        ssrc=body.ssrc,
        always_on=body.alwaysOn,
    )
    spec = await request.app[CONTEXT].lines.add_forwarder(room, wanted)
    return web.json_response({"success": True, "forwarder": _forwarder(spec)}, status=201)


async def list_forwarders(request: web.Request) -> web.Response:
    """`GET /api/rooms/{id}/forwarders`."""
    require_admin(request)
    lines = request.app[CONTEXT].lines.get(path_room(request))
    found = [_forwarder(one) for one in lines.forwarders.values()]
    return web.json_response({"success": True, "forwarders": found})


async def delete_forwarder(request: web.Request) -> web.Response:
    """`DELETE /api/rooms/{id}/forwarders/{forwarderId}`."""
    require_admin(request)
    name = request.match_info["forwarderId"]
    await request.app[CONTEXT].lines.remove_forwarder(path_room(request), name)
    return web.json_response({"success": True})


async def create_line(request: web.Request) -> web.Response:
    """`POST /api/rooms/{id}/rtp`."""
    require_admin(request)
    room = path_room(request)
    body = await read_body(request, LineRequest)
    wanted = WantedLine(
        codec=body.codec,
        payload_type=_payload_type(body.codec, body.payloadType),
        display_name=body.displayName,
        allow=tuple(body.allow),
        host=body.host,
        port=body.port,
        is_any_ssrc=body.anySsrc,
    )
    line = await request.app[CONTEXT].lines.add_line(room, wanted)
    return web.json_response({"success": True, "participant": _line(request, line)}, status=201)


async def list_lines(request: web.Request) -> web.Response:
    """`GET /api/rooms/{id}/rtp`."""
    require_admin(request)
    lines = request.app[CONTEXT].lines.get(path_room(request))
    found = [_line(request, one) for one in lines.people.values()]
    return web.json_response({"success": True, "participants": found})


async def delete_line(request: web.Request) -> web.Response:
    """`DELETE /api/rooms/{id}/rtp/{userId}`."""
    require_admin(request)
    await request.app[CONTEXT].lines.remove_line(path_room(request), path_user(request))
    return web.json_response({"success": True})


def _payload_type(codec: RtpCodec, wanted: int | None) -> int:
    if wanted is not None:
        return wanted
    return STATIC_PAYLOAD_TYPES.get(codec, OPUS_PAYLOAD_TYPE)


def _forwarder(spec: ForwarderSpec) -> dict[str, object]:
    return {
        "forwarderId": spec.id,
        "host": spec.host,
        "port": spec.port,
        "codec": spec.codec.value,
        "payloadType": spec.payload_type,
        "ssrc": spec.ssrc,
        "bus": spec.bus,
        "alwaysOn": spec.always_on,
    }


def _line(request: web.Request, line: Line) -> dict[str, object]:
    spec = line.spec
    return {
        "userId": line.user,
        "displayName": line.display_name,
        "status": line.entry()["status"],
        "rtpPort": request.app[CONTEXT].settings.rtp_port,
        "codec": spec.codec.value,
        "payloadType": spec.payload_type,
        "ssrc": spec.ssrc,
        "allow": list(spec.allow),
        "host": spec.host,
        "port": spec.port,
    }
