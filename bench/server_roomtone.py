"""Roomtone's mixer as a bare process: offers in, answers out, one JSON line each."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from bench.lines import serve_lines
from mixer.plane import Plane
from mixer.types import AnchorSpec, PeerId, PlaneSettings, RoomId, RoomSpec

_tasks: set[asyncio.Task[None]] = set()


def _spawn(coro: Coroutine[Any, Any, None], /, *, name: str) -> asyncio.Task[None]:
    task = asyncio.create_task(coro, name=name)
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
    return task


async def main() -> None:
    """Serve until standard input ends."""
    plane = Plane(PlaneSettings(udp_port=0), emit=lambda _: None, tap=None, spawn=_spawn)
    await plane.start()
    rooms: dict[str, list[AnchorSpec]] = {}

    async def answer(room: str, peer: str, sdp: str) -> str:
        anchors = rooms.setdefault(room, [])
        anchors.append(AnchorSpec(PeerId(peer)))
        plane.apply(RoomSpec(RoomId(room), len(anchors), tuple(anchors)))
        return await plane.accept_offer(RoomId(room), PeerId(peer), sdp)

    await serve_lines(answer)


if __name__ == "__main__":
    asyncio.run(main())
