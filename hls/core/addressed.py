"""A playlist's text that can be handed out with a query on the addresses that need one."""

import re
from collections.abc import Mapping
from itertools import chain

# Attribute by attribute, for a quoted name may hold anything, also what looks like an address. An
# address that has a query already is left alone. A variant's address is the line after its tag.
_ADDRESS = re.compile(
    r"#EXT-X-(?:(?P<tag>KEY|RENDITION-REPORT|MEDIA):"
    r'(?:[A-Z0-9-]+=(?:"[^"\n]*"|[^",\n]*),)*?URI="(?P<uri>[^"?\n]+)(?=")'
    r"|STREAM-INF:[^\n]*\n(?!#)[^?\s]+(?=\s|\Z))"
)


class Addressed:
    """A text, split once at where queries go: each request then only joins.

    Players copy a playlist's query neither to what it names nor to other playlists. Keys and
    playlists can get one. Media get none: their names must stay the same (draft-pantos-hls-
    rfc8216bis §6.2.1), for all listeners too, or no cache could serve two of them. `keys` are the
    addresses of the keys, each once.
    """

    __slots__ = ("_pieces", "_slots", "keys")

    def __init__(self, text: str) -> None:
        pieces, slots, at = [], [], 0
        for found in _ADDRESS.finditer(text):
            if found.start() and text[found.start() - 1] != "\n":  # within a tag of other things
                continue
            pieces.append(text[at : found.end()].encode())
            slots.append(found["uri"] if found["tag"] == "KEY" else "")
            at = found.end()
        self._pieces = (*pieces, text[at:].encode())
        self._slots = tuple(slots)  # "" for a playlist
        self.keys = tuple(dict.fromkeys(filter(None, slots)))

    def with_queries(self, playlists: bytes, keys: Mapping[str, bytes]) -> bytes:
        """Return the text in UTF-8, with `playlists` behind the address of each other playlist.

        Behind those of keys stands what `keys` has for them, of which it may lack some. A query is
        quoted and begins with its question mark.
        """
        queries = [keys.get(slot, b"") if slot else playlists for slot in self._slots]
        return b"".join(chain.from_iterable(zip(self._pieces, [*queries, b""], strict=True)))
