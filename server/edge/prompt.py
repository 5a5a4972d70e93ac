"""What most players ask for, answered as its bytes come: without a task, and from ready bytes.

Whoever asks for anything else, or would be refused, is left to the application. What is answered
here is answered there by the same bytes; tests hold the two together.
"""

import logging
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple, Protocol

import structlog
from aiohttp import helpers, web

from mixer.types import RoomId
from server.domain.address import one_caller
from server.domain.media import Media
from server.domain.plain_get import Request, Target, read_cookies, read_target
from server.domain.playlist_text import PlaylistText
from server.domain.reload import PlaylistAsk, Wait, read_directives
from server.domain.template import Template
from server.edge.context import Context
from server.edge.errors import refusal, response
from server.edge.headers import Asked, dress, named_origins
from server.edge.hls import KINDS, max_age_s, media_type, takes_gzip, text_answer, who, whole_answer
from server.edge.hls_instruments import HlsInstruments, media_kind
from server.edge.hls_instruments import kind as counted_kind
from server.edge.instruments import Instruments
from server.edge.proxies import Proxies
from server.edge.rights import bearer_in, listen_cookie
from server.edge.screen import is_served_host
from server.edge.stream_keys import key_answer, pass_for, stream_of
from server.errors import BlockedTooLong, ServerError
from server.services.limits import Limit
from server.services.listening import Pass

log = structlog.get_logger(__name__)

_LEVELS: Final = logging.getLogger(__name__)
MOST_TEMPLATES: Final = 1024
_CUT: Final = "\0"  # where a template is cut: in no header
_Counters = tuple[Callable[[float], None], Callable[[int], None]]


class Line(Protocol):
    """A connection, as far as answers need one."""

    caller: str

    def now(self) -> float:
        """Return the time, monotonic, in seconds."""

    def reply(self, data: bytes) -> None:
        """Send an answer."""

    def park(self, leave: Callable[[], None]) -> None:
        """Have a request under way; `leave` is called if its caller goes away."""

    def unpark(self) -> None:
        """Have it under way no more."""

    def go_on(self) -> None:
        """Read what came meanwhile."""

    def hand_over(self, request: Request) -> None:
        """Let the application answer a request."""

    def cut(self, reason: str) -> None:
        """End the connection."""


class _Shown(NamedTuple):
    """The tokens of a request, by their places."""

    header: str = ""
    query: str = ""
    cookie: str = ""

    @property
    def token(self) -> str:
        """The one that counts."""
        return self.header or self.query or self.cookie


_NOTHING: Final = _Shown()


class _Thing(NamedTuple):
    """What is asked for, and how that is counted; `ask` is None for media and keys."""

    target: Target
    ask: PlaylistAsk | None
    kind: str
    route: str
    content_type: str


@dataclass(slots=True)  # not frozen: that costs as much as the rest of reading a request
class _Wish:
    """What is asked for, and by whom."""

    request: Request
    thing: _Thing
    room: RoomId
    remote: str
    began: float
    shown: _Shown
    listener: Pass | None = None
    who: int = 0

    @property
    def path(self) -> str:
        return self.request.target.partition("?")[0]


