"""Mixers that die or do not answer, and what becomes of their rooms."""

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from mixer.errors import ClientMistake
from mixer.types import (
    Overloaded,
    OverloadLevel,
    PeerChanged,
    PeerState,
    RoomId,
    RoomSpec,
)
from server.media.fleet import SUSPECT_S
from server.ports import PlaneLost
from tests.server.media.stage import ANN, BOB, Stage, in_virtual_time, settle, spec
from tests.support.planes import ANSWER, FakeMember


async def test_a_dead_mixers_people_find_another(stage: Stage) -> None:
    """Only its own rooms are lost; those with people go to a mixer that serves."""
    await stage.fleet.apply(spec("a", 1, "ann"))
    await stage.fleet.apply(spec("b", 1, "bob"))
    await stage.fleet.apply(spec("empty", 1))
    assert stage.rooms() == [{"a", "empty"}, {"b"}]
    events = stage.fleet.events()
    stage.mixers[1].emit(PeerChanged(RoomId("b"), BOB, PeerState.LIVE))
    stage.mixers[0].emit(PeerChanged(RoomId("a"), ANN, PeerState.LIVE))
    await settle()
    stage.mixers[0].die()
    await settle()
    assert await anext(events) == PeerChanged(RoomId("b"), BOB, PeerState.LIVE)
    assert await anext(events) == PlaneLost(frozenset({RoomId("a"), RoomId("empty")}))
    assert stage.rooms()[1] == {"a", "b"}
    assert await stage.fleet.accept_offer(RoomId("a"), ANN, "v=0") == ANSWER
    assert stage.fleet.is_up
    stage.mixers[0].come_back()
    assert stage.rooms() == [{"empty"}, {"a", "b"}]


async def test_nobody_flees_to_a_busy_mixer(stage: Stage) -> None:
    """Their own is back in half a second, and has all their rooms again."""
    await stage.fleet.apply(spec("a", 1, "ann"))
    stage.mixers[1].busy_share = 0.7
    await stage.look()
    stage.mixers[0].die()
    await settle()
    assert await anext(stage.fleet.events()) == PlaneLost(frozenset({RoomId("a")}))
    assert stage.rooms() == [{"a"}, set()]


async def test_a_mixer_without_rooms_is_no_loss(stage: Stage) -> None:
    """Nobody needs to be told."""
    events = stage.fleet.events()
    stage.mixers[1].die()
    await settle()
    stage.mixers[0].emit(Overloaded(OverloadLevel.NONE))
    assert await anext(events) == Overloaded(OverloadLevel.NONE)


async def test_with_all_mixers_away_rooms_wait(stage: Stage) -> None:
    """A new room is the first mixer's, and a known one stays where it was."""
    stage.mixers[0].busy_share = 0.5
    await stage.look()
    await stage.fleet.apply(spec("a", 1))
    for mixer in stage.mixers:
        mixer.is_away = True
    await stage.look()
    assert not stage.fleet.is_up
    await stage.fleet.apply(spec("a", 2, "ann"))
    await stage.fleet.apply(spec("b", 1, "bob"))
    assert stage.rooms() == [{"b"}, {"a"}]


async def test_who_does_not_answer_comes_last(stage: Stage) -> None:
    """A mixer that hangs still counts as up: it gets no people while another one answers."""

    async def nothing() -> Any:
        return {"mixer-0": (await FakeMember.statistics(away))["away"]}

    away = FakeMember("away")
    away.is_away = True
    stage.mixers[0].statistics = nothing  # type: ignore[method-assign]
    await stage.look()
    await stage.fleet.apply(spec("a", 1, "ann"))
    assert stage.rooms() == [set(), {"a"}]


def test_a_room_that_may_be_the_reason_is_carried_no_further() -> None:
    """Whose second mixer dies soon after the first stays there; much later it may go again."""

    async def act(stage: Stage) -> None:
        first, second, third = stage.mixers
        await stage.fleet.apply(spec("a", 1, "ann"))
        first.die()
        await settle()
        assert stage.fleet.home(RoomId("a")) == "mixer-1"
        second.die()
        await settle()
        assert stage.fleet.home(RoomId("a")) == "mixer-1"
        second.come_back()
        await asyncio.sleep(SUSPECT_S)  # sleep: virtual time
        second.die()
        await settle()
        assert stage.fleet.home(RoomId("a")) == "mixer-2"
        assert "a" in third.specs

    in_virtual_time(act, mixers=3, first=3)


def test_a_room_closed_while_it_is_placed_again_stays_closed() -> None:
    """What was closed between the death and the telling is told to nobody."""

    async def act(stage: Stage) -> None:
        dead, refuge = stage.mixers
        await stage.fleet.apply(spec("b", 1))
        await stage.fleet.apply(spec("a", 1, "ann"))
        await stage.fleet.apply(spec("b", 2, "bob"))
        assert stage.rooms() == [{"a", "b"}, set()]
        apply = refuge.apply

        async def apply_slowly(wanted: RoomSpec) -> None:
            await asyncio.sleep(1)  # sleep: virtual time
            await apply(wanted)

        refuge.apply = apply_slowly  # type: ignore[method-assign, assignment]
        dead.die()
        await settle()
        await stage.fleet.apply(spec("b", 3, closed=True))
        await asyncio.sleep(5)  # sleep: virtual time
        assert set(refuge.specs) == {"a"}

    in_virtual_time(act, mixers=2, first=2)


async def test_a_room_that_cannot_be_placed_keeps_no_other_out(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal is logged, and the next room is told."""
    apply = stage.mixers[1].apply

    async def refuse(wanted: RoomSpec) -> None:
        if wanted.room == "a":
            raise ClientMistake("bad", "no")
        await apply(wanted)

    stage.mixers[1].is_away = True
    for room in ("a", "b"):
        await stage.fleet.apply(spec(room, 1, "ann"))
    stage.mixers[1].is_away = False
    monkeypatch.setattr(stage.mixers[1], "apply", refuse)
    with capture_logs() as logs:
        stage.mixers[0].die()
        await settle()
    assert stage.rooms()[1] == {"b"}
    assert [entry["room"] for entry in logs if entry["event"] == "room_not_placed"] == ["a"]
