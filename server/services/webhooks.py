"""The webhooks: what happened, told to other programs until they have taken it."""

import asyncio
import itertools
import json
import secrets
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

import structlog

from server.backoff import delays_s
from server.domain.room import rfc3339
from server.domain.webhook import (
    PREFIX,
    SECRET_BYTES,
    Kind,
    Message,
    Secret,
    Webhook,
    check_url,
    decode_message,
    decode_webhook,
    encode_message,
    encode_webhook,
    hook_key,
    message_key,
    secret_text,
)
from server.errors import BadRecord, HookFailed, NotFound, StoreLost, TooMany
from server.ports import HookSender, StateStore
from server.services.clock import Clock
from server.services.happenings import Data
from server.supervise import Supervisor
from server.telemetry import trace_headers

log = structlog.get_logger(__name__)

MAX_HOOKS: Final = 16
MAX_WAITING: Final = 10_000  # of one webhook; beyond it the oldest are given up: some 5 MB
MAX_UNWRITTEN: Final = 10_000  # while the store is away
AT_A_TIME: Final = 8  # calls to one webhook
KEPT_FAILURES: Final = 20
PATIENCE_S: Final = 86_400.0  # a receiver may be away for a day
FIRST_S: Final = 1.0
LONGEST_S: Final = 1800.0  # between two tries: a receiver that is back hears of it soon enough


def retry_delays_s() -> Iterator[float]:
    """Yield how long to wait after each failed try."""
    return delays_s(first_s=FIRST_S, limit_s=LONGEST_S)


@dataclass(frozen=True, slots=True)
class Failure:
    """A call that was not taken; `at` is Unix."""

    at: float
    message: str
    kind: Kind
    reason: str


@dataclass(frozen=True, slots=True)
class Reply:
    """How one call went: its status, or why there was none."""

    status: int | None
    reason: str = ""

    @property
    def is_taken(self) -> bool:
        """Whether the receiver said that it has it."""
        return self.status is not None and 200 <= self.status < 300


@dataclass(slots=True)
class _Live:
    """A webhook, with one lane of messages for each room."""

    hook: Webhook
    waiting: dict[int, Message] = field(default_factory=dict)
    lanes: dict[str, deque[Message]] = field(default_factory=dict)
    tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_A_TIME))
    counted: Counter[str] = field(default_factory=Counter)
    failures: deque[Failure] = field(default_factory=lambda: deque(maxlen=KEPT_FAILURES))


@dataclass(frozen=True, slots=True)
class Standing:
    """A webhook and how it fares since the server started."""

    hook: Webhook
    waiting: int
    delivered: int
    failed: int
    dead: int
    failures: tuple[Failure, ...]


