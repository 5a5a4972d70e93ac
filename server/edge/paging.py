"""Lists in pages: `limit` and `cursor` in, a page and `nextCursor` out."""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from server.edge.queries import PageQuery
from server.edge.reading import mistake
from server.errors import BadInput

Item = TypeVar("Item")
Key = tuple[float | str, ...]  # the same types for all items of a list

LONGEST_KEY: Final = 4  # parts


def page(
    items: Sequence[Item], key: Callable[[Item], Key], query: PageQuery
) -> tuple[Sequence[Item], dict[str, object]]:
    """Return the wanted part of a list and the fields that stand beside it.

    Pages go by `key`, so what comes and goes in between moves nothing: who is there all the time
    is seen once. Without `limit` and `cursor` it is the whole list as it is. Raises BadInput.
    """
    if query.limit is None and not query.cursor:
        return items, {}
    rest = sorted(items, key=key)
    if query.cursor:
        after = _read(query.cursor)
        try:
            rest = [item for item in rest if key(item) > after]
        except TypeError:  # a cursor of another list
            raise _mistake() from None
    found = rest if query.limit is None else rest[: query.limit]
    if len(found) == len(rest):
        return found, {}
    return found, {"nextCursor": _written(key(found[-1]))}


def _written(key: Key) -> str:
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")


def _read(cursor: str) -> Key:
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        parts = json.loads(raw)
    except (binascii.Error, ValueError, RecursionError):
        raise _mistake() from None
    if not isinstance(parts, list) or not 1 <= len(parts) <= LONGEST_KEY:
        raise _mistake()
    if not all(isinstance(part, float | str) for part in parts):
        raise _mistake()
    return tuple(parts)


def _mistake() -> BadInput:
    return BadInput(fields=(mistake("Query", "cursor"),))
