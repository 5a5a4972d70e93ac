"""REST: shapes, rights and cookies."""

from pathlib import Path
from typing import Any

import pytest

from mixer.types import (
    LinkMode,
    PeerId,
    PeerState,
    PeerStatistics,
    ReceptionStatistics,
    TransportStatistics,
)
from server.errors import SoundRefused
from tests.server.edge.conftest import Edge, Serve
from tests.server.services.people import ADA
from tests.support.uploads import FakePlane

ADMIN_ONLY = [
    ("POST", "/api/rooms", {}),
    ("GET", "/api/rooms", None),
    ("PATCH", "/api/rooms/demo", {}),
    ("DELETE", "/api/rooms/demo", None),
    ("POST", "/api/rooms/demo/invites", {"role": "join"}),
    ("GET", "/api/rooms/demo/statistics", None),
    ("GET", "/api/rooms/demo/broadcast", None),
    ("GET", "/api/rooms/demo/listeners", None),
    ("DELETE", f"/api/rooms/demo/listeners/{ADA}", None),
    ("GET", "/api/stats", None),
]


def invite(room: dict[str, Any], role: str) -> str:
    return str(room["links"][role]).partition("#invite=")[2]


async def test_create(edge: Edge) -> None:
    """A created room comes back with everything the admin needs to share it."""
    status, answer = await edge.as_admin("POST", "/api/rooms", {"roomId": "demo", "name": " Ö "})
    room = answer["room"]
    origin = str(edge.http.make_url("")).rstrip("/")
    assert (status, answer["success"], room["maxAnchors"], room["name"]) == (201, True, 3, "Ö")
    assert room["hlsUrl"] == f"{origin}/hls/demo/stream.m3u8"
    assert room["links"]["join"].startswith(f"{origin}/join/demo#invite=")
    assert room["createdAt"].endswith("Z")
    assert len(room["pin"]) == 6


async def test_reference_body(edge: Edge) -> None:
    """The reference's bodies work: all defaults, unknown fields, 0 for the default limit."""
    status, answer = await edge.as_admin("POST", "/api/rooms", {"maxAnchors": 0, "x": 1})
    assert (status, answer["room"]["maxAnchors"]) == (201, 3)
    assert len(answer["room"]["roomId"]) == 20


async def test_list(edge: Edge) -> None:
    """The list has every room, without secrets."""
    await edge.new_room("one")
    await edge.new_room("two")
    _, answer = await edge.as_admin("GET", "/api/rooms")
    assert (answer["success"], answer["count"]) == (True, 2)
    fields = {"roomId", "hlsUrl", "createdAt", "name", "anchors", "listeners", "announcements"}
    fields |= {"recording"}
    assert set(answer["rooms"][0]) == fields


async def test_statistics(edge: Edge) -> None:
    """How each connection is, in the units that people read."""
    await edge.new_room()
    await edge.node.settle()
    edge.node.mixer.described = (
        PeerStatistics(
            PeerId("ann"),
            PeerState.LIVE,
            level_dbov=-20,
            transport=TransportStatistics(
                round_trip_s=0.0456,
                loss_in=0.25,
                loss_out=0.03126,
                jitter_in_s=0.00321,
                jitter_out_s=0.001,
                bitrate_in=32_000.4,
                bitrate_out=96_000.0,
                mode=LinkMode.ROBUST,
                capacity_bps=39_999.7,
            ),
            received=100,
            lost=3,
            reception=ReceptionStatistics(
                depth_frames=2,
                target_frames=3,
                late=1,
                recovered_fec=4,
                recovered_red=5,
                concealed=6,
                compressed=7,
                expanded=8,
            ),
        ),
        PeerStatistics(PeerId("bob"), PeerState.CONNECTING),
    )
    status, answer = await edge.as_admin("GET", "/api/rooms/demo/statistics")
    ann, bob = answer["peers"]
    assert (status, answer["success"]) == (200, True)
    assert ann == {
        "userId": "ann",
        "state": "live",
        "levelDbov": -20,
        "roundTripMs": 45.6,
        "lossIn": 0.25,
        "lossOut": 0.0313,
        "jitterInMs": 3.2,
        "jitterOutMs": 1.0,
        "bitrateIn": 32_000,
        "bitrateOut": 96_000,
        "sending": "robust",
        "capacityOut": 40_000,
        "received": 100,
        "lost": 3,
        "bufferedMs": 40,
        "targetMs": 60,
        "late": 1,
        "recoveredFec": 4,
        "recoveredRed": 5,
        "concealed": 6,
        "compressed": 7,
        "expanded": 8,
    }
    assert (bob["state"], bob["roundTripMs"], bob["concealed"]) == ("connecting", None, 0)
    assert (bob["sending"], bob["capacityOut"]) == ("clear", None)


