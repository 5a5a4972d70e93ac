"""The REST API of a server, as its commands call it."""

import json
import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote, urlsplit

import aiohttp

from server.client.errors import ClientError, Exit, refused

ANSWER_S: Final = 30.0
MAX_ANSWER_BYTES: Final = 64 << 20
# What a server that made its own certificate leaves in its state folder.
OWN_CERTIFICATES: Final = ("ca.crt", "self-signed.crt")


@dataclass(frozen=True, slots=True)
class Target:
    """Which server, the key to show it, and the certificate to trust beside the system's."""

    url: str
    key: str = ""
    trusted: Path | None = None

    def __repr__(self) -> str:
        return f"Target({self.url})"  # never the key


def tls_context(trusted: Path | None) -> ssl.SSLContext:
    """Return what a client verifies servers with. Raises ClientError."""
    context = ssl.create_default_context()
    if trusted is not None:
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # it may be the leaf itself
        try:
            context.load_verify_locations(trusted)
        except (OSError, ssl.SSLError) as error:
            told = error.strerror or error
            raise ClientError(f"{trusted} holds no certificate: {told}", Exit.MISTAKE) from None
    return context


def path(*parts: str) -> str:
    """Return an address of the API, each part quoted."""
    return "/api/" + "/".join(quote(part, safe="") for part in parts)


class Api:
    """Calls one server; use as an async context manager."""

    def __init__(self, target: Target) -> None:
        parts = urlsplit(target.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ClientError(
                f"{target.url!r} is no address: it looks like http://127.0.0.1:8080", Exit.MISTAKE
            )
        self.target = target
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(ssl=tls_context(self.target.trusted))
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=ANSWER_S),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._session is not None, "it was entered"
        await self._session.close()

    @property
    def session(self) -> aiohttp.ClientSession:
        """The connection pool."""
        assert self._session is not None, "use it as a context manager"
        return self._session

    async def call(self, method: str, address: str, body: object = None) -> dict[str, Any]:
        """Return the answer's JSON. Raises ClientError for everything else."""
        status, content = await self.ask(method, address, body)
        try:
            told = json.loads(content)
        except (ValueError, RecursionError):
            told = None
        if not isinstance(told, dict):
            raise ClientError(
                f"{self.target.url} answers {status} and no JSON: is it a Roomtone server?"
            )
        if status >= 400:
            raise refused(status, str(told.get("code", "")), _told(told))
        return told

    async def ask(self, method: str, address: str, body: object = None) -> tuple[int, bytes]:
        """Return status and body. Raises ClientError if there is no answer."""
        headers = {"Authorization": f"Bearer {self.target.key}"} if self.target.key else {}
        url = address if "://" in address else self.target.url.rstrip("/") + address
        try:
            async with self.session.request(
                method, url, json=body, headers=headers, allow_redirects=False
            ) as answer:
                raw = bytearray()
                async for chunk in answer.content.iter_any():
                    raw += chunk
                    if len(raw) > MAX_ANSWER_BYTES:
                        raise ClientError(f"{self.target.url} answers without an end")
                return answer.status, bytes(raw)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise unreachable(self.target.url, error) from None


def unreachable(url: str, error: Exception) -> ClientError:
    """Return what to say of a server that does not answer."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return ClientError(
            f"{url} shows a certificate that is not trusted here: name one with --ca",
            Exit.UNREACHABLE,
        )
    if isinstance(error, TimeoutError):
        return ClientError(f"{url} does not answer: `roomtone doctor` may say why", Exit.FAILED)
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        reason = os.strerror(error.errno)
    else:
        reason = str(error) or type(error).__name__
    return ClientError(
        f"{url} cannot be reached ({reason}): start it with `roomtone serve`, or name another"
        " with --url",
        Exit.UNREACHABLE,
    )


def _told(answer: dict[str, Any]) -> str:
    sentence = str(answer.get("error", "The server refuses"))
    details = answer.get("details")
    if not isinstance(details, list):
        return sentence
    fields = [
        f"{one.get('field')}: {one.get('message')}"
        for one in details
        if type(one) is dict and one.get("message") != sentence
    ]
    return "; ".join([sentence, *fields])
