"""REST of plain RTP: shapes, rights and refusals."""

import pytest

from mixer.types import (
    PeerId,
    PeerState,
    PeerStatistics,
    RoomId,
    SentStatistics,
    TransportStatistics,
)
from tests.server.edge.conftest import Edge, Serve

NOBODY = "01234567-89ab-4cde-8f01-23456789abcd"
CALLS = [
    ("POST", "/api/rooms/demo/forwarders", {"host": "192.0.2.1", "port": 5004}),
    ("GET", "/api/rooms/demo/forwarders", None),
    ("PATCH", "/api/rooms/demo/forwarders/abc", {}),
    ("DELETE", "/api/rooms/demo/forwarders/abc", None),
    ("POST", "/api/rooms/demo/rtp", {}),
    ("GET", "/api/rooms/demo/rtp", None),
    ("PATCH", f"/api/rooms/demo/rtp/{NOBODY}", {}),
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
        "rtcp": "mux",
    }
    path = f"/api/rooms/demo/forwarders/{made['forwarderId']}"
    assert (await edge.as_admin("GET", "/api/rooms/demo/forwarders"))[1]["forwarders"] == [made]
    assert await edge.as_admin("DELETE", path) == (200, {"success": True})
    assert (await edge.as_admin("DELETE", path))[0] == 404


async def test_buses(edge: Edge) -> None:
    """A forwarder sends a bus of the room; while the room has it no more, it sends nothing."""
    room, body = "/api/rooms/demo", {"host": "::1", "port": 5004, "bus": "green"}
    assert (await edge.as_admin("POST", f"{room}/forwarders", body))[0] == 400
    await edge.as_admin("PATCH", room, {"buses": ["green", "talkback"]})
    status, answer = await edge.as_admin("POST", f"{room}/forwarders", body)
    made = answer["forwarder"]
    assert (status, made["bus"]) == (201, "green")
    path = f"{room}/forwarders/{made['forwarderId']}"
    assert (await edge.as_admin("PATCH", path, {"bus": "red"}))[0] == 400
    _, answer = await edge.as_admin("PATCH", path, {"bus": "talkback"})
    assert answer["forwarder"]["bus"] == "talkback"
    for buses, sent in ((["green"], 0), (["talkback"], 1)):
        await edge.as_admin("PATCH", room, {"buses": buses})
        await edge.node.settle()
        assert len(edge.node.mixer.specs[RoomId("demo")].forwarders) == sent


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
        "muted": False,
        "gainDb": 0.0,
        "pan": 0.0,
        "rtcp": "mux",
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
        ("rtp", {"rtcp": "sometimes"}),
    ],
)
async def test_mistakes(edge: Edge, what: str, body: object) -> None:
    """What cannot be is refused with the field's name."""
    status, answer = await edge.as_admin("POST", f"/api/rooms/demo/{what}", body)
    assert (status, answer["code"]) == (400, "bad_params")
    assert answer["details"]


async def test_a_forwarder_is_changed(edge: Edge) -> None:
    """What is named; its stream is the same."""
    body = {"host": "192.0.2.1", "port": 5004}
    _, answer = await edge.as_admin("POST", "/api/rooms/demo/forwarders", body)
    made = answer["forwarder"]
    path = f"/api/rooms/demo/forwarders/{made['forwarderId']}"
    change = {"host": "192.0.2.2", "alwaysOn": True, "rtcp": "next", "bus": "floor"}
    status, answer = await edge.as_admin("PATCH", path, change)
    assert (status, answer["forwarder"]) == (200, made | change)
    assert (await edge.as_admin("PATCH", path, {}))[1]["forwarder"] == made | change
    assert (await edge.as_admin("PATCH", path, {"host": "198.51.100.1"}))[0] == 403
    assert (await edge.as_admin("PATCH", path, {"port": 0}))[0] == 400
    assert (await edge.as_admin("PATCH", "/api/rooms/demo/forwarders/x", change))[0] == 404
    assert edge.node.presence.lines(RoomId("demo")).forwarders[made["forwarderId"]].always_on


async def test_a_participant_is_changed(edge: Edge) -> None:
    """Named, muted, set louder and moved; an empty host forgets where they are."""
    _, answer = await edge.as_admin("POST", "/api/rooms/demo/rtp", {"displayName": "Trunk"})
    made = answer["participant"]
    path = f"/api/rooms/demo/rtp/{made['userId']}"
    change = {
        "displayName": "Hall",
        "muted": True,
        "gainDb": -6.5,
        "pan": 0.5,
        "allow": ["10.0.0.0/8"],
        "host": "192.0.2.9",
        "port": 6000,
        "rtcp": "off",
    }
    status, answer = await edge.as_admin("PATCH", path, change)
    assert (status, answer["participant"]) == (200, made | change)
    _, answer = await edge.as_admin("PATCH", path, {"host": "", "muted": False})
    assert answer["participant"] == made | change | {"host": "", "port": 0, "muted": False}
    assert (await edge.as_admin("PATCH", path, {"host": "::2", "port": 5}))[0] == 403
    nobody = f"/api/rooms/demo/rtp/{NOBODY}"
    assert (await edge.as_admin("PATCH", nobody, {"muted": True}))[0] == 404


@pytest.mark.parametrize(
    "body",
    [
        {"host": "192.0.2.9"},
        {"port": 5},
        {"host": "192.0.2.9", "port": 0},
        {"host": "", "port": 5},
        {"gainDb": 21},
        {"pan": -1.5},
        {"muted": 1},
    ],
)
async def test_changes_that_cannot_be(edge: Edge, body: object) -> None:
    """Are refused whole."""
    _, answer = await edge.as_admin("POST", "/api/rooms/demo/rtp", {})
    made = answer["participant"]
    status, _ = await edge.as_admin("PATCH", f"/api/rooms/demo/rtp/{made['userId']}", body)
    assert status == 400
    assert (await edge.as_admin("GET", "/api/rooms/demo/rtp"))[1]["participants"] == [made]


async def test_statistics_tell_people_from_forwarders(edge: Edge) -> None:
    """What only the receiver of a forwarder knows is null until it reports."""
    await edge.node.settle()
    transport = TransportStatistics(0.02, loss_out=0.25, jitter_out_s=0.003, bitrate_out=96_000.4)
    known, unknown = SentStatistics(4000, 50, 6000, 2, 3), SentStatistics(4000, 1, 3)
    edge.node.mixer.described = (
        PeerStatistics(PeerId("trunk"), PeerState.LIVE, level_dbov=-20, received=50, lost=1),
        PeerStatistics(PeerId("forwarder:a1"), PeerState.LIVE, transport=transport, sent=known),
        PeerStatistics(PeerId("forwarder:b2"), PeerState.LIVE, sent=unknown),
    )
    _, answer = await edge.as_admin("GET", "/api/rooms/demo/statistics")
    (person,), (told, silent) = answer["peers"], answer["forwarders"]
    assert (person["userId"], person["received"], person["lost"]) == ("trunk", 50, 1)
    assert told == {
        "forwarderId": "a1",
        "localPort": 4000,
        "packets": 50,
        "octets": 6000,
        "bitrateOut": 96_000,
        "reports": 2,
        "lossOut": 0.25,
        "lost": 3,
        "jitterOutMs": 3.0,
        "roundTripMs": 20.0,
    }
    names = ("lossOut", "lost", "jitterOutMs", "roundTripMs")
    assert [silent[name] for name in names] == [None] * 4


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
