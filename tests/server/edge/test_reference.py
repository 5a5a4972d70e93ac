"""The REST contract of the system we replace, row by row: its clients find what they know."""

import re
from typing import Any

import pytest

from tests.server.edge.conftest import Edge

MADE_UP = "6f1f0c3e-1d52-4c6e-9a3b-0a4f5e6d7c8b"
MOMENT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z"


async def test_create_room(edge: Edge) -> None:
    """201 with roomId (20 hex characters), hlsUrl, pin (6 hex characters), createdAt."""
    status, answer = await edge.as_admin("POST", "/api/rooms", {})
    room = answer["room"]
    assert (status, answer["success"]) == (201, True)
    assert re.fullmatch(r"[0-9a-f]{20}", room["roomId"])
    assert re.fullmatch(r"[0-9a-f]{6}", room["pin"])
    assert room["hlsUrl"].endswith(f"/hls/{room['roomId']}/stream.m3u8")
    assert re.fullmatch(MOMENT, room["createdAt"])
    assert room["maxAnchors"] == 3


async def test_create_room_again(edge: Edge) -> None:
    """409 in the reference's words."""
    await edge.new_room("demo")
    status, answer = await edge.as_admin("POST", "/api/rooms", {"roomId": "demo"})
    assert (status, answer["success"]) == (409, False)
    assert answer["error"] == "Room demo already exists"


async def test_get_room(edge: Edge) -> None:
    """200 with roomId, hlsUrl, createdAt; 404 in the reference's words."""
    await edge.new_room("demo")
    status, answer = await edge.as_admin("GET", "/api/rooms/demo")
    assert status == 200
    assert {"roomId", "hlsUrl", "createdAt"} <= answer["room"].keys()
    status, answer = await edge.as_admin("GET", "/api/rooms/none")
    assert (status, answer["error"]) == (404, "Room none not found")


async def test_list_rooms(edge: Edge) -> None:
    """200 with count and rooms, [] when empty."""
    assert (await edge.as_admin("GET", "/api/rooms"))[1] == {
        "success": True,
        "count": 0,
        "rooms": [],
    }
    await edge.new_room("demo")
    _, answer = await edge.as_admin("GET", "/api/rooms")
    assert answer["count"] == 1
    assert {"roomId", "hlsUrl", "createdAt"} <= answer["rooms"][0].keys()


async def test_delete_room(edge: Edge) -> None:
    """200 with a sentence; 404 for what is not there."""
    await edge.new_room("demo")
    status, answer = await edge.as_admin("DELETE", "/api/rooms/demo")
    assert (status, answer) == (200, {"success": True, "message": "Room demo stopped"})
    status, answer = await edge.as_admin("DELETE", "/api/rooms/demo")
    assert (status, answer["error"]) == (404, "Room demo not found")


async def test_stats(edge: Edge) -> None:
    """200 with the number of rooms; ours counts the people and the listeners as well."""
    await edge.new_room("demo")
    _, answer = await edge.as_admin("GET", "/api/stats")
    rooms = {"total": 1, "totalParticipants": 0, "totalListeners": 0}
    assert answer == {"success": True, "stats": {"rooms": rooms}}


async def test_health(edge: Edge) -> None:
    """200 for everybody, with the Unix time."""
    status, answer = await edge.ask("GET", "/health")
    assert (status, answer["status"]) == (200, "ok")
    assert isinstance(answer["timestamp"], int)


@pytest.mark.parametrize("role", ["host", "guest", "anchor"])
async def test_create_user(edge: Edge, role: str) -> None:
    """200 with userID (capital D) and a token, for every role."""
    await edge.new_room("demo")
    status, answer = await edge.as_admin("POST", "/api/rooms/demo/users", {"role": role})
    assert status == 200
    assert re.fullmatch(r"[0-9a-f-]{36}", answer["userID"])
    assert answer["token"].count(".") == 2


async def test_delete_user(edge: Edge) -> None:
    """200 {} also for a person nobody knows."""
    await edge.new_room("demo")
    assert await edge.as_admin("DELETE", f"/api/rooms/demo/users/{MADE_UP}") == (200, {})


async def test_token(edge: Edge) -> None:
    """200 with a token; roomId is required."""
    await edge.new_room("demo")
    status, answer = await edge.as_admin("POST", "/api/token", {"roomId": "demo", "userId": "x"})
    assert status == 200
    assert answer["token"].count(".") == 2
    status, answer = await edge.as_admin("POST", "/api/token", {})
    assert (status, answer["details"][0]["field"]) == (400, "RoomID")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"roomId": "ab"}, "RoomID"),
        ({"roomId": "a" * 33}, "RoomID"),
        ({"roomId": "with space"}, "RoomID"),
        ({"pin": "12345"}, "Pin"),
        ({"pin": "1234567"}, "Pin"),
        ({"pin": "12345\u00e9"}, "Pin"),
        ({"maxAnchors": -1}, "MaxAnchors"),
        ({"maxAnchors": "3"}, "MaxAnchors"),
    ],
)
async def test_validation(edge: Edge, body: dict[str, Any], field: str) -> None:
    """400 with the fields by their names there."""
    status, answer = await edge.as_admin("POST", "/api/rooms", body)
    assert (status, answer["error"]) == (400, "Validation failed")
    assert [one["field"] for one in answer["details"]] == [field]
    assert answer["details"][0]["message"].startswith("Key: 'CreateRoomRequest.")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"1", b"\xff"])
async def test_no_json(edge: Edge, body: bytes) -> None:
    """400 with details null for what is no JSON object."""
    status, answer = await edge.ask("POST", "/api/rooms", body, headers=edge.admin)
    assert (status, answer["details"]) == (400, None)


@pytest.mark.parametrize("room", ["abc", "a" * 32, "A_b-9"])
async def test_room_ids(edge: Edge, room: str) -> None:
    """3 to 32 letters, digits, - and _; unknown fields are ignored, six anchors are fine."""
    body = {"roomId": room, "maxAnchors": 6, "colour": "blue"}
    status, answer = await edge.as_admin("POST", "/api/rooms", body)
    assert (status, answer["room"]["maxAnchors"]) == (201, 6)


@pytest.mark.parametrize("body", [{"maxAnchors": 0}, {}])
async def test_three_anchors(edge: Edge, body: dict[str, Any]) -> None:
    """0 and absent are 3."""
    _, answer = await edge.as_admin("POST", "/api/rooms", body)
    assert answer["room"]["maxAnchors"] == 3


@pytest.mark.parametrize("user", [MADE_UP.upper(), "6f1f0c3e-1d52-1c6e-9a3b-0a4f5e6d7c8b", "x"])
async def test_user_ids(edge: Edge, user: str) -> None:
    """A user id is a lower-case UUID version 4."""
    await edge.new_room("demo")
    status, answer = await edge.as_admin("DELETE", f"/api/rooms/demo/users/{user}")
    assert (status, answer["details"][0]["field"]) == (400, "UserID")
