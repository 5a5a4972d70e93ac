"""Rooms: made, kept over restarts, removed."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hls.types import BroadcastSpec
from mixer.types import Profile, RoomId, RoomSpec
from server.domain.grants import Role
from server.domain.room import InviteRole, RoomState
from server.domain.stream import Stream
from server.errors import RoomExists, RoomNotFound, StoreLost
from server.ports import Snapshot
from server.services.presence import Arrival, Farewell
from server.services.rooms import Rooms, Wanted
from tests.server.services.people import ADA, enter, told
from tests.support.node import FakeClient, Node, open_node

DEMO = RoomId("demo")


async def test_create(node: Node) -> None:
    """A new room is in the store, on the mixer and on air before anybody hears of it."""
    room = await node.rooms.create(Wanted(id=DEMO))
    await node.settle()
    assert node.rooms.get(DEMO) == room
    assert node.mixer.specs[DEMO].on_air
    assert node.broadcast.specs[DEMO].keys[0].uri == "/hls/rooms/demo/0/enc.key"


async def test_made_up(node: Node) -> None:
    """What is not given is made up: a hidden id, a PIN, two invites, never the same."""
    one, two = [await node.rooms.create(Wanted()) for _ in range(2)]
    assert (len(one.id), len(one.pin)) == (20, 6)
    assert len({one.invites.join, one.invites.listen, two.invites.join, two.invites.listen}) == 4


async def test_no_pin(node: Node) -> None:
    """An empty PIN means none."""
    assert (await node.rooms.create(Wanted(pin=""))).pin == ""


async def test_exists(node: Node) -> None:
    """Of many that create the same room at once, one does."""
    answers = await asyncio.gather(
        *(node.rooms.create(Wanted(id=DEMO)) for _ in range(5)), return_exceptions=True
    )
    assert sum(isinstance(answer, RoomExists) for answer in answers) == 4


async def test_keys_differ(node: Node) -> None:
    """Every room has a key and IV of its own, stored apart from the room."""
    for name in ("one", "two"):
        await node.rooms.create(Wanted(id=RoomId(name)))
    one, two = node.rooms.stream(RoomId("one")), node.rooms.stream(RoomId("two"))
    meta = await node.store.get("/rooms/one/meta")
    assert len({one.keys[0].key, one.keys[0].iv, two.keys[0].key, two.keys[0].iv}) == 4
    assert len({one.secret, two.secret}) == 2
    assert meta is not None
    assert one.keys[0].key.hex().encode() not in meta.value


async def test_restart(node: Node) -> None:
    """After a restart rooms, invites, PINs, keys and clocks are what they were."""
    room = await node.rooms.create(Wanted(id=DEMO, name="Studio"))
    stream = node.rooms.stream(DEMO)
    again = node.build().context.rooms
    await again.load()
    assert again.get(DEMO) == room
    assert again.stream(DEMO) == stream


async def test_reopen(tmp_path: Path) -> None:
    """Rooms outlive the process: a new one on the same folder has them."""
    async with open_node(tmp_path) as node:
        room = await node.rooms.create(Wanted(id=DEMO))
    async with open_node(tmp_path) as node:
        await node.settle()
        assert node.rooms.get(DEMO) == room
        assert node.mixer.specs[DEMO].on_air


async def test_versions_rise_over_a_restart(node: Node) -> None:
    """A plane that outlives the control process takes the new one's specs."""
    await node.rooms.create(Wanted(id=DEMO))
    await node.settle()
    before = node.mixer.specs[DEMO].version
    node.advance(1)
    node.services = node.build()
    await node.rooms.load()
    await node.settle()
    assert node.mixer.specs[DEMO].version > before


async def test_other_boot(tmp_path: Path) -> None:
    """After a reboot the stream's clock is worked out once, and kept."""
    async with open_node(tmp_path) as node:
        await node.rooms.create(Wanted(id=DEMO))
        object.__setattr__(node.clock, "boot", "other")
        node.monotonic.now, node.unix.now = 10.01, node.unix.now + 60
        first, second = (node.build().context.rooms for _ in range(2))
        await first.load()
        node.unix.advance(5)  # the wall clock is set; media time is not
        await second.load()
    assert first.stream(DEMO).base_tick == 500 - 3000
    assert second.stream(DEMO) == first.stream(DEMO)


