"""The HTTP application: every route of the server on one port."""

import logging
import time
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from server.edge import (
    announcements,
    arrivals,
    authority,
    broadcasts,
    captions,
    door,
    headers,
    hls,
    keys,
    lines,
    listeners,
    modules,
    openapi,
    operations,
    outputs,
    pages,
    participants,
    radio,
    recordings,
    rest,
    stream_keys,
    webhooks,
    whip,
)
from server.edge.conditional import conditional
from server.edge.connections import PROMPT, mark_busy
from server.edge.context import CONTEXT, Context
from server.edge.errors import errors
from server.edge.hls_instruments import HLS_INSTRUMENTS, HlsInstruments
from server.edge.hls_instruments import PREFIX as HLS
from server.edge.idempotency import ANSWERS, Answers, idempotent
from server.edge.instruments import Instruments
from server.edge.prompt import Prompt
from server.edge.proxies import PROXIES, Proxies, through_proxies
from server.edge.reading import MAX_BODY_BYTES
from server.edge.screen import screen
from server.edge.signalling import INSTRUMENTS, OPEN_SOCKETS, serve_socket, stop_sockets
from server.telemetry import continuing

log = structlog.get_logger(__name__)

ROUTES: Final = (
    web.get("/", pages.index),
    web.get("/join/{room}", pages.join),
    web.get("/listen/{room}", pages.listen),
    web.get("/api", pages.interface),
    web.get("/openapi.json", openapi.get_document),
    web.get("/static/{path:.+}", pages.asset),
    web.get("/ca", authority.get_page),
    web.get("/ca.crt", authority.get_certificate),
    web.post("/api/session", rest.open_session),
    web.get("/api/session", rest.get_session),
    web.delete("/api/session", rest.close_session),
    web.post("/api/rooms", rest.create_room),
    web.get("/api/rooms", rest.list_rooms),
    web.get("/api/rooms/{room}", rest.get_room),
    web.patch("/api/rooms/{room}", rest.change_room),
    web.delete("/api/rooms/{room}", rest.delete_room),
    web.get("/api/rooms/{room}/statistics", rest.get_statistics),
    web.get("/api/rooms/{room}/broadcast", broadcasts.get_broadcast),
    web.post("/api/rooms/{room}/invites", rest.renew_invite),
    web.post("/api/rooms/{room}/users", rest.create_user),
    web.delete("/api/rooms/{room}/users/{user}", rest.delete_user),
    web.get("/api/rooms/{room}/participants", participants.list_people),
    web.patch("/api/rooms/{room}/participants/{user}", participants.control),
    web.delete("/api/rooms/{room}/participants/{user}", participants.kick),
    web.post("/api/rooms/{room}/participants/{user}/unmute-request", participants.request_unmute),
    web.post("/api/rooms/{room}/participants/{user}/move", door.move),
    web.get("/api/rooms/{room}/lobby", door.list_lobby),
    web.post("/api/rooms/{room}/lobby/{user}", door.admit),
    web.delete("/api/rooms/{room}/lobby/{user}", door.deny),
    web.post("/api/rooms/{room}/forwarders", lines.create_forwarder),
    web.get("/api/rooms/{room}/forwarders", lines.list_forwarders),
    web.patch("/api/rooms/{room}/forwarders/{forwarderId}", lines.patch_forwarder),
    web.delete("/api/rooms/{room}/forwarders/{forwarderId}", lines.delete_forwarder),
    web.post("/api/rooms/{room}/rtp", lines.create_line),
    web.get("/api/rooms/{room}/rtp", lines.list_lines),
    web.patch("/api/rooms/{room}/rtp/{user}", lines.patch_line),
    web.delete("/api/rooms/{room}/rtp/{user}", lines.delete_line),
    web.get("/api/rooms/{room}/listeners", listeners.list_listeners),
    web.delete("/api/rooms/{room}/listeners/{user}", listeners.delete_listener),
    web.post("/api/rooms/{room}/captions", captions.say),
    web.post("/api/rooms/{room}/outputs", outputs.create_output),
    web.get("/api/rooms/{room}/outputs", outputs.list_outputs),
    web.patch("/api/rooms/{room}/outputs/{outputId}", outputs.change_output),
    web.delete("/api/rooms/{room}/outputs/{outputId}", outputs.delete_output),
    web.post("/api/rooms/{room}/arrivals", arrivals.start_arrivals),
    web.get("/api/rooms/{room}/arrivals", arrivals.list_arrivals),
    web.delete("/api/rooms/{room}/arrivals", arrivals.stop_arrivals),
    web.get("/api/rooms/{room}/arrivals/{name}", arrivals.get_arrivals),
    web.delete("/api/rooms/{room}/arrivals/{name}", arrivals.delete_arrivals),
    web.post("/api/rooms/{room}/recordings", recordings.create),
    web.get("/api/rooms/{room}/recordings", recordings.list_of_room),
    web.get("/api/rooms/{room}/recordings/{name}", recordings.get),
    web.patch("/api/rooms/{room}/recordings/{name}", recordings.change),
    web.delete("/api/rooms/{room}/recordings/{name}", recordings.delete),
    web.get("/api/rooms/{room}/recordings/{name}/files.zip", recordings.get_zip),
    web.get("/api/rooms/{room}/recordings/{name}/files/{file:.+}", recordings.get_file),
    web.get("/api/recordings", recordings.list_all),
    web.post("/api/rooms/{room}/announcements", announcements.create),
    web.get("/api/rooms/{room}/announcements", announcements.list_all),
    web.patch("/api/rooms/{room}/announcements/{announcementId}", announcements.change),
    web.delete("/api/rooms/{room}/announcements/{announcementId}", announcements.delete),
    web.post("/api/webhooks", webhooks.create),
    web.get("/api/webhooks", webhooks.list_all),
    web.get("/api/webhooks/{webhookId}", webhooks.get),
    web.delete("/api/webhooks/{webhookId}", webhooks.delete),
    web.post("/api/webhooks/{webhookId}/ping", webhooks.ping),
    web.post("/api/webhooks/{webhookId}/secret", webhooks.rotate),
    web.post("/api/token", rest.create_token),
    web.put("/api/modules/{moduleType}/{moduleId}/mark", modules.put_mark),
    web.delete("/api/modules/{moduleType}/{moduleId}/mark", modules.delete_mark),
    web.get("/api/stats", rest.get_stats),
    web.post("/api/keys", keys.create_key),
    web.get("/api/keys", keys.list_keys),
    web.delete("/api/keys/{keyId}", keys.delete_key),
    web.post("/api/keys/rotate", keys.rotate_keys),
    web.get("/.well-known/jwks.json", keys.get_jwks),
    web.get("/ws", serve_socket),
    web.post("/whip/{room}", whip.publish),
    web.options("/whip/{room}", whip.describe),
    web.patch("/whip/{room}/{connection}", whip.change),
    web.delete("/whip/{room}/{connection}", whip.end),
    web.options("/whip/{room}/{connection}", whip.describe),
    web.post("/whep/{room}", whip.listen),
    web.options("/whep/{room}", whip.describe),
    web.patch("/whep/{room}/{connection}", whip.change),
    web.delete("/whep/{room}/{connection}", whip.end),
    web.options("/whep/{room}/{connection}", whip.describe),
    web.get("/hls/rooms/{room}/enc.key", stream_keys.get_key),
    web.get("/hls/rooms/{room}/{epoch}/enc.key", stream_keys.get_key),
    web.get("/hls/{room}/stream.m3u8", hls.get_playlist),
    web.get("/hls/{room}/classic.m3u8", hls.get_playlist),
    web.get("/hls/{room}/master.m3u8", hls.get_playlist),
    web.get("/hls/{room}/classic-master.m3u8", hls.get_playlist),
    web.get("/hls/{room}/{rendition}/stream.m3u8", hls.get_playlist),
    web.get("/hls/{room}/{rendition}/classic.m3u8", hls.get_playlist),
    web.get("/hls/{room}/{name}", hls.get_media),
    web.get("/hls/{room}/{rendition}/{name}", hls.get_media),
    web.get("/radio/{room}.aac", radio.get_aac),
    web.get("/radio/{room}.mp3", radio.get_mp3),
    web.options("/hls/{path:.+}", headers.preflight),
    web.get("/health", operations.health),
    web.get("/ready", operations.ready),
    web.get("/metrics", operations.metrics),
)


