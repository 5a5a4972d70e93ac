"""The keys of broadcasts: planned ahead, stored first, never forked."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hls.core.timeline import SEGMENT_S
from mixer.types import RoomId
from server.compose.build import Services
from server.domain.air import Air
from server.domain.rotation import Rotation
from server.domain.stream import Stream
from server.errors import KeyNotYet, NotFound, SigningUnavailable, StoreLost
from server.ports import Conflict
from server.services.rooms import Wanted
from server.services.stream_keys import MOST_A_ROUND, StreamKeys
from server.supervise import Supervisor
from tests.support.node import Node, open_node

DEMO = RoomId("demo")


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    """A node with a room on air that changes its key every 20 segments."""
    async with open_node(tmp_path, broadcast_key_segments=20) as opened:
        await opened.rooms.create(Wanted(id=DEMO))
        yield opened


def keys_of(services: Services) -> StreamKeys:
    return services.context.listening.keys


def planned(services: Services) -> list[tuple[int, int]]:
    """Return each known epoch and where it begins."""
    return [(key.epoch, key.first_msn) for key in services.context.rooms.stream(DEMO).keys]


def go_to(node: Node, msn: int) -> None:
    """Let time pass until a segment is being made; a room goes on air in segment 5."""
    stream = node.rooms.stream(DEMO)
    node.advance((msn - keys_of(node.services).now_msn(stream)) * SEGMENT_S)


async def listen(node: Node, msn: int) -> None:
    """Let somebody listen at that time, and the keys be planned."""
    go_to(node, msn)
    keys_of(node.services).heard(DEMO)
    assert await keys_of(node.services).work()


async def stored(node: Node) -> dict[str, Any]:
    records = (await node.store.scan("/rooms/demo/keys/")).records
    return {one.key.rpartition("/")[2]: json.loads(one.value) for one in records}


async def test_nobody_listens(node: Node) -> None:
    """A room to which nobody listens keeps its key, for days."""
    go_to(node, 100_000)
    keys_of(node.services).look()
    assert await keys_of(node.services).work()
    assert planned(node.services) == [(0, 0)]


async def test_planned_ahead(node: Node) -> None:
    """Who listens finds the next two keys in the store, then the plane has them."""
    await listen(node, 7)
    assert planned(node.services) == [(0, 0), (1, 20), (2, 40)]
    first_msns = [(epoch, key["firstMsn"]) for epoch, key in (await stored(node)).items()]
    assert first_msns == [("0", 0), ("1", 20), ("2", 40)]
    await node.settle()
    spec = node.broadcast.specs[DEMO]
    assert [(key.epoch, key.first_msn) for key in spec.keys] == [(0, 0), (1, 20), (2, 40)]
    assert len({key.key for key in spec.keys} | {key.iv for key in spec.keys}) == 6


async def test_one_each_rotation(node: Node) -> None:
    """While somebody listens there are always two to come, and old ones leave the store."""
    for msn in range(7, 400, 2):
        await listen(node, msn)
        ahead = [first for _, first in planned(node.services) if first > msn]
        assert len(ahead) == 2
    keys_of(node.services).look()
    await keys_of(node.services).work()
    # 15 s of window and two minutes of slack are 70 segments before 399.
    assert planned(node.services) == [(n, 20 * n) for n in range(16, 22)]
    assert sorted(map(int, await stored(node))) == list(range(16, 22))


async def test_as_long_as_the_window(node: Node) -> None:
    """Where listeners may go back for an hour, the keys of that hour stay in the store."""
    await node.rooms.change(DEMO, lambda room: replace(room, air=Air(dvr_s=3600)))
    for msn in range(7, 2400, 10):
        await listen(node, msn)
    keys_of(node.services).look()
    await keys_of(node.services).work()
    # An hour and two minutes of slack are 1937 segments before 2397.
    assert planned(node.services)[0] == (23, 460)
    await node.rooms.change(DEMO, lambda room: replace(room, air=Air()))
    node.advance(60)
    keys_of(node.services).look()
    await keys_of(node.services).work()
    assert planned(node.services)[0][0] > 100


async def test_after_a_night(node: Node) -> None:
    """After hours of sleep two keys are made, and the night's epoch was one."""
    await listen(node, 7)
    await listen(node, 20_003)
    assert [first for _, first in planned(node.services)][-2:] == [20_020, 20_040]
    assert len(planned(node.services)) == 3