async def test_remove(node: Node) -> None:
    """A removed room leaves nothing: not in memory, store or planes; its people are told."""
    room = await node.rooms.create(Wanted(id=DEMO))
    client = enter(node, room, ADA)
    await node.rooms.remove(DEMO)
    await node.settle()
    assert (await node.store.scan("/rooms/")).records == ()
    assert node.mixer.specs[DEMO].closed
    assert not node.broadcast.specs[DEMO].on_air
    assert client.farewell is Farewell.ROOM_GONE
    assert '"roomClosed"' in client.texts[-1]


async def test_gone(node: Node) -> None:
    """A room that is not there cannot be had, asked or removed."""
    with pytest.raises(RoomNotFound, match="Room demo not found"):
        node.rooms.get(DEMO)
    with pytest.raises(RoomNotFound):
        node.rooms.stream(DEMO)
    with pytest.raises(RoomNotFound):
        await node.rooms.remove(DEMO)
    assert node.rooms.state(DEMO) is RoomState.GONE


async def test_remove_twice(node: Node) -> None:
    """Of two that remove a room at once, one is told that it is gone."""
    await node.rooms.create(Wanted(id=DEMO))
    answers = await asyncio.gather(
        node.rooms.remove(DEMO), node.rooms.remove(DEMO), return_exceptions=True
    )
    assert [type(answer) for answer in answers] == [type(None), RoomNotFound]


async def test_remove_twice_and_make_anew(node: Node) -> None:
    """Who removes a room does not remove one that was made under its id meanwhile."""
    await node.rooms.create(Wanted(id=DEMO))
    go_on, finish = asyncio.Event(), node.rooms.before_removal

    async def hang(_room: RoomId) -> None:
        node.rooms.before_removal = finish
        await go_on.wait()

    node.rooms.before_removal = hang
    slow = asyncio.create_task(node.rooms.remove(DEMO))
    await asyncio.sleep(0)
    await node.rooms.remove(DEMO)
    again = await node.rooms.create(Wanted(id=DEMO))
    go_on.set()
    with pytest.raises(RoomNotFound):
        await slow
    assert node.rooms.get(DEMO) == again


async def test_ends_once(node: Node) -> None:
    """Of two that end a broadcast the later waits, and then does not end that of a new room."""
    await node.rooms.create(Wanted(id=DEMO))
    ends, go_on, ended = asyncio.Event(), asyncio.Event(), list[Stream]()

    async def before_end(_room: RoomId, stream: Stream) -> None:
        ended.append(stream)
        ends.set()
        await go_on.wait()

    node.rooms.before_end, stream = before_end, node.rooms.stream(DEMO)
    both = [asyncio.create_task(node.rooms.remove(DEMO)) for _ in range(2)]
    await ends.wait()
    go_on.set()
    answers = await asyncio.gather(*both, return_exceptions=True)
    assert [type(answer) for answer in answers] == [type(None), RoomNotFound]
    assert ended == [stream]


@pytest.mark.parametrize("broadcast", [True, False])
async def test_change_waits(node: Node, monkeypatch: pytest.MonkeyPatch, broadcast: bool) -> None:  # noqa: FBT001
    """Who changes a room does not change one that was made under its id meanwhile."""
    await node.rooms.create(Wanted(id=DEMO))
    commit, waiting = node.store.commit, list[asyncio.Task[Any]]()

    async def slowly(**what: Any) -> object:
        monkeypatch.undo()
        for work in (
            node.rooms.create(Wanted(id=DEMO)),
            node.rooms.change(DEMO, lambda room: replace(room, name="x", broadcast=broadcast)),
        ):
            waiting.append(asyncio.create_task(work))
            for _ in range(9):
                await asyncio.sleep(0)
        return await commit(**what)

    monkeypatch.setattr(node.store, "commit", slowly)
    await node.rooms.remove(DEMO)
    again, changed = await asyncio.gather(*waiting, return_exceptions=True)
    assert node.rooms.get(DEMO) == again
    assert isinstance(changed, RoomNotFound)


async def test_again(node: Node) -> None:
    """A removed room's id can be used again, for a new room with new secrets."""
    before = await node.rooms.create(Wanted(id=DEMO))
    await node.rooms.remove(DEMO)
    after = await node.rooms.create(Wanted(id=DEMO))
    await node.settle()
    assert after.invites != before.invites
    assert not node.mixer.specs[DEMO].closed


