"""A playlist as it is sent to everybody who asks for the same."""

import gzip
from collections.abc import Hashable
from functools import cached_property
from typing import Final
from urllib.parse import quote

from hls.core.addressed import Addressed
from server.domain.prepared import Prepared

_LEVEL: Final = 6  # nine saves another 1 % of these texts


class PlaylistText:
    """One text and what is made of it once, however many want it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.made: dict[Hashable, Prepared] = {}  # answers with it, by what they depend on
        self._addressed = Addressed(text)

    @cached_property
    def plain(self) -> bytes:
        """The text in UTF-8."""
        return self.text.encode()

    @cached_property
    def zipped(self) -> bytes:
        """The same as gzip."""
        return gzip.compress(self.plain, _LEVEL, mtime=0)

    def with_token(self, token: str) -> bytes:
        """Return it with a token on every address; it is one listener's, and made for each."""
        return self._addressed.with_query(f"token={quote(token, safe='')}").encode()