def create_app(context: Context) -> web.Application:
    """Return the application; it starts no task and opens nothing."""
    # Who may ask at all comes first, then what is done with an answer.
    middlewares = (
        *(mark_busy, through_proxies, observe, errors, screen),
        *(webhooks.tell_first, idempotent, conditional),
    )
    app = web.Application(middlewares=middlewares, client_max_size=MAX_BODY_BYTES)
    app[CONTEXT] = context
    app[PROXIES] = Proxies(lambda: context.settings)
    app[OPEN_SOCKETS] = set()
    app[INSTRUMENTS] = Instruments(context.registry)
    app[HLS_INSTRUMENTS] = HlsInstruments(context.registry)
    app[PROMPT] = Prompt(context, app[PROXIES], (app[INSTRUMENTS], app[HLS_INSTRUMENTS]))
    context.webhooks.counted = app[INSTRUMENTS].webhook
    app[ANSWERS] = Answers()
    app.add_routes(ROUTES)
    app.on_response_prepare.append(headers.add_headers)
    app.on_shutdown.append(stop_sockets)
    app.on_shutdown.append(radio.end_radio)
    return app


@web.middleware
async def observe(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Count and log every request: its path, never its query, which may hold a token."""
    began = time.perf_counter()
    room = request.match_info.get("room")
    bound = {} if room is None else {"room": room}
    with structlog.contextvars.bound_contextvars(**bound), continuing(request.headers):
        answer = await handler(request)
    resource = request.match_info.route.resource
    # An unknown path has no resource: labels must not be what strangers make up.
    route = resource.canonical if resource is not None else "unknown"
    took_s = time.perf_counter() - began
    request.app[INSTRUMENTS].answered(request.method, route, answer.status, took_s)
    if route.startswith(HLS):
        request.app[HLS_INSTRUMENTS].answered(request.path, answer)
    log.log(
        logging.INFO if request.app[CONTEXT].settings.access_log else logging.DEBUG,
        "request",
        method=request.method,
        path=request.path,
        address=request.remote,
        status=answer.status,
        ms=round(1000 * took_s, 1),
    )
    return answer