async def test_made_anew_at_once(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both planes end the one room before they have the other, though that came meanwhile."""
    await node.rooms.create(Wanted(id=DEMO))
    await node.settle()
    told: list[bool] = []
    mix, broadcast = node.mixer.apply, node.broadcast.apply

    async def mixed(spec: RoomSpec) -> None:
        told.append(not spec.closed)
        await mix(spec)

    async def heard(spec: BroadcastSpec) -> None:
        told.append(spec.on_air)
        await broadcast(spec)

    monkeypatch.setattr(node.services.specs, "_apply", mixed)
    monkeypatch.setattr(node.services.streams, "_apply", heard)
    await node.rooms.remove(DEMO)
    await node.rooms.create(Wanted(id=DEMO))
    await node.settle()
    assert told == [False, True] * 2


async def test_interrupted_removal(node: Node) -> None:
    """A removal that was interrupted by a restart is finished at the start."""
    await node.rooms.create(Wanted(id=DEMO))
    await node.store.commit(put={"/rooms/demo/livemeta": node.rooms._livemeta(RoomState.REMOVING)})
    again = node.build().context.rooms
    await again.load()
    assert (await node.store.scan("/rooms/")).records == ()
    assert again.all() == []


async def test_interrupted_creation(node: Node) -> None:
    """A room of which only the meta was written is put on air at the start."""
    await node.rooms.create(Wanted(id=DEMO))
    await node.store.commit(delete=["/rooms/demo/livemeta", "/rooms/demo/stream"])
    again = node.build().context.rooms
    await again.load()
    assert len(again.stream(DEMO).keys[0].key) == 16
    assert await node.store.get("/rooms/demo/livemeta") is not None


@pytest.mark.parametrize("part", ["meta", "livemeta", "stream"])
async def test_damaged_record(node: Node, part: str) -> None:
    """A room that cannot be read is left alone, and the others are on air."""
    for name in ("demo", "fine"):
        await node.rooms.create(Wanted(id=RoomId(name)))
    await node.store.commit(
        put={f"/rooms/demo/{part}": b"{", "/rooms/x": b"", "/rooms/a b/meta": b""}
    )
    again = node.build().context.rooms
    await again.load()
    assert [room.id for room in again.all()] == ["fine"]
    assert await node.store.get("/rooms/demo/meta") is not None


async def test_store_fails_midway(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """A removal the store does not let us finish is finished when it does."""
    await node.rooms.create(Wanted(id=DEMO))

    async def fail(_prefix: str) -> Snapshot:
        raise StoreLost("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(node.store, "scan", fail)
        with pytest.raises(StoreLost):
            await node.rooms.remove(DEMO)
        await node.rooms.expire()
    assert node.rooms.state(DEMO) is RoomState.REMOVING
    await node.rooms.expire()
    assert (await node.store.scan("/rooms/")).records == ()


@pytest.mark.parametrize("is_removed", [True, False])
async def test_ends_in_order(node: Node, is_removed: bool) -> None:  # noqa: FBT001 - a column
    """A stream is ended while it is on air; nothing that is wanted meanwhile lets it go on."""
    room = await node.rooms.create(Wanted(id=DEMO))
    await node.settle()
    version, seen = node.broadcast.specs[DEMO].version, []

    async def before_end(room: RoomId, stream: Stream) -> None:
        assert node.rooms.rekey(room, stream, replace(stream, secret=b"x" * 32))
        await node.settle()
        seen.append((node.broadcast.specs[room].on_air, node.broadcast.specs[room].version))

    node.rooms.before_end = before_end
    if is_removed:
        await node.rooms.remove(DEMO)
    else:
        await node.rooms.change(DEMO, lambda before: replace(before, broadcast=False))
        await node.rooms.change(DEMO, lambda before: replace(before, name=room.name))
    await node.settle()
    assert seen == [(True, version)]
    assert not node.broadcast.specs[DEMO].on_air


async def test_goes_on_after_all(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """A room that could not be removed, or taken off the air, has its broadcast as before."""
    await node.rooms.create(Wanted(id=DEMO))
    await node.settle()
    version = node.broadcast.specs[DEMO].version

    async def fail(**_: Any) -> None:
        raise StoreLost("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(node.store, "commit", fail)
        with pytest.raises(StoreLost):
            await node.rooms.change(DEMO, lambda before: replace(before, broadcast=False))
        with pytest.raises(StoreLost):
            await node.rooms.remove(DEMO)
    await node.settle()
    assert node.broadcast.specs[DEMO].on_air
    assert node.broadcast.specs[DEMO].version > version


async def test_expire(node: Node) -> None:
    """A room goes when its time is over; one without an end stays."""
    await node.rooms.create(Wanted(id=DEMO, expires_in_s=60))
    await node.rooms.create(Wanted(id=RoomId("stays"), expires_in_s=None))
    node.advance(59)
    await node.rooms.expire()
    assert len(node.rooms) == 2
    node.advance(1)
    await node.rooms.expire()
    assert [room.id for room in node.rooms.all()] == ["stays"]


async def test_expiry_goes_on(node: Node) -> None:
    """A room that somebody removes meanwhile, or that cannot be stored, keeps no other waiting."""
    for name in ("one", "two", "three", "four"):
        await node.rooms.create(Wanted(id=RoomId(name), expires_in_s=60))
    asked: list[RoomId] = []

    async def before_removal(room: RoomId) -> None:
        asked.append(room)
        if asked == ["one"]:
            await node.rooms.remove(room)
            await node.rooms.remove(RoomId("two"))
            await node.rooms.create(Wanted(id=RoomId("two"), expires_in_s=60))
        if room == "three":
            raise StoreLost("the disk is full")

    node.rooms.before_removal = before_removal
    node.advance(61)
    await node.rooms.expire()
    assert asked == ["one", "one", "two", "three", "four"]
    assert {room.id for room in node.rooms.all()} == {"two", "three"}


@pytest.mark.parametrize("role", InviteRole)
async def test_renew_invite(node: Node, role: InviteRole) -> None:
    """A renewed invite is another one, for that role only, also after a restart."""
    before = await node.rooms.create(Wanted(id=DEMO))
    after = await node.rooms.renew_invite(DEMO, role)
    again = node.build().context.rooms
    await again.load()
    assert again.get(DEMO) == after
    changed = [one for one in InviteRole if before.invites.get(one) != after.invites.get(one)]
    assert changed == [role]


async def test_change(node: Node) -> None:
    """A changed room is stored, mixed so, told to those inside, and the same after a restart."""
    room = await node.rooms.create(Wanted(id=DEMO))
    client = enter(node, room, ADA)
    changed = await node.rooms.change(
        DEMO, lambda before: replace(before, name="Studio", profile=Profile.MUSIC, loudest=2)
    )
    await node.settle()
    spec = node.mixer.specs[DEMO]
    again = node.build().context.rooms
    await again.load()
    assert (spec.profile, spec.loudest, len(spec.anchors)) == (Profile.MUSIC, 2, 1)
    aired = node.broadcast.specs[DEMO]
    assert (aired.channels, aired.title) == (2, "Studio")
    assert told(client, "roomChanged") == [changed.notice()]
    assert again.get(DEMO) == node.rooms.get(DEMO) == changed


async def test_change_nobody_sees(node: Node) -> None:
    """Those inside are not told of what is not theirs, nor of what is as it was."""
    client = enter(node, await node.rooms.create(Wanted(id=DEMO)), ADA)
    await node.rooms.change(DEMO, lambda before: replace(before, pin="zzzzzz"))
    await node.rooms.change(DEMO, lambda before: before)
    assert told(client, "roomChanged") == []


async def test_change_is_stored_first(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the store did not take changes nothing."""
    room = await node.rooms.create(Wanted(id=DEMO))

    async def fail(**_changes: object) -> None:
        raise StoreLost("the disk is full")

    monkeypatch.setattr(node.store, "commit", fail)
    with pytest.raises(StoreLost):
        await node.rooms.change(DEMO, lambda before: replace(before, loudest=2))
    await node.settle()
    assert node.rooms.get(DEMO) == room
    assert node.mixer.specs[DEMO].loudest == 0


async def test_change_of_nothing(node: Node) -> None:
    """A room that is not there cannot be changed."""
    with pytest.raises(RoomNotFound):
        await node.rooms.change(DEMO, lambda before: before)


async def test_broadcast_off_and_on(node: Node) -> None:
    """A room goes off the air and on again, with the key and clock it had."""
    await node.rooms.create(Wanted(id=DEMO))
    await node.settle()
    before, seen = node.broadcast.specs[DEMO], []
    for on in (False, True):
        await node.rooms.change(DEMO, lambda room, on=on: replace(room, broadcast=on))  # type: ignore[misc]
        await node.settle()
        seen.append((node.broadcast.specs[DEMO].on_air, node.mixer.specs[DEMO].on_air))
    after = node.broadcast.specs[DEMO]
    assert seen == [(False, False), (True, True)]
    assert (after.keys, after.base_tick) == (before.keys, before.base_tick)


async def test_off_the_air_from_the_start(node: Node) -> None:
    """A room without a broadcast has none, also after a restart."""
    await node.rooms.create(Wanted(id=DEMO, broadcast=False))
    node.services = node.build()
    await node.rooms.load()
    await node.settle()
    assert not node.mixer.specs[DEMO].on_air
    assert node.broadcast.specs == {}


async def test_revoke(node: Node) -> None:
    """Who was taken out stays out over a restart, until their token would have ended."""
    room = await node.rooms.create(Wanted(id=DEMO))
    client = enter(node, room, ADA)
    await node.rooms.revoke(DEMO, ADA, 60)
    assert client.farewell is Farewell.REVOKED
    again: Rooms = node.build().context.rooms
    await again.load()
    assert again.is_revoked(DEMO, ADA)
    node.advance(60)
    assert not again.is_revoked(DEMO, ADA)


@pytest.mark.parametrize("is_anew", [False, True])
async def test_revoke_removed_meanwhile(
    node: Node,
    monkeypatch: pytest.MonkeyPatch,
    is_anew: bool,  # noqa: FBT001 - a column
) -> None:
    """A room that is removed while we write leaves no refusal to one that has its name later."""
    await node.rooms.create(Wanted(id=DEMO))
    commit = node.store.commit

    async def slow(**changes: Any) -> object:
        monkeypatch.setattr(node.store, "commit", commit)
        await node.rooms.remove(DEMO)
        if is_anew:
            await node.rooms.create(Wanted(id=DEMO))
        return await commit(**changes)

    monkeypatch.setattr(node.store, "commit", slow)
    with pytest.raises(RoomNotFound):
        await node.rooms.revoke(DEMO, ADA, 60)
    assert (await node.store.scan("/rooms/demo/revoked/")).records == ()
    assert not node.rooms.is_revoked(DEMO, ADA)


async def test_oldest_first(node: Node) -> None:
    """Rooms are listed in the order they were made."""
    for name in ("zzz", "aaa"):
        await node.rooms.create(Wanted(id=RoomId(name)))
        node.advance(1)
    assert [room.id for room in node.rooms.all()] == ["zzz", "aaa"]


async def test_nobody_is_cut_off_unwarned(node: Node) -> None:
    """Those inside are told twice before their room's time is over; then it is, and they know."""
    room = await node.rooms.create(Wanted(id=DEMO, expires_in_s=400))
    client = FakeClient()
    node.presence.enter(room, Arrival(ADA, Role.ANCHOR), client)
    for _ in range(80):
        node.advance(5)
        await node.rooms.expire()
    methods = [json.loads(text) for text in client.texts]
    told = [(one["method"], one["params"].get("seconds")) for one in methods]
    assert told == [("roomClosing", 300), ("roomClosing", 60), ("roomClosed", None)]
    assert client.farewell is Farewell.ROOM_GONE


async def test_warnings_after_a_restart(node: Node) -> None:
    """Who comes back to a room whose time ran out meanwhile still has a minute."""
    await node.rooms.create(Wanted(id=DEMO, expires_in_s=60))
    node.advance(100)
    node.services = node.build()
    await node.rooms.load()
    client = FakeClient()
    node.presence.enter(node.rooms.get(DEMO), Arrival(ADA, Role.ANCHOR), client)
    await node.rooms.expire()
    assert json.loads(client.texts[-1])["params"] == {"seconds": 60, "reason": "expired"}
    node.advance(59)
    await node.rooms.expire()
    assert node.rooms.state(DEMO) is RoomState.ON_AIR
    node.advance(1)
    await node.rooms.expire()
    assert node.rooms.state(DEMO) is RoomState.GONE


async def test_refusals_are_forgotten(node: Node) -> None:
    """A refusal is kept no longer than the tokens it is for, in memory and in the store."""
    await node.rooms.create(Wanted(id=DEMO, expires_in_s=None))
    await node.rooms.revoke(DEMO, ADA, 60)
    await node.rooms.expire()
    assert node.rooms.is_revoked(DEMO, ADA)
    node.advance(60)
    await node.rooms.expire()
    records = (await node.store.scan("/rooms/demo/revoked/")).records
    assert (records, node.rooms._live[DEMO].revoked) == ((), {})
