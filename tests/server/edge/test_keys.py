"""API keys: what each scope opens, and nothing else."""

import hmac
import re
from typing import Any

import pytest
from aiohttp import web

from server.domain.api_key import Scope
from server.edge.app import ROUTES
from server.services.api_keys import USED_EVERY
from tests.server.edge.conftest import Edge, Serve

USER = "11111111-2222-4333-8444-555555555555"
# What an admin may do, and the scope an API key needs for the same.
SCOPES = {
    "POST /api/rooms": Scope.ROOMS_WRITE,
    "GET /api/rooms": Scope.ROOMS_READ,
    "GET /api/rooms/demo": Scope.ROOMS_READ,
    "DELETE /api/rooms/demo": Scope.ROOMS_WRITE,
    "GET /api/rooms/demo/statistics": Scope.ROOMS_READ,
    "GET /api/rooms/demo/broadcast": Scope.ROOMS_READ,
    "POST /api/rooms/demo/invites": Scope.ROOMS_WRITE,
    "POST /api/rooms/demo/users": Scope.PEOPLE,
    f"DELETE /api/rooms/demo/users/{USER}": Scope.PEOPLE,
    "POST /api/rooms/demo/forwarders": Scope.LINES,
    "GET /api/rooms/demo/forwarders": Scope.LINES,
    "POST /api/rooms/demo/captions": Scope.CAPTIONS,
    "POST /api/rooms/demo/outputs": Scope.LINES,
    "GET /api/rooms/demo/outputs": Scope.LINES,
    "POST /api/rooms/demo/rtp": Scope.LINES,
    "GET /api/rooms/demo/rtp": Scope.LINES,
    "POST /api/rooms/demo/announcements": Scope.ANNOUNCEMENTS,
    "GET /api/rooms/demo/announcements": Scope.ANNOUNCEMENTS,
    "POST /api/token": Scope.BROADCAST,
    "GET /api/stats": Scope.ROOMS_READ,
    "GET /api/keys": Scope.KEYS,
    "POST /api/keys": Scope.KEYS,
    "DELETE /api/keys/000000000000": Scope.KEYS,
    "POST /api/keys/rotate": Scope.KEYS,
}
BODIES: dict[str, Any] = {"POST /api/token": {"roomId": "demo"}}


async def new_key(edge: Edge, *scopes: str, **more: object) -> dict[str, Any]:
    body = {"scopes": list(scopes), **more}
    status, answer = await edge.as_admin("POST", "/api/keys", body)
    assert status == 201, answer
    key: dict[str, Any] = answer["key"]
    return key


async def ask(edge: Edge, text: str, call: str, body: object = None) -> tuple[int, Any]:
    method, _, path = call.partition(" ")
    if body is None and method == "POST":
        body = BODIES.get(call, {})
    headers = {"Authorization": f"Bearer {text}"}
    return await edge.ask(method, path, body, headers=headers)


@pytest.mark.parametrize("call", SCOPES)
async def test_scopes(edge: Edge, call: str) -> None:
    """A key opens what its scope is for; one with every other scope is told which it lacks."""
    await edge.new_room()
    scope = SCOPES[call]
    others = await new_key(edge, *(one for one in Scope if one is not scope))
    status, answer = await ask(edge, others["secret"], call)
    assert (status, answer["code"]) == (403, "forbidden")
    assert scope.value in answer["error"]
    right = await new_key(edge, scope)
    status, _ = await ask(edge, right["secret"], call)
    assert status not in {401, 403}


async def test_metrics(serve: Serve) -> None:
    """Off loopback /metrics asks for its scope."""
    open_to_all = await serve(host="0.0.0.0")
    right, wrong = await new_key(open_to_all, "metrics"), await new_key(open_to_all, "rooms:read")
    for key, expected in ((right, 200), (wrong, 403)):
        headers = {"Authorization": f"Bearer {key['secret']}"}
        async with open_to_all.http.get("/metrics", headers=headers) as answer:
            assert answer.status == expected


OPEN = {"/api/session"}


