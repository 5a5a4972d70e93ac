"""The people in a room, over REST and over a host's socket."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from mixer.types import PeerId
from server.domain.identity import UserId
from tests.server.edge.conftest import Edge

NOBODY = "cccccccc-0000-4000-8000-000000000003"
PLAIN = {
    "role": "anchor",
    "status": "idle",
    "canSpeak": True,
    "hand": None,
    "selfMuted": False,
    "muted": False,
    "gainDb": 0.0,
    "pan": 0.0,
    "agcTargetDbov": None,
    "speaks": ["floor"],
    "hears": {"floor": 0.0},
    "profile": None,
}
CHANGES: dict[str, Any] = {
    "muted": True,
    "gainDb": -6,
    "pan": 0.5,
    "agcTargetDbov": -20,
    "speaks": ["fr"],
    "hears": {"fr": 0, "floor": -20},
    "profile": "voice",
}


class Member:
    """Somebody who has joined, on a socket."""

    def __init__(self, user: UserId, socket: Any) -> None:
        self.user = user
        self.path = f"/api/rooms/demo/participants/{user}"
        self.socket = socket
        self.told: list[dict[str, Any]] = []

    async def call(self, method: str, **params: Any) -> Any:
        """Return the result, or the stable code of the refusal."""
        await self.socket.send_json({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        while True:
            message = json.loads((await self.socket.receive()).data)
            if "id" in message:
                return (
                    message["result"] if "result" in message else message["error"]["data"]["code"]
                )
            self.told.append(message)

    async def close_code(self) -> int | None:
        """Read to the end, and return how it ended."""
        async for _message in self.socket:
            pass
        code: int | None = self.socket.close_code
        return code


@asynccontextmanager
async def member(edge: Edge, role: str = "anchor") -> AsyncIterator[Member]:
    body = {"role": role, "displayName": role}
    _, answer = await edge.as_admin("POST", "/api/rooms/demo/users", body)
    async with edge.http.ws_connect(f"/ws?token={answer['token']}") as socket:
        made = Member(UserId(answer["userID"]), socket)
        assert (await made.call("join", clientId=made.user))["userId"] == made.user
        yield made


@pytest.fixture(autouse=True)
async def room(edge: Edge) -> dict[str, Any]:
    return await edge.new_room(buses=["fr"])


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", None),
        ("PATCH", f"/{NOBODY}", {}),
        ("DELETE", f"/{NOBODY}", None),
        ("POST", f"/{NOBODY}/unmute-request", None),
    ],
)
async def test_admin_only(edge: Edge, method: str, path: str, body: object) -> None:
    """All of it is the admin's."""
    path = f"/api/rooms/demo/participants{path}"
    assert (await edge.ask(method, path, body))[1]["code"] == "unauthorized"


async def test_people(edge: Edge) -> None:
    """Everybody is listed, with what was decided about them."""
    async with member(edge) as ada:
        _, answer = await edge.as_admin("GET", "/api/rooms/demo/participants")
    expected = PLAIN | {"userId": ada.user, "displayName": "anchor"}
    assert answer == {"success": True, "participants": [expected]}


async def test_control(edge: Edge) -> None:
    """A change names what it changes; the mixer has it at once."""
    async with member(edge) as ada:
        await edge.as_admin("PATCH", ada.path, {"pan": -1, "x": 1})
        await edge.as_admin("PATCH", ada.path, CHANGES)
        status, answer = await edge.as_admin("PATCH", ada.path, {"agcTargetDbov": None})
        await edge.node.settle()
        (anchor,) = edge.node.mixer.specs[edge.node.rooms.all()[0].id].anchors
    assert (status, answer["success"]) == (200, True)
    assert answer["participant"].items() >= (CHANGES | {"agcTargetDbov": None}).items()
    assert (anchor.muted, anchor.gain_db, anchor.speaks) == (True, -6, ("fr",))


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"gainDb": 20.5}, "GainDb"),
        ({"gainDb": None}, "GainDb"),
        (b'{"gainDb": NaN}', "GainDb"),
        ({"pan": -1.01}, "Pan"),
        ({"agcTargetDbov": -41}, "AgcTargetDbov"),
        ({"speaks": ["de"]}, "Speaks"),
        ({"hears": {"de": 0}}, "Hears"),
        ({"hears": {"fr": 21}}, "Hears"),
        ({"muted": "yes"}, "Muted"),
        ({"profile": "opera"}, "Profile"),
    ],
)
async def test_wrong_control(edge: Edge, body: object, field: str) -> None:
    """A value out of its range, or a bus that is not there, is named and changes nothing."""
    async with member(edge) as ada:
        status, answer = await edge.as_admin("PATCH", ada.path, body)
        _, listed = await edge.as_admin("GET", "/api/rooms/demo/participants")
    assert (status, answer["code"]) == (400, "bad_params")
    assert [detail["field"] for detail in answer["details"]] == [field]
    assert listed["participants"][0].items() >= PLAIN.items()


@pytest.mark.parametrize(
    ("method", "path"), [("PATCH", ""), ("DELETE", ""), ("POST", "/unmute-request")]
)
async def test_nobody(edge: Edge, method: str, path: str) -> None:
    """Who is not there is not found."""
    path = f"/api/rooms/demo/participants/{NOBODY}{path}"
    status, answer = await edge.as_admin(method, path, {})
    assert (status, answer["code"]) == (404, "not_found")


async def test_unmute_request(edge: Edge) -> None:
    """The person's page is asked."""
    async with member(edge) as ada:
        assert await edge.as_admin("POST", f"{ada.path}/unmute-request") == (200, {"success": True})
        await ada.call("keepalive")
    assert {"jsonrpc": "2.0", "method": "unmuteRequest", "params": {}} in ada.told


