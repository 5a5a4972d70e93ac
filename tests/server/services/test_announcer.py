"""Announcements against a plane that plays nothing: what is sent, told, and what fails."""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import IO

import pytest
from structlog.testing import capture_logs

from mixer.errors import NoCapacity
from mixer.types import PeerId, Played, PlayerSpec, RoomId
from server.domain.announcement import Announcement, PlayState
from server.domain.grants import Role
from server.domain.identity import UserId
from server.errors import NotFound, SoundRefused, TooMany
from server.ports import PlaneLost
from server.services.announcer import MAX_IN_ROOM, MAX_OVER, Announcer, Wanted
from server.services.presence import Arrival
from server.services.rooms import Wanted as WantedRoom
from server.supervise import Supervisor
from tests.support.node import FakeClient, Node, open_node
from tests.support.planes import FakeDecoding

DEMO = RoomId("demo")
ANN = UserId("0f0e0d0c-0b0a-4909-8807-060504030201")
CHUNK = 1920 * 5


class Desk:
    """A node with one room, and its announcer."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.mixer = node.mixer
        self.decoder = node.decoder

    @property
    def announcer(self) -> Announcer:
        return self.node.services.context.announcer

    def sound(self) -> IO[bytes]:
        file = tempfile.TemporaryFile()  # noqa: SIM115 - the announcer closes it
        file.write(b"RIFF")
        file.flush()
        return file

    async def play(self, room: RoomId = DEMO, **wanted: object) -> Announcement:
        return await self.announcer.play(room, Wanted(**wanted), self.sound())  # type: ignore[arg-type]

    def fed(self, name: str) -> bytes:
        """Everything a player was given, in the order it came."""
        return b"".join(self.mixer.fed[name])

    def played(self, one: Announcement, frames: int, *, is_over: bool = False) -> None:
        self.announcer.handle(Played(one.room, one.id, frames, is_over))

    def state(self, one: Announcement) -> PlayState:
        return self.announcer.get(one.room, one.id).state

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Let tasks run until something is so."""
        async with asyncio.timeout(5):
            while not is_so():  # noqa: ASYNC110 - nobody says when
                await asyncio.sleep(0)

    async def over(self, one: Announcement) -> Announcement:
        """Wait until it is over."""
        await self.until(lambda: self.announcer.get(one.room, one.id).is_over)
        return self.announcer.get(one.room, one.id)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with open_node(tmp_path) as node, Supervisor() as supervisor:
        node.services.context.announcer.serve(supervisor.scope("announcer"))
        await node.rooms.create(WantedRoom(id=DEMO, pin=""))
        await node.settle()
        yield Desk(node)
        assert supervisor.failures == 0


async def test_all_of_a_file_is_sent_a_second_ahead(desk: Desk) -> None:
    """Never more than 50 frames before what the mixer took; then its end, then it is over."""
    desk.decoder.chunks = 30
    one = await desk.play(name="gong", gain_db=-3.0)
    assert desk.mixer.played == {(DEMO, one.id): PlayerSpec(one.id, gain_db=-3.0)}
    assert desk.decoder.read == [b"RIFF"]
    taken = 0
    while taken < 150:
        due = min(150, taken + 50) // 5 * CHUNK
        await desk.until(lambda due=due: len(desk.fed(one.id)) == due)  # type: ignore[misc]
        taken += 10
        desk.played(one, taken)
    await desk.until(lambda: desk.mixer.fed[one.id][-1] == b"")
    assert desk.fed(one.id) == b"".join(bytes([n]) * CHUNK for n in range(30))
    assert desk.announcer.get(DEMO, one.id).position_s == 1.0  # of the second the file claims
    desk.played(one, 150, is_over=True)
    assert (await desk.over(one)).state is PlayState.ENDED
    assert desk.decoder.opened[0].is_closed
    assert dict(desk.announcer.counters) == {
        "announcements_started": 1,
        "announcements_ended": 1,
    }


async def test_a_mixer_that_dies_costs_nothing_but_a_moment(desk: Desk) -> None:
    """What it had not taken is sent to the next; the gain is the newest."""
    desk.decoder.chunks = 20
    one = await desk.play()
    await desk.until(lambda: len(desk.fed(one.id)) == 10 * CHUNK)
    desk.played(one, 12)
    await desk.until(lambda: len(desk.fed(one.id)) == 12 * CHUNK)
    await desk.announcer.set_gain(DEMO, one.id, -6.0)
    assert desk.mixer.gains == {one.id: -6.0}
    desk.mixer.fed.clear()
    desk.mixer.played.clear()
    desk.announcer.handle(PlaneLost(frozenset({RoomId("other")})))
    desk.announcer.handle(PlaneLost(frozenset({DEMO})))
    await desk.until(lambda: len(desk.fed(one.id)) >= 10 * CHUNK - 2 * 1920)
    assert desk.mixer.played[DEMO, one.id].gain_db == -6.0
    whole = b"".join(bytes([n]) * CHUNK for n in range(20))
    assert whole[12 * 1920 :].startswith(desk.fed(one.id))
    desk.played(one, 38)
    assert desk.announcer.get(DEMO, one.id).frames == 50


