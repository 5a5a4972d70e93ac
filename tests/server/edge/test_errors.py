"""The one table of errors, and the shape of every refusal over HTTP."""

import re
from pathlib import Path
from typing import Any

import pytest

from mixer.errors import ClientMistake, NoCapacity, PeerGone, SetupError
from server import errors
from server.edge.errors import TABLE, refusal, rpc_error
from server.errors import Delayed, PlaneUnavailable, ServerError, TooFast, WrongPin
from tests.server.edge.conftest import Edge

# Raised to the operator or between our own parts, never to a caller.
INSIDE = {"lease_lost", "compacted", "setup", "bad_record", "illegal_transition", "hook_failed"} | {
    "output_failed"
}
ERRORS = Path("docs/errors.md").read_text(encoding="utf-8")
TOLD = {"chat_too_fast", "too_many_requests", "pin_locked", "key_not_yet", "radio_full"}
USER = "aaaaaaaa-0000-4000-8000-000000000001"


def every_error() -> list[type[ServerError]]:
    return [
        one
        for one in vars(errors).values()
        if isinstance(one, type) and issubclass(one, ServerError)
    ]


def test_every_error_is_known() -> None:
    """Every error of the control plane is in the table, or never leaves the server."""
    assert {one.code for one in every_error()} - INSIDE <= TABLE.keys()


def rows(cells: int) -> dict[str, list[str]]:
    """Return the documented rows of so many cells by code."""
    found = [line.strip("| ").split(" | ") for line in ERRORS.splitlines() if line[:3] == "| `"]
    return {row[0].strip("`"): row[1:] for row in found if len(row) == cells}


def test_documented() -> None:
    """docs/errors.md has each code of the table, with its numbers and when to try again."""
    shown = {code: row[:3] for code, row in rows(5).items()}
    assert shown == {
        code: [str(row.status), str(row.rpc), again(code, row.retry_after_ms)]
        for code, row in TABLE.items()
    }
    assert all(row[3] for row in rows(5).values())


def again(code: str, retry_after_ms: int | None) -> str:
    if code in TOLD:
        return "told"
    return "no" if retry_after_ms is None else f"{retry_after_ms / 1000:g} s"


def test_told() -> None:
    """What the table calls told are the errors that carry their own delay."""
    carry = {one.code for one in every_error() if issubclass(one, Delayed)} - {"internal"}
    assert carry == TOLD


def test_codes_of_json_rpc() -> None:
    """docs/errors.md has each code that JSON-RPC itself makes."""
    made = set[str]()
    for path in Path("server/rpc").glob("*.py"):
        made |= set(re.findall(r'why\(\s*"(\w+)"', path.read_text(encoding="utf-8")))
    assert "parse_error" in made
    assert made <= rows(5).keys() | rows(4).keys()
    assert rows(4).keys() <= made


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (WrongPin(), "wrong_pin"),
        (ClientMistake("no_audio", "s"), "no_audio"),
        (ClientMistake("unheard of", "s"), "bad_sdp"),
        (NoCapacity(), "no_capacity"),
        (PeerGone(), "media_unavailable"),
    ],
)
def test_refusal(error: Exception, code: str) -> None:
    """An error that somebody can react to keeps its code."""
    refused = refusal(error)
    assert refused is not None
    assert refused.code == code


@pytest.mark.parametrize("error", [ValueError("x"), ServerError("x"), SetupError("x"), KeyError()])
def test_our_fault(error: Exception) -> None:
    """Anything else is our fault, and none of the caller's business."""
    assert refusal(error) is None
    assert rpc_error(error) is None


@pytest.mark.parametrize(
    ("error", "code", "retry"),
    [(WrongPin(), -32600, None), (PlaneUnavailable(), -32603, 500), (TooFast(1234), -32600, 1234)],
)
def test_rpc(error: Exception, code: int, retry: int | None) -> None:
    """Over JSON-RPC an error has the reference's number and our data."""
    answer = rpc_error(error)
    assert answer is not None
    assert answer.data is not None
    assert (answer.code, answer.data["retryAfterMs"]) == (code, retry)
    assert answer.data["retryable"] is (retry is not None)


