"""The rooms as internet radio over HTTP, with ICY titles for who asks for them."""

import asyncio
from contextlib import suppress
from typing import Final

from aiohttp import web

from mixer.types import RoomId
from server.domain import icy
from server.domain.address import one_caller
from server.edge.connections import ends_with_caller
from server.edge.context import CONTEXT, Context
from server.edge.reading import path_room
from server.edge.rights import listen_token
from server.errors import BadToken, NotReady, RoomNotFound, Unauthorized
from server.services.radio import Hearer, RadioFormat, RadioTap

STUCK_S: Final = 20.0  # a listener who takes nothing for so long is cut off
RENEW_S: Final = 15.0  # a token is looked at again; a listener is gone after a minute
MP3_KBPS: Final = 128
_TYPES: Final = {RadioFormat.AAC: "audio/aac", RadioFormat.MP3: "audio/mpeg"}


async def get_aac(request: web.Request) -> web.StreamResponse:
    """`GET /radio/{room}.aac`: the default rendition's own frames, as ADTS."""
    return await _serve(request, RadioFormat.AAC)


async def get_mp3(request: web.Request) -> web.StreamResponse:
    """`GET /radio/{room}.mp3`."""
    return await _serve(request, RadioFormat.MP3)


async def end_radio(app: web.Application) -> None:
    """Let every listener come to the end: the server stops."""
    app[CONTEXT].radio.end()


async def _serve(request: web.Request, kind: RadioFormat) -> web.StreamResponse:
    context = request.app[CONTEXT]
    room = path_room(request)
    token = listen_token(request, room)
    if not token:
        raise Unauthorized("This needs a listen token")
    user = context.listening.access.check_hearing(room, token).user
    context.radio.check(room)
    answer = _answer(context, room, kind, wants_titles=_wants_titles(request))
    if request.method == "HEAD":
        return answer
    hearer = Hearer(room, user, one_caller(request.remote or ""))
    with context.radio.open(hearer, kind) as tap:
        _ = context.listening.seen(room, token)
        await answer.prepare(request)
        weaver = icy.Weaver() if _wants_titles(request) else None
        sending = _Sending(request, answer, weaver)
        with suppress(BadToken, NotReady, RoomNotFound, ConnectionError):
            await sending.run(tap, room, token)
    return answer


class _Sending:
    """One listener who is sent a room's sound."""

    def __init__(
        self, request: web.Request, answer: web.StreamResponse, weaver: icy.Weaver | None
    ) -> None:
        self._request = request
        self._answer = answer
        self._weaver = weaver
        self._context = request.app[CONTEXT]

    async def run(self, tap: RadioTap, room: RoomId, token: str) -> None:
        """Send until the room or the right to hear it ends: who is revoked is cut off at once.

        Raises BadToken, NotReady, RoomNotFound, ConnectionError.
        """
        clock = self._context.clock
        renewed_s = clock.monotonic()
        while True:
            with ends_with_caller(self._request):
                piece = await tap.next()
            if piece is None:
                return
            self._context.radio.check(room)
            if clock.monotonic() - renewed_s >= RENEW_S:
                _ = self._context.listening.seen(room, token)
                renewed_s = clock.monotonic()
            await self._send(tap, room, piece)

    async def _send(self, tap: RadioTap, room: RoomId, piece: bytes) -> None:
        radio = self._context.radio
        radio.counters["radio_bytes_total"] += len(piece)
        if self._weaver is not None:
            piece = self._weaver.weave(piece, radio.title(room))
        try:
            async with asyncio.timeout(STUCK_S) as patience:
                tap.patience = patience
                try:
                    await self._answer.write(piece)
                finally:
                    tap.patience = None
        except TimeoutError:
            if self._request.transport is not None:
                self._request.transport.abort()
            raise ConnectionResetError from None


def _wants_titles(request: web.Request) -> bool:
    return request.headers.get("Icy-MetaData", "").strip() == "1"


def _answer(
    context: Context, room: RoomId, kind: RadioFormat, *, wants_titles: bool
) -> web.StreamResponse:
    spec = context.broadcast.spec(room)
    if spec is None:
        raise NotReady("This room is not being broadcast now")
    kbps = MP3_KBPS if kind is RadioFormat.MP3 else spec.renditions[0].bit_rate // 1000
    headers = {
        "Content-Type": _TYPES[kind],
        "Cache-Control": "no-store",
        "Connection": "close",
        "icy-name": icy.printable(context.radio.name(room)),
        "icy-br": str(kbps),
        "icy-sr": "48000",
        "icy-pub": "0",  # no directory shall list it
    }
    if wants_titles:
        headers["icy-metaint"] = str(icy.METAINT)
    answer = web.StreamResponse(headers=headers)
    answer.force_close()
    return answer