async def test_it_waits_for_a_mixer_that_is_away(desk: Desk) -> None:
    """Feeding and playing fail for a while, and go on by themselves."""
    one = await desk.play()
    await desk.until(lambda: len(desk.fed(one.id)) == 10 * CHUNK)
    desk.mixer.is_away = True
    desk.mixer.fed.clear()
    desk.announcer.handle(PlaneLost())
    for _ in range(50):
        await asyncio.sleep(0)
    assert desk.state(one) is PlayState.PLAYING
    desk.mixer.is_away = False
    await desk.until(lambda: len(desk.fed(one.id)) == 10 * CHUNK)


async def test_stop_fades_out(desk: Desk) -> None:
    """Stopping until the mixer says that it is over; then once more forgets it."""
    one = await desk.play()
    await desk.announcer.stop(DEMO, one.id)
    assert (desk.mixer.stopped, desk.state(one)) == ([one.id], PlayState.STOPPING)
    desk.played(one, 20, is_over=True)
    assert (await desk.over(one)).state is PlayState.STOPPED
    assert (await desk.announcer.set_gain(DEMO, one.id, 0.0)).state is PlayState.STOPPED
    await desk.announcer.stop(DEMO, one.id)
    with pytest.raises(NotFound):
        desk.announcer.get(DEMO, one.id)
    with pytest.raises(NotFound):
        await desk.announcer.stop(DEMO, one.id)


@pytest.mark.parametrize("is_away", [True, False])
async def test_stop_while_the_mixer_is_dead(desk: Desk, is_away: bool) -> None:  # noqa: FBT001 - a parameter
    """It is silent already, and is not played again."""
    one = await desk.play()
    if is_away:
        desk.mixer.is_away = True
        await desk.announcer.stop(DEMO, one.id)
    else:
        await desk.announcer.stop(DEMO, one.id)
        desk.announcer.handle(PlaneLost())
    desk.mixer.played.clear()
    assert (await desk.over(one)).state is PlayState.STOPPED
    assert desk.mixer.played == {}


async def test_a_decoder_that_fails_ends_its_own_announcement(desk: Desk) -> None:
    """What was sent is played to its end, and the reason is told."""
    other = await desk.play()
    desk.decoder.fails = "The decoder broke on this file (status -11)"
    desk.decoder.chunks = 3
    one = await desk.play()
    failed = await desk.over(one)
    assert (failed.state, failed.reason) == (PlayState.FAILED, desk.decoder.fails)
    assert desk.mixer.fed[one.id][-1] == b""
    assert len(desk.fed(one.id)) == 3 * CHUNK
    assert desk.state(other) is PlayState.PLAYING
    assert [made.is_closed for made in desk.decoder.opened] == [False, True]
    assert [one.state.value for one in desk.announcer.list(DEMO)] == ["failed", "playing"]


async def test_a_file_without_sound_is_refused(desk: Desk) -> None:
    """Nothing is played, and the file is closed."""
    desk.decoder.refusal = SoundRefused("There is no sound in this file.")
    file = desk.sound()
    with pytest.raises(SoundRefused):
        await desk.announcer.play(DEMO, Wanted(), file)
    assert file.closed
    assert (desk.announcer.count, desk.announcer.list(DEMO), desk.mixer.played) == (0, [], {})


async def test_a_mixer_that_refuses_ends_the_decoder(desk: Desk) -> None:
    """Whoever asked is told."""
    desk.mixer.refusal = NoCapacity("A room plays at most 16 things at a time.")
    with pytest.raises(NoCapacity):
        await desk.play()
    assert desk.decoder.opened[0].is_closed
    assert desk.announcer.count == 0


