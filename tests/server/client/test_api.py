"""The REST API as commands call it, against servers that are good, odd or gone."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from server.client.api import Api, Target, path, tls_context, unreachable
from server.client.errors import ClientError, Exit

ASKED: list[tuple[str, str, str, str]] = []
ODD = {
    "/html": web.Response(text="<html>", status=200),
    "/list": web.Response(text="[1]", status=200),
    "/deep": web.Response(text="[" * 100_000, status=500),
    "/elsewhere": web.Response(status=302, headers={"Location": "/good"}),
}
SAID = {
    "/refused": (409, {"error": "No", "code": "room_full", "details": None}),
    "/wrong": (400, {"error": "Wrong", "details": [{"field": "Pin", "message": "six"}, "odd"]}),
    "/once": (400, {"error": "No URL", "details": [{"field": "Url", "message": "No URL"}]}),
    "/mute": (500, {}),
    "/large": (200, {"rooms": ["x" * 100] * 30_000}),
}


async def answer(request: web.Request) -> web.Response:
    """Answer as the path says."""
    key = request.headers.get("Authorization", "")
    ASKED.append((request.method, request.path_qs, key, await request.text()))
    if request.path in ODD:
        odd = ODD[request.path]
        return web.Response(text=odd.text, status=odd.status, headers=odd.headers)
    status, told = SAID.get(request.path, (200, {"success": True}))
    return web.json_response(told, status=status)


@pytest.fixture
async def url() -> AsyncIterator[str]:
    ASKED.clear()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app) as server:
        yield str(server.make_url("/"))


async def test_call(url: str) -> None:
    """Key and body go along, the answer's JSON comes back."""
    async with Api(Target(url, "secret")) as api:
        assert await api.call("POST", path("rooms", "a/b c"), {"x": 1}) == {"success": True}
    assert ASKED == [("POST", "/api/rooms/a%2Fb%20c", "Bearer secret", '{"x": 1}')]


async def test_large_answer(url: str) -> None:
    """An answer that comes in many pieces is read to its end."""
    async with Api(Target(url)) as api:
        assert len((await api.call("GET", "/large"))["rooms"]) == 30_000


async def test_endless_answer(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever answers without an end is not listened to for ever."""
    monkeypatch.setattr("server.client.api.MAX_ANSWER_BYTES", 1000)
    async with Api(Target(url)) as api:
        with pytest.raises(ClientError, match="without an end"):
            await api.call("GET", "/large")


async def test_no_key(url: str) -> None:
    """Without a key none is shown."""
    async with Api(Target(url)) as api:
        await api.call("GET", "/x")
    assert ASKED == [("GET", "/x", "", "")]


@pytest.mark.parametrize("place", ODD)
async def test_none_of_ours(url: str, place: str) -> None:
    """What answers anything else is no Roomtone; a redirect is not followed with the key."""
    async with Api(Target(url, "secret")) as api:
        with pytest.raises(ClientError, match="is it a Roomtone server"):
            await api.call("GET", place)
    assert [one[1] for one in ASKED] == [place]


@pytest.mark.parametrize(
    ("place", "sentence", "status"),
    [
        ("/refused", "No", Exit.NOT_NOW),
        ("/wrong", "Wrong; Pin: six", Exit.MISTAKE),
        ("/once", "No URL", Exit.MISTAKE),
        ("/mute", "The server refuses", Exit.FAILED),
    ],
)
async def test_refused(url: str, place: str, sentence: str, status: Exit) -> None:
    """The server's own sentences are told, each once."""
    async with Api(Target(url)) as api:
        with pytest.raises(ClientError) as caught:
            await api.call("GET", place)
    assert (str(caught.value), caught.value.exit_status) == (sentence, status)


async def test_gone() -> None:
    """A server that is not there is named, with what to do."""
    async with Api(Target("http://127.0.0.1:1")) as api:
        with pytest.raises(ClientError, match=r"Connection refused.*roomtone serve") as caught:
            await api.call("GET", "/x")
    assert caught.value.exit_status is Exit.UNREACHABLE


@pytest.mark.parametrize("address", ["nonsense", "ftp://x", "http://", "//host"])
def test_no_address(address: str) -> None:
    """What is no address is refused before anything is asked."""
    with pytest.raises(ClientError, match="it looks like http"):
        Api(Target(address))


def test_slow() -> None:
    """Who does not answer is told apart from who cannot be reached."""
    assert unreachable("http://x", TimeoutError()).exit_status is Exit.FAILED


def test_the_key_is_not_shown() -> None:
    """Not even where a target is printed."""
    assert "secret" not in repr(Target("http://x", "secret"))


def test_certificate(tmp_path: Path) -> None:
    """A file that holds no certificate, or is not there, is named."""
    (tmp_path / "x.crt").write_text("nothing")
    for name in ("x.crt", "y.crt"):
        with pytest.raises(ClientError, match=name):
            tls_context(tmp_path / name)
