"""TLS whose certificate can be exchanged while people are connected."""

import asyncio
import ssl
from collections.abc import Callable
from typing import Final

import structlog

from server.compose.certificate import Certificate
from server.errors import SetupMistake

log = structlog.get_logger(__name__)

LOOK_S: Final = 5.0  # how soon a file that was exchanged is noticed
RENEW_EVERY: Final = 12  # looks: once a minute an own certificate is held to the addresses

_Seen = tuple[tuple[int, int, int], ...]


class HotTls:
    """A context for the listener that shows every new connection the newest good certificate.

    `find` returns the certificate, renewing it first if it is our own; it blocks. Connections that
    are open keep what they were made with.
    """

    def __init__(self, find: Callable[[], Certificate]) -> None:
        """Load the first certificate. Raises SetupMistake. Blocks."""
        self._find = find
        self.certificate = find()
        self._seen = _look(self.certificate)
        self._current = self.certificate.context()
        self.context = self.certificate.context()
        self.context.sni_callback = self._choose
        self._asked = asyncio.Event()

    def follow(self, find: Callable[[], Certificate]) -> None:
        """Look elsewhere from now on, and at once."""
        self._find = find
        self.reload_soon()

    def reload_soon(self) -> None:
        """Look at the files now, changed or not."""
        self._asked.set()

    def reload(self) -> bool:
        """Take the certificate as it is now, or keep the old one and say so. Blocks."""
        try:
            certificate = self._find()
            self._seen = _look(certificate)
            self._current = certificate.context()
        except SetupMistake as mistake:
            log.error("certificate_kept", reason=str(mistake))  # noqa: TRY400 - the sentence is all
            return False
        self.certificate = certificate
        log.info("certificate_loaded", chain=str(certificate.chain))
        return True

    async def watch(self) -> None:
        """Reload whenever a file changed or somebody asks, for ever."""
        looks = 0
        while True:
            was_asked = await self._wait()
            looks += 1
            if looks % RENEW_EVERY == 0:
                await asyncio.to_thread(self._renew)
            if was_asked or await asyncio.to_thread(self._is_changed):
                await asyncio.to_thread(self.reload)

    async def _wait(self) -> bool:
        try:
            async with asyncio.timeout(LOOK_S):
                await self._asked.wait()
        except TimeoutError:
            return False
        self._asked.clear()
        return True

    def _renew(self) -> None:
        """Let our own certificate be made anew if it no longer fits; its files then change."""
        try:
            self._find()
        except SetupMistake as mistake:
            log.error("certificate_kept", reason=str(mistake))  # noqa: TRY400 - the sentence is all

    def _is_changed(self) -> bool:
        seen = _look(self.certificate)
        if seen == self._seen:
            return False
        self._seen = seen  # a broken file is told of once
        return True

    def _choose(
        self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext
    ) -> None:
        """Give a handshake the newest context; OpenSSL asks with and without a name."""
        connection.context = self._current


def _look(certificate: Certificate) -> _Seen:
    """Return what tells two states of the files apart; empty for one that is not there."""
    seen = []
    for path in (certificate.chain, certificate.key):
        try:
            stat = path.stat()
        except OSError:
            seen.append((0, 0, 0))
        else:
            seen.append((stat.st_mtime_ns, stat.st_size, stat.st_ino))
    return tuple(seen)
