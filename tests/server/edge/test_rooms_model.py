"""Rooms and people over REST and real WebSockets against a model: whatever is done, they agree."""

import asyncio
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from server.edge.app import create_app
from server.supervise import Supervisor
from tests.server.edge.conftest import Edge
from tests.server.edge.test_signalling import CLIENT, Talk
from tests.support.node import open_node

ROOMS = st.sampled_from(["one", "two", "three"])
WHO = st.integers(0, 9)  # of those who are in a room


@dataclass
class ModelRoom:
    """What a room must be like."""

    limit: int
    locked: bool
    ends_at: float | None
    people: dict[str, Talk] = field(default_factory=dict)


class RoomsMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.stack = AsyncExitStack()
        self.rooms: dict[str, ModelRoom] = {}
        self.edge = self.runner.run(self.open())

    async def open(self) -> Edge:
        node = await self.stack.enter_async_context(open_node(Path(self.folder.name)))
        node.rooms.warnings_s = ()  # the clock cuts off at once; warnings have tests of their own
        supervisor = await self.stack.enter_async_context(Supervisor("test"))
        node.services.keep(supervisor)
        client = TestClient(
            TestServer(create_app(node.services.context)),
            cookie_jar=aiohttp.CookieJar(unsafe=True),
        )
        return Edge(node, await self.stack.enter_async_context(client))

    def teardown(self) -> None:
        self.runner.run(self.close())
        self.runner.close()
        self.folder.cleanup()

    async def close(self) -> None:
        for room in self.rooms.values():
            for talk in room.people.values():
                await talk.socket.close()
        await self.stack.aclose()

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        return self.runner.run(self.edge.as_admin(method, f"/api/rooms{path}", body))

    def expect(self, room: str, method: str, path: str = "", body: object = None) -> Any:
        """Ask about a room, which is there if the model says so."""
        status, answer = self.ask(method, f"/{room}{path}", body)
        if room not in self.rooms:
            assert (status, answer["code"]) == (404, "room_not_found")
            return None
        return status, answer

    @rule(
        room=ROOMS, limit=st.integers(1, 3), locked=st.booleans(), lasts=st.sampled_from([None, 50])
    )
    def create(self, room: str, limit: int, lasts: int | None, *, locked: bool) -> None:
        body = {
            "roomId": room,
            "maxAnchors": limit,
            "locked": locked,
            "expiresIn": lasts,
            "pin": "",
        }
        status, answer = self.ask("POST", "", body)
        if room in self.rooms:
            assert (status, answer["code"]) == (409, "room_exists")
            return
        assert status == 201
        ends_at = None if lasts is None else self.edge.node.unix.now + lasts
        self.rooms[room] = ModelRoom(limit, locked, ends_at)

    @initialize()
    def begin(self) -> None:
        self.create("one", 3, None, locked=False)
        self.join("one")
        self.join("one")

    @rule(room=ROOMS, limit=st.integers(1, 3), locked=st.booleans())
    def change(self, room: str, limit: int, *, locked: bool) -> None:
        found = self.expect(room, "PATCH", "", {"maxAnchors": limit, "locked": locked})
        if found is not None:
            assert found[0] == 200
            self.rooms[room] = replace(self.rooms[room], limit=limit, locked=locked)

    @rule(room=ROOMS)
    def join(self, room: str) -> None:
        found = self.expect(room, "POST", "/users", {"role": "anchor"})
        if found is None:
            return
        status, answer = found
        model = self.rooms[room]
        if model.locked:
            assert (status, answer["code"]) == (403, "room_locked")
        elif len(model.people) >= model.limit:
            assert (status, answer["code"]) == (409, "room_full")
        else:
            assert status == 200
            model.people[answer["userID"]] = self.runner.run(self.enter(answer["token"]))

    async def enter(self, token: str) -> Talk:
        talk = Talk(await self.edge.http.ws_connect(f"/ws?token={token}"))
        await talk.result("join", {"clientId": CLIENT})
        return talk

    @rule(room=ROOMS, who=WHO, rudely=st.booleans())
    def leave(self, room: str, who: int, *, rudely: bool) -> None:
        user = self.pick(room, who)
        if user is not None:
            self.runner.run(self.go(self.rooms[room].people.pop(user), rudely=rudely))

    async def go(self, talk: Talk, *, rudely: bool) -> None:
        if rudely:
            await talk.socket.close()
        else:
            await talk.socket.send_json({"jsonrpc": "2.0", "id": 99, "method": "leave"})
            assert await self.code(talk) == 1000

    @rule(room=ROOMS, who=WHO, ban=st.booleans())
    def kick(self, room: str, who: int, *, ban: bool) -> None:
        user = self.pick(room, who)
        if user is None:
            return
        path = f"/{room}/participants/{user}?ban={'true' if ban else 'false'}"
        assert self.ask("DELETE", path)[0] == 200
        code = self.runner.run(self.code(self.rooms[room].people.pop(user)))
        assert code == (4003 if ban else 4005)
        assert self.ask("DELETE", path)[0] in ({200} if ban else {404})

    @rule(room=ROOMS)
    def delete(self, room: str) -> None:
        found = self.expect(room, "DELETE")
        if found is not None:
            assert found[0] == 200
            self.is_gone(room)

    @rule(seconds=st.sampled_from([1, 30, 60]))
    def wait(self, seconds: int) -> None:
        self.edge.node.advance(seconds)
        self.runner.run(self.edge.node.rooms.expire())
        now = self.edge.node.unix.now
        for room, model in list(self.rooms.items()):
            if model.ends_at is not None and model.ends_at <= now:
                self.is_gone(room)

    @invariant()
    def same(self) -> None:
        _, answer = self.ask("GET", "")
        assert {one["roomId"]: one["anchors"] for one in answer["rooms"]} == {
            room: len(model.people) for room, model in self.rooms.items()
        }
        for room, model in self.rooms.items():
            _, answer = self.ask("GET", f"/{room}")
            seen = answer["room"]
            assert (seen["maxAnchors"], seen["locked"]) == (model.limit, model.locked)
            _, answer = self.ask("GET", f"/{room}/participants")
            assert [one["userId"] for one in answer["participants"]] == list(model.people)

    def pick(self, room: str, who: int) -> str | None:
        people = list(self.rooms[room].people) if room in self.rooms else []
        return people[who % len(people)] if people else None

    def is_gone(self, room: str) -> None:
        """Everybody who was inside is told why."""
        for talk in self.rooms.pop(room).people.values():
            assert self.runner.run(self.code(talk)) == 4004
            assert talk.heard[-1]["method"] == "roomClosed"

    async def code(self, talk: Talk) -> int | None:
        """Read until the socket closes, and return why."""
        async with asyncio.timeout(5):
            async for message in talk.socket:
                talk.heard.append(message.json())
        return talk.socket.close_code


RoomsMachine.TestCase.settings = settings(
    max_examples=12,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestRooms = pytest.mark.timeout(120)(pytest.mark.slow(RoomsMachine.TestCase))
