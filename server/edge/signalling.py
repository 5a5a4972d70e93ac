"""`/ws`: JSON-RPC methods on one person's conversation."""

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog
from aiohttp import web

from server.domain.identity import UserId
from server.edge.captions import add_caption_methods
from server.edge.chat import add_chat_methods
from server.edge.context import CONTEXT
from server.edge.door import add_door_methods
from server.edge.errors import rpc_error
from server.edge.instruments import Instruments
from server.edge.params import (
    CandidateParams,
    JoinParams,
    KeepaliveParams,
    MuteParams,
    NoParams,
    OfferParams,
    VolumeParams,
)
from server.edge.participants import add_host_methods
from server.edge.recordings import add_recording_methods
from server.edge.rights import bearer, may_open_sockets
from server.edge.socket import CLOSE_S, SocketTransport
from server.edge.subscriptions import add_subscriptions
from server.errors import BadToken, Forbidden, Unauthorized
from server.rpc.dispatch import Dispatcher
from server.rpc.peer import Peer
from server.services.limits import Limit
from server.services.presence import Farewell
from server.services.signalling import Joining, Session

log = structlog.get_logger(__name__)

MAX_FRAME_BYTES: Final = 32 * 1024
HEARTBEAT_S: Final = 10.0  # aiohttp waits half of it for the pong

OPEN_SOCKETS = web.AppKey("open_sockets", set[SocketTransport])
INSTRUMENTS = web.AppKey("instruments", Instruments)


async def serve_socket(request: web.Request) -> web.StreamResponse:
    """`GET /ws`: refuse before the upgrade, or serve the conversation to its end."""
    if not may_open_sockets(request):
        raise Forbidden("A page of another site may not use this socket")
    context = request.app[CONTEXT]
    token = request.query.get("token", "") or bearer(request)
    if not token:
        raise Unauthorized("This needs a join token")
    try:
        grant = context.access.joining(token)
    except BadToken as error:
        raise Unauthorized(str(error)) from None
    socket = web.WebSocketResponse(
        heartbeat=HEARTBEAT_S, max_msg_size=MAX_FRAME_BYTES, compress=False, timeout=CLOSE_S
    )
    context.drain.check_join(grant.room, grant.user)
    await socket.prepare(request)
    transport = SocketTransport(
        socket, request, 2 * context.settings.limit_messages, context.webhooks.written
    )
    session = Session(context.signalling, grant, transport, request.remote or "")
    servers = [server.entry() for server in context.ice.give(grant.user)]
    open_sockets = request.app[OPEN_SOCKETS]
    open_sockets.add(transport)
    try:
        person = f"{grant.room} {grant.user}"
        dispatcher = methods(session, request.app[INSTRUMENTS], servers)
        dispatcher.admit = lambda: context.limits.check(Limit.MESSAGES, person)
        with structlog.contextvars.bound_contextvars(room=grant.room, peer=grant.user):
            await _converse(Peer(transport, dispatcher), transport)
    except* Exception:  # the upgrade is done: there is no HTTP answer to give any more
        log.exception("socket_failed")
    finally:
        open_sockets.discard(transport)
        session.lost()
    await transport.close()
    return socket


async def _converse(peer: Peer, transport: SocketTransport) -> None:
    """Read and write until either ends."""
    async with asyncio.TaskGroup() as group:
        reader = group.create_task(peer.run(), name="socket reader")
        writer = group.create_task(transport.write(), name="socket writer")
        await asyncio.wait((reader, writer), return_when=asyncio.FIRST_COMPLETED)
        reader.cancel()
        writer.cancel()


async def stop_sockets(app: web.Application) -> None:
    """Tell every socket that the server stops."""
    open_sockets = app[OPEN_SOCKETS]
    for transport in list(open_sockets):
        transport.end(Farewell.STOPPING)


_CAME = {"stage": "joined", "lobby": "waiting", "audience": "listening"}


def methods(
    session: Session, instruments: Instruments, ice_servers: Sequence[object] = ()
) -> Dispatcher:
    """Return the methods of one conversation; docs/protocol.md describes each."""
    dispatcher = Dispatcher(rpc_error)

    async def join(params: JoinParams) -> object:
        joining = Joining(params.pin, params.jtoken, params.displayName, params.deltas)
        with instruments.join():
            joined = await session.join(joining)
        instruments.joined("resumed" if joined.resumed else _CAME[joined.place])
        return joined.shape() | {"iceServers": list(ice_servers)}

    async def offer(params: OfferParams) -> object:
        with instruments.offer():
            answer = await session.offer(params.sdp.sdp)
        return {"sdp": {"type": "answer", "sdp": answer}}

    async def icecandidate(params: CandidateParams) -> None:
        await session.candidate(params.candidate.candidate if params.candidate else None)

    async def mute(params: MuteParams) -> None:
        await session.mute(muted=params.muted)

    async def volume(params: VolumeParams) -> None:
        await session.hear(UserId(params.userId), None if params.muted else params.gainDb)

    async def keepalive(params: KeepaliveParams) -> None:
        await session.keep_alive(params.status)

    async def leave(_params: NoParams) -> None:
        await session.leave()

    dispatcher.add("join", JoinParams, join)
    dispatcher.add("offer", OfferParams, offer)
    dispatcher.add("icecandidate", CandidateParams, icecandidate)
    dispatcher.add("mute", MuteParams, mute)
    dispatcher.add("volume", VolumeParams, volume)
    dispatcher.add("keepalive", KeepaliveParams, keepalive)
    dispatcher.add("status", KeepaliveParams, keepalive)
    dispatcher.add("leave", NoParams, leave)
    add_host_methods(dispatcher, session)
    add_door_methods(dispatcher, session)
    add_chat_methods(dispatcher, session)
    add_caption_methods(dispatcher, session)
    add_recording_methods(dispatcher, session)
    add_subscriptions(dispatcher)
    return dispatcher