class Webhooks:
    """All webhooks of this server. What is told is stored before whoever caused it is answered."""

    def __init__(
        self,
        store: StateStore,
        sender: HookSender,
        clock: Clock,
        delays: Callable[[], Iterator[float]] = retry_delays_s,
    ) -> None:
        self.counted: Callable[[str], None] = _nobody_counts
        self._store = store
        self._sender = sender
        self._clock = clock
        self._delays = delays
        self._hooks: dict[str, _Live] = {}
        self._numbers = itertools.count(1)
        self._unwritten: deque[tuple[str, Message]] = deque()
        self._writing = asyncio.Lock()
        self._work = asyncio.Event()
        self._owner: Supervisor | None = None

    async def load(self) -> None:
        """Read the webhooks and what was not taken yet. Raises StoreLost."""
        last = 0
        for record in (await self._store.scan(PREFIX)).records:
            hook, _, part = record.key.removeprefix(PREFIX).partition("/")
            try:
                if part == "hook":
                    decoded = decode_webhook(hook, record.key, record.value)
                    self._hooks[hook] = _Live(decoded)
                elif part.startswith("waiting/") and hook in self._hooks:  # "hook" sorts before it
                    message = decode_message(record.key, record.value)
                    last = max(last, message.number)
                    self._queue(self._hooks[hook], message)
            except BadRecord as error:
                log.error("webhook_unreadable", reason=str(error))  # noqa: TRY400 - the sentence is all
        self._numbers = itertools.count(last + 1)

    def serve(self, owner: Supervisor) -> None:
        """Send on tasks of this supervisor; with it everything ends, and goes on the next time."""
        self._owner = owner
        for live in self._hooks.values():
            for room in live.lanes:
                self._start(live, room)
        self.happened(Kind.SERVER_STARTED, "", {})

    async def run(self) -> None:
        """Store what happened, for ever."""
        while True:
            await self._work.wait()
            self._work.clear()
            for delay_s in delays_s(first_s=0.1, limit_s=5.0):
                try:
                    await self.written()
                except StoreLost as error:
                    log.warning("webhooks_wait", reason=str(error))
                    await asyncio.sleep(delay_s)
                else:
                    break

    def happened(self, kind: Kind, room: str, data: Data) -> None:
        """Take what happened: told to every webhook that wants to know. See Happened."""
        now = self._clock.now()
        body = json.dumps({"type": kind.value, "timestamp": rfc3339(now), "data": dict(data)})
        for live in self._hooks.values():
            if not live.hook.wants(kind):
                continue
            if len(self._unwritten) >= MAX_UNWRITTEN:
                self._count(live, "dead")
                continue
            message = Message(
                number=next(self._numbers),
                id=f"msg_{secrets.token_hex(12)}",
                room=room,
                kind=kind,
                created_at=now.timestamp(),
                body=body.encode(),
                trace=trace_headers(),
            )
            self._unwritten.append((live.hook.id, message))
            self._work.set()

    async def written(self) -> None:
        """Return when all that happened so far is stored. Raises StoreLost."""
        if not self._unwritten:
            return
        async with self._writing:
            batch = list(self._unwritten)
            given_up = self._too_many(batch)
            await self._store.commit(
                put={message_key(hook, one.number): encode_message(one) for hook, one in batch},
                delete=[message_key(live.hook.id, one.number) for live, one in given_up],
            )
            for _ in batch:
                self._unwritten.popleft()
            for hook, message in batch:
                live = self._hooks.get(hook)
                if live is None:  # removed meanwhile
                    await self._store.commit(delete=[message_key(hook, message.number)])
                    continue
                self._queue(live, message)
                self._start(live, message.room)
            for live, message in given_up:
                self._drop(live, message)
                self._count(live, "dead")

    # For those who run the server

    def all(self) -> list[Standing]:
        """Return the webhooks and how they fare, oldest first."""
        return [_standing(one) for one in self._hooks.values()]

    def get(self, hook: str) -> Standing:
        """Return one webhook. Raises NotFound."""
        return _standing(self._get(hook))

    async def add(self, url: str, kinds: frozenset[Kind]) -> Webhook:
        """Tell that address from now on. Raises BadInput, Forbidden, TooMany, StoreLost."""
        check_url(url)
        self._sender.check(url)
        if len(self._hooks) >= MAX_HOOKS:
            raise TooMany(f"A server has at most {MAX_HOOKS} webhooks")
        made = (Secret(_new_secret()),)
        hook = Webhook(secrets.token_hex(8), url, made, self._clock.unix(), kinds)
        await self._store.commit(put={hook_key(hook.id): encode_webhook(hook)})
        self._hooks[hook.id] = _Live(hook)
        log.info("webhook_added", webhook=hook.id)
        return hook

    async def remove(self, hook: str) -> None:
        """Tell that address nothing more. Raises NotFound, StoreLost."""
        self._get(hook)
        records = (await self._store.scan(f"{PREFIX}{hook}/")).records
        await self._store.commit(delete=[record.key for record in records])
        live = self._hooks.pop(hook, None)
        for task in [] if live is None else list(live.tasks.values()):
            task.cancel()
        log.info("webhook_removed", webhook=hook)

    async def rotate(self, hook: str) -> Webhook:
        """Sign with a new secret, for a day with the old one too. Raises NotFound, StoreLost."""
        live = self._get(hook)
        rotated = live.hook.rotated(_new_secret(), self._clock.unix())
        await self._store.commit(put={hook_key(hook): encode_webhook(rotated)})
        live.hook = rotated
        return rotated

    async def ping(self, hook: str) -> Reply:
        """Call the address once, now. Raises NotFound."""
        live, now = self._get(hook), self._clock.now()
        body = json.dumps({"type": Kind.PING.value, "timestamp": rfc3339(now), "data": {}})
        message = Message(
            number=0,
            id=f"msg_{secrets.token_hex(12)}",
            room="",
            kind=Kind.PING,
            created_at=now.timestamp(),
            body=body.encode(),
            trace=trace_headers(),
        )
        return await self._call(live, message)

    # The life of a message

    def _queue(self, live: _Live, message: Message) -> None:
        live.waiting[message.number] = message
        live.lanes.setdefault(message.room, deque()).append(message)

    def _start(self, live: _Live, room: str) -> None:
        """Have a lane emptied, unless it is being emptied."""
        if self._owner is not None and room in live.lanes and room not in live.tasks:
            # Ends when the lane is empty, with the webhook, or with the server.
            live.tasks[room] = self._owner.spawn(
                self._empty(live, room), name=f"webhook {live.hook.id}"
            )

    async def _empty(self, live: _Live, room: str) -> None:
        try:
            lane = live.lanes[room]
            while lane:
                message = lane[0]
                is_taken = await self._deliver(live, message)
                is_given_up = message.number not in live.waiting  # and counted
                await self._forget(live, message)
                self._drop(live, message)
                if is_taken or not is_given_up:
                    self._count(live, "delivered" if is_taken else "dead")
        finally:
            live.tasks.pop(room, None)
        if not live.lanes.get(room):
            live.lanes.pop(room, None)

    async def _deliver(self, live: _Live, message: Message) -> bool:
        """Return whether it was taken; not if it waited for too long, or was given up."""
        for delay_s in self._delays():
            async with live.slots:
                reply = await self._call(live, message)
            if reply.is_taken:
                return True
            is_given_up = message.number not in live.waiting
            if is_given_up or self._clock.unix() - message.created_at >= PATIENCE_S:
                log.warning("webhook_dead", webhook=live.hook.id, message=message.id)
                return False
            await asyncio.sleep(delay_s)
        raise AssertionError("delays never end")

    async def _call(self, live: _Live, message: Message) -> Reply:
        timestamp = int(self._clock.unix())
        headers = {
            **message.trace,
            "Content-Type": "application/json",
            "webhook-id": message.id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": live.hook.signatures(message.id, timestamp, message.body),
        }
        try:
            status = await self._sender.post(live.hook.url, headers, message.body)
        except HookFailed as error:
            reply = Reply(None, str(error))
        else:
            reply = Reply(status, "" if 200 <= status < 300 else f"It answered {status}")
        if not reply.is_taken:
            self._count(live, "failed")
            at = self._clock.unix()
            live.failures.append(Failure(at, message.id, message.kind, reply.reason))
            log.info("webhook_failed", webhook=live.hook.id, reason=reply.reason)
        return reply

    async def _forget(self, live: _Live, message: Message) -> None:
        try:
            await self._store.commit(delete=[message_key(live.hook.id, message.number)])
        except StoreLost as error:  # it will be told once more after a restart
            log.warning("webhook_not_forgotten", message=message.id, reason=str(error))

    def _drop(self, live: _Live, message: Message) -> None:
        live.waiting.pop(message.number, None)
        lane = live.lanes.get(message.room)
        if lane is not None and message in lane:
            lane.remove(message)

    def _too_many(self, batch: list[tuple[str, Message]]) -> list[tuple[_Live, Message]]:
        """Return the oldest messages that have to go for those that come."""
        given_up = []
        for hook, count in Counter(hook for hook, _ in batch).items():
            live = self._hooks.get(hook)
            if live is not None:
                excess = max(0, len(live.waiting) + count - MAX_WAITING)
                given_up += [(live, one) for one in itertools.islice(live.waiting.values(), excess)]
        return given_up

    def _count(self, live: _Live, what: str) -> None:
        live.counted[what] += 1
        self.counted(what)

    def _get(self, hook: str) -> _Live:
        live = self._hooks.get(hook)
        if live is None:
            raise NotFound("There is no such webhook")
        return live


def _standing(live: _Live) -> Standing:
    return Standing(
        hook=live.hook,
        waiting=len(live.waiting),
        delivered=live.counted["delivered"],
        failed=live.counted["failed"],
        dead=live.counted["dead"],
        failures=tuple(live.failures),
    )


def _nobody_counts(_what: str) -> None:
    """Nobody counts calls."""


def _new_secret() -> str:
    return secret_text(secrets.token_bytes(SECRET_BYTES))