async def test_never(node: Node) -> None:
    """Zero means one key for good; a reload can change that."""
    keys = keys_of(node.services)
    keys.rotation = Rotation(0)
    await listen(node, 500)
    assert planned(node.services) == [(0, 0)]
    keys.rotation = Rotation(20)
    node.advance(60)
    keys.look()
    await keys.work()
    assert [epoch for epoch, _ in planned(node.services)] == [0, 1, 2]


async def test_look_is_once_a_minute(node: Node) -> None:
    """All rooms are gone through once a minute, not each time."""
    await listen(node, 7)
    node.advance(400)
    keys = keys_of(node.services)
    keys.look()
    assert await keys.work()
    assert [epoch for epoch, _ in planned(node.services)] == [2]
    before = planned(node.services)
    keys.holders.append(lambda _room: 0)
    keys.look()
    assert not keys._due
    assert planned(node.services) == before


async def test_crash_before_the_store(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was made and not stored is forgotten: whoever goes on makes another."""

    async def lost(**_what: object) -> int:
        raise StoreLost("gone")

    monkeypatch.setattr(keys_of(node.services)._store, "commit", lost)
    go_to(node, 7)
    keys_of(node.services).heard(DEMO)
    assert not await keys_of(node.services).work()
    monkeypatch.undo()
    again = node.build()
    await again.load()
    assert planned(again) == [(0, 0)]


async def test_answer_of_the_store_lost(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was stored without our hearing of it is found there, and not made again."""
    commit = node.store.commit

    async def deaf(**what: Any) -> int:
        await commit(**what)
        raise StoreLost("no answer")

    monkeypatch.setattr(keys_of(node.services)._store, "commit", deaf)
    go_to(node, 7)
    keys_of(node.services).heard(DEMO)
    assert not await keys_of(node.services).work()
    monkeypatch.undo()
    found = await stored(node)
    assert await keys_of(node.services).work()
    assert planned(node.services) == [(0, 0), (1, 20), (2, 40)]
    assert await stored(node) == found
    assert [key.key.hex() for key in node.rooms.stream(DEMO).keys] == [
        found[epoch]["key"] for epoch in ("0", "1", "2")
    ]


async def test_crash_before_the_plane(node: Node) -> None:
    """What was stored holds, though the plane never heard of it: whoever goes on tells it."""
    await listen(node, 7)  # the reconciler has not run
    assert DEMO not in node.broadcast.specs
    before = node.rooms.stream(DEMO)
    node.services = node.build()
    await node.services.load()
    await node.settle()
    assert node.rooms.stream(DEMO) == before
    assert [key.key for key in node.broadcast.specs[DEMO].keys] == [key.key for key in before.keys]


async def test_two_processes(node: Node) -> None:
    """Of two that plan the same epochs at once, one does, and the other follows."""
    other = node.build()
    await other.load()
    await listen(node, 7)
    keys_of(other).heard(DEMO)
    assert await keys_of(other).work()
    assert other.context.rooms.stream(DEMO) == node.rooms.stream(DEMO)
    assert len(await stored(node)) == 3


async def test_room_removed_meanwhile(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """No key is left of a room that is removed while its keys are planned."""
    keys = keys_of(node.services)
    made, commit = node.rooms.make_key, keys._store.commit

    async def remove_first(**what: Any) -> int | Conflict:
        monkeypatch.undo()
        await node.rooms.remove(DEMO)
        return await commit(**what)

    monkeypatch.setattr(keys._store, "commit", remove_first)
    go_to(node, 7)
    keys.heard(DEMO)
    assert await keys.work()
    assert (await node.store.scan("/rooms/")).records == ()

    await node.rooms.create(Wanted(id=DEMO))

    async def remove_meanwhile(room: RoomId, epoch: int, salt: str) -> bytes:
        node.rooms.make_key = made
        await node.rooms.remove(DEMO)
        return await made(room, epoch, salt)

    node.rooms.make_key = remove_meanwhile
    keys.heard(DEMO)
    assert await keys.work()
    assert (await node.store.scan("/rooms/")).records == ()


@pytest.mark.parametrize(
    ("name", "is_after"),
    [("make_key", False), ("get", False), ("commit", False), ("commit", True), ("scan", False)],
)
async def test_room_made_anew_meanwhile(
    node: Node, monkeypatch: pytest.MonkeyPatch, name: str, *, is_after: bool
) -> None:
    """A room of the same id keeps its own clock, secret and keys, whenever it came to be."""
    keys, again = keys_of(node.services), list[Stream]()
    where = node.rooms if name == "make_key" else keys._store
    call = getattr(where, name)

    async def renew(*args: Any, **what: Any) -> object:
        if args == ("/rooms/demo/stream",):  # the next get is that of another record
            return await call(*args)
        monkeypatch.undo()
        answer = await call(*args, **what) if is_after else None
        await node.rooms.remove(DEMO)
        node.advance(10)
        await node.rooms.create(Wanted(id=DEMO))
        again.append(node.rooms.stream(DEMO))
        return answer if is_after else await call(*args, **what)

    async def conflict(**_what: Any) -> Conflict:
        return Conflict("/rooms/demo/livemeta", 0)

    if name == "scan":  # the keys that somebody else stored
        monkeypatch.setattr(keys._store, "commit", conflict)
    monkeypatch.setattr(where, name, renew)
    go_to(node, 7)
    keys.heard(DEMO)
    assert await keys.work()
    assert [node.rooms.stream(DEMO)] == again
    assert (planned(node.services), list(await stored(node))) == ([(0, 0)], ["0"])


async def test_heard_while_it_is_stored(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """What becomes due while a slow store takes the last keys is planned at once, not later."""
    keys = keys_of(node.services)
    commit = keys._store.commit

    async def slowly(**what: Any) -> int | Conflict:
        monkeypatch.undo()
        answer = await commit(**what)
        go_to(node, 21)
        keys.of_epoch(DEMO, replace(before, keys=tuple(made)), "1")
        return answer

    before = node.rooms.stream(DEMO)
    made = [*before.keys, replace(before.keys[0], epoch=1, first_msn=20)]
    monkeypatch.setattr(keys._store, "commit", slowly)
    await listen(node, 7)
    assert await keys.work()
    assert planned(node.services) == [(0, 0), (1, 20), (2, 40), (3, 60)]


async def test_the_room_changes_meanwhile(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a change of somebody else kept from the store is stored next, not in a minute."""
    keys = keys_of(node.services)
    await listen(node, 7)
    commit = keys._store.commit

    async def outrun(**what: Any) -> int | Conflict:
        monkeypatch.undo()
        state = await node.store.get("/rooms/demo/livemeta")
        assert state is not None
        await commit(put={state.key: state.value})
        return await commit(**what)

    monkeypatch.setattr(keys._store, "commit", outrun)
    await listen(node, 21)
    assert planned(node.services)[-1] == (2, 40)
    assert await keys.work()
    assert planned(node.services)[-1] == (3, 60)
    assert not keys._came.is_set()


async def test_heard_ahead_of_us(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wish for what follows an epoch that is stored just now is kept until that is known."""
    keys = keys_of(node.services)
    stream, commit = node.rooms.stream(DEMO), keys._store.commit

    async def hear_more(**what: Any) -> int | Conflict:
        monkeypatch.undo()
        answer = await commit(**what)
        first, key = stream.keys[0], node.rooms.stream(DEMO).keys[0]
        ahead = [replace(key, epoch=epoch, first_msn=20 * epoch) for epoch in (1, 2, 3, 4)]
        go_to(node, 41)
        assert keys.of_epoch(DEMO, replace(stream, keys=(first, *ahead)), "2").epoch == 2
        return answer

    monkeypatch.setattr(keys._store, "commit", hear_more)
    await listen(node, 7)
    assert await keys.work()
    assert planned(node.services)[-1] == (4, 80)


async def test_room_being_removed_elsewhere(node: Node) -> None:
    """A room that another process removes gets no keys any more."""
    state = await node.store.get("/rooms/demo/livemeta")
    assert state is not None
    removing = state.value.replace(b'"onair"', b'"removing"')
    await node.store.commit(put={"/rooms/demo/livemeta": removing})
    await listen(node, 7)
    assert len(await stored(node)) == 1


async def test_signer_away(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    """While no key can be had the present one holds; it is said once, and counted."""
    keys = keys_of(node.services)
    make = node.rooms.make_key
    is_away = True

    async def asked(room: RoomId, epoch: int, salt: str) -> bytes:
        if is_away:
            raise SigningUnavailable
        return await make(room, epoch, salt)

    node.rooms.make_key = asked
    go_to(node, 7)
    keys.heard(DEMO)
    assert [await keys.work() for _ in range(3)] == [False, False, False]
    go_to(node, 47)
    stream = node.rooms.stream(DEMO)
    assert keys.current(DEMO, stream).epoch == 0
    is_away = False
    assert await keys.work()
    assert planned(node.services) == [(0, 0), (1, 60), (2, 80)]
    assert keys.counters["stream_keys_delayed_total"] == 1
    said = capsys.readouterr().out
    assert said.count("stream_keys_delayed") == 1
    assert said.count("stream_keys_go_on") == 1


async def test_slow_signer(node: Node) -> None:
    """A key that comes when its epoch could be asked for already is not used for it."""
    make = node.rooms.make_key

    async def slow(room: RoomId, epoch: int, salt: str) -> bytes:
        node.advance(3 * SEGMENT_S)
        return await make(room, epoch, salt)

    node.rooms.make_key = slow
    go_to(node, 12)
    keys_of(node.services).heard(DEMO)
    assert not await keys_of(node.services).work()
    assert len(await stored(node)) == 1
    assert await keys_of(node.services).work()
    assert planned(node.services) == [(0, 0), (1, 40), (2, 60)]


async def test_signer_back_in_time(node: Node) -> None:
    """An outage that ends before the next epoch has delayed nothing."""
    make = node.rooms.make_key

    async def away(_room: RoomId, _epoch: int, _salt: str) -> bytes:
        raise SigningUnavailable

    node.rooms.make_key = away
    go_to(node, 7)
    keys_of(node.services).heard(DEMO)
    assert not await keys_of(node.services).work()
    node.rooms.make_key = make
    await listen(node, 9)
    assert planned(node.services) == [(0, 0), (1, 20), (2, 40)]
    assert keys_of(node.services).counters["stream_keys_delayed_total"] == 0


async def test_a_signer_makes_each_key(node: Node) -> None:
    """Each key is asked for by room and epoch, never twice with the same salt."""
    asked: list[tuple[str, int, str]] = []
    make = node.rooms.make_key

    async def note(room: RoomId, epoch: int, salt: str) -> bytes:
        asked.append((room, epoch, salt))
        return await make(room, epoch, salt)

    node.rooms.make_key = note
    await listen(node, 7)
    assert [(room, epoch) for room, epoch, _ in asked] == [(DEMO, 1), (DEMO, 2)]
    assert len({salt for _, _, salt in asked}) == 2


async def test_when_keys_may_be_had(node: Node) -> None:
    """A key may be had two segments before its own, with a hint when; what is unknown never."""
    await listen(node, 7)
    keys, stream = keys_of(node.services), node.rooms.stream(DEMO)
    with pytest.raises(KeyNotYet) as caught:
        keys.of_epoch(DEMO, stream, "1")
    assert caught.value.retry_after_ms == 11 * 1920
    for unknown in ("3", "-1", "", "x", "१", "9" * 17):
        with pytest.raises(NotFound):
            keys.of_epoch(DEMO, stream, unknown)
    go_to(node, 18)
    assert keys.of_epoch(DEMO, stream, "1").epoch == 1
    assert keys.current(DEMO, stream).epoch == 0
    go_to(node, 20)
    assert keys.current(DEMO, stream).epoch == 1
    assert keys.of_epoch(DEMO, stream, "0").epoch == 0
    assert keys.counters["stream_keys_given_total"] == 4


async def test_held_keys(node: Node) -> None:
    """What a recording or an upload still needs stays in the store until it lets go."""
    held = [25]
    keys = keys_of(node.services)
    keys.holders += [lambda _room: held[0], lambda _room: None]
    for msn in range(7, 300, 2):
        await listen(node, msn)
    assert planned(node.services)[0] == (1, 20)
    held[0] = 400
    node.advance(60)
    keys.look()
    assert await keys.work()
    assert planned(node.services)[0] == (13, 260)


async def test_bounded_rounds(node: Node) -> None:
    """A round works on so many rooms; the next one on the rest."""
    keys = keys_of(node.services)
    for number in range(MOST_A_ROUND + 1):
        room = RoomId(f"room{number}")
        await node.rooms.create(Wanted(id=room))
        keys.heard(room)
    assert len(keys._due) == MOST_A_ROUND + 1
    assert await keys.work()
    assert len(keys._due) == 1
    assert await keys.work()
    assert not keys._due


async def test_migration(node: Node) -> None:
    """A record that holds the only key is continued: same key, same clock, then rotated."""
    before = node.rooms.stream(DEMO)
    key = before.keys[0]
    old = {
        "epoch": 0,
        "key": key.key.hex(),
        "iv": key.iv.hex(),
        "boot": before.boot,
        "baseTick": before.base_tick,
        "baseUnix": before.base_unix_s,
    }
    await node.store.commit(
        put={"/rooms/demo/stream": json.dumps(old).encode()}, delete=["/rooms/demo/keys/0"]
    )
    node.services = node.build()
    await node.services.load()
    assert node.rooms.stream(DEMO).keys == (key,)
    record = await node.store.get("/rooms/demo/stream")
    assert record is not None
    assert key.key.hex().encode() not in record.value
    assert (await stored(node))["0"]["key"] == key.key.hex()
    again = node.build()
    await again.load()
    assert again.context.rooms.stream(DEMO) == node.rooms.stream(DEMO)
    await listen(node, 7)
    assert planned(node.services) == [(0, 0), (1, 20), (2, 40)]


async def test_media_time_anew(node: Node) -> None:
    """When media time starts anew, so do the keys: the newest one holds, the others are gone."""
    await listen(node, 7)
    newest = node.rooms.stream(DEMO).keys[-1]
    node.clock = type(node.clock)(node.monotonic, lambda: 1.0, "another boot")
    node.services = node.build()
    await node.services.load()
    stream = node.rooms.stream(DEMO)
    assert [(key.epoch, key.key, key.first_msn) for key in stream.keys] == [(2, newest.key, 0)]
    assert list(await stored(node)) == ["2"]


async def test_run(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes on by itself as soon as somebody listens, and tries again after an outage."""
    keys, pauses = keys_of(node.services), list[float]()
    make = node.rooms.make_key
    done = asyncio.Event()

    async def fails_once(room: RoomId, epoch: int, salt: str) -> bytes:
        if not pauses:
            raise SigningUnavailable
        return await make(room, epoch, salt)

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr("server.services.stream_keys.asyncio.sleep", pause)
    rekey = node.rooms.rekey

    def told(*what: Any) -> bool:
        done.set()
        return rekey(*what)

    monkeypatch.setattr(node.rooms, "rekey", told)
    node.rooms.make_key = fails_once
    async with Supervisor("test") as supervisor:
        _ = supervisor.keep_running(keys.run, name="keys")
        go_to(node, 7)
        keys.heard(DEMO)
        await done.wait()
    assert len(pauses) == 1
    assert 0.5 < pauses[0] < 1.5
