"""REST of plain RTP: forwarders and participants of a room, for the admin."""

from aiohttp import web

from mixer.core.g711 import STATIC_PAYLOAD_TYPES
from mixer.types import FORWARDER, ForwarderSpec, PeerStatistics, RtpCodec
from server.domain.api_key import Scope
from server.domain.lines import Line
from server.edge.context import CONTEXT
from server.edge.models import ForwarderPatch, ForwarderRequest, LinePatch, LineRequest
from server.edge.paging import page
from server.edge.queries import PageQuery
from server.edge.reading import path_room, path_user, read_body, read_fields
from server.edge.rights import require
from server.services.lines import ForwarderChange, LineChange, WantedForwarder, WantedLine

OPUS_PAYLOAD_TYPE = 111


async def create_forwarder(request: web.Request) -> web.Response:
    """`POST /api/rooms/{id}/forwarders`."""
    require(request, Scope.LINES)
    room = path_room(request)
    body = await read_body(request, ForwarderRequest)
    wanted = WantedForwarder(
        host=body.host,
        port=body.port,
        codec=body.codec,
        payload_type=_payload_type(body.codec, body.payloadType),
        ssrc=body.ssrc,
        bus=body.bus,
        always_on=body.alwaysOn,
        rtcp=body.rtcp,
    )
    spec = await request.app[CONTEXT].lines.add_forwarder(room, wanted)
    return web.json_response({"success": True, "forwarder": _forwarder(spec)}, status=201)


async def list_forwarders(request: web.Request) -> web.Response:
    """`GET /api/rooms/{id}/forwarders`."""
    require(request, Scope.LINES)
    lines = request.app[CONTEXT].lines.get(path_room(request))
    query = read_fields(request.query, PageQuery)
    found, more = page(list(lines.forwarders.values()), lambda one: (one.id,), query)
    shapes = [_forwarder(one) for one in found]
    return web.json_response({"success": True, "forwarders": shapes, **more})


async def patch_forwarder(request: web.Request) -> web.Response:
    """`PATCH /api/rooms/{id}/forwarders/{forwarderId}`."""
    require(request, Scope.LINES)
    room, name = path_room(request), request.match_info["forwarderId"]
    body = await read_body(request, ForwarderPatch)
    change = ForwarderChange(body.host, body.port, body.bus, body.alwaysOn, body.rtcp)
    spec = await request.app[CONTEXT].lines.change_forwarder(room, name, change)
    return web.json_response({"success": True, "forwarder": _forwarder(spec)})


async def delete_forwarder(request: web.Request) -> web.Response:
    """`DELETE /api/rooms/{id}/forwarders/{forwarderId}`."""
    require(request, Scope.LINES)
    name = request.match_info["forwarderId"]
    await request.app[CONTEXT].lines.remove_forwarder(path_room(request), name)
    return web.json_response({"success": True})


async def create_line(request: web.Request) -> web.Response:
    """`POST /api/rooms/{id}/rtp`."""
    require(request, Scope.LINES)
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
        rtcp=body.rtcp,
    )
    line = await request.app[CONTEXT].lines.add_line(room, wanted)
    return web.json_response({"success": True, "participant": _line(request, line)}, status=201)


async def list_lines(request: web.Request) -> web.Response:
    """`GET /api/rooms/{id}/rtp`."""
    require(request, Scope.LINES)
    lines = request.app[CONTEXT].lines.get(path_room(request))
    query = read_fields(request.query, PageQuery)
    found, more = page(list(lines.people.values()), lambda one: (str(one.user),), query)
    shapes = [_line(request, one) for one in found]
    return web.json_response({"success": True, "participants": shapes, **more})


async def patch_line(request: web.Request) -> web.Response:
    """`PATCH /api/rooms/{id}/rtp/{userId}`."""
    require(request, Scope.LINES)
    room, user = path_room(request), path_user(request)
    body = await read_body(request, LinePatch)
    change = LineChange(
        display_name=body.displayName,
        muted=body.muted,
        gain_db=body.gainDb,
        pan=body.pan,
        allow=None if body.allow is None else tuple(body.allow),
        host=body.host,
        port=0 if body.host == "" else body.port,
        rtcp=body.rtcp,
    )
    line = await request.app[CONTEXT].lines.change_line(room, user, change)
    return web.json_response({"success": True, "participant": _line(request, line)})


async def delete_line(request: web.Request) -> web.Response:
    """`DELETE /api/rooms/{id}/rtp/{userId}`."""
    require(request, Scope.LINES)
    await request.app[CONTEXT].lines.remove_line(path_room(request), path_user(request))
    return web.json_response({"success": True})


def is_forwarder(peer: PeerStatistics) -> bool:
    """Whether these are a forwarder's numbers, not a person's."""
    return peer.peer.startswith(FORWARDER)


def forwarder_statistics(peer: PeerStatistics) -> dict[str, object]:
    """Return what `GET /api/rooms/{id}/statistics` says of a forwarder.

    What only its receiver can know is null while that has reported nothing.
    """
    sent, transport = peer.sent, peer.transport
    assert sent is not None, "every forwarder sends"
    is_known, round_trip_s = sent.reports > 0, transport.round_trip_s
    return {
        "forwarderId": peer.peer.removeprefix(FORWARDER),
        "localPort": sent.local_port,
        "packets": sent.packets,
        "octets": sent.octets,
        "bitrateOut": round(transport.bitrate_out),
        "reports": sent.reports,
        "lossOut": round(transport.loss_out, 4) if is_known else None,
        "lost": sent.lost if is_known else None,
        "jitterOutMs": round(1000 * transport.jitter_out_s, 1) if is_known else None,
        "roundTripMs": None if round_trip_s is None else round(1000 * round_trip_s, 1),
    }


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
        "rtcp": spec.rtcp.value,
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
        "muted": spec.muted,
        "gainDb": spec.gain_db,
        "pan": spec.pan,
        "rtcp": spec.rtcp.value,
    }
