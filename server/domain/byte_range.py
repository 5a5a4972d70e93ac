"""One range of bytes that is asked for (RFC 9110 §14)."""

import re
from typing import Final

from server.errors import RangeNotThere

_ONE: Final = re.compile(r"bytes=(\d{0,15})-(\d{0,15})", re.ASCII | re.IGNORECASE)


def read_range(header: str, size: int) -> range | None:
    """Return which of `size` bytes a Range header asks for; None for all of them.

    What is no range of bytes, or are several, is as if it were not there (§14.2 lets us). Raises
    RangeNotThere if none of it is within the size.
    """
    found = _ONE.fullmatch(header.strip())
    if found is None or found[0].endswith("=-"):
        return None
    first, last = found[1], found[2]
    if not first:  # the last so many bytes
        wanted = range(max(0, size - int(last)), size)
    elif last and int(last) < int(first):
        return None
    else:
        wanted = range(int(first), min(size, int(last) + 1) if last else size)
    if not wanted:
        raise RangeNotThere(size)
    return wanted