async def test_one_person(desk: Desk) -> None:
    """It is played to them and told to them; who is not there cannot be played to."""
    room = desk.node.rooms.get(DEMO)
    ann, bob = FakeClient(), FakeClient()
    desk.node.presence.enter(room, Arrival(ANN, Role.ANCHOR), ann)
    bob_id = UserId(str(ANN).replace("0f0e", "0e0f"))
    desk.node.presence.enter(room, Arrival(bob_id, Role.ANCHOR), bob)
    one = await desk.play(to=ANN, name="psst")
    assert desk.mixer.played[DEMO, one.id] == PlayerSpec(one.id, PeerId(ANN))
    assert [json.loads(text) for text in ann.texts] == [
        {
            "jsonrpc": "2.0",
            "method": "announcement",
            "params": {"id": one.id, "name": "psst", "state": "playing"},
        }
    ]
    assert bob.texts == []
    await desk.play()
    assert len(bob.texts) == 1
    with pytest.raises(NotFound):
        await desk.play(to=str(ANN).replace("0f0e", "0000"))


async def test_a_room_that_is_removed_is_silent(desk: Desk) -> None:
    """Its announcements are gone, and their decoders too."""
    await desk.play()
    await desk.node.rooms.remove(DEMO)
    await desk.until(lambda: desk.decoder.opened[0].is_closed)
    assert (desk.announcer.count, desk.announcer.list(DEMO)) == (0, [])


async def test_a_room_plays_so_many_and_no_more(desk: Desk) -> None:
    """What is one too many is refused before it is decoded."""
    for _ in range(MAX_IN_ROOM):
        await desk.play()
    with pytest.raises(TooMany):
        await desk.play()
    assert len(desk.decoder.opened) == desk.announcer.playing_in(DEMO) == MAX_IN_ROOM


async def test_only_the_last_that_are_over_are_listed(desk: Desk) -> None:
    """A station that plays a jingle a minute fills nothing."""
    for _ in range(MAX_OVER + 3):
        one = await desk.play()
        desk.played(one, 50, is_over=True)
        await desk.over(one)
    assert len(desk.announcer.list(DEMO)) == MAX_OVER


async def test_the_server_stops(tmp_path: Path) -> None:
    """With the supervisor every decoder ends."""
    async with open_node(tmp_path) as node:
        desk = Desk(node)
        async with Supervisor() as supervisor:
            node.services.context.announcer.serve(supervisor.scope("announcer"))
            await node.rooms.create(WantedRoom(id=DEMO, pin=""))
            await node.settle()
            await desk.play()
            decoding: FakeDecoding = node.decoder.opened[0]
            await desk.until(lambda: not decoding.chunks)
        assert decoding.is_closed


async def test_a_mixer_that_stays_away_is_a_failure(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After ten seconds whoever looks is told why it is silent."""
    monkeypatch.setattr("server.services.announcer.BEGIN_S", -1.0)
    one = await desk.play()
    desk.mixer.is_away = True
    desk.announcer.handle(PlaneLost())
    with capture_logs():
        failed = await desk.over(one)
    assert failed.state is PlayState.FAILED
    assert "restarting" in failed.reason


@pytest.mark.parametrize("is_stopped", [True, False])
async def test_a_mixer_that_forgets_to_say_that_it_is_over(
    desk: Desk,
    monkeypatch: pytest.MonkeyPatch,
    is_stopped: bool,  # noqa: FBT001 - a parameter
) -> None:
    """Events may be lost: what was stopped, or taken whole, is over after a while all the same."""
    monkeypatch.setattr("server.services.announcer.LAST_WORDS_S", -1.0)
    monkeypatch.setattr("server.services.announcer.RETRY_S", 0.01)
    one = await desk.play()
    if is_stopped:
        await desk.announcer.stop(DEMO, one.id)
    else:
        await desk.until(lambda: len(desk.fed(one.id)) == 10 * CHUNK)
        desk.played(one, 10)
        await desk.until(lambda: desk.mixer.fed[one.id][-1] == b"")
        desk.played(one, 50)
    over = await desk.over(one)
    assert over.state is (PlayState.STOPPED if is_stopped else PlayState.ENDED)


async def test_a_server_plays_so_many_and_no_more(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decoders cost memory, whatever the room."""
    monkeypatch.setattr("server.services.announcer.MAX_PLAYING", 1)
    await desk.play()
    with pytest.raises(TooMany, match="This server"):
        await desk.play()


async def test_a_room_that_is_removed_while_it_begins(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is left running."""
    play = desk.mixer.play

    async def play_slowly(room: RoomId, spec: PlayerSpec) -> None:
        await play(room, spec)
        await desk.node.rooms.remove(DEMO)

    monkeypatch.setattr(desk.mixer, "play", play_slowly)
    with pytest.raises(NotFound, match="gone"):
        await desk.play()
    assert desk.decoder.opened[0].is_closed
    assert desk.announcer.count == 0
