"""A playlist's text that can be handed out with a query on every address in it."""

import re

# Attribute by attribute, for a quoted name may hold anything, also what looks like an address.
_ADDRESS = re.compile(
    r'^#EXT-X-(?:KEY|MAP|PART|PRELOAD-HINT|RENDITION-REPORT|MEDIA):(?:[A-Z0-9-]+=(?:"[^"\r\n]*"|[^",\r\n]*),)*?'
    r'URI="(?P<attribute>[^"\r\n]*)'
    r"|^(?P<line>[^#\r\n][^\r\n]*)",
    re.MULTILINE,
)


class Addressed:
    """A text, split once at where a query goes: each request then only joins.

    Players copy a playlist's query neither to what it names nor to other playlists, so keys, maps,
    segments, parts, hints, renditions and reports of them all get it.
    """

    __slots__ = ("_groups", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._groups: list[list[str]] | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Addressed) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def with_query(self, query: str) -> str:
        """Return the text with `query` (name=value&…, already quoted; "" = none) on each address.

        An address that has a query keeps it. Costs one pass over the text the first time, then as
        much as a copy of it.
        """
        if not query:
            return self.text
        if self._groups is None:
            self._groups = _split(self.text)
        return f"&{query}".join(f"?{query}".join(group) for group in self._groups)


def _split(text: str) -> list[list[str]]:
    """Return groups of pieces: "?query" goes between pieces, "&query" between groups."""
    groups: list[list[str]] = [[]]
    begin = 0
    for found in _ADDRESS.finditer(text):
        groups[-1].append(text[begin : found.end()])
        if "?" in found[found.lastgroup or 0]:
            groups.append([])
        begin = found.end()
    groups[-1].append(text[begin:])
    return groups
