"""A signing server beside the server of rooms: two processes, one of which holds the keys."""

import asyncio
import signal
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.program import START_S, Program, running
from tests.support.room_client import Signalling

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


class Rooms(Program):
    """A server of rooms that counts as started once it answers at all."""

    async def _is_ready(self) -> bool:
        try:
            async with self.http.get(f"{self.url}/health") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False


@asynccontextmanager
async def both(folder: Path) -> AsyncIterator[tuple[Program, Rooms]]:
    """A signing server, and a server of rooms that knows its address and its key."""
    async with running(folder / "signing", "--role", "signing") as signing:
        key = folder / "signing" / "signing.key"
        rooms = Rooms(folder / "rooms", "--signing-url", signing.url, "--signing-key", str(key))
        try:
            await rooms.start()
            yield signing, rooms
        finally:
            await rooms.stop()


async def new_token(rooms: Program, **body: object) -> tuple[int, Any]:
    return await rooms.call("POST", "/api/rooms/studio/users", body)


async def stream_key(rooms: Program, token: str) -> int:
    async with rooms.http.get(f"{rooms.url}/hls/rooms/studio/enc.key?token={token}") as answer:
        return answer.status


async def test_only_the_signing_server_has_private_keys(tmp_path: Path) -> None:
    """People join and listen, and nothing private lies with the server of rooms."""
    async with both(tmp_path) as (_, rooms):
        await rooms.new_room(roomId="studio")
        _, listener = await rooms.call("POST", "/api/token", {"roomId": "studio"})
        assert await stream_key(rooms, listener["token"]) == 200
        status, user = await new_token(rooms)
        assert status == 200
        async with rooms.http.ws_connect(f"{rooms.url}/ws?token={user['token']}") as socket:
            await Signalling(socket).call("join", clientId=str(uuid.uuid4()))
        for file in (tmp_path / "rooms").rglob("*"):
            if file.is_file():
                assert b"PRIVATE KEY" not in file.read_bytes(), file
        assert not (tmp_path / "rooms" / "signing.json").exists()


async def test_while_the_signing_server_is_away(tmp_path: Path) -> None:
    """Who is inside notices nothing, nobody new comes in and is told when to try again."""
    async with both(tmp_path) as (signing, rooms):
        await rooms.new_room(roomId="studio")
        _, user = await new_token(rooms)
        _, listener = await rooms.call("POST", "/api/token", {"roomId": "studio"})
        async with rooms.http.ws_connect(f"{rooms.url}/ws?token={user['token']}") as socket:
            inside = Signalling(socket)
            await inside.call("join", clientId=str(uuid.uuid4()))
            await signing.stop(signal.SIGKILL)

            async with rooms.http.post(
                f"{rooms.url}/api/rooms/studio/users",
                json={},
                headers={"Authorization": f"Bearer {rooms.admin_key}"},
            ) as refused:
                assert refused.status == 503
                assert refused.headers["Retry-After"] == "2"
                assert (await refused.json())["code"] == "signing_unavailable"
            assert (await rooms.call("POST", "/api/rooms", {"roomId": "other"}))[0] == 503
            async with rooms.http.get(f"{rooms.url}/ready") as ready:
                assert "signing" in (await ready.json())["reasons"]
            assert await inside.call("keepalive", status="onair") is None
        async with rooms.http.ws_connect(f"{rooms.url}/ws?token={user['token']}") as socket:
            await Signalling(socket).call("join", clientId=str(uuid.uuid4()))
        assert await stream_key(rooms, listener["token"]) == 200

        await rooms.stop()
        await rooms.start()  # the public keys are kept
        assert await stream_key(rooms, listener["token"]) == 200

        await signing.start()
        async with asyncio.timeout(START_S):
            while (await new_token(rooms))[0] != 200:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.1)


async def test_rotation(tmp_path: Path) -> None:
    """`roomtone keys rotate` at the rooms turns the keys of the signing server."""
    async with both(tmp_path) as (signing, rooms):
        await rooms.new_room(roomId="studio")
        _, before = await rooms.call("POST", "/api/token", {"roomId": "studio"})
        assert (await rooms.call("POST", "/api/keys/rotate"))[0] == 200
        _, after = await rooms.call("POST", "/api/token", {"roomId": "studio"})
        for token in (before["token"], after["token"]):
            assert await stream_key(rooms, token) == 200
        async with signing.http.get(f"{signing.url}/.well-known/jwks.json") as answer:
            assert len((await answer.json())["keys"]) == 4


async def test_one_owner(tmp_path: Path) -> None:
    """Two processes do not sign with the same files: the second says who has them."""
    async with running(tmp_path / "signing", "--role", "signing"):
        second = Program(tmp_path / "signing", "--role", "signing")
        with pytest.raises(AssertionError, match="Another Roomtone"):
            await second.start()
        await second.stop()
