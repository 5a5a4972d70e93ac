"""Proxies in front: a request is what the caller sent, as far as trusted ones tell."""

import ipaddress
from collections.abc import Callable
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from server.config import Settings
from server.domain.address import Network, is_within, parse_address
from server.domain.forwarded import Hop, behind, read_forwarded, read_x_forwarded

log = structlog.get_logger(__name__)

_SPOKEN: Final = ("X-Forwarded-For", "Forwarded")


class Proxies:
    """The proxies that are trusted, by the settings of the moment."""

    def __init__(self, settings: Callable[[], Settings]) -> None:
        self._settings = settings
        self._read: Settings | None = None
        self._networks: tuple[Network, ...] = ()
        self._has_warned = False

    @property
    def _trusted(self) -> tuple[Network, ...]:
        settings = self._settings()
        if settings is not self._read:
            self._networks, self._read = trusted_networks(settings), settings
        return self._networks

    def is_trusted(self, address: str | None) -> bool:
        """Whether the address is one of theirs."""
        trusted = self._trusted
        parsed = parse_address(address or "") if trusted else None
        return parsed is not None and is_within(parsed, trusted)

    def original(self, request: web.Request) -> web.Request:
        """Return the request with the caller's address, scheme and host."""
        if not self.is_trusted(request.remote):
            self._warn(request)
            return request
        caller = behind(request.remote or "", self._hops(request), self._trusted)
        return request.clone(
            remote=caller.address,
            scheme=caller.scheme or request.scheme,
            host=caller.host or request.host,
        )

    def _hops(self, request: web.Request) -> list[Hop]:
        headers = request.headers
        if self._settings().proxy_header == "forwarded":
            return read_forwarded(headers.getall("Forwarded", []))
        return read_x_forwarded(
            headers.getall("X-Forwarded-For", []),
            headers.getall("X-Forwarded-Proto", []),
            headers.getall("X-Forwarded-Host", []),
        )

    def _warn(self, request: web.Request) -> None:
        """Say once that a proxy of this machine is not trusted: all its callers count as one."""
        if self._has_warned or not any(name in request.headers for name in _SPOKEN):
            return
        address = parse_address(request.remote or "")
        if address is not None and address.is_loopback:
            self._has_warned = True
            log.warning(
                "proxy_not_trusted",
                address=str(address),
                hint="if a proxy stands in front, name it in trusted_proxy: limits and the log"
                " take all who come through it for one",
            )


PROXIES = web.AppKey("proxies", Proxies)


def trusted_networks(settings: Settings) -> tuple[Network, ...]:
    """Return the networks of the setting."""
    return tuple(ipaddress.ip_network(network) for network in settings.trusted_proxy)


@web.middleware
async def through_proxies(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let everything behind this see who called, not through whom."""
    return await handler(request.app[PROXIES].original(request))