@pytest.mark.parametrize(
    "route",
    [route for route in ROUTES if route.path.startswith("/api/") and route.path not in OPEN],
    ids=str,
)
async def test_strangers(edge: Edge, route: web.RouteDef) -> None:
    """No call of the API does anything for who shows nothing, or a key without scopes."""
    room = await edge.new_room()
    names = {"room": "demo", "user": USER}
    path = re.sub(r"\{(\w+)[^}]*\}", lambda found: names.get(found[1], "x"), route.path)
    call = f"{route.method} {path}"
    body: Any = {"roomId": "demo"} if route.method != "GET" else None
    assert (await edge.ask(route.method, path, body))[0] == 401
    key = await new_key(edge, "metrics")
    assert (await ask(edge, key["secret"], call, body))[0] == 403
    assert (await edge.as_admin("GET", "/api/rooms/demo"))[1]["room"]["links"] == room["links"]


async def test_shown_once(edge: Edge) -> None:
    """The key's text is in the answer that makes it and nowhere else, not even in the store."""
    key = await new_key(edge, "rooms:read", name="Grafana")
    _, listing = await edge.as_admin("GET", "/api/keys")
    assert listing["keys"] == [
        {name: value for name, value in key.items() if name not in {"secret", "usedAt"}}
        | {"usedAt": None}
    ]
    secret = key["secret"].encode()
    stored = b"".join(one.value for one in (await edge.node.store.scan("/")).records)
    assert secret not in stored
    assert secret.split(b"_", 2)[2] not in stored  # its random part, which may hold _ too


async def test_revoked(edge: Edge) -> None:
    """A revoked key is worthless at once and after a restart; a second time there is none."""
    key = await new_key(edge, "rooms:read")
    path = f"/api/keys/{key['keyId']}"
    assert (await edge.as_admin("DELETE", path))[0] == 200
    status, answer = await ask(edge, key["secret"], "GET /api/rooms")
    assert (status, answer["code"]) == (401, "unauthorized")
    assert (await edge.as_admin("DELETE", path))[0] == 404
    restarted = edge.node.build()
    await restarted.load()
    assert restarted.context.keys.check(key["secret"]) is None


async def test_kept(edge: Edge) -> None:
    """A key and its scopes survive a restart."""
    key = await new_key(edge, "rooms:read", "people")
    restarted = edge.node.build()
    await restarted.load()
    found = restarted.context.keys.check(key["secret"])
    assert found is not None
    assert found.scopes == {Scope.ROOMS_READ, Scope.PEOPLE}


async def test_expiry(edge: Edge) -> None:
    """A key ends with its time."""
    key = await new_key(edge, "rooms:read", expiresIn=60)
    edge.node.advance(59)
    assert (await ask(edge, key["secret"], "GET /api/rooms"))[0] == 200
    edge.node.advance(1)
    assert (await ask(edge, key["secret"], "GET /api/rooms"))[0] == 401


async def test_no_escalation(edge: Edge) -> None:
    """A key makes no key that could do more than itself."""
    key = await new_key(edge, "keys", "rooms:read")
    status, _ = await ask(edge, key["secret"], "POST /api/keys", {"scopes": ["rooms:read"]})
    assert status == 201
    wanted = {"scopes": ["rooms:read", "people", "metrics"]}
    status, answer = await ask(edge, key["secret"], "POST /api/keys", wanted)
    assert status == 403
    assert "people, metrics" in answer["error"]


@pytest.mark.parametrize(
    "body",
    [{}, {"scopes": []}, {"scopes": ["root"]}, {"scopes": "keys"}, {"scopes": ["keys"], "name": 5}]
    + [{"scopes": ["keys"], "expiresIn": wrong} for wrong in (0, -1, "60", 1e9 + 1)],
)
async def test_bad_requests(edge: Edge, body: object) -> None:
    """What cannot be is refused as everywhere."""
    status, answer = await edge.as_admin("POST", "/api/keys", body)
    assert (status, answer["code"]) == (400, "bad_params")


async def test_near_misses(edge: Edge) -> None:
    """No key that was changed opens anything, and none of them is taken for a token."""
    await edge.new_room()
    key = await new_key(edge, *Scope)
    text = key["secret"]
    other = await new_key(edge, "metrics")
    swapped = other["secret"][:16] + text[16:]
    for wrong in (
        text[:-1],
        text + "A",
        text[:-1] + "~",
        swapped,
        "rt_",
        text.upper(),
        f"{text} x",
    ):
        assert (await ask(edge, wrong, "GET /api/rooms"))[0] in {401, 403}
        assert (await ask(edge, wrong, "POST /api/rooms/demo/users"))[0] in {401, 403}