async def test_statistics_of_nothing(edge: Edge) -> None:
    """A room that is not there, and a mixer that is away, have their own answers."""
    status, answer = await edge.as_admin("GET", "/api/rooms/demo/statistics")
    assert (status, answer["code"]) == (404, "room_not_found")
    await edge.new_room()
    edge.node.mixer.is_away = True
    status, answer = await edge.as_admin("GET", "/api/rooms/demo/statistics")
    assert (status, answer["code"], answer["retryable"]) == (503, "media_unavailable", True)


async def test_get(edge: Edge) -> None:
    """The admin sees a room with its links; holders of an invite or token without."""
    room = await edge.new_room(pin="a1b2c3")
    _, admin = await edge.as_admin("GET", "/api/rooms/demo")
    _, guest = await edge.ask("GET", f"/api/rooms/demo?invite={invite(room, 'listen')}")
    token = {"Authorization": f"Bearer {await edge.join_token()}"}
    _, anchor = await edge.ask("GET", "/api/rooms/demo", headers=token)
    assert admin["room"]["links"] == room["links"]
    assert guest["room"] == anchor["room"]
    admins = {"links", "pin", "loudest", "liveListeners", "automix", "record", "radio", "upload"}
    admins |= {"liveListenersMost"}
    admins |= {"broadcastBuses", "dvrSeconds", "title", "broadcastNames"}
    admins |= {"holdMusic"}
    assert guest["room"].keys() == admin["room"].keys() - admins
    assert (guest["room"]["pinRequired"], guest["room"]["status"]) == (True, "onair")


CHANGES: dict[str, Any] = {
    "name": "Ö",
    "pin": "zzzzzz",
    "maxAnchors": 7,
    "profile": "music",
    "loudest": 3,
    "liveListeners": 4,
    "automix": True,
    "buses": ["fr", "green room"],
    "broadcast": False,
    "locked": True,
    "broadcastBuses": [{"bus": "fr", "language": "fr", "label": "Français"}],
    "dvrSeconds": 600,
    "title": "Symphony No. 5",
    "broadcastNames": True,
    "captions": ["en", "pt-BR"],
    "upload": False,
}


async def test_change(edge: Edge) -> None:
    """A change names what it changes; everything else stays."""
    made = await edge.new_room(pin="a1b2c3", name="Studio", maxAnchors=5)
    status, answer = await edge.as_admin("PATCH", "/api/rooms/demo", {"loudest": 2, "x": 1})
    assert (status, answer) == (200, {"success": True, "room": made | {"loudest": 2}})
    _, answer = await edge.as_admin("PATCH", "/api/rooms/demo", CHANGES)
    assert answer["room"] == made | CHANGES | {"liveListenersMost": 4}
    assert (await edge.as_admin("GET", "/api/rooms/demo"))[1]["room"].items() >= CHANGES.items()


async def test_create_with_all(edge: Edge) -> None:
    """What can be changed can be said at once."""
    assert (await edge.new_room(**CHANGES)).items() >= CHANGES.items()


async def test_upload_is_a_question_where_there_is_one(edge: Edge) -> None:
    """Where nothing is uploaded nobody is asked, unless somebody said no."""
    assert (await edge.new_room())["upload"] is None
    for upload, told in ((False, False), (True, None)):
        _, answer = await edge.as_admin("PATCH", "/api/rooms/demo", {"upload": upload})
        assert answer["room"]["upload"] is told
    edge.node.services.context.uploads.plane = FakePlane()
    _, answer = await edge.as_admin("GET", "/api/rooms/demo")
    assert answer["room"]["upload"] is True


