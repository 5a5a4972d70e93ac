"""Several mixers as one plane, with mixers that mix nothing."""

import asyncio
from collections.abc import Mapping

import pytest

from mixer.errors import ClientMistake, PeerGone
from mixer.types import (
    AnchorSpec,
    Overloaded,
    OverloadLevel,
    PeerState,
    PeerStatistics,
    PlaneStatistics,
    RoomId,
    RoomSpec,
    Talking,
)
from server.errors import SetupMistake
from server.media.fleet import IDLE_LOOKS, WATCH_S
from server.supervise import Supervisor
from tests.server.media.stage import ANN, BOB, Stage, in_virtual_time, settle, spec
from tests.support.planes import ANSWER


async def test_rooms_go_where_there_is_least_to_do(stage: Stage) -> None:
    """By measured load, and by who is expected since."""
    stage.mixers[0].busy_share = 0.3
    await stage.look()
    await stage.fleet.apply(spec("a", 1, "ann"))
    assert stage.rooms() == [set(), {"a"}]
    stage.mixers[1].busy_share = 0.35
    await stage.look()
    await stage.fleet.apply(spec("b", 1, "bob"))
    assert stage.rooms() == [{"b"}, {"a"}]
    assert (stage.fleet.home(RoomId("a")), stage.fleet.home(RoomId("c"))) == ("mixer-1", None)


async def test_a_room_stays_while_somebody_is_in_it(stage: Stage) -> None:
    """However busy its mixer has become."""
    await stage.fleet.apply(spec("a", 1, "ann"))
    stage.mixers[0].busy_share = 0.9
    await stage.look()
    await stage.fleet.apply(spec("a", 2, "ann", "bob"))
    assert stage.rooms() == [{"a"}, set()]


async def test_an_empty_room_moves_when_somebody_comes(stage: Stage) -> None:
    """Not before: where nobody is, nothing is to be done. Its former mixer forgets it."""
    await stage.fleet.apply(spec("a", 1))
    stage.mixers[0].busy_share = 0.9
    await stage.look()
    await stage.fleet.apply(spec("a", 2, on_air=True))
    assert stage.rooms() == [{"a"}, set()]
    await stage.fleet.apply(spec("a", 3, "ann"))
    assert stage.rooms() == [set(), {"a"}]
    stage.mixers[1].busy_share = 0.9
    stage.mixers[0].busy_share = 0.1
    await stage.look()
    await stage.fleet.apply(spec("a", 4))
    await stage.fleet.apply(spec("a", 5, "bob"))
    assert stage.rooms() == [{"a"}, set()]


async def test_only_newer_specs_count(stage: Stage) -> None:
    """An old one neither changes nor moves anything; a closed room may begin anew."""
    await stage.fleet.apply(spec("a", 5, "ann"))
    await stage.fleet.apply(spec("a", 5, "bob"))
    await stage.fleet.apply(spec("a", 4, closed=True))
    assert stage.mixers[0].specs[RoomId("a")].anchors == (AnchorSpec(ANN),)
    await stage.fleet.apply(spec("a", 6, closed=True))
    await stage.fleet.apply(spec("b", 1, closed=True))
    assert stage.rooms() == [set(), set()]
    await stage.fleet.apply(spec("a", 1, "bob"))
    assert stage.mixers[0].specs[RoomId("a")].anchors == (AnchorSpec(BOB),)


async def test_calls_go_to_the_rooms_mixer(stage: Stage) -> None:
    """Offers, candidates and questions; what nobody has is nobody's."""
    stage.mixers[0].busy_share = 0.5
    await stage.look()
    room = RoomId("a")
    stage.mixers[1].described = (PeerStatistics(ANN, PeerState.LIVE),)
    await stage.fleet.apply(spec("a", 1, "ann"))
    assert await stage.fleet.accept_offer(room, ANN, "v=0") == ANSWER
    await stage.fleet.add_candidate(room, ANN, "candidate")
    await stage.fleet.add_candidate(RoomId("b"), ANN, "lost")
    assert await stage.fleet.peers(room) == stage.mixers[1].described
    assert stage.mixers[1].candidates == ["candidate"]
    with pytest.raises(PeerGone):
        await stage.fleet.accept_offer(RoomId("b"), ANN, "v=0")
    assert await stage.fleet.peers(RoomId("b")) == ()


async def test_it_can_what_all_can(stage: Stage) -> None:
    """Capabilities are those that every mixer has; before the start there are none."""
    assert Stage().fleet.capabilities == frozenset()
    stage.mixers[1].able = frozenset({"mix-minus", "fly"})
    assert stage.fleet.capabilities == {"mix-minus"}


async def test_statistics_are_by_process(stage: Stage) -> None:
    """One that is away still tells that it is."""
    stage.mixers[1].is_away = True
    told = await stage.fleet.statistics()
    assert set(told) == {"mixer-0", "mixer-1"}
    assert told["mixer-1"].gauges == {"mixer_up": 0}


