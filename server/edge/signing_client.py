"""The rooms' side of a signing server: what is signed there is verified here."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import aiohttp
import jwt
import structlog

from mixer.types import RoomId
from server.domain.stream import KEY_BYTES
from server.errors import BadRecord, SetupMistake, SigningUnavailable
from server.services.keyring import read_private, write_private
from server.services.verifying import Audience, VerifyingKeys, read_jwks

log = structlog.get_logger(__name__)

ASK_S: Final = 3.0  # somebody waits at the door
REFRESH_S: Final = 15.0  # how soon a rotation elsewhere is known here
RETRY_S: Final = 2.0
MAX_ANSWER_BYTES: Final = 64 * 1024
JWKS_PATH: Final = "/.well-known/jwks.json"


class RemoteSigner:
    """Signer that asks a signing server, and knows its public keys also while it is away.

    They are kept in `cache`, so that this server can be started again meanwhile.
    """

    def __init__(self, http: aiohttp.ClientSession, url: str, key: str, cache: Path) -> None:
        self._http = http
        self._url = url
        self._key = key
        self._cache = cache
        self._is_up = False
        self._last = ""
        self._verifying = VerifyingKeys()

    @property
    def verifying(self) -> VerifyingKeys:
        """The signing server's public keys, as far as they are known."""
        return self._verifying

    @property
    def is_up(self) -> bool:
        """Whether the signing server answered last time."""
        return self._is_up

    async def open(self) -> None:
        """Learn the public keys, from the last time if the signing server is away."""
        try:
            await self._refresh()
        except SigningUnavailable:
            log.warning("signing_server_away", url=self._url)
            text = await asyncio.to_thread(read_private, self._cache)
            if text:
                with suppress(SigningUnavailable):  # damaged; the next refresh mends it
                    self._learn(text)

    async def run(self) -> None:
        """Keep the public keys fresh, for ever."""
        while True:
            await asyncio.sleep(REFRESH_S if self._is_up else RETRY_S)
            try:
                await self._refresh()
            except SigningUnavailable:
                continue  # it is logged where it changes

    async def sign(self, audience: Audience, claims: dict[str, object]) -> str:
        """Return a token with these claims. Raises SigningUnavailable."""
        answer = await self._ask("POST", "/signing/tokens", claims)
        try:
            token = str(answer["token"])
            kid = jwt.get_unverified_header(token).get("kid")
        except (KeyError, jwt.PyJWTError):
            raise self._broken(f"no token for {audience.value}") from None
        if not self._verifying.knows(kid):  # somebody rotated; nobody shall be refused for it
            await self._refresh()
        return token

    async def stream_key(self, room: RoomId, epoch: int, salt: str) -> bytes:
        """Return the AES-128 key of a broadcast. Raises SigningUnavailable."""
        wanted: dict[str, object] = {"roomId": room, "epoch": epoch, "salt": salt}
        answer = await self._ask("POST", "/signing/stream-keys", wanted)
        try:
            key = bytes.fromhex(answer["key"])
        except (KeyError, TypeError, ValueError):
            raise self._broken("no key") from None
        if len(key) != KEY_BYTES:
            raise self._broken("a key of another length")
        return key

    async def rotate(self) -> None:
        """Let new keys sign from now on. Raises SigningUnavailable."""
        await self._ask("POST", "/signing/rotate", {})
        await self._refresh()

    async def _refresh(self) -> None:
        answer = await self._ask("GET", JWKS_PATH, None)
        text = json.dumps(answer)
        if text != self._last:
            self._learn(text)
            await asyncio.to_thread(write_private, self._cache, text)
            self._last = text

    def _learn(self, text: str) -> None:
        try:
            self._verifying.replace(read_jwks(text))
        except BadRecord:
            raise self._broken("no keys") from None

    async def _ask(self, method: str, path: str, body: dict[str, object] | None) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self._key}"}
        try:
            async with (
                asyncio.timeout(ASK_S),
                self._http.request(
                    method, self._url + path, json=body, headers=headers, allow_redirects=False
                ) as answer,
            ):
                said = json.loads(await _read(answer))
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, ValueError, OSError) as error:
            self._note(is_up=False, why=type(error).__name__)
            raise SigningUnavailable from None
        if status != 200 or not isinstance(said, dict):
            # The sentence is the signing server's own and holds no secret.
            raise self._broken(str(said.get("error", status)) if isinstance(said, dict) else "")
        self._note(is_up=True, why="")
        return said

    def _broken(self, why: str) -> SigningUnavailable:
        log.error("signing_refused", url=self._url, why=why)
        self._is_up = False
        return SigningUnavailable()

    def _note(self, *, is_up: bool, why: str) -> None:
        if is_up != self._is_up:
            log.info("signing_server_answers" if is_up else "signing_server_away", why=why)
        self._is_up = is_up


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    """Return the whole answer. Raises ValueError if it is none of ours, by its size."""
    raw = bytearray()
    async for chunk in answer.content.iter_any():
        raw += chunk
        if len(raw) > MAX_ANSWER_BYTES:
            raise ValueError("too long")
    return bytes(raw)


@asynccontextmanager
async def remote_signer(
    url: str, key_path: Path, cache: Path, spawn: Callable[[RemoteSigner], None]
) -> AsyncIterator[RemoteSigner]:
    """Speak to the signing server at `url` for the length of the context. Raises SetupMistake."""
    key = await asyncio.to_thread(read_private, key_path)
    if not key:
        raise SetupMistake(
            f"The key of the signing server is not in {key_path}: copy the file signing.key of its"
            " state folder there, or name it with --signing-key (or ROOMTONE_SIGNING_KEY)"
        )
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
        signer = RemoteSigner(http, url, key, cache)
        await signer.open()
        spawn(signer)
        yield signer