async def test_hold_music(serve: Serve, tmp_path: Path) -> None:
    """A file is tried before a room has it, by `POST` and `PATCH`, and not again after that."""
    (tmp_path / "jazz.ogg").write_bytes(b"OggS")
    edge = await serve(announcements_dir=tmp_path)
    room = await edge.new_room(holdMusic="jazz.ogg")
    assert room["holdMusic"] == "jazz.ogg"
    for value in ("jazz.ogg", "", None, "jazz.ogg"):
        _, answer = await edge.as_admin("PATCH", "/api/rooms/demo", {"holdMusic": value})
        assert answer["room"]["holdMusic"] == value
    assert edge.node.decoder.read == [b"OggS"] * 2
    edge.node.decoder.refusal = SoundRefused("There is no sound in this file.")
    for method, path in (("POST", "/api/rooms"), ("PATCH", "/api/rooms/demo")):
        body = {"holdMusic": "jazz.ogg" if method == "POST" else "nil"}
        status, answer = await edge.as_admin(method, path, body)
        assert (status, answer["code"]) == (400, "bad_params")
        assert [detail["field"] for detail in answer["details"]] == ["HoldMusic"]
    assert len(edge.node.rooms.all()) == 1
    assert edge.node.rooms.all()[0].air.hold == "jazz.ogg"
    status, answer = await edge.as_admin("PATCH", "/api/rooms/none", {"holdMusic": "jazz.ogg"})
    assert (status, answer["code"]) == (404, "room_not_found")


async def test_change_of_the_end(edge: Edge) -> None:
    """A room's new time is counted from the change on; null is no end, 0 people the default."""
    await edge.new_room()
    edge.node.advance(100)
    _, answer = await edge.as_admin("PATCH", "/api/rooms/demo", {"expiresIn": 60, "maxAnchors": 0})
    assert answer["room"]["expiresAt"] == "2023-11-14T22:16:00Z"
    assert answer["room"]["maxAnchors"] == 3
    _, answer = await edge.as_admin("PATCH", "/api/rooms/demo", {"expiresIn": None})
    assert answer["room"]["expiresAt"] is None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"pin": "short"}, "Pin"),
        ({"pin": None}, "Pin"),
        ({"maxAnchors": -1}, "MaxAnchors"),
        ({"profile": "opera"}, "Profile"),
        ({"loudest": 1001}, "Loudest"),
        ({"automix": 1}, "Automix"),
        ({"buses": ["fr", "fr"]}, "Buses"),
        ({"buses": ["floor"]}, "Buses"),
        ({"buses": [""]}, "Buses"),
        ({"buses": ["a\nb"]}, "Buses"),
        ({"buses": [str(number) for number in range(33)]}, "Buses"),
        ({"broadcast": None}, "Broadcast"),
        ({"broadcastBuses": [{"bus": "fr"}]}, "BroadcastBuses"),
        ({"broadcastBuses": [{"bus": "floor"}] * 2}, "BroadcastBuses"),
        ({"broadcastBuses": [{"bus": "floor", "language": "x"}]}, "BroadcastBuses"),
        ({"broadcastBuses": [{"bus": "floor", "label": '"'}]}, "BroadcastBuses"),
        ({"dvrSeconds": 14}, "DvrSeconds"),
        ({"captions": ["en", "EN"]}, "Captions"),
        ({"captions": ["e"]}, "Captions"),
        ({"captions": ["english language"]}, "Captions"),
        ({"captions": [f"a{letter}" for letter in "abcdefghi"]}, "Captions"),
        ({"title": "x" * 201}, "Title"),
        ({"holdMusic": "x" * 256}, "HoldMusic"),
        ({"holdMusic": "a.wav"}, "HoldMusic"),
        ({"holdMusic": True}, "HoldMusic"),
        ({"title": "a\nb"}, "Title"),
        ({"expiresIn": 0}, "ExpiresIn"),
        ({"name": "x" * 81}, "Name"),
    ],
)
async def test_wrong_change(edge: Edge, body: dict[str, object], field: str) -> None:
    """A value out of its range is named, and nothing changes, also of what was right."""
    await edge.new_room(pin="a1b2c3")
    status, answer = await edge.as_admin("PATCH", "/api/rooms/demo", {"locked": True} | body)
    assert (status, answer["code"]) == (400, "bad_params")
    assert [detail["field"] for detail in answer["details"]] == [field]
    assert not edge.node.rooms.all()[0].locked


async def test_change_of_nothing(edge: Edge) -> None:
    """A room that is not there cannot be changed."""
    status, answer = await edge.as_admin("PATCH", "/api/rooms/demo", {})
    assert (status, answer["code"]) == (404, "room_not_found")


