"""A real server, the ledger of what it acknowledged, and random steps that write to both.

Every random choice of a step is made before its first await, from a generator of its own, so that a
seed gives the same steps again as far as the kernel lets it.
"""

import asyncio
import collections
import contextlib
import os
import random
import signal
from collections.abc import Awaitable, Callable
from typing import Any
from unittest.mock import ANY

import aiohttp

from tests.support.conversation import Refused, converse
from tests.support.ledger import Guest, LedgerRoom, Record, same
from tests.support.program import Program, children_of

LOST = (aiohttp.ClientError, ConnectionError)
KILL_EVERY = 150  # steps
MOST_ROOMS = 10
MOST_GUESTS = 7  # of a room
PATIENCE_S = 90.0  # of a step; a start alone may take a minute on a busy machine

Step = Callable[[LedgerRoom, random.Random], Awaitable[None]]


class Town:
    """Rooms with people in them, on one server that is killed now and then."""

    def __init__(self, program: Program, seed: str, offer: str) -> None:
        self.rooms: dict[str, LedgerRoom] = {}
        self.kills: collections.Counter[str] = collections.Counter()
        self.done: collections.Counter[str] = collections.Counter()
        self.restart_s: list[float] = []
        self.took_s: collections.defaultdict[str, float] = collections.defaultdict(float)
        self.trail: collections.deque[str] = collections.deque(maxlen=40)
        self._program = program
        self._seed = seed
        self._offer = offer
        self._made = 0
        self._gone: list[str] = []
        self._is_dying = False

    async def step(self, number: int) -> None:
        """Do something at random, and hold what the server says against the ledger."""
        chance = random.Random(f"{self._seed}/{number}")
        kind = chance.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
        if number % KILL_EVERY == KILL_EVERY - 1:
            kind = "kill"
        elif not self.rooms:
            kind = "create"
        began = asyncio.get_running_loop().time()
        async with asyncio.timeout(PATIENCE_S):
            await self.perform(kind, chance)
        self.took_s[kind] += asyncio.get_running_loop().time() - began

    async def perform(self, kind: str, chance: random.Random) -> None:
        """Do one step of a kind."""
        self.done[kind] += 1
        match kind:
            case "create":
                await self._create(chance)
            case "mixer" | "broadcast":
                self._kill_worker(kind)
            case "kill":
                await self.end(signal.SIGKILL, chance)
            case "stop":
                await self.end(signal.SIGTERM, chance)
            case _:
                room = chance.choice(list(self.rooms))
                self.trail.append(f"{kind} {room}")
                await self._steps[kind](self.rooms[room], chance)

    async def end(self, how: signal.Signals, chance: random.Random) -> None:
        """End the server while it has calls to answer, start it again, and look at everything."""
        self.trail.append(how.name)
        self._is_dying = True
        burst = self._burst(chance)
        wait_s = chance.random() ** 2 * 0.03
        await asyncio.sleep(wait_s)  # sleep: in the middle of a commit, as often as not
        os.kill(self._program.pid, how)
        for outcome in await asyncio.gather(*burst, return_exceptions=True):
            if isinstance(outcome, BaseException) and not _is_loss(outcome):
                raise outcome
        await self._everybody_is_cut_off()
        await self._program.stop(signal.SIGKILL)
        self.kills[how.name] += 1
        began = asyncio.get_running_loop().time()
        await self._program.start()
        self.restart_s.append(asyncio.get_running_loop().time() - began)
        self._is_dying = False
        await self.audit()
        await self._come_back(chance)

    async def audit(self) -> None:
        """Hold all rooms against the ledger; settle what was in doubt."""
        status, answer = await self._program.call("GET", "/api/rooms")
        assert status == 200, answer
        seen = {room["roomId"] for room in answer["rooms"]}
        assert seen <= self.rooms.keys(), f"back from the dead: {seen - self.rooms.keys()}"
        for name, room in list(self.rooms.items()):
            room.settle(await self._look(name))
            if room.record is None:
                self._forget(name)
        for name in self._gone[-3:]:
            assert await self._look(name) is None

    async def close(self) -> None:
        """Let go of everybody."""
        for room in self.rooms.values():
            for guest in room.seated:
                assert guest.conversation is not None, "seated"
                await guest.conversation.abort()

    def report(self, number: int) -> str:
        """Return what somebody needs who looks for a mistake."""
        each_ms = {kind: round(1000 * s / self.done[kind], 1) for kind, s in self.took_s.items()}
        return "\n".join(
            [
                f"ROOMTONE_SEED={self._seed} failed or ended at step {number}",
                f"killed: {dict(self.kills)}, steps: {dict(self.done)}",
                f"ms a step: {each_ms}",
                f"seconds from a kill to serving: {sorted(round(s, 2) for s in self.restart_s)}",
                *self.trail,
            ]
        )

    # What goes on before and after a crash.

    def _burst(self, chance: random.Random) -> list[asyncio.Task[None]]:
        """Begin up to six calls at once, each in a room of its own."""
        names = chance.sample(list(self.rooms), min(len(self.rooms), chance.randrange(6)))
        steps = [(self.rooms[name], chance.choice(_IN_A_BURST)) for name in names]
        self.trail.append("meanwhile " + ", ".join(kind for _, kind in steps))
        calls = [self._steps[kind](room, chance) for room, kind in steps]
        return [asyncio.create_task(_run(call)) for call in (*calls, self._create(chance))]

    async def _everybody_is_cut_off(self) -> None:
        for room in self.rooms.values():
            for guest in room.guests.values():
                guest.was_seated = guest.is_seated
                if guest.conversation is not None:
                    await guest.conversation.abort()
                guest.conversation, guest.has_media = None, False
                if not guest.was_seated and not guest.was_kicked:
                    guest.jtoken = ""  # they left, or nobody knows

    async def _come_back(self, chance: random.Random) -> None:
        """Let strangers come first, then those whose seats were acknowledged."""
        for name in list(self.rooms):
            room = self.rooms[name]
            if chance.random() < 0.5:
                await self._mint(room, chance)
            guests = list(room.guests.values())
            chance.shuffle(guests)
            guests.sort(key=lambda guest: guest.was_seated)
            for guest in guests:
                if guest.was_seated or chance.random() < 0.3:
                    await self._join_as(name, room, guest, guest.jtoken)
            for guest in guests:
                guest.was_seated = False

    def _kill_worker(self, kind: str) -> None:
        self.trail.append(f"kill {kind}")
        pid = children_of(self._program.pid).get(kind)
        if pid is not None:  # else it is being started just now
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            self.kills[kind] += 1

    # Steps.

    async def _create(self, chance: random.Random) -> None:
        if len(self.rooms) >= MOST_ROOMS:
            return
        self._made += 1
        name = f"room-{self._made:05}"
        self.trail.append(f"create {name}")
        body = _wanted(chance, self._made)
        wanted = Record(
            body["name"], body["pin"], body["maxAnchors"], body["locked"], ANY, ANY
        )  # fmt: skip
        room = self.rooms[name] = LedgerRoom(None, [wanted])
        asked = {"roomId": name, "expiresIn": None, **body}
        status, answer = await self._program.call("POST", "/api/rooms", asked)
        assert status == 201, answer
        room.record, room.doubts = _record(answer["room"], {}), []
        assert room.record == wanted
        if chance.random() < 0.1 and not self._is_dying:
            status, answer = await self._program.call("POST", "/api/rooms", asked)
            assert (status, answer["code"]) == (409, "room_exists")

    async def _patch(self, room: LedgerRoom, chance: random.Random) -> None:
        self._made += 1
        wanted = _wanted(chance, self._made)
        body = {key: wanted[key] for key in chance.sample(list(wanted), chance.randint(1, 4))}
        fields = {_FIELDS[key]: value for key, value in body.items()}
        await self._change(room, room.change(**fields), "PATCH", "", body=body)

    async def _renew(self, room: LedgerRoom, chance: random.Random) -> None:
        role = chance.choice(["join", "listen"])
        before = room.sure
        changed = room.change(**{f"{role}_link": ANY})
        answer = await self._change(room, changed, "POST", "/invites", body={"role": role})
        links = answer["links"]
        room.record = room.change(join_link=links["join"], listen_link=links["listen"])
        assert room.record == changed
        assert room.record != before

    async def _delete(self, room: LedgerRoom, chance: random.Random) -> None:
        if chance.random() < 0.6 and len(self.rooms) < MOST_ROOMS:
            return
        name, seated = self._name(room), room.seated
        room.doubts = [None]
        status, answer = await self._program.call("DELETE", f"/api/rooms/{name}")
        assert status == 200, answer
        room.record, room.doubts = None, []
        if not self._is_dying:  # else its end is seen in the audit
            self._forget(name)
            for guest in seated:
                await self._ended(guest, 4004)

    async def _add_line(self, room: LedgerRoom, chance: random.Random) -> None:
        if len(room.sure.lines) >= 3:
            return
        self._made += 1
        display = f"line {self._made}"
        changed = room.change(lines={**room.sure.lines, display: ANY})
        body = {"displayName": display}
        answer = await self._change(room, changed, "POST", "/rtp", body=body, due=201)
        user = answer["participant"]["userId"]
        room.record = room.change(lines={**room.sure.lines, display: user})

    async def _drop_line(self, room: LedgerRoom, chance: random.Random) -> None:
        lines = dict(room.sure.lines)
        if lines:
            user = lines.pop(chance.choice(list(lines)))
            await self._change(room, room.change(lines=lines), "DELETE", f"/rtp/{user}")

    async def _mint(self, room: LedgerRoom, chance: random.Random) -> None:
        if len(room.guests) >= MOST_GUESTS:
            left = [guest.user for guest in room.guests.values() if not guest.is_seated]
            if not left:
                return
            del room.guests[left[0]]
        record, seated = room.sure, len(room.seated)
        body = {"role": "anchor", "pin": record.pin}
        status, answer = await self._call("POST", room, "/users", body)
        expected = "room_locked" if record.locked else None
        if expected is None and record.max_anchors is not None and seated >= record.max_anchors:
            expected = "room_full"
        if not self._is_dying:  # else seats are given up while it answers
            assert (answer.get("code"), status == 200) == (expected, expected is None), answer
        if status == 200:
            room.guests[answer["userID"]] = Guest(answer["userID"], answer["token"])

    async def _join(self, room: LedgerRoom, chance: random.Random) -> None:
        guest = _some(list(room.guests.values()), chance)
        if guest is not None:
            jtoken = guest.jtoken if chance.random() < 0.7 else ""
            await self._join_as(self._name(room), room, guest, jtoken)

    async def _leave(self, room: LedgerRoom, chance: random.Random) -> None:
        guest = _some(room.seated, chance)
        if guest is not None:
            assert guest.conversation is not None, "seated"
            assert await guest.conversation.call("leave") is None
            guest.jtoken = ""
            await self._ended(guest, 1000)

    async def _vanish(self, room: LedgerRoom, chance: random.Random) -> None:
        """Cut a socket; without media the seat is free as soon as the server sees it."""
        guest = _some([guest for guest in room.seated if not guest.has_media], chance)
        if guest is not None:
            assert guest.conversation is not None, "seated"
            await guest.conversation.abort()
            guest.conversation, guest.jtoken = None, ""
            while guest.user in await self._people(room):
                pass

    async def _kick(self, room: LedgerRoom, chance: random.Random) -> None:
        guest = _some(list(room.guests.values()), chance)
        if guest is None:
            return
        was_seated, jtoken, guest.jtoken = guest.is_seated, guest.jtoken, ""
        path = f"/participants/{guest.user}"
        status, answer = await self._call("DELETE", room, path)
        if was_seated and self._has_left(status):
            return
        assert status == (200 if was_seated else 404), answer
        guest.jtoken = jtoken
        if was_seated:
            guest.was_kicked = True
            await self._ended(guest, 4005)

    async def _ban(self, room: LedgerRoom, chance: random.Random) -> None:
        guest = _some(list(room.guests.values()), chance)
        if guest is None:
            return
        was_seated, guest.is_banned = guest.is_seated, None
        path = f"/participants/{guest.user}?ban=true"
        status, answer = await self._call("DELETE", room, path)
        assert status == 200, answer
        guest.is_banned = True
        if was_seated:
            await self._ended(guest, 4003)

    async def _control(self, room: LedgerRoom, chance: random.Random) -> None:
        guest = _some(room.seated, chance)
        if guest is not None:
            gain_db, guest.gain_db = round(chance.uniform(-20, 20), 3), None
            path = f"/participants/{guest.user}"
            status, answer = await self._call("PATCH", room, path, {"gainDb": gain_db})
            if not self._has_left(status):
                assert status == 200, answer
                guest.gain_db = gain_db

    async def _talk(self, room: LedgerRoom, chance: random.Random) -> None:
        guest = _some(room.seated, chance)
        if guest is not None:
            assert guest.conversation is not None, "seated"
            muted, method = chance.random() < 0.5, chance.choice(["mute", "keepalive"])
            params = {"muted": muted} if method == "mute" else {"status": "idle"}
            assert await guest.conversation.call(method, **params) is None
            if method == "mute":
                assert (await self._people(room))[guest.user]["selfMuted"] == muted

    async def _resume(self, room: LedgerRoom, chance: random.Random) -> None:
        """Somebody with media loses the socket; the seat is theirs while they are away."""
        guest = _some(room.seated, chance)
        if guest is None:
            return
        assert guest.conversation is not None, "seated"
        try:
            offer = {"type": "offer", "sdp": self._offer}
            await guest.conversation.call("offer", sdp=offer)
        except Refused as refused:
            _must(refused.code == "media_unavailable", f"{refused}")  # the mixer was just killed
            return
        guest.has_media = True
        await guest.conversation.abort()
        people = await self._people(room)
        assert guest.user in people
        guest.conversation = await converse(
            self._program.http, self._program.url, guest.token
        )  # fmt: skip
        params = {"clientId": _CLIENT, "jtoken": guest.jtoken, "pin": room.sure.pin}
        joined = await guest.conversation.call("join", **params)
        assert joined["resume"] or self.done["mixer"], "the media connection lives"
        guest.jtoken = joined["jtoken"]

    async def _see(self, room: LedgerRoom, chance: random.Random) -> None:
        name = self._name(room)
        assert same(await self._look(name), room.sure)
        people = await self._people(room)
        assert people.keys() == {guest.user for guest in room.seated}
        for user, shown in people.items():
            assert shown["gainDb"] == room.guests[user].gain_db
        if self._gone:
            assert await self._look(chance.choice(self._gone)) is None

    # What steps are made of.

    async def _join_as(self, name: str, room: LedgerRoom, guest: Guest, jtoken: str) -> None:
        expected = room.refusal(guest, jtoken)
        try:
            conversation = await converse(self._program.http, self._program.url, guest.token)
        except aiohttp.WSServerHandshakeError as error:
            _must(error.status == 401, f"{error}")
            _must(guest.is_banned is not False, f"{guest.user} of {name} was never banned")
            guest.is_banned = True
            return
        assert not guest.is_banned, f"{guest.user} of {name} is back from a ban"
        guest.is_banned = False
        params = {"clientId": _CLIENT, "jtoken": jtoken, "pin": room.sure.pin}
        try:
            joined = await conversation.call("join", **params)
        except Refused as refused:
            _must(refused.code == expected, f"{guest.user} of {name}: {refused}, not {expected}")
            await conversation.close()
            return
        assert expected is None or self._is_dying, f"{guest.user} came into {name}: {expected}"
        if guest.conversation is not None:
            await self._ended(guest, 4001)
        guest.conversation, guest.jtoken, guest.was_kicked = conversation, joined["jtoken"], False
        guest.has_media = joined["resume"]
        await self._check_gain(room, guest)

    async def _check_gain(self, room: LedgerRoom, guest: Guest) -> None:
        shown = (await self._people(room))[guest.user]["gainDb"]
        assert guest.gain_db in (None, shown), f"{guest.user} has lost {guest.gain_db} dB"
        guest.gain_db = shown

    def _has_left(self, status: int) -> bool:
        """Whether a server that stops closed somebody's socket before they were acted on."""
        return self._is_dying and status == 404

    async def _ended(self, guest: Guest, code: int) -> None:
        """Wait for the end of a socket; a dying server may not get so far as to say why."""
        conversation, guest.conversation = guest.conversation, None
        assert conversation is not None, "seated"
        said = await conversation.gone
        assert said == code or self._is_dying, f"{said} instead of {code}"

    async def _change(
        self,
        room: LedgerRoom,
        changed: Record,
        method: str,
        path: str,
        *,
        body: Any = None,
        due: int = 200,
    ) -> Any:
        room.doubts = [changed]
        status, answer = await self._call(method, room, path, body)
        assert status == due, answer
        room.record, room.doubts = changed, []
        return answer

    async def _call(
        self, method: str, room: LedgerRoom, path: str, body: Any = None
    ) -> tuple[int, Any]:
        return await self._program.call(method, f"/api/rooms/{self._name(room)}{path}", body)

    async def _look(self, name: str) -> Record | None:
        status, answer = await self._program.call("GET", f"/api/rooms/{name}")
        if status == 404:
            return None
        assert status == 200, answer
        status, lines = await self._program.call("GET", f"/api/rooms/{name}/rtp")
        assert status == 200, lines
        return _record(
            answer["room"], {one["displayName"]: one["userId"] for one in lines["participants"]}
        )

    async def _people(self, room: LedgerRoom) -> dict[str, Any]:
        status, answer = await self._call("GET", room, "/participants")
        assert status == 200, answer
        return {one["userId"]: one for one in answer["participants"]}

    def _name(self, room: LedgerRoom) -> str:
        return next(name for name, one in self.rooms.items() if one is room)

    def _forget(self, name: str) -> None:
        del self.rooms[name]
        self._gone.append(name)

    @property
    def _steps(self) -> dict[str, Step]:
        return {
            "patch": self._patch,
            "renew": self._renew,
            "delete": self._delete,
            "add_line": self._add_line,
            "drop_line": self._drop_line,
            "mint": self._mint,
            "join": self._join,
            "leave": self._leave,
            "vanish": self._vanish,
            "kick": self._kick,
            "ban": self._ban,
            "control": self._control,
            "talk": self._talk,
            "resume": self._resume,
            "see": self._see,
        }


