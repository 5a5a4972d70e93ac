"""A listener against servers that send no stream of ours."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from server.client.errors import ClientError, Exit
from server.client.link import Link
from server.client.listener import Decoding, Heard, Wanted, listen

HEAD = '#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:4\n#EXT-X-MAP:URI="init.mp4"\n'
KEY = '#EXT-X-KEY:METHOD=AES-128,URI="enc.key"\n'
END = "#EXTINF:2,\na.m4s\n#EXT-X-ENDLIST\n"

Answers = dict[str, bytes | int]


@asynccontextmanager
async def serving(answers: Answers) -> AsyncIterator[Callable[[], "asyncio.Future[Heard]"]]:
    """A stream of these bodies or statuses by name; what is not named is not there."""
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        name = request.path.rpartition("/")[2]
        asked.append(name)
        told = answers.get(name, 404)
        if isinstance(told, int):
            return web.Response(status=told)
        return web.Response(body=told)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    async with TestServer(app) as server:
        link = Link(str(server.make_url("/")).rstrip("/"), "demo", token="t")
        yield lambda: asyncio.ensure_future(listen(link, Wanted(), asyncio.Event(), lambda _: None))


@pytest.mark.parametrize(
    ("status", "exit_status"),
    [(401, Exit.NOT_ALLOWED), (403, Exit.NOT_ALLOWED), (404, Exit.NOT_FOUND), (500, Exit.FAILED)],
)
async def test_refused(status: int, exit_status: Exit) -> None:
    """A refusal ends it as its status says."""
    async with serving({"stream.m3u8": status}) as hear:
        with pytest.raises(ClientError) as caught:
            await hear()
    assert caught.value.exit_status is exit_status


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("<html>", "no playlist"),
        (HEAD + END.replace("a.m4s", "http://other.example/a.m4s"), "another server"),
        (HEAD + KEY.replace("enc.key", "//other.example/k") + END, "another server"),
        (HEAD.replace("init.mp4", "file:///etc/passwd") + END, "another server"),
    ],
)
async def test_astray(text: str, sentence: str) -> None:
    """No other server is asked for anything: it would learn the token."""
    async with serving({"stream.m3u8": text.encode(), "a.m4s": b"x" * 16}) as hear:
        with pytest.raises(ClientError, match=sentence):
            await hear()


async def test_too_slow() -> None:
    """A segment that is gone is missed, and nothing worse; what is over ends."""
    async with serving({"stream.m3u8": (HEAD + END).encode()}) as hear:
        heard = await hear()
    assert (heard.segments, heard.missed, heard.seconds) == (0, 1, 0.0)


@pytest.mark.parametrize(
    ("key", "segment"), [(b"short", b"x" * 16), (b"k" * 16, b"x" * 15), (b"k" * 16, b"")]
)
async def test_wrong_key(key: bytes, segment: bytes) -> None:
    """What cannot be decrypted is said to be so."""
    playlist = (HEAD + KEY + END).encode()
    async with serving({"stream.m3u8": playlist, "a.m4s": segment, "enc.key": key}) as hear:
        with pytest.raises(ClientError, match="cannot be decrypted"):
            await hear()


async def test_no_sound() -> None:
    """What is no MP4 is said to be so."""
    answers: Answers = {"stream.m3u8": (HEAD + END).encode(), "init.mp4": b"x", "a.m4s": b"y" * 99}
    async with serving(answers) as hear:
        with pytest.raises(ClientError, match="cannot be decoded"):
            await hear()


async def test_a_dead_decoder_takes_nothing() -> None:
    """And keeps nobody waiting, however much is handed to it."""
    decoding = Decoding(lambda _: None)

    def fill() -> None:
        for _ in range(1000):
            decoding.put(b"\0\0\0\1" * 1000)
        decoding.finish()

    with pytest.raises(ClientError, match="cannot be decoded"):
        await asyncio.to_thread(fill)
