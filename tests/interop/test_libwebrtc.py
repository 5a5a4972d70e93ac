"""libwebrtc as a library (npm's @roamhq/wrtc) against the real server."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.program import running
from tests.support.room_client import Signalling, open_signalling

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(90)]

ADA_HZ, BOB_HZ = 440, 1000


class NativeCaller:
    """One `caller.mjs`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def read(self, what: str) -> Any:
        """Return the next line about `what`."""
        assert self._process.stdout is not None, "it is a pipe"
        async for line in self._process.stdout:
            said = json.loads(line)
            if what in said:
                return said[what]
        raise AssertionError(f"the caller ended before it said {what}")

    async def connect(self, signalling: Signalling) -> None:
        """Exchange descriptions and wait until the media flows."""
        offer = {"type": "offer", "sdp": await self.read("offer")}
        await self.accept((await signalling.call("offer", sdp=offer))["sdp"]["sdp"])

    async def accept(self, answer: str) -> None:
        """Take the answer and wait until the media flows."""
        assert self._process.stdin is not None, "it is a pipe"
        self._process.stdin.write(json.dumps({"answer": answer}).encode() + b"\n")
        while await self.read("state") != "connected":
            pass

    async def levels(self, *, skip: int = 3) -> dict[int, float]:
        """Return the levels of one half second, after `skip` others."""
        for _ in range(skip):
            await self.read("levels")
        return {int(hertz): level for hertz, level in (await self.read("levels")).items()}


@contextlib.asynccontextmanager
async def native_caller(node: str, *hertz: int) -> AsyncIterator[NativeCaller]:
    process = await asyncio.create_subprocess_exec(
        node,
        Path(__file__).with_name("caller.mjs"),
        *map(str, hertz),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield NativeCaller(process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def test_native_callers_hear_each_other(node: str, tmp_path: Path) -> None:
    """Two libwebrtc callers hear each other's tone at its level, and not themselves."""
    async with (
        running(tmp_path / "state") as program,
        native_caller(node, ADA_HZ, BOB_HZ) as ada,
        native_caller(node, BOB_HZ, ADA_HZ) as bob,
    ):
        room = (await program.new_room())["roomId"]
        async with (
            open_signalling(program, room, "Ada") as adas,
            open_signalling(program, room, "Bob") as bobs,
        ):
            await ada.connect(adas)
            await bob.connect(bobs)
            for_ada, for_bob = await asyncio.gather(ada.levels(), bob.levels())
    assert for_ada[BOB_HZ] == pytest.approx(-12, abs=1.5)
    assert for_bob[ADA_HZ] == pytest.approx(-12, abs=1.5)
    assert max(for_ada[ADA_HZ], for_bob[BOB_HZ]) < -50
