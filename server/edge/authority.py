"""The certificate of this machine's own authority, for phones to trust."""

import asyncio

from aiohttp import web

from server.edge.context import CONTEXT
from server.edge.pages import page
from server.errors import NotFound

CERTIFICATE = "ca.crt"  # in the state folder; server.compose.authority makes it


async def get_page(request: web.Request) -> web.StreamResponse:
    """`GET /ca`: how to trust it."""
    _check_enabled(request)
    return page(request, "ca.html")


async def get_certificate(request: web.Request) -> web.Response:
    """`GET /ca.crt`: the certificate itself, under the type that phones install."""
    _check_enabled(request)
    path = request.app[CONTEXT].settings.state_dir / CERTIFICATE
    try:
        pem = await asyncio.to_thread(path.read_bytes)
    except OSError:
        raise NotFound("There is no such certificate") from None
    return web.Response(
        body=pem,
        content_type="application/x-x509-ca-cert",
        headers={
            "Cache-Control": "no-store",
            "Content-Disposition": 'attachment; filename="roomtone-ca.crt"',
        },
    )


def _check_enabled(request: web.Request) -> None:
    if request.app[CONTEXT].settings.tls != "self-signed":
        raise NotFound("This server makes no certificate of its own")