async def test_lock_refuses(edge: Edge) -> None:
    """Nobody gets a token for a locked room, and a token from before does not let in."""
    await edge.new_room()
    token = await edge.join_token()
    await edge.as_admin("PATCH", "/api/rooms/demo", {"locked": True})
    status, answer = await edge.as_admin("POST", "/api/rooms/demo/users", {})
    assert (status, answer["code"], answer["retryable"]) == (403, "room_locked", False)
    async with edge.http.ws_connect(f"/ws?token={token}") as socket:
        call = {"jsonrpc": "2.0", "id": 1, "method": "join"}
        params = {"clientId": edge.node.access.joining(token).user}
        await socket.send_json(call | {"params": params})
        assert (await socket.receive_json())["error"]["data"]["code"] == "room_locked"


async def test_delete(edge: Edge) -> None:
    """A deleted room is gone."""
    await edge.new_room()
    answer = await edge.as_admin("DELETE", "/api/rooms/demo")
    assert answer == (200, {"success": True, "message": "Room demo stopped"})
    assert (await edge.as_admin("GET", "/api/rooms/demo"))[0] == 404


async def test_stats(edge: Edge) -> None:
    """The statistics count rooms and people."""
    await edge.new_room()
    _, answer = await edge.as_admin("GET", "/api/stats")
    rooms = {"total": 1, "totalParticipants": 0, "totalListeners": 0}
    assert answer["stats"] == {"rooms": rooms}


@pytest.mark.parametrize(("method", "path", "body"), ADMIN_ONLY)
@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 401, "unauthorized"),
        ({"Authorization": "Bearer wrong"}, 403, "forbidden"),
        ({"Cookie": "roomtone_admin=wrong"}, 403, "forbidden"),
    ],
)
async def test_admin_only(  # noqa: PLR0917 - one table
    edge: Edge,
    method: str,
    path: str,
    body: object,
    headers: dict[str, str],
    status: int,
    code: str,
) -> None:
    """What is the admin's is refused to everybody else, before anything else is looked at."""
    await edge.new_room()
    got_status, answer = await edge.ask(method, path, body, headers=headers)
    assert (got_status, answer["code"]) == (status, code)
    assert len(edge.node.rooms) == 1


async def test_session(edge: Edge) -> None:
    """The first-run secret makes this browser the admin until it logs out."""
    assert (await edge.ask("GET", "/api/session"))[1]["admin"] is False
    secret = {"secret": edge.node.keyring.first_run}
    assert (await edge.ask("POST", "/api/session", secret))[0] == 200
    assert (await edge.ask("GET", "/api/session"))[1]["admin"] is True
    assert (await edge.ask("POST", "/api/rooms", {}))[0] == 201
    await edge.ask("DELETE", "/api/session")
    assert (await edge.ask("GET", "/api/session"))[1]["admin"] is False


async def test_admin_cookie(edge: Edge) -> None:
    """The admin cookie is for our own pages only, and out of reach of scripts."""
    body = {"secret": edge.node.keyring.admin_key}
    async with edge.http.post("/api/session", json=body) as answer:
        cookie = answer.cookies["roomtone_admin"]
    assert (cookie["httponly"], cookie["samesite"], cookie["secure"]) == (True, "Strict", "")


async def test_secure_cookie(serve: Serve) -> None:
    """Behind HTTPS cookies do not travel without it."""
    edge = await serve(public_url="https://audio.example.org")
    body = {"secret": edge.node.keyring.admin_key}
    async with edge.http.post("/api/session", json=body) as answer:
        assert answer.cookies["roomtone_admin"]["secure"] is True
    assert (await edge.new_room())["links"]["join"].startswith("https://audio.example.org/join/")


@pytest.mark.parametrize("origin", ["http://127.0.0.1:1", "https://evil.example", "null", "x"])
async def test_other_sites(edge: Edge, origin: str) -> None:
    """A page of another site, or of another port, cannot use the admin's cookie."""
    await edge.ask("POST", "/api/session", {"secret": edge.node.keyring.admin_key})
    status, _ = await edge.ask("POST", "/api/rooms", {}, headers={"Origin": origin})
    assert (status, len(edge.node.rooms)) == (403, 0)


