"""What the settings make of every room's broadcast."""

from pathlib import Path

import pytest

from mixer.types import RoomId
from server.services.rooms import Wanted
from tests.support.node import open_node


@pytest.mark.parametrize(("part_ms", "frames"), [(320, 15), (192, 9)])
async def test_parts_and_window(tmp_path: Path, part_ms: int, frames: int) -> None:
    """Parts of that length and a window of that many seconds, the keys of which are kept."""
    settings = {"broadcast_part_ms": part_ms, "broadcast_window_s": 3600}
    async with open_node(tmp_path, **settings) as node:
        await node.rooms.create(Wanted(id=RoomId("demo")))
        await node.settle()
        spec = node.broadcast.specs["demo"]
        assert (spec.part_frames, spec.window_s) == (frames, 3600.0)
        assert node.rooms.window_s(RoomId("demo")) == 3600.0
