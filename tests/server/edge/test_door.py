"""Lobby, hands and moves over REST and sockets."""

from typing import Any

import pytest

from tests.server.edge.conftest import Edge
from tests.server.edge.test_participants import NOBODY, member
from tests.server.edge.test_signalling import JOIN, talking


async def token(edge: Edge, role: str) -> tuple[str, str]:
    _, answer = await edge.as_admin("POST", "/api/rooms/demo/users", {"role": role})
    return answer["userID"], answer["token"]


async def test_lobby(edge: Edge) -> None:
    """The admin sees who waits, and lets in or turns away; nobody else may."""
    await edge.new_room(lobby=True)
    (ada, adas), (bob, bobs) = await token(edge, "anchor"), await token(edge, "guest")
    async with talking(edge, adas) as first, talking(edge, bobs) as second:
        assert (await first.result("join", JOIN))["place"] == "lobby"
        await second.result("join", JOIN)
        assert await first.refused("offer", {"sdp": {"type": "offer", "sdp": "x"}}) == (
            -32600,
            "waiting",
        )
        _, answer = await edge.as_admin("GET", "/api/rooms/demo/lobby")
        assert [one["userId"] for one in answer["waiting"]] == [ada, bob]
        path = f"/api/rooms/demo/lobby/{ada}"
        for method in ("POST", "DELETE"):
            assert (await edge.ask(method, path, {}))[0] == 401
        assert (await edge.as_admin("POST", path, {"role": "king"}))[0] == 400
        assert (await edge.as_admin("POST", path, {}))[0] == 200
        assert (await first.hear("admitted"))["place"] == "stage"
        assert (await edge.as_admin("DELETE", f"/api/rooms/demo/lobby/{bob}"))[0] == 200
        assert await second.closed() == 4006
        assert (await edge.as_admin("DELETE", f"/api/rooms/demo/lobby/{bob}"))[0] == 404


async def test_host_at_the_door(edge: Edge) -> None:
    """A host lets in and turns away; an anchor does not, and a host is made by a host only."""
    await edge.new_room()
    (ada, adas) = await token(edge, "listener")
    async with (
        member(edge, "host") as host,
        member(edge) as anchor,
        talking(edge, adas) as listener,
    ):
        await listener.result("join", JOIN)
        assert await listener.result("raiseHand", {}) is None
        for method in ("admit", "deny"):
            assert await anchor.call(method, userId=ada) == "not_granted"
            assert await host.call(method, userId=NOBODY) == "not_found"
        assert await host.call("admit", userId=ada, role="host") is None
        assert (await listener.hear("admitted"))["role"] == "host"
        assert (await listener.result("resync"))["version"] >= 1
        (bob, bobs) = await token(edge, "listener")
        async with talking(edge, bobs) as denied:
            await denied.result("join", JOIN)
            assert await host.call("deny", userId=bob) is None
            assert await denied.closed() == 4006


async def test_step_down(edge: Edge) -> None:
    """Who does not want to speak any more is a listener, on the same socket."""
    await edge.new_room()
    async with talking(edge) as ada:
        await ada.result("join", JOIN)
        assert await ada.result("stepDown") is None
        assert await ada.hear("offStage") == {}
        assert await ada.refused("stepDown") == (-32600, "waiting")
        assert await ada.result("raiseHand") is None


async def test_move(edge: Edge) -> None:
    """The admin moves people anywhere, a host only where they could let them in."""
    await edge.new_room()
    other = await edge.new_room("other")
    invite = other["links"]["join"].partition("#invite=")[2]
    async with member(edge, "host") as host, member(edge) as bob:
        for params in ({"roomId": "other"}, {"roomId": "nowhere", "invite": invite}):
            assert await host.call("move", userId=bob.user, **params) == "bad_invite"
        assert await host.call("move", userId=bob.user, roomId="other", invite=invite) is None
        path = f"/api/rooms/demo/participants/{bob.user}/move"
        assert (await edge.as_admin("POST", path, {"roomId": "other"}))[0] == 200
        assert (await edge.as_admin("POST", path, {"roomId": "nowhere"}))[0] == 404
        assert (await edge.ask("POST", path, {"roomId": "other"}))[0] == 401


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("raiseHand", {"raised": "yes"}),
        ("admit", {"userId": "x"}),
        ("admit", {"userId": NOBODY, "role": "king"}),
        ("deny", {}),
        ("move", {"userId": NOBODY, "roomId": "!"}),
    ],
)
async def test_wrong_calls(edge: Edge, method: str, params: dict[str, Any]) -> None:
    """What is not of the right form is refused."""
    await edge.new_room()
    async with member(edge, "host") as host:
        assert await host.call(method, **params) == "bad_params"