@pytest.mark.parametrize(("query", "code"), [("", 4005), ("?ban=false", 4005), ("?ban=true", 4003)])
async def test_kick(edge: Edge, query: str, code: int) -> None:
    """Who is taken out is told by the close code whether to come back."""
    async with member(edge) as ada:
        assert await edge.as_admin("DELETE", f"{ada.path}{query}") == (200, {"success": True})
        assert await ada.close_code() == code
    room = edge.node.rooms.all()[0].id
    assert edge.node.rooms.is_revoked(room, ada.user) == (code == 4003)


async def test_wrong_ban(edge: Edge) -> None:
    """A ban is true or false, and a doubtful one kicks nobody."""
    async with member(edge) as ada:
        status, answer = await edge.as_admin("DELETE", f"{ada.path}?ban=yes")
        assert (status, answer["details"][0]["field"]) == (400, "Ban")
        assert await ada.call("keepalive") is None


async def test_host(edge: Edge) -> None:
    """A host does the same over their own socket."""
    async with member(edge, "host") as host, member(edge) as ada, member(edge) as bob:
        assert (await host.call("control", userId=ada.user, gainDb=-6))["gainDb"] == -6
        assert await host.call("requestUnmute", userId=ada.user) is None
        assert await host.call("kick", userId=ada.user) is None
        assert await host.call("kick", userId=bob.user, ban=True) is None
        assert [await one.close_code() for one in (ada, bob)] == [4005, 4003]
        assert await host.call("kick", userId=ada.user) == "not_found"


async def test_volume(edge: Edge) -> None:
    """Everybody turns others up and down for themselves, within the mixer's range."""
    async with member(edge) as ada, member(edge) as bob:
        assert await ada.call("volume", userId=bob.user, gainDb=-6) is None
        await edge.node.settle()
        anchors = edge.node.mixer.specs[edge.node.rooms.all()[0].id].anchors
        assert [one.for_me for one in anchors] == [{PeerId(bob.user): -6.0}, {}]
        assert await ada.call("volume", userId=bob.user, muted=True) is None
        assert await ada.call("volume", userId=bob.user) is None
        await edge.node.settle()
        anchors = edge.node.mixer.specs[edge.node.rooms.all()[0].id].anchors
        assert [one.for_me for one in anchors] == [{}, {}]
        assert await ada.call("volume", userId=NOBODY) == "not_found"
        assert await ada.call("volume", userId=bob.user, gainDb=20.1) == "bad_params"


@pytest.mark.parametrize(
    ("method", "more"),
    [
        ("control", {"muted": True}),
        ("control", {"gainDb": 1}),
        ("control", {"role": "host"}),
        ("requestUnmute", {}),
        ("kick", {}),
        ("move", {"roomId": "demo"}),
    ],
)
async def test_not_a_host(edge: Edge, method: str, more: dict[str, Any]) -> None:
    """Nobody else does, to others or to themselves; nor a host who has not joined."""
    async with member(edge, "guest") as ada, member(edge) as bob:
        for user in (ada.user, bob.user):
            assert await ada.call(method, userId=user, **more) == "not_granted"
    _, answer = await edge.as_admin("POST", "/api/rooms/demo/users", {"role": "host"})
    async with edge.http.ws_connect(f"/ws?token={answer['token']}") as socket:
        host = Member(UserId(answer["userID"]), socket)
        assert await host.call(method, userId=bob.user, **more) == "not_joined"


@pytest.mark.parametrize("params", [{}, {"userId": "x"}, {"userId": NOBODY, "gainDb": 99}])
async def test_wrong_host_control(edge: Edge, params: dict[str, Any]) -> None:
    """A host's call is held to the same ranges."""
    async with member(edge, "host") as host:
        assert await host.call("control", **params) == "bad_params"


async def test_who_may_be_a_host(edge: Edge, room: dict[str, Any]) -> None:
    """A join invite makes no host: it would give the whole room away."""
    invite = room["links"]["join"].partition("#invite=")[2]
    body = {"invite": invite, "role": "host"}
    status, answer = await edge.ask("POST", "/api/rooms/demo/users", body)
    assert (status, answer["code"]) == (403, "forbidden")


@pytest.mark.parametrize("params", [{"muted": False}, {"gainDb": 3}, {"role": "anchor"}])
async def test_anchor_has_limits(edge: Edge, params: dict[str, Any]) -> None:
    """An anchor may mute a guest, but not undo it, mix, promote, nor touch a host or themselves."""
    async with member(edge, "host") as host, member(edge) as ada, member(edge, "guest") as bob:
        assert (await ada.call("control", userId=bob.user, muted=True))["muted"] is True
        assert await ada.call("control", userId=bob.user, **params) == "not_granted"
        for user in (host.user, ada.user):
            assert await ada.call("control", userId=user, muted=True) == "not_granted"
        assert await ada.call("changeRoom", locked=True) == "not_granted"
        assert await bob.call("changeRoom") == "not_granted"


async def test_change_room(edge: Edge) -> None:
    """A host changes the room over their socket, and everybody is told."""
    async with member(edge, "host") as host:
        changed = await host.call("changeRoom", locked=True, lobby=True, chatListeners=True)
        assert (changed["locked"], changed["lobby"], changed["broadcast"]) == (True, True, True)
        assert await host.call("changeRoom", pin="") == edge.node.rooms.all()[0].notice()
    assert edge.node.rooms.all()[0].listener_chat