async def test_own_site(edge: Edge) -> None:
    """Our own pages can."""
    await edge.ask("POST", "/api/session", {"secret": edge.node.keyring.admin_key})
    origin = {"Origin": str(edge.http.make_url("")).rstrip("/")}
    assert (await edge.ask("POST", "/api/rooms", {}, headers=origin))[0] == 201


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 201), ({"Origin": "https://evil.example"}, 403), ({"Host": "evil.example"}, 421)],
)
async def test_open_api(serve: Serve, headers: dict[str, str], status: int) -> None:
    """An open API is open to programs of this machine, not to pages of other sites."""
    edge = await serve(api_open=True)
    assert (await edge.ask("POST", "/api/rooms", {}, headers=headers))[0] == status


async def test_anchor(edge: Edge) -> None:
    """A join invite makes an anchor."""
    room = await edge.new_room(pin="a1b2c3")
    body = {"invite": invite(room, "join"), "pin": "a1b2c3", "displayName": "Ada", "role": "guest"}
    status, answer = await edge.ask("POST", "/api/rooms/demo/users", body)
    assert (status, set(answer)) == (200, {"userID", "token", "expiresAt"})
    assert edge.node.access.joining(answer["token"]).user == answer["userID"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 401, "unauthorized"),
        ({"invite": "wrong"}, 403, "bad_invite"),
        ({"invite": None, "pin": "a1b2c3"}, 401, "unauthorized"),
    ],
)
async def test_no_anchor(edge: Edge, body: dict[str, object], status: int, code: str) -> None:
    """Without a good invite there is no anchor."""
    await edge.new_room(pin="a1b2c3")
    got_status, answer = await edge.ask("POST", "/api/rooms/demo/users", body)
    assert (got_status, answer["code"]) == (status, code)


async def test_wrong_pin(edge: Edge) -> None:
    """With a good invite, and a wrong PIN, neither."""
    room = await edge.new_room(pin="a1b2c3")
    for path, body in (("/api/rooms/demo/users", {}), ("/api/token", {"roomId": "demo"})):
        body |= {"invite": invite(room, "join"), "pin": "000000"}
        status, answer = await edge.ask("POST", path, body)
        assert (status, answer["code"]) == (403, "wrong_pin")


async def test_renewed_invite(edge: Edge) -> None:
    """After a renewal the old link is worthless and the new one good."""
    room = await edge.new_room()
    _, renewed = await edge.as_admin("POST", "/api/rooms/demo/invites", {"role": "join"})
    old, new = invite(room, "join"), invite(renewed, "join")
    statuses = [
        (await edge.ask("POST", "/api/rooms/demo/users", {"invite": one}))[0] for one in (old, new)
    ]
    assert statuses == [403, 200]


async def test_remove_user(edge: Edge) -> None:
    """A person may take themselves out; another person's token may not."""
    await edge.new_room()
    tokens = [await edge.join_token() for _ in range(2)]
    users = [edge.node.access.joining(token).user for token in tokens]
    path = f"/api/rooms/demo/users/{users[0]}"
    answers = [
        await edge.ask("DELETE", path, headers={"Authorization": f"Bearer {token}"})
        for token in reversed(tokens)
    ]
    assert [status for status, _ in answers] == [403, 200]
    assert edge.node.rooms.is_revoked(*_grant(edge, users[0]))


async def test_listener(edge: Edge) -> None:
    """A listen invite gives a token and a cookie that only the broadcast gets."""
    room = await edge.new_room()
    body = {"roomId": "demo", "invite": invite(room, "listen")}
    async with edge.http.post("/api/token", json=body) as response:
        answer, cookie = await response.json(), response.cookies["roomtone_listen_demo"]
    assert set(answer) == {"token", "expiresAt", "hlsUrl"}
    assert (cookie.value, cookie["path"], cookie["httponly"]) == (answer["token"], "/hls", True)


def _grant(edge: Edge, user: Any) -> Any:
    return edge.node.rooms.all()[0].id, user


async def test_defaults_are_settings(serve: Serve) -> None:
    """What bare REST leaves open is the operator's to say."""
    edge = await serve(room_lifetime_s=0, room_anchors=7)
    _, answer = await edge.as_admin("POST", "/api/rooms", {"roomId": "demo"})
    room = answer["room"]
    assert (room["maxAnchors"], room["expiresAt"]) == (7, None)
    _, answer = await edge.as_admin("PATCH", "/api/rooms/demo", {"maxAnchors": 2})
    assert answer["room"]["maxAnchors"] == 2
    _, answer = await edge.as_admin("PATCH", "/api/rooms/demo", {"maxAnchors": 0})
    assert answer["room"]["maxAnchors"] == 7
