"""ETags, Idempotency-Key, and methods that an address does not have."""

import asyncio
import json

import aiohttp
import pytest
from aiohttp import web

from server.edge.idempotency import KEPT_S, Answers
from server.errors import InProgress
from tests.server.edge.conftest import Edge

ROOM = "/api/rooms/demo"


async def test_not_modified(edge: Edge) -> None:
    """What has not changed is not sent again."""
    await edge.new_room()
    tag = ""
    for path in (ROOM, "/api/rooms", "/api/stats", f"{ROOM}/participants"):
        async with edge.http.get(path, headers=edge.admin) as answer:
            tag = answer.headers["ETag"]
        async with edge.http.get(path, headers=edge.admin | {"If-None-Match": tag}) as answer:
            assert (answer.status, await answer.read()) == (304, b"")
            assert answer.headers["ETag"] == tag
        async with edge.http.get(path, headers=edge.admin | {"If-None-Match": '"no"'}) as answer:
            assert answer.status == 200
    await edge.as_admin("PATCH", ROOM, {"name": "New"})
    async with edge.http.get(ROOM, headers=edge.admin | {"If-None-Match": tag}) as answer:
        assert answer.status == 200


async def test_if_match(edge: Edge) -> None:
    """Of two who change a room they have seen the same, the second is told."""
    await edge.new_room()
    async with edge.http.get(ROOM, headers=edge.admin) as answer:
        seen = answer.headers["ETag"]
    for body, tag, status in (
        ({"name": "One"}, seen, 200),
        ({"name": "Two"}, seen, 412),
        ({"name": "Three"}, "*", 200),
        ({"name": "Four"}, "garbage", 412),
    ):
        headers = edge.admin | {"If-Match": tag}
        told, answer = await edge.ask("PATCH", ROOM, body, headers=headers)
        assert told == status, answer
    _, answer = await edge.as_admin("GET", ROOM)
    assert answer["room"]["name"] == "Three"
    async with edge.http.patch(ROOM, data='{"name": "Five"}', headers=edge.admin) as changed:
        tag = changed.headers["ETag"]
    told, _ = await edge.ask("PATCH", ROOM, {"name": "Six"}, headers=edge.admin | {"If-Match": tag})
    assert told == 200


async def test_done_once(edge: Edge) -> None:
    """The same request again has the same answer, and nothing is made twice."""
    headers = edge.admin | {"Idempotency-Key": "7d1"}
    answers = [await edge.ask("POST", "/api/rooms", {}, headers=headers) for _ in range(3)]
    assert answers[0][0] == 201
    assert answers[0] == answers[1] == answers[2]
    assert len(edge.node.rooms) == 1
    status, answer = await edge.ask("POST", "/api/rooms", {"name": "x"}, headers=headers)
    assert (status, answer["code"]) == (422, "key_reused")
    edge.node.advance(KEPT_S)
    assert (await edge.ask("POST", "/api/rooms", {}, headers=headers))[1] != answers[0][1]
    assert len(edge.node.rooms) == 2


async def test_failures_are_not_kept(edge: Edge) -> None:
    """What was refused did nothing, and may succeed the next time; a key is its caller's own."""
    key = {"Idempotency-Key": "abc"}
    body = {"roomId": "demo"}
    assert (await edge.ask("POST", "/api/rooms", body, headers=key))[0] == 401
    assert (await edge.ask("POST", "/api/rooms", body, headers=edge.admin | key))[0] == 201
    assert (await edge.ask("POST", "/api/rooms", body, headers=key))[0] == 401


async def test_strangers_with_the_same_key(edge: Edge) -> None:
    """Two who show nothing and chose the same key are not taken for one."""
    room = await edge.new_room(pin="")
    body = {"invite": room["links"]["join"].partition("#invite=")[2]}
    made = []
    for address in ("127.0.0.1", "127.0.0.2", "127.0.0.1"):
        from_there = aiohttp.TCPConnector(local_addr=(address, 0))
        async with (
            aiohttp.ClientSession(edge.http.make_url(""), connector=from_there) as http,
            http.post(f"{ROOM}/users", json=body, headers={"Idempotency-Key": "1"}) as answer,
        ):
            assert answer.status == 200
            made.append((await answer.json())["userID"])
    assert made[0] == made[2] != made[1]


async def test_at_once(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the first is being answered, the same is told to ask again."""
    begun, go = asyncio.Event(), asyncio.Event()
    create = edge.node.rooms.create

    async def slow(wanted: object) -> object:
        begun.set()
        await go.wait()
        return await create(wanted)  # type: ignore[arg-type]

    monkeypatch.setattr(edge.node.rooms, "create", slow)
    headers = edge.admin | {"Idempotency-Key": "abc"}
    async with asyncio.TaskGroup() as group:
        first = group.create_task(edge.ask("POST", "/api/rooms", {}, headers=headers))
        await begun.wait()
        status, answer = await edge.ask("POST", "/api/rooms", {}, headers=headers)
        assert (status, answer["code"], answer["retryable"]) == (409, "in_progress", True)
        go.set()
    assert (await edge.ask("POST", "/api/rooms", {}, headers=headers)) == first.result()


@pytest.mark.parametrize("key", ["", "x" * 256, "\u00e9"])
async def test_no_key(edge: Edge, key: str) -> None:
    """A key is short, printable ASCII."""
    headers = edge.admin | {"Idempotency-Key": key}
    assert (await edge.ask("POST", "/api/rooms", {}, headers=headers))[0] == 400


async def test_sounds_have_none(edge: Edge) -> None:
    """A sound that is sent is not kept; tokens are made anew each time."""
    await edge.new_room()
    headers = edge.admin | {"Idempotency-Key": "abc"}
    status, _ = await edge.ask("POST", f"{ROOM}/announcements", b"RIFF", headers=headers)
    assert status == 400
    body = {"roomId": "demo"}
    tokens = [(await edge.ask("POST", "/api/token", body, headers=headers))[1] for _ in range(2)]
    assert tokens[0]["token"] != tokens[1]["token"]


def test_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest answers go; long ones are not kept at all."""
    monkeypatch.setattr("server.edge.idempotency.MAX_KEPT", 2)
    answers = Answers()
    for number in range(3):
        answers.keep(bytes([number]), b"", 0.0, web.json_response({"n": number}))
    assert answers.find(b"\x00", b"", 0.0) is None
    known = answers.find(b"\x02", b"", 0.0)
    assert known is not None
    assert json.loads(str(known.text)) == {"n": 2}
    answers.keep(b"long", b"", 0.0, web.Response(body=b"x" * 70_000))
    assert answers.find(b"long", b"", 0.0) is None
    with answers.running(b"r"), pytest.raises(InProgress):
        answers.find(b"r", b"", 0.0)


async def test_methods(edge: Edge) -> None:
    """HEAD is GET without its body; what an address does not have, it says."""
    await edge.new_room()
    async with edge.http.head(ROOM, headers=edge.admin) as answer:
        assert (answer.status, await answer.read()) == (200, b"")
        assert answer.headers["ETag"]
    async with edge.http.put(ROOM, headers=edge.admin) as answer:
        assert answer.status == 405
        assert set(answer.headers["Allow"].split(",")) == {"DELETE", "GET", "HEAD", "PATCH"}
    async with edge.http.options(ROOM) as answer:
        assert answer.status == 204
        assert "PATCH" in answer.headers["Allow"]
