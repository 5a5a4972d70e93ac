"""A bare aiohttp WebSocket server that says back what it is told: what nothing but sockets costs.

Its sockets are opened as Roomtone's are: pings every ten seconds, 32 KiB a frame, no compression.
"""

import asyncio
import socket
import sys

from aiohttp import WSMsgType, web

from server.edge.signalling import HEARTBEAT_S, MAX_FRAME_BYTES


async def echo(request: web.Request) -> web.WebSocketResponse:
    """`GET /ws`."""
    answer = web.WebSocketResponse(
        heartbeat=HEARTBEAT_S, max_msg_size=MAX_FRAME_BYTES, compress=False
    )
    await answer.prepare(request)
    async for message in answer:
        if message.type is WSMsgType.TEXT:
            await answer.send_str(message.data)
    return answer


async def main() -> None:
    """Print the port and serve until standard input ends."""
    app = web.Application()
    app.router.add_get("/ws", echo)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, listener).start()
    print(listener.getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
