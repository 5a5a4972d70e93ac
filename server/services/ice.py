"""Which ICE servers a client is told of."""

from collections.abc import Callable, Sequence

from server.domain.iceservers import IceServer, for_client


class IceServers:
    """The operator's STUN and TURN servers; `unix_clock` is in seconds."""

    def __init__(
        self, urls: Sequence[str], secret: str, ttl_s: int, unix_clock: Callable[[], float]
    ) -> None:
        self._urls = tuple(urls)
        self._secret = secret
        self._ttl_s = ttl_s
        self._unix_clock = unix_clock

    def __repr__(self) -> str:
        """Never the secret."""
        return f"IceServers({self._urls})"

    def give(self, client: str) -> tuple[IceServer, ...]:
        """Return the servers with credentials that are good from now on for a while."""
        expires_at = int(self._unix_clock()) + self._ttl_s
        return for_client(self._urls, self._secret, client, expires_at)