async def test_a_refused_spec_is_as_if_never_wanted(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one before holds again, or the room is unknown again."""

    async def refuse(_spec: RoomSpec) -> None:
        raise ClientMistake("bad", "no")

    await stage.fleet.apply(spec("a", 1, "ann"))
    with monkeypatch.context() as patch:
        for mixer in stage.mixers:
            patch.setattr(mixer, "apply", refuse)
        for wanted in (spec("a", 2, "bob"), spec("b", 1, "bob")):
            with pytest.raises(ClientMistake):
                await stage.fleet.apply(wanted)
    assert stage.fleet.home(RoomId("b")) is None
    await stage.fleet.apply(spec("a", 2, "ann", "bob"))
    assert len(stage.mixers[0].specs[RoomId("a")].anchors) == 2


async def test_a_refused_move_leaves_a_room_where_it_was(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The former mixer still has it, and has it alone."""

    async def refuse(_spec: RoomSpec) -> None:
        raise ClientMistake("bad", "no")

    await stage.fleet.apply(spec("a", 1))
    stage.mixers[0].busy_share = 0.9
    await stage.look()
    monkeypatch.setattr(stage.mixers[1], "apply", refuse)
    with pytest.raises(ClientMistake):
        await stage.fleet.apply(spec("a", 2, "bob"))
    assert stage.fleet.home(RoomId("a")) == "mixer-0"
    assert stage.rooms() == [{"a"}, set()]


async def test_events_of_all_mixers_come_together(stage: Stage) -> None:
    """But not those of a room that has gone to another mixer."""
    events = stage.fleet.events()
    await stage.fleet.apply(spec("a", 1, "ann"))
    stage.mixers[1].emit(Talking(RoomId("a"), {ANN: -5}))
    stage.mixers[0].emit(Talking(RoomId("a"), {ANN: -20}))
    assert await anext(events) == Talking(RoomId("a"), {ANN: -20})
    stage.mixers[1].emit(Overloaded(OverloadLevel.LEAN))
    assert await anext(events) == Overloaded(OverloadLevel.LEAN)


async def test_an_overloaded_mixer_gets_no_more_rooms(stage: Stage) -> None:
    """From the moment it says so, without a new measurement."""
    stage.mixers[0].emit(Overloaded(OverloadLevel.FULL))
    await settle()
    await stage.fleet.apply(spec("a", 1, "ann"))
    stage.mixers[0].emit(Overloaded(OverloadLevel.FEW))
    await settle()
    await stage.fleet.apply(spec("b", 1, "bob"))
    assert stage.rooms() == [{"b"}, {"a"}]


def test_the_next_mixer_starts_when_there_is_enough_to_do() -> None:
    """One runs at first, and each more only when all that run are busy."""

    async def act(stage: Stage) -> None:
        def starts() -> list[int]:
            return [mixer.starts for mixer in stage.mixers]

        await asyncio.sleep(10 * WATCH_S)  # sleep: virtual time
        assert starts() == [1, 0, 0]
        stage.mixers[0].busy_share = 0.3
        await asyncio.sleep(10 * WATCH_S)  # sleep: virtual time
        assert starts() == [1, 1, 0]
        await stage.fleet.apply(spec("a", 1, "ann"))
        assert set(await stage.fleet.statistics()) == {"mixer-0", "mixer-1"}
        assert stage.fleet.home(RoomId("a")) == "mixer-1"
        stage.mixers[1].busy_share = 0.3
        await asyncio.sleep(10 * WATCH_S)  # sleep: virtual time
        assert starts() == [1, 1, 1]

    in_virtual_time(act, mixers=3)


def test_an_idle_mixer_is_asked_less_often() -> None:
    """Each question wakes two processes up; where somebody is, it is asked every second."""

    async def act(stage: Stage) -> None:
        mixer, asked = stage.mixers[0], 0
        answer = mixer.statistics

        async def count() -> Mapping[str, PlaneStatistics]:
            nonlocal asked
            asked += 1
            return await answer()

        mixer.statistics = count  # type: ignore[method-assign]
        await asyncio.sleep(20.5 * WATCH_S)  # sleep: virtual time
        assert asked == 20 / IDLE_LOOKS
        await stage.fleet.apply(spec("a", 1, "ann"))
        asked = 0
        await asyncio.sleep(20 * WATCH_S)  # sleep: virtual time
        assert asked == 20

    in_virtual_time(act, mixers=1)


def test_a_mixer_that_cannot_start_is_passed_over() -> None:
    """Its port was taken meanwhile: that is logged, and the next one is tried."""

    async def act(stage: Stage) -> None:
        stage.mixers[1].refuses_to_start = SetupMistake("UDP port 10001 is taken")
        stage.mixers[0].busy_share = 0.5
        await asyncio.sleep(10 * WATCH_S)  # sleep: virtual time
        assert [mixer.starts for mixer in stage.mixers] == [1, 1, 1]
        assert set(await stage.fleet.statistics()) == {"mixer-0", "mixer-2"}

    logs = in_virtual_time(act, mixers=3)
    assert [e["reason"] for e in logs if e["event"] == "mixer_not_started"] == [
        "UDP port 10001 is taken"
    ]


async def test_a_first_mixer_that_cannot_start_stops_the_server() -> None:
    """In its own words."""
    stage = Stage(2)
    stage.mixers[1].refuses_to_start = SetupMistake("no")
    async with Supervisor() as supervisor:
        with pytest.raises(SetupMistake, match="no"):
            await stage.fleet.start(supervisor)
        await stage.fleet.close()


async def test_a_fleet_that_never_began_ends() -> None:
    """Closing it is no mistake, and its reader ends."""
    fleet = Stage().fleet
    await fleet.close()
    assert [event async for event in fleet.events()] == []
