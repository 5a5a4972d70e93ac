"""The signing server and its client, over a real socket."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from mixer.types import RoomId
from server.edge.signing import create_signing_app
from server.edge.signing_client import MAX_ANSWER_BYTES, RemoteSigner
from server.errors import SigningUnavailable
from server.services.clock import Clock
from server.services.signing_keys import LONGEST_TOKEN_S, LocalSigner, SigningKeys
from server.services.tokens import Audience
from tests.support.clock import FakeClock

NOON = 1_700_000_000
KEY = "k" * 43
CLAIMS: dict[str, Any] = {
    "aud": "join",
    "iat": NOON,
    "exp": NOON + 60,
    "jti": "0" * 32,
    "roomId": "demo",
    "userId": "11111111-2222-4333-8444-555555555555",
    "role": "anchor",
}


class House:
    """A signing server at an address."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = FakeClock(float(NOON))
        self.keys = SigningKeys.open(folder, self.clock)
        clock = Clock(FakeClock(0.0), self.clock, "boot")
        self.server = TestServer(create_signing_app(LocalSigner(self.keys), KEY, clock))

    @property
    def url(self) -> str:
        return str(self.server.make_url("")).rstrip("/")


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    made = House(tmp_path)
    async with made.server:
        yield made


def remote(house: House, http: aiohttp.ClientSession, key: str = KEY) -> RemoteSigner:
    return RemoteSigner(http, house.url, key, house.folder / "jwks.json")


async def test_sign(house: House, http: aiohttp.ClientSession) -> None:
    """What is signed there is verified here."""
    signer = remote(house, http)
    await signer.open()
    assert signer.is_up
    token = await signer.sign(Audience.JOIN, CLAIMS)
    assert token.count(".") == 2
    assert signer.verifying.jwks() == house.keys.verifying.jwks()


async def test_stream_keys(house: House, http: aiohttp.ClientSession) -> None:
    """The same broadcast has the same key, another room, epoch or salt another one."""
    signer = remote(house, http)
    asked = [("demo", 0, "s" * 32), ("other", 0, "s" * 32), ("demo", 1, "s" * 32)]
    asked.append(("demo", 0, "t" * 32))
    keys = [await signer.stream_key(RoomId(room), epoch, salt) for room, epoch, salt in asked]
    assert len(set(keys)) == 4
    assert keys[0] == await signer.stream_key(RoomId("demo"), 0, "s" * 32)
    assert {len(key) for key in keys} == {16}


async def test_rotated_behind_our_back(house: House, http: aiohttp.ClientSession) -> None:
    """A token signed by a key we never saw is known by the time it is given out."""
    signer = remote(house, http)
    await signer.open()
    house.keys.rotate()
    await signer.sign(Audience.JOIN, CLAIMS)
    assert signer.verifying.jwks() == house.keys.verifying.jwks()


@pytest.mark.parametrize("path", ["/signing/tokens", "/signing/stream-keys", "/signing/rotate"])
@pytest.mark.parametrize(("key", "status"), [("", 401), ("x", 403), (KEY[:-1], 403)])
async def test_strangers(
    house: House, http: aiohttp.ClientSession, path: str, key: str, status: int
) -> None:
    """Without its key nothing is signed, made or rotated."""
    before = house.keys.verifying.jwks()
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with http.post(house.url + path, json=CLAIMS, headers=headers) as answer:
        assert answer.status == status
    assert house.keys.verifying.jwks() == before


@pytest.mark.parametrize(
    "change",
    [
        {"aud": "admin"},
        {"aud": "resume"},
        {"aud": ["join"]},
        {"exp": NOON + LONGEST_TOKEN_S + 1},
        {"exp": NOON},
        {"iat": NOON + 61, "exp": NOON + 120},
        {"iat": NOON - 61},
        {"jti": ""},
        {"roomId": "../x"},
        {"displayName": "x" * 81},
        {"grants": ["x"] * 65},
        {"admin": True},
        {"iss": "elsewhere"},
    ],
)
async def test_what_is_not_signed(
    house: House, http: aiohttp.ClientSession, change: dict[str, Any]
) -> None:
    """Whoever has taken the server of rooms gets no other kind of token, and none that lasts."""
    headers = {"Authorization": f"Bearer {KEY}"}
    url = f"{house.url}/signing/tokens"
    async with http.post(url, json=CLAIMS | change, headers=headers) as answer:
        assert answer.status in {400, 403}


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"x" * 10_000, b"[" * 8000])
async def test_broken_requests(house: House, http: aiohttp.ClientSession, body: bytes) -> None:
    """What is no request is refused and breaks nothing."""
    headers = {"Authorization": f"Bearer {KEY}"}
    async with http.post(f"{house.url}/signing/tokens", data=body, headers=headers) as answer:
        assert answer.status in {400, 413}


async def test_away(house: House, http: aiohttp.ClientSession) -> None:
    """While the server is away nothing is signed; its keys of the last time still verify."""
    first = remote(house, http)
    await first.open()
    await house.server.close()
    with pytest.raises(SigningUnavailable):
        await first.sign(Audience.JOIN, CLAIMS)
    assert not first.is_up
    second = RemoteSigner(http, "http://127.0.0.1:9", KEY, house.folder / "jwks.json")
    await second.open()
    assert second.verifying.jwks() == house.keys.verifying.jwks()


@pytest.mark.parametrize("cached", ["", "{", '{"keys":[]}'])
async def test_never_seen(http: aiohttp.ClientSession, tmp_path: Path, cached: str) -> None:
    """Without a server and without keys of the last time nothing verifies, and nothing breaks."""
    (tmp_path / "jwks.json").write_text(cached)
    signer = RemoteSigner(http, "http://127.0.0.1:9", KEY, tmp_path / "jwks.json")
    await signer.open()
    assert signer.verifying.jwks() == {"keys": []}


async def test_wrong_key(house: House, http: aiohttp.ClientSession) -> None:
    """A server of rooms with the wrong key is told nothing but that it cannot."""
    signer = remote(house, http, "wrong")
    await signer.open()
    with pytest.raises(SigningUnavailable):
        await signer.sign(Audience.JOIN, CLAIMS)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"{}"),
        (200, b"[]"),
        (200, b'{"token":5,"key":"00"}'),
        (200, b'{"token":"a.b.c","key":"zz"}'),
        (200, b'{"key":5}'),
        (200, b"x" * (MAX_ANSWER_BYTES + 10)),
        (302, b"{}"),
        (500, b"{}"),
    ],
)
async def test_another_program_at_the_address(
    http: aiohttp.ClientSession, tmp_path: Path, status: int, body: bytes
) -> None:
    """Whatever answers in the place of the signing server, nothing is taken from it."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status, body=body, headers={"Location": "/elsewhere"})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    async with TestServer(app) as server:
        url = str(server.make_url("")).rstrip("/")
        signer = RemoteSigner(http, url, KEY, tmp_path / "jwks.json")
        await signer.open()
        with pytest.raises(SigningUnavailable):
            await signer.sign(Audience.JOIN, CLAIMS)
        with pytest.raises(SigningUnavailable):
            await signer.stream_key(RoomId("demo"), 0, "s" * 32)
        with pytest.raises(SigningUnavailable):
            await signer.rotate()
    assert not (tmp_path / "jwks.json").exists()