_WEIGHTS = {
    "create": 30,
    "patch": 60,
    "renew": 15,
    "delete": 25,
    "add_line": 25,
    "drop_line": 15,
    "mint": 110,
    "join": 250,
    "leave": 50,
    "vanish": 50,
    "kick": 40,
    "ban": 15,
    "control": 60,
    "talk": 80,
    "resume": 25,
    "see": 130,
    "mixer": 3,
    "broadcast": 3,
    "stop": 1,
}
_IN_A_BURST = [
    "patch", "renew", "delete", "add_line", "drop_line", "mint", "join", "leave", "kick", "ban",
    "control", "talk",
]  # fmt: skip
_FIELDS = {"name": "name", "pin": "pin", "maxAnchors": "max_anchors", "locked": "locked"}
_CLIENT = "0a5b1d86-0b5c-4c0e-9e0b-0d2d5e6f7a81"


def _must(holds: bool, what: str) -> None:  # noqa: FBT001 - as `assert` has it
    if not holds:
        raise AssertionError(what)


async def _run(call: Awaitable[None]) -> None:
    await call


def _is_loss(outcome: BaseException) -> bool:
    """Whether a call was cut off, or came when its own socket had been closed."""
    is_over = isinstance(outcome, Refused) and outcome.code == "not_joined"
    return is_over or isinstance(outcome, LOST)


def _some(guests: list[Guest], chance: random.Random) -> Guest | None:
    return chance.choice(guests) if guests else None


def _wanted(chance: random.Random, number: int) -> dict[str, Any]:
    """Return what somebody may want of a room."""
    return {
        "name": f"name {number}",
        "pin": chance.choice(["", "", f"{chance.randrange(10**6):06}"]),
        "maxAnchors": chance.choice([1, 2, 3, 5, None]),
        "locked": chance.random() < 0.15,
    }


def _record(room: dict[str, Any], lines: dict[str, str]) -> Record:
    """Return what REST shows an admin of a room."""
    links = room["links"]
    return Record(
        room["name"],
        room["pin"],
        room["maxAnchors"],
        room["locked"],
        links["join"],
        links["listen"],
        lines,
    )
