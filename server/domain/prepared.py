"""HTTP answers as they are sent, but for what changes: length, date and body; pure."""

from typing import Final

MOST_MADE: Final = 64  # of one thing: strangers may send what answers depend on


class Template:
    """An answer's head, cut at its length and at its date."""

    __slots__ = ("_after", "_before", "_between")

    def __init__(self, before: bytes, between: bytes, after: bytes) -> None:
        self._before = before
        self._between = between
        self._after = after

    def filled(self, date: bytes, body: bytes) -> bytes:
        """Return a whole answer."""
        length = b"%d" % len(body)
        return b"".join((self._before, length, self._between, date, self._after, body))


class Prepared:
    """One answer for everybody, put together once for each date."""

    __slots__ = ("_body", "_date", "_made", "_template")

    def __init__(self, template: Template, body: bytes) -> None:
        self._template = template
        self._body = body
        self._date = b""
        self._made = b""

    @property
    def size(self) -> int:
        """Bytes of the body."""
        return len(self._body)

    def dated(self, date: bytes) -> bytes:
        """Return it whole; the same object for the same date."""
        if date != self._date:
            self._made, self._date = self._template.filled(date, self._body), date
        return self._made
