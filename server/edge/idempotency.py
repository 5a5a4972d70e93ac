"""`Idempotency-Key`: the same POST twice is done once, and answered the same."""

import hashlib
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from server.domain.address import one_caller
from server.edge.context import CONTEXT
from server.edge.models import mistake
from server.edge.pace import whole_body
from server.edge.rights import ADMIN_COOKIE
from server.errors import BadInput, InProgress, KeyReused

HEADER: Final = "Idempotency-Key"
LONGEST_KEY: Final = 255
KEPT_S: Final = 86_400.0
MAX_KEPT: Final = 2000  # answers of some kilobytes; the oldest goes
LONGEST_ANSWER: Final = 64 * 1024
# They hand out tokens and cookies, which may as well be handed out again.
_EXEMPT: Final = frozenset({"/api/session", "/api/token"})


@dataclass(frozen=True, slots=True)
class _Kept:
    asked: bytes
    at: float
    status: int
    body: bytes


class Answers:
    """What was answered under which key; only what succeeded is kept, for the rest did nothing."""

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()
        self._running: set[bytes] = set()

    def find(self, key: bytes, asked: bytes, now: float) -> web.Response | None:
        """Return the answer that was given to the same. Raises KeyReused, InProgress."""
        while self._kept and next(iter(self._kept.values())).at + KEPT_S <= now:
            self._kept.popitem(last=False)
        kept = self._kept.get(key)
        if kept is not None:
            if kept.asked != asked:
                raise KeyReused
            return web.Response(body=kept.body, status=kept.status, content_type="application/json")
        if key in self._running:
            raise InProgress
        return None

    @contextmanager
    def running(self, key: bytes) -> Iterator[None]:
        """Refuse the same until this one is answered."""
        self._running.add(key)
        try:
            yield
        finally:
            self._running.discard(key)

    def keep(self, key: bytes, asked: bytes, now: float, answer: web.StreamResponse) -> None:
        """Keep an answer, if something was done."""
        if isinstance(answer, web.Response) and isinstance(answer.body, bytes):
            is_short = len(answer.body) <= LONGEST_ANSWER
            if 200 <= answer.status < 300 and is_short:
                self._kept[key] = _Kept(asked, now, answer.status, answer.body)
                if len(self._kept) > MAX_KEPT:
                    self._kept.popitem(last=False)


ANSWERS = web.AppKey("answers", Answers)


@web.middleware
async def idempotent(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Do what comes with a key once."""
    key = request.headers.get(HEADER)
    if key is None or request.method != "POST" or not request.path.startswith("/api/"):
        return await handler(request)
    if request.path in _EXEMPT:
        return await handler(request)
    if not 0 < len(key) <= LONGEST_KEY or not (key.isascii() and key.isprintable()):
        raise BadInput(fields=(mistake("Header", HEADER),))
    if request.path.endswith("/announcements") and request.content_type != "application/json":
        raise BadInput(f"{HEADER} goes with JSON; a sound that is sent is not kept")
    body = await whole_body(request)
    shown = request.headers.get("Authorization", ""), request.cookies.get(ADMIN_COOKIE, "")
    # A key is its caller's own; who shows nothing is told apart by where they come from.
    caller = "" if any(shown) else one_caller(request.remote or "")
    name = _digest(*shown, caller, key)
    asked = _digest(request.path_qs, body.hex())
    answers, now = request.app[ANSWERS], request.app[CONTEXT].clock.monotonic()
    known = answers.find(name, asked, now)
    if known is not None:
        return known
    with answers.running(name):
        answer = await handler(request)
    answers.keep(name, asked, now, answer)
    return answer


def _digest(*parts: str) -> bytes:
    text = "\x00".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
