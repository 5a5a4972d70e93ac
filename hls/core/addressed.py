"""A playlist's text that can be handed out with a query on every address in it."""

import re

_TAGS = tuple(
    f"#EXT-X-{name}:"
    for name in ("KEY", "MAP", "PART", "PRELOAD-HINT", "RENDITION-REPORT", "MEDIA")
)
# Attribute by attribute, for a quoted name may hold anything, also what looks like an address.
_URI = re.compile(r'#[A-Z-]+:(?:[A-Z0-9-]+=(?:"[^"]*"|[^",]*),)*?URI="([^"]*)')


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
    begin = at = 0
    for line in text.split("\n"):
        end, address = at, ""
        if line.startswith(_TAGS):
            if found := _URI.match(line):
                end, address = at + found.end(), found[1]
        elif not line.startswith("#") and (address := line.rstrip("\r")):
            end = at + len(address)
        if end > at:
            groups[-1].append(text[begin:end])
            begin = end
            if "?" in address:
                groups.append([])
        at += len(line) + 1
    groups[-1].append(text[begin:])
    return groups