async def test_a_key_is_no_token(edge: Edge) -> None:
    """An API key opens no socket and no stream key, and logs nobody in."""
    await edge.new_room()
    key = (await new_key(edge, *Scope))["secret"]
    assert (await ask(edge, key, "GET /ws"))[0] == 401
    assert (await ask(edge, key, "GET /hls/rooms/demo/enc.key"))[0] == 403
    assert (await edge.ask("POST", "/api/session", {"secret": key}))[0] == 401


async def test_links_need_more_than_reading(edge: Edge) -> None:
    """Who may only read rooms is not shown the links that let people in."""
    await edge.new_room()
    reader = await new_key(edge, "rooms:read")
    writer = await new_key(edge, "rooms:read", "rooms:write")
    rooms = [
        (await ask(edge, key["secret"], "GET /api/rooms/demo"))[1]["room"]
        for key in (reader, writer)
    ]
    assert ["links" in room for room in rooms] == [False, True]


async def test_last_use(edge: Edge) -> None:
    """The listing says when a key was used last; the store learns it once a minute at most."""
    key = await new_key(edge, "rooms:read")
    keys = edge.node.services.context.keys
    await ask(edge, key["secret"], "GET /api/rooms")
    _, listing = await edge.as_admin("GET", "/api/keys")
    assert listing["keys"][0]["usedAt"] is not None
    await keys.store_uses()
    first = await edge.node.store.get(f"/keys/{key['keyId']}")
    edge.node.advance(USED_EVERY.total_seconds() - 1)
    await ask(edge, key["secret"], "GET /api/rooms")
    await keys.store_uses()
    assert await edge.node.store.get(f"/keys/{key['keyId']}") == first
    edge.node.advance(1)
    await ask(edge, key["secret"], "GET /api/rooms")
    await keys.store_uses()
    assert await edge.node.store.get(f"/keys/{key['keyId']}") != first


async def test_a_revoked_key_does_not_come_back(edge: Edge) -> None:
    """Writing down a use does not undo a revocation that came in between."""
    key = await new_key(edge, "rooms:read")
    await ask(edge, key["secret"], "GET /api/rooms")
    await edge.node.store.commit(delete=[f"/keys/{key['keyId']}"])
    await edge.node.services.context.keys.store_uses()
    assert await edge.node.store.get(f"/keys/{key['keyId']}") is None


async def test_unreadable(edge: Edge) -> None:
    """A damaged record opens nothing and stops nobody."""
    await edge.node.store.commit(put={"/keys/0123456789ab": b"{}"})
    restarted = edge.node.build()
    await restarted.load()
    assert restarted.context.keys.all() == []


async def test_rotation(edge: Edge) -> None:
    """After a rotation the old tokens still open, and the published set has both keys."""
    await edge.new_room()
    token = await edge.listen_token()
    _, before = await edge.ask("GET", "/.well-known/jwks.json")
    assert (await edge.as_admin("POST", "/api/keys/rotate"))[0] == 200
    _, after = await edge.ask("GET", "/.well-known/jwks.json")
    assert (len(before["keys"]), len(after["keys"])) == (2, 4)
    assert all("d" not in key for key in after["keys"])
    for text in (token, await edge.listen_token()):
        async with edge.http.get(f"/hls/rooms/demo/enc.key?token={text}") as answer:
            assert answer.status == 200


async def test_comparing_takes_as_long(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    """A known id, an unknown id and no key at all cost one comparison in constant time each."""
    key = (await new_key(edge, "rooms:read"))["secret"]
    keys = edge.node.services.context.keys
    compared: list[int] = []

    def count(left: str, right: str) -> bool:
        compared.append(len(left))
        return compare(left, right)

    compare = hmac.compare_digest
    monkeypatch.setattr("server.services.api_keys.hmac.compare_digest", count)
    for text in (key, key[:-1] + "A", f"rt_{'0' * 12}_{'x' * 43}", "", "rt_"):
        keys.check(text)
    assert compared == [64] * 5


async def test_keys_are_bounded(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    """There are only so many keys."""
    monkeypatch.setattr("server.services.api_keys.MOST_KEYS", 1)
    await new_key(edge, "rooms:read")
    status, answer = await edge.as_admin("POST", "/api/keys", {"scopes": ["keys"]})
    assert (status, answer["code"]) == (409, "too_many")