REST: list[tuple[str, str, object, int, str]] = [
    ("GET", "/nothing", None, 404, "not_found"),
    ("GET", "/api/nothing", None, 404, "not_found"),
    ("PUT", "/api/rooms", None, 405, "method_not_allowed"),
    ("POST", "/api/rooms", b"{", 400, "bad_params"),
    ("POST", "/api/rooms", b"", 400, "bad_params"),
    ("POST", "/api/rooms", b"\xff\xfe", 400, "bad_params"),
    ("POST", "/api/rooms", b"[]", 400, "bad_params"),
    ("POST", "/api/rooms", b"null", 400, "bad_params"),
    ("POST", "/api/rooms", b"[" * 20_000, 400, "bad_params"),
    ("POST", "/api/rooms", b"x" * 40_000, 413, "too_large"),
    ("POST", "/api/rooms", {"roomId": "demo"}, 409, "room_exists"),
    ("POST", "/api/rooms", {"roomId": "a b"}, 400, "bad_params"),
    ("POST", "/api/rooms", {"pin": "12345"}, 400, "bad_params"),
    ("POST", "/api/rooms", {"maxAnchors": -1}, 400, "bad_params"),
    ("POST", "/api/rooms", {"maxAnchors": "3"}, 400, "bad_params"),
    ("POST", "/api/rooms", {"expiresIn": 0}, 400, "bad_params"),
    ("POST", "/api/rooms", {"name": "x" * 81}, 400, "bad_params"),
    ("POST", "/api/rooms", {"name": "a\nb"}, 400, "bad_params"),
    ("GET", "/api/rooms/a", None, 400, "bad_params"),
    ("GET", "/api/rooms/other", None, 404, "room_not_found"),
    ("DELETE", "/api/rooms/other", None, 404, "room_not_found"),
    ("DELETE", "/api/rooms/..%2f..", None, 404, "not_found"),
    ("POST", "/api/rooms/other/users", {}, 404, "room_not_found"),
    ("POST", "/api/rooms/demo/users", {"role": "king"}, 400, "bad_params"),
    ("POST", "/api/rooms/demo/users", {"pin": "wrong1"}, 403, "wrong_pin"),
    ("DELETE", "/api/rooms/demo/users/root", None, 400, "bad_params"),
    ("DELETE", f"/api/rooms/other/users/{USER}", None, 404, "room_not_found"),
    ("POST", "/api/rooms/demo/invites", {"role": "admin"}, 400, "bad_params"),
    ("POST", "/api/rooms/other/invites", {"role": "join"}, 404, "room_not_found"),
    ("POST", "/api/token", {}, 400, "bad_params"),
    ("POST", "/api/token", {"roomId": "other"}, 404, "room_not_found"),
    ("POST", "/api/session", {"secret": "x"}, 401, "bad_secret"),
    ("POST", "/api/session", {"secret": 5}, 400, "bad_params"),
    ("GET", "/join/a", None, 400, "bad_params"),
    ("GET", "/listen/a%20b", None, 400, "bad_params"),
    ("GET", "/static/nothing.js", None, 404, "not_found"),
    ("GET", "/hls/a/stream.m3u8", None, 400, "bad_params"),
    ("GET", "/hls/other/stream.m3u8", None, 404, "room_not_found"),
    ("GET", "/hls/demo/stream.m3u8", None, 503, "not_ready"),
    ("GET", "/hls/demo/stream.m3u8?token=x", None, 403, "forbidden"),
    ("GET", "/hls/demo/seg-1.m4s", None, 404, "not_found"),
    ("GET", "/hls/demo/..%2f..%2fsecrets.json", None, 404, "not_found"),
    ("GET", "/hls/other/seg-1.m4s", None, 404, "room_not_found"),
    ("GET", "/hls/rooms/demo/0/enc.key", None, 403, "forbidden"),  # the admin key is no token
]


@pytest.mark.parametrize(("method", "path", "body", "status", "code"), REST)
async def test_shape(  # noqa: PLR0917 - one table
    edge: Edge, method: str, path: str, body: object, status: int, code: str
) -> None:
    """Every refusal has the contract's shape, and the server goes on."""
    await edge.new_room(pin="a1b2c3")
    got_status, answer = await edge.as_admin(method, path, body)
    assert (got_status, answer["code"], answer["success"]) == (status, code, False), answer
    assert answer["retryable"] is (TABLE[code].retry_after_ms is not None)
    assert answer["retryAfterMs"] == TABLE[code].retry_after_ms
    assert answer["error"]
    assert (await edge.as_admin("GET", "/api/rooms"))[1]["count"] == 1


async def test_details(edge: Edge) -> None:
    """Wrong fields are named in the reference's words; what is no JSON has none."""
    _, fields = await edge.as_admin("POST", "/api/rooms", {"roomId": "a b", "pin": "1"})
    _, no_json = await edge.as_admin("POST", "/api/rooms", b"{")
    tag = "Field validation for 'RoomID' failed on the 'roomid' tag"
    assert fields["details"][0] == {
        "field": "RoomID",
        "message": f"Key: 'CreateRoomRequest.RoomID' Error:{tag}",
    }
    assert [one["field"] for one in fields["details"]] == ["RoomID", "Pin"]
    assert (fields["error"], no_json["details"]) == ("Validation failed", None)


async def test_our_own_fault(edge: Edge, capsys: pytest.CaptureFixture[str]) -> None:
    """What goes wrong inside is logged with an id, and the caller gets only that."""

    async def fail(*_: Any) -> None:
        raise RuntimeError("the inside story")

    await edge.new_room()
    edge.node.broadcast.playlist = fail  # type: ignore[method-assign, assignment]
    status, answer = await edge.ask("GET", "/hls/demo/stream.m3u8")
    error_id = answer["error"].split()[-1]
    logged = capsys.readouterr().out
    assert (status, answer["code"], answer["retryable"]) == (500, "internal", True)
    assert "inside story" not in str(answer)
    assert logged.count("request_failed") == 1
    assert "the inside story" in logged
    assert answer["id"] == error_id
    assert error_id in logged


async def test_headers(edge: Edge) -> None:
    """Refusals, too, have the security headers; answers of the API are not stored."""
    async with edge.http.get("/api/rooms") as answer:
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
    async with edge.http.put("/api/rooms") as answer:
        assert answer.headers["Allow"] == "GET,HEAD,POST"
    async with edge.http.get("/hls/nowhere/stream.m3u8") as answer:
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
