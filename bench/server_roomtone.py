"""Roomtone's mixer as a bare process: offers in, answers out, one JSON line each."""

import asyncio
import dataclasses
import functools
import inspect
import json
import sys
from collections.abc import Coroutine
from typing import Any

import numpy as np

import mixer.room.anchor as anchor_module
import mixer.room.encoding as encoding_module
from bench.lines import serve_lines
from bench.settings import MixSettings
from mixer.plane import Plane
from mixer.types import AnchorSpec, PeerId, PlaneSettings, RoomId, RoomSpec, Tapped
from server.media.worker import settle_heap

_tasks: set[asyncio.Task[None]] = set()


class DiscardingTap:
    """Takes a room's mix and does nothing with it."""

    def write(self, room: RoomId, bus: str, tick: int, pcm: np.ndarray) -> None:
        """See Tap."""

    def record(self, room: RoomId, tick: int, tapped: Tapped) -> None:
        """See Tap."""


def _spawn(coro: Coroutine[Any, Any, None], /, *, name: str) -> asyncio.Task[None]:
    task = asyncio.create_task(coro, name=name)
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)
    return task


def apply_settings(mix: MixSettings) -> dict[str, Any]:
    """Give the mixer other defaults than its own; return what each RoomSpec needs on top.

    A setting this mixer does not know ends the process with a sentence.
    """
    standard = MixSettings()
    wanted: dict[str, Any] = {
        name: getattr(mix, name)
        for name in ("bitrate_bps", "complexity")
        if getattr(mix, name) != getattr(standard, name)
    }
    if wanted:
        _override(encoding_module, "Encoder", wanted)
    if mix.jitter_percentile:
        _override(anchor_module, "JitterBuffer", {"percentile": mix.jitter_percentile})
    more = {
        name: getattr(mix, name)
        for name in ("loudest", "pass_through")
        if getattr(mix, name) != getattr(standard, name)
    }
    unknown = more.keys() - {entry.name for entry in dataclasses.fields(RoomSpec)}
    if unknown:
        sys.exit(f"This mixer has no setting `{unknown.pop()}`: leave it out of the settings file.")
    return more


def _override(module: Any, name: str, wanted: dict[str, Any]) -> None:
    original = getattr(module, name)
    missing = set(wanted) - set(inspect.signature(original).parameters)
    if missing:
        sys.exit(f"This mixer has no setting {', '.join(sorted(missing))}: leave it out.")
    setattr(module, name, functools.partial(original, **wanted))


async def main() -> None:
    """Serve until standard input ends."""
    more = apply_settings(MixSettings(**json.loads(sys.argv[1])))
    plane = Plane(
        PlaneSettings(udp_port=0, tcp_port=0, advertised=("127.0.0.1",)),
        emit=lambda _: None,
        tap=DiscardingTap(),
        spawn=_spawn,
    )
    await plane.start()
    settle_heap()
    rooms: dict[str, list[AnchorSpec]] = {}

    async def answer(room: str, peer: str, sdp: str) -> str:
        if "a=recvonly" in sdp and room in rooms:
            return await plane.accept_offer(RoomId(room), PeerId(peer), sdp, listener=True)
        anchors = rooms.setdefault(room, [])
        anchors.append(AnchorSpec(PeerId(peer)))
        spec = RoomSpec(RoomId(room), len(anchors), tuple(anchors), listeners=True, **more)
        plane.apply(spec)
        return await plane.accept_offer(RoomId(room), PeerId(peer), sdp)

    def open_rooms(count: int) -> None:
        for number in range(count):
            plane.apply(RoomSpec(RoomId(f"idle-{number}"), 1, on_air=True, **more))

    await serve_lines(answer, open_rooms)


if __name__ == "__main__":
    asyncio.run(main())
