"""How fast a body must come."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import Final, TypeVar

from aiohttp import web

from server.errors import TooSlow

Piece = TypeVar("Piece")

BODY_S: Final = 20.0  # for a body that is no file, 32 KiB at most: 1.6 kB/s
PIECE_S: Final = 20.0  # between two pieces of a file
SLOWEST_BPS: Final = 2000  # bytes a second of a file on the whole; a modem was faster


async def whole_body(request: web.Request) -> bytes:
    """Return a body that is no file; it is kept for who asks again. Raises TooSlow."""
    return await at_once(request.read())


async def at_once(piece: Awaitable[Piece]) -> Piece:
    """Return what comes within the time for a small body. Raises TooSlow."""
    try:
        async with asyncio.timeout(BODY_S):
            return await piece
    except TimeoutError:
        raise TooSlow from None


async def in_time(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the pieces of a file. Raises TooSlow where they come in drops."""
    now = asyncio.get_running_loop().time
    began, taken = now(), 0
    while True:
        allowed_s = PIECE_S + taken / SLOWEST_BPS - (now() - began)
        try:
            async with asyncio.timeout(min(PIECE_S, allowed_s)):
                piece = await anext(pieces, b"")
        except TimeoutError:
            raise TooSlow from None
        if not piece:
            return
        taken += len(piece)
        yield piece
