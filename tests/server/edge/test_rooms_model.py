"""Rooms and people over REST and real WebSockets against a model: whatever is done, they agree."""

import asyncio
import tempfile
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from mixer.types import RoomId
from server.domain.identity import UserId
from server.domain.room import Room
from server.edge.app import create_app
from server.services.farewell import Farewell
from server.supervise import Supervisor
from tests.server.edge.conftest import Edge
from tests.server.edge.test_signalling import CLIENT, Talk
from tests.support.node import Node, open_node

ROOMS = ("one", "two", "three")
# One rule draws all of them: left to choose among rules, the machine hardly lets anybody in.
STEPS = [
    *["join"] * 8, *["leave"] * 4, *["kick"] * 4, *["change"] * 3, *["create"] * 3, *["wait"] * 2,
    "delete",
]  # fmt: skip


@dataclass
class ModelRoom:
    """What a room must be like."""

    limit: int
    locked: bool
    ends_at: float | None
    people: dict[str, Talk] = field(default_factory=dict)


class RoomsMachine(RuleBasedStateMachine):
    patience_s = 5.0

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
            assert (status, answer.get("code")) == (404, "room_not_found")
            return None
        return status, answer

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
            assert (status, answer.get("code")) == (409, "room_exists")
            return
        assert status == 201
        ends_at = None if lasts is None else self.edge.node.unix.now + lasts
        self.rooms[room] = ModelRoom(limit, locked, ends_at)

    @rule(
        step=st.sampled_from(STEPS),
        which=st.integers(0, 19),
        who=st.integers(0, 9),
        limit=st.integers(1, 3),
        flag=st.booleans(),
    )
    def act(self, step: str, which: int, who: int, limit: int, *, flag: bool) -> None:
        """Do one thing, mostly to a room that is there; every fourth lock is one."""
        there = list(self.rooms)
        room = there[which % len(there)] if there and which < 15 else ROOMS[which % 3]
        locked = flag and who % 2 == 0
        match step:
            case "create":
                self.create(ROOMS[which % 3], limit, 50 if who % 2 else None, locked=locked)
            case "change":
                self.change(room, limit, locked=locked)
            case "join":
                self.join(room)
            case "leave":
                self.leave(room, who, rudely=flag)
            case "kick":
                self.kick(room, who, ban=flag)
            case "delete":
                self.delete(room)
            case _:
                self.wait((1, 30, 60)[limit - 1])

    @initialize()
    def begin(self) -> None:
        self.create("one", 3, None, locked=False)
        self.join("one")
        self.join("one")

    def change(self, room: str, limit: int, *, locked: bool) -> None:
        found = self.expect(room, "PATCH", "", {"maxAnchors": limit, "locked": locked})
        if found is not None:
            assert found[0] == 200
            self.rooms[room] = replace(self.rooms[room], limit=limit, locked=locked)

    def join(self, room: str) -> None:
        found = self.expect(room, "POST", "/users", {"role": "anchor"})
        if found is None:
            return
        status, answer = found
        model = self.rooms[room]
        if model.locked:
            assert (status, answer.get("code")) == (403, "room_locked")
        elif len(model.people) >= model.limit:
            assert (status, answer.get("code")) == (409, "room_full")
        else:
            assert status == 200
            model.people[answer["userID"]] = self.runner.run(self.enter(answer["token"]))

    async def enter(self, token: str) -> Talk:
        talk = Talk(await self.edge.http.ws_connect(f"/ws?token={token}"))
        await talk.result("join", {"clientId": CLIENT})
        return talk

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

    def kick(self, room: str, who: int, *, ban: bool) -> None:
        user = self.pick(room, who)
        if user is None:
            return
        path = f"/{room}/participants/{user}?ban={'true' if ban else 'false'}"
        assert self.ask("DELETE", path)[0] == 200
        code = self.runner.run(self.code(self.rooms[room].people.pop(user)))
        assert code == (4003 if ban else 4005)
        assert self.ask("DELETE", path)[0] in ({200} if ban else {404})

    def delete(self, room: str) -> None:
        found = self.expect(room, "DELETE")
        if found is not None:
            assert found[0] == 200
            self.is_gone(room)

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
        async with asyncio.timeout(self.patience_s):
            async for message in talk.socket:
                talk.heard.append(message.json())
        return talk.socket.close_code


RoomsMachine.TestCase.settings = settings(
    max_examples=8,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestRooms = pytest.mark.timeout(120)(pytest.mark.slow(RoomsMachine.TestCase))


# The machine itself: it must find a server that is wrong, with no more examples than it has.


def _keeps_seats(node: Node, patch: pytest.MonkeyPatch) -> None:
    """Whose socket was lost keeps the seat for ever."""
    patch.setattr(node.presence, "lose", lambda *_: None)


def _one_too_many(node: Node, patch: pytest.MonkeyPatch) -> None:
    """A limit lets one more in."""
    check = node.presence.check_space

    def lax(room: Room, *args: Any, **options: Any) -> None:
        limit = None if room.max_anchors is None else room.max_anchors + 1
        check(replace(room, max_anchors=limit), *args, **options)

    patch.setattr(node.presence, "check_space", lax)


def _no_lock(node: Node, patch: pytest.MonkeyPatch) -> None:
    """A lock lets everybody in."""
    check = node.presence.check_space

    def lax(room: Room, *args: Any, **options: Any) -> None:
        check(replace(room, locked=False), *args, **options)

    patch.setattr(node.presence, "check_space", lax)


def _no_end(node: Node, patch: pytest.MonkeyPatch) -> None:
    """A room whose time is over stays."""
    patch.setattr(node.rooms, "_is_over", lambda _: False)


def _wrong_farewell(node: Node, patch: pytest.MonkeyPatch) -> None:
    """Who is banned is told that they were kicked."""
    leave = node.presence.leave

    def confuse(room: RoomId, user: UserId, why: Farewell = Farewell.LEFT) -> None:
        leave(room, user, Farewell.KICKED if why is Farewell.REVOKED else why)

    patch.setattr(node.presence, "leave", confuse)


def _silent_end(node: Node, patch: pytest.MonkeyPatch) -> None:
    """A room that is deleted lets go of its people without a word."""

    def close(room: RoomId, _reason: str) -> None:
        for person in node.presence.people(room):
            node.presence.leave(room, person.user, Farewell.ROOM_GONE)

    patch.setattr(node.presence, "close_room", close)


BUDGET = settings(
    RoomsMachine.TestCase.settings,
    phases=[Phase.generate],  # that it is found counts, not how short the way can be made
    derandomize=True,
    database=None,
    report_multiple_bugs=False,
)


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "break_it", [_keeps_seats, _one_too_many, _no_lock, _no_end, _wrong_farewell, _silent_end]
)
def test_the_machine_finds(
    break_it: Callable[[Node, pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that is wrong in one way only is told from one that is right."""

    class Broken(RoomsMachine):
        def __init__(self) -> None:
            super().__init__()
            self.patch = pytest.MonkeyPatch()
            break_it(self.edge.node, self.patch)

        def teardown(self) -> None:
            self.patch.undo()
            super().teardown()

    monkeypatch.setattr(RoomsMachine, "patience_s", 0.5)
    with pytest.raises((AssertionError, TimeoutError)):
        run_state_machine_as_test(Broken, settings=BUDGET)
