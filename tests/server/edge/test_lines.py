"""REST of plain RTP: shapes, rights and refusals."""

import pytest

from tests.server.edge.conftest import Edge, Serve

NOBODY = "01234567-89ab-4cde-8f01-23456789abcd"
CALLS = [
    ("POST", "/api/rooms/demo/forwarders", {"host": "192.0.2.1", "port": 5004}),
    ("GET", "/api/rooms/demo/forwarders", None),
    ("DELETE", "/api/rooms/demo/forwarders/abc", None),
    ("POST", "/api/rooms/demo/rtp", {}),
    ("GET", "/api/rooms/demo/rtp", None),
    ("DELETE", f"/api/rooms/demo/rtp/{NOBODY}", None),
]


@pytest.fixture
async def edge(serve: Serve) -> Edge:
    """A server that allows plain RTP, with a room."""
    made = await serve(rtp_port=5004, forward_to="192.0.2.0/24,::1/128")
    await made.new_room()
    return made


@pytest.mark.parametrize(("method", "path", "body"), CALLS)
async def test_admin_only(edge: Edge, method: str, path: str, body: object) -> None:
    """Nobody else makes, sees or ends plain RTP."""
    status, answer = await edge.ask(method, path, body)
    assert (status, answer["code"]) == (401, "unauthorized")
    token = {"Authorization": f"Bearer {await edge.join_token()}"}
    assert (await edge.ask(method, path, body, headers=token))[0] == 403


async def test_forwarders(edge: Edge) -> None:
    """Made with defaults, listed, ended."""
    body = {"host": "192.0.2.1", "port": 5004}
    status, answer = await edge.as_admin("POST", "/api/rooms/demo/forwarders", body)
    made = answer["forwarder"]
    assert status == 201
    assert made == {
        "forwarderId": made["forwarderId"],
        "host": "192.0.2.1",
        "port": 5004,
        "codec": "opus",
        "payloadType": 111,
        "ssrc": made["ssrc"],
        "bus": "floor",
        "alwaysOn": False,
    }
    path = f"/api/rooms/demo/forwarders/{made['forwarderId']}"
    assert (await edge.as_admin("GET", "/api/rooms/demo/forwarders"))[1]["forwarders"] == [made]
    assert await edge.as_admin("DELETE", path) == (200, {"success": True})
    assert (await edge.as_admin("DELETE", path))[0] == 404


@pytest.mark.parametrize(("codec", "kind"), [("pcmu", 0), ("pcma", 8), ("opus", 111)])
async def test_payload_types(edge: Edge, codec: str, kind: int) -> None:
    """RFC 3551's, unless another is asked for."""
    body: dict[str, object] = {"host": "::1", "port": 5004, "codec": codec}
    _, answer = await edge.as_admin("POST", "/api/rooms/demo/forwarders", body)
    assert answer["forwarder"]["payloadType"] == kind
    _, answer = await edge.as_admin("POST", "/api/rooms/demo/rtp", {"codec": codec})
    assert answer["participant"]["payloadType"] == kind
    _, answer = await edge.as_admin(
        "POST",
        "/api/rooms/demo/forwarders",
        body | {"payloadType": 100, "ssrc": 5, "alwaysOn": True},
    )
    made = answer["forwarder"]
    assert (made["payloadType"], made["ssrc"], made["alwaysOn"]) == (100, 5, True)


async def test_participants(edge: Edge) -> None:
    """The answer says where to send and with which SSRC."""
    status, answer = await edge.as_admin("POST", "/api/rooms/demo/rtp", {"displayName": "Trunk"})
    made = answer["participant"]
    assert status == 201
    assert made == {
        "userId": made["userId"],
        "displayName": "Trunk",
        "status": "idle",
        "rtpPort": 5004,
        "codec": "opus",
        "payloadType": 111,
        "ssrc": made["ssrc"],
        "allow": ["127.0.0.0/8", "::1/128"],
        "host": "",
        "port": 0,
    }
    assert 0 <= made["ssrc"] < 1 << 32
    assert (await edge.as_admin("GET", "/api/rooms/demo/rtp"))[1]["participants"] == [made]
    path = f"/api/rooms/demo/rtp/{made['userId']}"
    assert await edge.as_admin("DELETE", path) == (200, {"success": True})
    assert (await edge.as_admin("DELETE", path))[0] == 404


async def test_where_they_may_be(edge: Edge) -> None:
    """Networks to come from, an address to be at, an SSRC of their own choice."""
    body = {"allow": ["10.1.0.0/16"], "host": "192.0.2.9", "port": 6000, "anySsrc": True}
    _, answer = await edge.as_admin("POST", "/api/rooms/demo/rtp", body)
    made = answer["participant"]
    assert (made["allow"], made["host"], made["port"]) == (["10.1.0.0/16"], "192.0.2.9", 6000)
    assert made["ssrc"] is None


@pytest.mark.parametrize(
    ("what", "body"),
    [
        ("forwarders", {}),
        ("forwarders", {"host": "studio.example.org", "port": 5004}),
        ("forwarders", {"host": "192.0.2.1", "port": 0}),
        ("forwarders", {"host": "192.0.2.1", "port": 5004, "codec": "mp3"}),
        ("forwarders", {"host": "192.0.2.1", "port": 5004, "payloadType": 72}),
        ("forwarders", {"host": "192.0.2.1", "port": 5004, "ssrc": -1}),
        ("forwarders", {"host": "192.0.2.1", "port": 5004, "bus": "backstage"}),
        ("rtp", {"allow": ["10.0.0.1/8"]}),
        ("rtp", {"allow": ["10.0.0.0/8"] * 17}),
        ("rtp", {"payloadType": 128}),
    ],
)
async def test_mistakes(edge: Edge, what: str, body: object) -> None:
    """What cannot be is refused with the field's name."""
    status, answer = await edge.as_admin("POST", f"/api/rooms/demo/{what}", body)
    assert (status, answer["code"]) == (400, "bad_params")
    assert answer["details"]


@pytest.mark.parametrize("body", [{"host": "192.0.2.1"}, {"port": 5}])
async def test_host_and_port_belong_together(edge: Edge, body: object) -> None:
    """One without the other is no address."""
    assert (await edge.as_admin("POST", "/api/rooms/demo/rtp", body))[0] == 400


async def test_refusals(edge: Edge, serve: Serve) -> None:
    """Where the operator does not allow it, where there is no room, where it is off."""
    body = {"host": "198.51.100.1", "port": 5004}
    status, answer = await edge.as_admin("POST", "/api/rooms/demo/forwarders", body)
    assert (status, answer["code"]) == (403, "forbidden")
    assert (await edge.as_admin("GET", "/api/rooms/nowhere/rtp"))[0] == 404


async def test_off(serve: Serve) -> None:
    """Without the setting there are no participants."""
    edge = await serve()
    await edge.new_room()
    status, answer = await edge.as_admin("POST", "/api/rooms/demo/rtp", {})
    assert (status, answer["code"]) == (409, "not_enabled")