class Prompt:
    """Answers connections that wait between two requests."""

    def __init__(
        self, context: Context, proxies: Proxies, counted: tuple[Instruments, HlsInstruments]
    ) -> None:
        self._context = context
        self._proxies = proxies
        self._http, self._hls = counted
        self._settings = context.settings
        self._origins = named_origins(self._settings)
        self._hosts: dict[str, bool] = {}
        self._templates: dict[Hashable, Template] = {}
        self._counters: dict[tuple[str, str, int], _Counters] = {}

    def take(self, line: Line, request: Request) -> bool:
        """Answer a request, now or once it can be; return whether that is done here."""
        wish = self._read(line, request)
        if wish is None:
            return False
        is_key = wish.thing.target.is_key
        found = None if is_key else self._find(wish)
        is_there = bool(wish.shown.token) if is_key else found is not None
        if not is_there or not self._has_room(wish):
            return False
        try:
            if found is None:
                self._give(line, wish)
            else:
                self._begin(line, wish, found)
        except ServerError:
            return False  # it is refused there, and counted as two requests
        return True

    def answer(self, line: Line, wish: _Wish, found: PlaylistText | Media) -> None:
        """Send what was found."""
        audience, thing = self._context.audience, wish.thing
        if isinstance(found, Media):
            body, tag = found.data, found.tag.encode()
            template = self._template(
                wish, thing.content_type, lambda: whole_answer(found, thing.target.name)
            )
        else:
            assert thing.ask is not None, "a playlist was asked for"
            audience.asked(wish.room, (thing.ask.rendition, thing.ask.kind), wish.who)
            template, body = self._text(wish, thing.ask, found)
            tag = b""
        date = helpers.rfc822_formatted_time().encode()
        line.reply(template.filled(date, body, tag))
        audience.sent(wish.room, thing.kind, len(body))
        self._count(line, wish, 200, len(body))

    def refuse(self, line: Line, wish: _Wish, error: ServerError) -> None:
        """Send a refusal, as the application would."""
        refused = refusal(error)
        assert refused is not None, "it is in the table"
        answer = response(refused)
        assert isinstance(answer.body, bytes), "it is JSON"
        date = helpers.rfc822_formatted_time().encode()
        line.reply(self._cut(wish, answer).filled(date, answer.body))
        self._count(line, wish, answer.status, len(answer.body))
        log.info("refused", method="GET", path=wish.path, address=wish.remote, code=refused.code)

    def _has_room(self, wish: _Wish) -> bool:
        return self._context.limits.take_if_free(Limit.HLS, one_caller(wish.remote))

    def _begin(self, line: Line, wish: _Wish, found: PlaylistText | Media | Wait) -> None:
        """Answer, or wait. Raises ServerError, and then has done neither."""
        self._identify(wish)
        if isinstance(found, Wait):
            told = _Told(self, line, wish)
            line.park(self._context.broadcast.wait(wish.room, found, told.done))
        else:
            self.answer(line, wish, found)

    def _give(self, line: Line, wish: _Wish) -> None:
        """Send a key to who has a right to it. Raises ServerError, and then has sent nothing."""
        context, target = self._context, wish.thing.target
        stream = stream_of(context, wish.room)
        key = context.listening.key(wish.room, stream, wish.shown.token, target.epoch).key
        date = helpers.rfc822_formatted_time().encode()
        line.reply(self._template(wish, "key", lambda: key_answer(key)).filled(date, key))
        self._count(line, wish, 200, len(key))

    def _read(self, line: Line, request: Request) -> _Wish | None:
        if not request.is_plain_get or not line.caller or self._proxies.is_trusted(line.caller):
            return None
        if not self._is_served(request.fields.get("host")):
            return None
        try:
            thing = _read_thing(request.target)
            room = None if thing is None else self._context.rooms.get(thing.target.room)
        except ServerError:
            return None
        if thing is None or room is None or (thing.ask is not None and not room.broadcast):
            return None
        shown: _Shown | None = _NOTHING
        if thing.ask is not None or thing.target.is_key:
            shown = _read_shown(request, thing.target)
        if shown is None:
            return None
        return _Wish(request, thing, room.id, line.caller, line.now(), shown)

    def _find(self, wish: _Wish) -> PlaylistText | Media | Wait | None:
        broadcast, target = self._context.broadcast, wish.thing.target
        if wish.thing.ask is None:
            return broadcast.media_now(wish.room, target.rendition, target.name)
        if target.rendition and wish.thing.ask.kind.is_multivariant:  # it has no such address
            return None
        return broadcast.playlist_now(wish.room, wish.thing.ask)

    def _identify(self, wish: _Wish) -> None:
        """Note who asks for a playlist. Raises BadToken, RoomNotFound."""
        if wish.thing.ask is None:
            return
        shown = wish.shown
        known = shown.header or shown.cookie
        wish.listener = pass_for(self._context, wish.room, shown.query, known)
        wish.who = who(shown.token, wish.remote, wish.request.fields.get("user-agent"))

    def _is_served(self, host: str) -> bool:
        if self._context.settings is not self._settings:
            self._settings = self._context.settings
            self._origins = named_origins(self._settings)
            self._hosts.clear()
            self._templates.clear()
        known = self._hosts.get(host)
        if known is None:
            if len(self._hosts) >= MOST_TEMPLATES:
                self._hosts.clear()
            known = self._hosts[host] = is_served_host(self._settings, host)
        return known

    def _text(self, wish: _Wish, ask: PlaylistAsk, found: PlaylistText) -> tuple[Template, bytes]:
        """Return the head of a playlist's answer, and its body."""
        listener = wish.listener
        is_packed = False
        if listener is not None:
            body = listener.into(found)
        else:
            is_packed = takes_gzip(wish.request.fields.get("accept-encoding"))
            body = found.zipped if is_packed else found.plain
        template = self._template(
            wish,
            (listener is None, is_packed, max_age_s(ask)),
            lambda: text_answer(found, ask, listener, is_packed=is_packed),
        )
        return template, body

    def _template(
        self, wish: _Wish, kind: Hashable, answer: Callable[[], web.Response]
    ) -> Template:
        """Return the head of answers of a kind, whatever is in them; `answer` makes one.

        Heads are all that is kept for what strangers may send: nothing that is large.
        """
        fields = wish.request.fields
        origin = fields.get("origin") if self._origins else ""
        key = (kind, fields.get("host"), origin if origin.lower() in self._origins else "")
        template = self._templates.get(key)
        if template is None:
            if len(self._templates) >= MOST_TEMPLATES:
                self._templates.clear()
            template = self._templates[key] = self._cut(wish, answer())
        return template

    def _cut(self, wish: _Wish, answer: web.Response) -> Template:
        """Return an answer's head as aiohttp writes it."""
        headers, fields = answer.headers, wish.request.fields
        headers["Content-Length"] = headers["Date"] = _CUT
        if "ETag" in headers:
            headers["ETag"] = f'"{_CUT}"'
        headers["Server"] = ""
        dress(
            self._settings,
            Asked("GET", wish.path, fields.get("host"), fields.get("origin")),
            answer,
        )
        lines = [f"HTTP/1.1 {answer.status} {answer.reason}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return Template(*("\r\n".join(lines) + "\r\n\r\n").encode().split(_CUT.encode()))

    def _count(self, line: Line, wish: _Wish, status: int, size: int) -> None:
        route = wish.thing.route
        key = (route, wish.thing.kind, status)
        counters = self._counters.get(key)
        if counters is None:  # as many as there are routes, kinds and two statuses
            counters = self._counters[key] = (
                self._http.counter("GET", route, status),
                self._hls.counter(counted_kind(wish.path), status),
            )
        took_s = line.now() - wish.began
        counters[0](took_s)
        counters[1](size)
        level = logging.INFO if self._settings.access_log else logging.DEBUG
        if not _LEVELS.isEnabledFor(level):  # a line that is dropped costs as much as the rest
            return
        log.log(
            level,
            "request",
            method="GET",
            path=wish.path,
            room=wish.room,
            address=wish.remote,
            status=status,
            ms=round(1000 * took_s, 1),
        )


def _read_shown(request: Request, target: Target) -> _Shown | None:
    """Return the tokens of a request, None if it is not certain which they are."""
    cookies = read_cookies(request.fields.get("cookie"))
    if cookies is None:
        return None
    header = bearer_in(request.fields.get("authorization"))
    return _Shown(
        header, target.query.get("token", ""), cookies.get(listen_cookie(target.room), "")
    )


@lru_cache(1024)  # a crowd asks for the same; with tokens everybody for their own
def _read_thing(text: str) -> _Thing | None:
    """Return what a request's target names, and asks of a playlist. Raises BadInput."""
    target = read_target(text)
    if target is None:
        return None
    name = target.name
    if target.is_key:
        epoch = "" if target.epoch is None else "{epoch}/"
        route = f"/hls/rooms/{{room}}/{epoch}enc.key"
        return _Thing(target, None, media_kind(name), route, media_type(name))
    kind, rendition = KINDS.get(name), "{rendition}/" if target.rendition else ""
    if kind is None:
        route = f"/hls/{{room}}/{rendition}{{name}}"
        return _Thing(target, None, media_kind(name), route, media_type(name))
    ask = PlaylistAsk(target.rendition, kind, *read_directives(tuple(target.query.items())))
    return _Thing(target, ask, kind.value, f"/hls/{{room}}/{rendition}{name}", media_type(name))


class _Told:
    """Who is told once what was waited for is there."""

    __slots__ = ("_line", "_prompt", "_wish")

    def __init__(self, prompt: Prompt, line: Line, wish: _Wish) -> None:
        self._prompt = prompt
        self._line = line
        self._wish = wish

    def done(self, found: PlaylistText | Media | None, error: Exception | None) -> None:
        """Answer, and let the connection go on; nothing leaves this, for others are to be told."""
        line, wish = self._line, self._wish
        try:
            line.unpark()
            if found is not None:
                self._prompt.answer(line, wish, found)
            elif isinstance(error, BlockedTooLong):
                self._prompt.refuse(line, wish, error)
            else:  # the room is over, or its like: there it is known what to say
                line.hand_over(wish.request)
            line.go_on()
        except Exception:  # the border: see above
            log.exception("request_failed", method="GET", path=wish.path)
            line.cut("failed")
