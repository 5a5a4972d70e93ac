"""The HTTP client of the webhooks: it goes where the operator lets it, and nowhere else."""

import socket
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from server.domain.reach import Reach
from server.errors import Forbidden, HookFailed

CALL_S: Final = 15.0  # connection, request and answer
READ_BYTES: Final = 4096  # of an answer; nobody reads it, and the connection may be used again
_NOT_ALLOWED: Final = (
    "is no address that webhooks may go to: name its network in the setting webhook_networks"
)


class HookReach:
    """Which addresses may be called: public ones over HTTPS, and those of `networks`."""

    def __init__(self, networks: tuple[str, ...]) -> None:
        self._reach = Reach(networks)

    def allows(self, scheme: str, text: str) -> bool:
        """Whether an IP address may be called. Raises ValueError if it is none."""
        return self._reach.allows(text) if scheme == "https" else self._reach.is_named(text)


class GuardedResolver(AbstractResolver):
    """Finds the addresses of a name that may be called, when it is called: names can move."""

    def __init__(self, scheme: str, reach: HookReach) -> None:
        self._scheme = scheme
        self._reach = reach
        self._names = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses that may be called. Raises OSError if there are none."""
        found = await self._names.resolve(host, port, family)
        allowed = [one for one in found if self._reach.allows(self._scheme, one["host"])]
        if not allowed:
            raise OSError(f"{host} {_NOT_ALLOWED}")
        return allowed

    async def close(self) -> None:
        """Give everything back."""
        await self._names.close()


class HttpHookSender:
    """A HookSender: one call at a time per `post`, no redirects, no proxies, no cookies."""

    def __init__(self, networks: tuple[str, ...] = (), *, call_s: float = CALL_S) -> None:
        self._reach = HookReach(networks)
        self._call_s = call_s
        self._sessions: dict[str, aiohttp.ClientSession] = {}

    async def close(self) -> None:
        """Give everything back."""
        for session in self._sessions.values():
            await session.close()

    def check(self, url: str) -> None:
        """See HookSender."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        try:
            is_allowed = self._reach.allows(parts.scheme, host)
        except ValueError:  # a name: looked up when it is called
            return
        if not is_allowed:
            raise Forbidden(f"{host} {_NOT_ALLOWED}")

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        """See HookSender."""
        try:
            self.check(url)
            session = self._session(urlsplit(url).scheme)
            async with session.post(
                url, data=body, headers=headers, allow_redirects=False
            ) as answer:
                await answer.content.read(READ_BYTES)
                return answer.status
        except Forbidden as error:
            raise HookFailed(str(error)) from None
        except TimeoutError:
            raise HookFailed(f"It did not answer within {self._call_s:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise HookFailed(f"It could not be called: {error}") from None

    def _session(self, scheme: str) -> aiohttp.ClientSession:
        if scheme not in self._sessions:
            resolver = GuardedResolver(scheme, self._reach)
            self._sessions[scheme] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(resolver=resolver, limit=64, use_dns_cache=False),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=self._call_s),
                trust_env=False,
                auto_decompress=False,
                headers={"User-Agent": "roomtone"},
            )
        return self._sessions[scheme]
