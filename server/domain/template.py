"""HTTP answers as they are sent, but for what changes: tag, length, date and body; pure."""


class Template:
    """An answer's head, cut at its tag if it has one, at its length and at its date."""

    __slots__ = ("_after", "_before", "_between", "_first")

    def __init__(self, *pieces: bytes) -> None:
        *first, self._before, self._between, self._after = pieces
        self._first = b"".join(first)  # up to the tag

    def filled(self, date: bytes, body: bytes, tag: bytes = b"") -> bytes:
        """Return a whole answer."""
        length = b"%d" % len(body)
        return b"".join(
            (self._first, tag, self._before, length, self._between, date, self._after, body)
        )
