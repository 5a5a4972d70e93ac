"""The little protocol between the bench and a server of ours: JSON lines on standard streams."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable

LIMIT_BYTES = 1 << 20


async def serve_lines(
    answer: Callable[[str, str, str], Awaitable[str]], open_rooms: Callable[[int], None]
) -> None:
    """Answer until standard input ends.

    `{"room", "peer", "sdp"}` gets `{"sdp"}`; `{"rooms": count}` and `{"ready": true}` get `{}`.
    """
    reader = asyncio.StreamReader(limit=LIMIT_BYTES)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := await reader.readline():
        asked = json.loads(line)
        said: dict[str, str] = {}
        if "rooms" in asked:
            open_rooms(asked["rooms"])
        elif "sdp" in asked:
            said = {"sdp": await answer(asked["room"], asked["peer"], asked["sdp"])}
        print(json.dumps(said), flush=True)
