"""The browser client of the system we replace (npm's rpc-websockets) against the real server."""

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.interop.test_libwebrtc import native_caller
from tests.support.program import Program, running

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(60)]


class ClassicClient:
    """One `classic.mjs`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    def tell(self, verb: str, what: object) -> None:
        """Let the client do something."""
        assert self._process.stdin is not None, "it is a pipe"
        self._process.stdin.write(json.dumps({verb: what}).encode() + b"\n")

    async def read(self, *what: str) -> Any:
        """Return the next line about one of these."""
        assert self._process.stdout is not None, "it is a pipe"
        async for line in self._process.stdout:
            said = json.loads(line)
            for name in what:
                if name in said:
                    return said[name]
        raise AssertionError(f"the client ended before it said {what}")

    async def call(self, method: str, **params: object) -> Any:
        """Call a method; return its result, or raise what it was refused with."""
        self.tell("call", [method, params])
        answer = await self.read("result", "error")
        assert isinstance(answer, list), answer
        return answer[0]

    async def open(self, program: Program, token: str) -> None:
        """Connect as the old page does: subscribe, then join."""
        self.tell("open", f"{program.url.replace('http', 'ws')}/ws?token={token}")
        assert await self.read("open", "refused") is True
        self.tell("subscribe", "roomStatus")
        assert await self.read("subscribed") == {"roomStatus": "ok"}


@contextlib.asynccontextmanager
async def classic(node: str) -> AsyncIterator[ClassicClient]:
    process = await asyncio.create_subprocess_exec(
        node,
        Path(__file__).with_name("classic.mjs"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield ClassicClient(process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def token_for(program: Program, room: str) -> str:
    _, user = await program.call("POST", f"/api/rooms/{room}/users", {"role": "anchor"})
    return str(user["token"])


async def test_a_whole_call(node: str, tmp_path: Path) -> None:
    """Subscription, join, offer, trickle, keepalive, a broken line, resume and leave work."""
    async with (
        running(tmp_path / "state") as program,
        native_caller(node, 440, 1000) as media,
        classic(node) as client,
    ):
        room = (await program.new_room())["roomId"]
        token = await token_for(program, room)
        await client.open(program, token)
        who = {"clientId": str(uuid.uuid4()), "pin": "", "displayName": "Ada"}
        joined = await client.call("join", **who)
        assert joined["resume"] is False
        assert [one["displayName"] for one in await client.read("roomStatus")] == ["Ada"]
        offer = {"type": "offer", "sdp": await media.read("offer")}
        client.tell("notify", ["icecandidate", {"candidate": {"completed": True}}])
        await media.accept((await client.call("offer", sdp=offer))["sdp"]["sdp"])
        while (await client.read("roomStatus"))[0]["status"] != "onair":
            pass
        client.tell("notify", ["keepalive", {"status": "onair"}])
        client.tell("cut", "")
        assert (await client.read("close"))[0] == 1006
        await client.open(program, token)
        again = await client.call("join", **who, jtoken=joined["jtoken"])
        assert again["resume"] is True
        assert again["jtoken"] != joined["jtoken"]
        client.tell("call", ["leave", {}])
        assert await client.read("close") == [1000, "left"]


async def test_close_codes(node: str, tmp_path: Path) -> None:
    """A connection that is replaced, kicked, or outlives its room is told by code and reason."""
    async with running(tmp_path / "state") as program, classic(node) as old, classic(node) as new:
        room = (await program.new_room())["roomId"]
        token = await token_for(program, room)
        who = {"clientId": str(uuid.uuid4())}
        await old.open(program, token)
        user = (await old.call("join", **who))["userId"]
        await new.open(program, token)
        await new.call("join", **who)
        assert await old.read("close") == [4001, "replaced by a newer connection"]
        await program.call("DELETE", f"/api/rooms/{room}/participants/{user}")
        assert await new.read("close") == [4005, "taken out of the room"]
        await new.open(program, token)
        await new.call("join", **who)
        await program.call("DELETE", f"/api/rooms/{room}")
        assert await new.read("close") == [4004, "the room is gone"]


async def test_refusals(node: str, tmp_path: Path) -> None:
    """A refusal reaches the client as the reference's error object, and the socket goes on."""
    async with running(tmp_path / "state") as program, classic(node) as client:
        room = (await program.new_room(pin="a1b2c3"))["roomId"]
        # An admin's token that does not yet carry the PIN.
        await client.open(program, await token_for(program, room))
        client.tell("call", ["join", {"clientId": str(uuid.uuid4()), "pin": "000000"}])
        error = await client.read("error")
        assert (error["code"], error["data"]["code"]) == (-32600, "wrong_pin")
        client.tell("call", ["listen", {}])
        assert (await client.read("error"))["code"] == -32601
        assert (await client.call("join", clientId=str(uuid.uuid4()), pin="a1b2c3"))["jtoken"]
