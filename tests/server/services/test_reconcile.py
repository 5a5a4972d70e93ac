"""Bringing a plane to what is wanted of it."""

import asyncio
from contextlib import suppress

import pytest

from mixer.errors import ClientMistake
from mixer.types import RoomId, RoomSpec
from server.errors import PlaneUnavailable
from server.services.reconcile import Reconciler
from tests.support.planes import FakeMixer

DEMO = RoomId("demo")


def spec(reconciler: Reconciler[RoomSpec], room: str = "demo") -> RoomSpec:
    return RoomSpec(RoomId(room), reconciler.next_version())


async def test_only_the_newest_counts() -> None:
    """Of several specs wanted of a room the plane gets the last."""
    mixer = FakeMixer()
    reconciler = Reconciler(mixer.apply)
    specs = [spec(reconciler) for _ in range(3)]
    for one in specs:
        reconciler.want(one)
    await reconciler.settle(DEMO)
    assert mixer.specs == {DEMO: specs[-1]}


async def test_made_when_its_turn_comes() -> None:
    """However often a room changes, a spec is made of it once, as it is by then."""
    mixer = FakeMixer()
    made: list[RoomSpec] = []
    reconciler = Reconciler(mixer.apply)

    def make() -> RoomSpec:
        made.append(spec(reconciler))
        return made[-1]

    for _ in range(100):
        reconciler.want_as_made(DEMO, make)
    assert not made
    await reconciler.settle(DEMO)
    assert list(mixer.specs.values()) == made
    assert len(made) == 1


async def test_settled() -> None:
    """What the plane has is not applied again."""
    applied: list[RoomSpec] = []

    async def apply(one: RoomSpec) -> None:
        applied.append(one)

    reconciler = Reconciler(apply)
    reconciler.want(spec(reconciler))
    await reconciler.settle(DEMO)
    await reconciler.settle(DEMO)
    assert len(applied) == 1


async def test_wanted_while_applying() -> None:
    """A spec that is wanted while the one before is applied is not forgotten."""
    mixer = FakeMixer()

    async def apply(one: RoomSpec) -> None:
        if one.version == 1:
            reconciler.want(spec(reconciler))
        await mixer.apply(one)

    reconciler = Reconciler(apply)
    reconciler.want(spec(reconciler))
    await reconciler.settle(DEMO)
    await reconciler.settle(DEMO)
    assert mixer.specs[DEMO].version == 2


async def test_the_end_is_not_skipped() -> None:
    """A room that is gone is closed before another that has its id is opened, once."""
    applied: list[RoomSpec] = []

    async def apply(one: RoomSpec) -> None:
        applied.append(one)

    reconciler = Reconciler(apply)
    before, *ends, after = (spec(reconciler) for _ in range(4))
    reconciler.want(before)
    for end in ends:
        reconciler.close(end)
        reconciler.want(after)
    assert reconciler.rooms_due() == [DEMO]
    await reconciler.settle(DEMO)
    assert applied == [ends[-1], after]
    assert reconciler.rooms_due() == []


async def test_an_end_that_waits() -> None:
    """While the plane is away the end stays before what follows; refused, it keeps nothing back."""
    applied: list[RoomSpec] = []
    refusals: list[Exception] = [PlaneUnavailable(), ClientMistake("bad", "never")]

    async def apply(one: RoomSpec) -> None:
        if refusals:
            raise refusals.pop(0)
        applied.append(one)

    reconciler = Reconciler(apply)
    end, after = spec(reconciler), spec(reconciler)
    reconciler.close(end)
    reconciler.want(after)
    with pytest.raises(PlaneUnavailable):
        await reconciler.settle(DEMO)
    assert applied == []
    await reconciler._try(DEMO)
    await _run_once(reconciler)
    assert applied == [after]


async def test_away() -> None:
    """A plane that is away is told when it is back."""
    mixer = FakeMixer()
    reconciler = Reconciler(mixer.apply)
    mixer.is_away = True
    reconciler.want(spec(reconciler))
    with pytest.raises(PlaneUnavailable):
        await reconciler.settle(DEMO)
    mixer.is_away = False
    await _run_once(reconciler)
    assert DEMO in mixer.specs


async def test_refused() -> None:
    """A spec the plane refuses is dropped, and the other rooms get theirs."""
    mixer = FakeMixer()

    async def apply(one: RoomSpec) -> None:
        if one.room == "bad":
            raise ClientMistake("bad", "never")
        await mixer.apply(one)

    reconciler = Reconciler(apply)
    for room in ("bad", "good"):
        reconciler.want(spec(reconciler, room))
    await _run_once(reconciler)
    assert list(mixer.specs) == ["good"]
    await reconciler.settle(RoomId("bad"))  # nothing is left to raise


async def _run_once(reconciler: Reconciler[RoomSpec]) -> None:
    task = asyncio.create_task(reconciler.run())
    for _ in range(5):
        await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
