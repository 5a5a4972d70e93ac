"""Several mixers as one plane, with mixers that mix nothing."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import pytest
from structlog.testing import capture_logs

from mixer.errors import ClientMistake, NoCapacity, PeerGone
from mixer.types import (
    AnchorSpec,
    ForwarderSpec,
    GoneReason,
    Overloaded,
    OverloadLevel,
    PeerChanged,
    PeerId,
    PeerState,
    PeerStatistics,
    PlaneStatistics,
    Played,
    PlayerSpec,
    RoomId,
    RoomSpec,
    RtpParticipantSpec,
    Talking,
)
from server.errors import PlaneUnavailable, SetupMistake
from server.media.fleet import IDLE_LOOKS, SUSPECT_S, WATCH_S, Fleet
from server.ports import PlaneLost
from server.supervise import Supervisor
from tests.support.node import SDP
from tests.support.planes import ANSWER, FakeMember
from tests.support.virtual_time import VirtualLoop, run_virtually

ANN, BOB = PeerId("ann"), PeerId("bob")


def spec(room: str, version: int, *people: str, **more: Any) -> RoomSpec:
    """A room with these people."""
    return RoomSpec(RoomId(room), version, tuple(AnchorSpec(PeerId(p)) for p in people), **more)


class Stage:
    """A fleet of fakes."""

    def __init__(self, mixers: int = 2, first: int | None = None) -> None:
        self.mixers = [FakeMember(f"mixer-{number}") for number in range(mixers)]
        self.fleet = Fleet(self.mixers, first=mixers if first is None else first)

    async def look(self) -> None:
        """Measure the mixers, as happens each second."""
        for number in list(self.fleet._running):
            await self.fleet._measure(number)

    def rooms(self) -> list[set[str]]:
        """The rooms of each mixer."""
        return [set(mixer.specs) for mixer in self.mixers]


async def settle() -> None:
    """Let events pass."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    """Two mixers that serve."""
    made = Stage()
    with capture_logs():
        async with Supervisor() as supervisor:
            await made.fleet.start(supervisor)
            yield made
            await made.fleet.close()


def in_virtual_time(
    act: Callable[[Stage], Awaitable[None]], *, mixers: int, first: int = 1
) -> list[Any]:
    """Run a fleet on a loop whose time costs nothing; return what was logged."""

    async def main() -> None:
        stage = Stage(mixers, first)
        async with Supervisor() as supervisor:
            await stage.fleet.start(supervisor)
            await act(stage)
            await stage.fleet.close()

    with capture_logs() as logs:
        run_virtually(main(), VirtualLoop())
    return list(logs)


# Placing


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


# Events


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


# Deaths


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


# Starting


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


# Plain RTP


LINE = (RtpParticipantSpec(PeerId("trunk")),)


async def test_plain_rtp_is_the_first_mixers(stage: Stage) -> None:
    """It has the port, however much it has to do; forwarders may be anywhere."""
    stage.mixers[0].busy_share = 0.5
    await stage.look()
    await stage.fleet.apply(spec("a", 1, rtp=LINE))
    await stage.fleet.apply(
        spec("b", 1, "bob", forwarders=(ForwarderSpec("f", "192.0.2.1", 5004, 7),))
    )
    assert stage.rooms() == [{"a"}, {"b"}]


async def test_a_room_moves_to_the_port_and_its_people_are_told(stage: Stage) -> None:
    """When its first participant is expected, not with the next one."""
    stage.mixers[0].busy_share = 0.5
    await stage.look()
    await stage.fleet.apply(spec("a", 1, "ann"))
    events = stage.fleet.events()
    await stage.fleet.apply(spec("a", 2, "ann", rtp=LINE))
    assert stage.rooms() == [{"a"}, set()]
    assert await anext(events) == PlaneLost(frozenset({RoomId("a")}))
    await stage.fleet.apply(spec("a", 3, "ann", "bob", rtp=LINE))
    await stage.fleet.close()
    assert [event async for event in events] == []


async def test_a_room_with_plain_rtp_waits_for_its_mixer(stage: Stage) -> None:
    """It is carried to no other: the port is not there."""
    await stage.fleet.apply(spec("a", 1, "ann", rtp=LINE))
    stage.mixers[0].die()
    await settle()
    assert stage.fleet.home(RoomId("a")) == "mixer-0"


async def test_a_room_that_plays_stays_where_it_is(stage: Stage) -> None:
    """As if somebody were in it, until that is over; what is fed goes there."""
    await stage.fleet.apply(spec("quiet", 1))
    await stage.fleet.play(RoomId("quiet"), PlayerSpec("gong"))
    home = int(str(stage.fleet.home(RoomId("quiet")))[-1])
    mixer, other = stage.mixers[home], stage.mixers[1 - home]
    assert stage.fleet.feed(RoomId("quiet"), "gong", b"pcm")
    await stage.fleet.set_volume(RoomId("quiet"), "gong", -3.0)
    await stage.fleet.stop(RoomId("quiet"), "gong")
    assert (mixer.fed, mixer.gains, mixer.stopped) == ({"gong": [b"pcm"]}, {"gong": -3}, ["gong"])
    mixer.busy_share = 0.5
    await stage.look()
    await stage.fleet.apply(spec("quiet", 2, "ann"))
    await stage.fleet.apply(spec("quiet", 3))
    assert stage.fleet.home(RoomId("quiet")) == mixer.name
    mixer.emit(Played(RoomId("quiet"), "gong", 3, is_over=False))
    mixer.emit(Played(RoomId("quiet"), "bell", 3, is_over=True))
    await settle()
    await stage.fleet.apply(spec("quiet", 4, "ann"))
    await stage.fleet.apply(spec("quiet", 5))
    assert stage.fleet.home(RoomId("quiet")) == mixer.name
    mixer.emit(Played(RoomId("quiet"), "gong", 9, is_over=True))
    await settle()
    await stage.fleet.apply(spec("quiet", 6, "ann"))
    assert stage.fleet.home(RoomId("quiet")) == other.name


async def test_an_unknown_room_plays_nothing(stage: Stage) -> None:
    """It cannot be played in, nor be fed; stopping what is not there is no mistake."""
    nowhere = RoomId("nowhere")
    with pytest.raises(PeerGone):
        await stage.fleet.play(nowhere, PlayerSpec("gong"))
    assert not stage.fleet.feed(nowhere, "gong", b"")
    await stage.fleet.stop(nowhere, "gong")
    await stage.fleet.set_volume(nowhere, "gong", 0.0)


async def test_a_room_that_plays_and_must_move_is_lost(stage: Stage) -> None:
    """Plain RTP wants it elsewhere: whoever feeds it is told, though nobody was in it."""
    stage.mixers[0].busy_share = 0.5
    await stage.look()
    await stage.fleet.apply(spec("quiet", 1, "ann"))
    await stage.fleet.apply(spec("quiet", 2))
    await stage.fleet.play(RoomId("quiet"), PlayerSpec("gong"))
    trunk = RtpParticipantSpec(PeerId("trunk"))
    await stage.fleet.apply(spec("quiet", 3, rtp=(trunk,)))
    assert stage.fleet.home(RoomId("quiet")) == "mixer-0"
    events = stage.fleet.events()
    assert await anext(events) == PlaneLost(frozenset({RoomId("quiet")}))


async def test_a_room_that_moves_while_it_begins_to_play(stage: Stage) -> None:
    """What its old mixer plays is gone with the room: begin again."""
    stage.mixers[0].busy_share = 0.5
    await stage.look()
    await stage.fleet.apply(spec("quiet", 1, "ann"))
    old = stage.mixers[1]
    play = old.play

    async def play_slowly(room: RoomId, spec_: PlayerSpec) -> None:
        await play(room, spec_)
        trunk = RtpParticipantSpec(PeerId("trunk"))
        await stage.fleet.apply(spec("quiet", 2, rtp=(trunk,)))

    old.play = play_slowly  # type: ignore[method-assign, assignment]
    with pytest.raises(PlaneUnavailable):
        await stage.fleet.play(RoomId("quiet"), PlayerSpec("gong"))
    await stage.fleet.play(RoomId("quiet"), PlayerSpec("gong"))
    assert (RoomId("quiet"), "gong") in stage.mixers[0].played


# Listeners


async def test_a_room_stays_while_somebody_listens(stage: Stage) -> None:
    """As if somebody were in it; when the last has gone it may move."""
    await stage.fleet.apply(spec("a", 1, listeners=True))
    _ = await stage.fleet.accept_offer(RoomId("a"), BOB, SDP, listener=True)
    stage.mixers[0].busy_share = 0.9
    await stage.look()
    await stage.fleet.apply(spec("a", 2, "ann", listeners=True))
    assert stage.rooms() == [{"a"}, set()]
    await stage.fleet.apply(spec("a", 3, listeners=True))
    for peer, state, reason in (
        (ANN, PeerState.GONE, GoneReason.LEFT),
        (BOB, PeerState.LIVE, None),
        (BOB, PeerState.GONE, GoneReason.REPLACED),
    ):
        stage.mixers[0].emit(PeerChanged(RoomId("a"), peer, state, reason))
    await settle()
    await stage.fleet.apply(spec("a", 4, "ann", listeners=True))
    assert stage.rooms() == [{"a"}, set()]
    await stage.fleet.apply(spec("a", 5, listeners=True))
    stage.mixers[0].emit(PeerChanged(RoomId("a"), BOB, PeerState.GONE, GoneReason.TIMEOUT))
    await settle()
    await stage.fleet.apply(spec("a", 6, "ann", listeners=True))
    assert stage.rooms() == [set(), {"a"}]


async def test_a_refused_listener_holds_no_room(stage: Stage) -> None:
    """Nor does one whose mixer died with them; who is dropped is dropped where the room is."""
    await stage.fleet.apply(spec("a", 1, listeners=True))
    stage.mixers[0].refusal = NoCapacity("full")
    for room in ("a", "nowhere"):
        with pytest.raises((NoCapacity, PeerGone)):
            await stage.fleet.accept_offer(RoomId(room), BOB, SDP, listener=True)
        await stage.fleet.drop_peer(RoomId(room), BOB)
    assert stage.mixers[0].dropped == [BOB]
    stage.mixers[0].refusal = None
    assert stage.fleet._listening == {}
    _ = await stage.fleet.accept_offer(RoomId("a"), BOB, SDP, listener=True)
    stage.mixers[0].refusal = NoCapacity("full")
    with pytest.raises(NoCapacity):  # a further offer: the connection goes on
        await stage.fleet.accept_offer(RoomId("a"), BOB, SDP, listener=True)
    assert stage.fleet._listening == {RoomId("a"): {BOB}}
    stage.mixers[0].die()
    await settle()
    assert stage.fleet._listening == {}


async def test_listeners_of_a_room_that_must_move_are_told(stage: Stage) -> None:
    """Plain RTP takes it to the first mixer: their connections are gone."""
    stage.mixers[0].busy_share = 0.9
    await stage.look()
    await stage.fleet.apply(spec("a", 1, "ann", listeners=True))
    await stage.fleet.apply(spec("a", 2, listeners=True))
    assert stage.fleet.home(RoomId("a")) == "mixer-1"
    _ = await stage.fleet.accept_offer(RoomId("a"), BOB, SDP, listener=True)
    lines = (RtpParticipantSpec(PeerId("cyd")),)
    await stage.fleet.apply(spec("a", 3, listeners=True, rtp=lines))
    assert stage.fleet.home(RoomId("a")) == "mixer-0"
    assert await anext(stage.fleet.events()) == PlaneLost(frozenset({RoomId("a")}))
    assert stage.fleet._listening == {}
