"""Plain RTP of rooms: allowed, stored, told to the mixer, and shown."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from mixer.types import PeerChanged, PeerId, PeerState, RoomId, RoomSpec, RtpCodec
from server.domain.grants import Role
from server.domain.lines import MAX_FORWARDERS, MAX_PARTICIPANTS
from server.errors import Forbidden, NotEnabled, NotFound, RoomNotFound, TooMany
from server.ports import PlaneLost
from server.services.lines import (
    ForwarderChange,
    LineChange,
    LineKeeper,
    WantedForwarder,
    WantedLine,
)
from server.services.presence import Arrival
from server.services.rooms import Wanted
from tests.server.services.people import ADA
from tests.support.node import FakeClient, Node, open_node

DEMO = RoomId("demo")
STUDIO = WantedForwarder("192.0.2.10", 5004, RtpCodec.OPUS, 111)
TRUNK = WantedLine(RtpCodec.PCMU, 0, "Trunk")


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    """A node that allows all, with a room."""
    async with open_node(tmp_path, rtp_port=5004, forward_to=("192.0.2.0/24",)) as made:
        await made.rooms.create(Wanted(DEMO, max_anchors=None))
        yield made


def keeper(node: Node) -> LineKeeper:
    return node.services.context.lines


async def spec(node: Node) -> RoomSpec:
    await node.settle()
    return node.mixer.specs[DEMO]


async def test_a_forwarder_is_in_the_rooms_spec(node: Node) -> None:
    """Until it is ended; the room stays on air."""
    made = await keeper(node).add_forwarder(DEMO, STUDIO)
    wanted = await spec(node)
    assert (wanted.forwarders, wanted.on_air) == ((made,), True)
    await keeper(node).remove_forwarder(DEMO, made.id)
    assert (await spec(node)).forwarders == ()


async def test_nothing_is_sent_where_the_operator_does_not_allow(node: Node) -> None:
    """Neither a forwarder nor a participant's mix."""
    with pytest.raises(Forbidden, match=r"192\.0\.3\.1"):
        await keeper(node).add_forwarder(DEMO, WantedForwarder("192.0.3.1", 1, RtpCodec.OPUS, 111))
    with pytest.raises(Forbidden):
        await keeper(node).add_line(DEMO, WantedLine(RtpCodec.OPUS, 111, host="::1", port=9))
    assert (await spec(node)).forwarders == ()


async def test_by_default_nothing_is_allowed(tmp_path: Path) -> None:
    """No port, no destination."""
    async with open_node(tmp_path) as node:
        await node.rooms.create(Wanted(DEMO))
        with pytest.raises(NotEnabled, match="rtp_port"):
            await keeper(node).add_line(DEMO, TRUNK)
        with pytest.raises(Forbidden):
            await keeper(node).add_forwarder(DEMO, STUDIO)


async def test_a_participant_is_in_the_spec_beside_the_people(node: Node) -> None:
    """With an SSRC of their own, unless they choose it."""
    line = await keeper(node).add_line(DEMO, TRUNK)
    node.presence.enter(node.rooms.get(DEMO), Arrival(ADA, Role.GUEST), FakeClient())
    free = await keeper(node).add_line(DEMO, WantedLine(RtpCodec.OPUS, 111, is_any_ssrc=True))
    wanted = await spec(node)
    assert wanted.rtp == (line.spec, free.spec)
    assert [anchor.peer for anchor in wanted.anchors] == [PeerId(ADA)]
    assert line.spec.ssrc is not None
    assert free.spec.ssrc is None
    await keeper(node).remove_line(DEMO, line.user)
    assert (await spec(node)).rtp == (free.spec,)


async def test_participants_are_listed_with_the_people(node: Node) -> None:
    """On air while their packets come; others are told."""
    line = await keeper(node).add_line(DEMO, TRUNK)
    peer = PeerId(line.user)
    assert node.presence.listing(DEMO)[0]["status"] == "idle"
    node.hear(PeerChanged(DEMO, peer, PeerState.LIVE))
    assert node.presence.listing(DEMO)[0]["status"] == "onair"
    await keeper(node).add_forwarder(DEMO, STUDIO)
    assert node.presence.listing(DEMO)[0]["status"] == "onair"
    node.hear(PeerChanged(DEMO, peer, PeerState.INTERRUPTED))
    assert node.presence.listing(DEMO)[0]["status"] == "idle"
    node.hear(PeerChanged(DEMO, peer, PeerState.LIVE))
    node.hear(PlaneLost())
    assert node.presence.listing(DEMO)[0]["status"] == "idle"


async def test_people_are_told_of_participants(node: Node) -> None:
    """As of anybody else: `roomStatus` is due."""
    node.presence.enter(node.rooms.get(DEMO), Arrival(ADA, Role.GUEST), FakeClient())
    line = await keeper(node).add_line(DEMO, TRUNK)
    node.hear(PeerChanged(DEMO, PeerId(line.user), PeerState.LIVE))
    names = [entry["displayName"] for entry in node.presence.listing(DEMO)]
    assert names == ["", "Trunk"]


async def test_changes_reach_the_mixer_and_keep_who_is_live(node: Node) -> None:
    """A person's gain, a forwarder's place."""
    line = await keeper(node).add_line(DEMO, TRUNK)
    forwarder = await keeper(node).add_forwarder(DEMO, STUDIO)
    node.hear(PeerChanged(DEMO, PeerId(line.user), PeerState.LIVE))
    changed = await keeper(node).change_line(
        DEMO, line.user, LineChange(display_name="Hall", muted=True, gain_db=-3.0, pan=1.0)
    )
    moved = await keeper(node).change_forwarder(
        DEMO, forwarder.id, ForwarderChange(host="192.0.2.11", always_on=True)
    )
    wanted = await spec(node)
    assert wanted.rtp == (changed.spec,) == (replace(line.spec, muted=True, gain_db=-3, pan=1),)
    assert wanted.forwarders == (moved,) == (replace(forwarder, host="192.0.2.11", always_on=True),)
    (entry,) = node.presence.listing(DEMO)
    assert (entry["displayName"], entry["muted"], entry["status"]) == ("Hall", True, "onair")


async def test_changes_may_not_lead_elsewhere(node: Node) -> None:
    """Nor may who is not there be changed."""
    line = await keeper(node).add_line(DEMO, TRUNK)
    forwarder = await keeper(node).add_forwarder(DEMO, STUDIO)
    with pytest.raises(Forbidden):
        await keeper(node).change_forwarder(DEMO, forwarder.id, ForwarderChange(host="::1"))
    with pytest.raises(Forbidden):
        await keeper(node).change_line(DEMO, line.user, LineChange(host="::1", port=1))
    with pytest.raises(NotFound):
        await keeper(node).change_forwarder(DEMO, "nothing", ForwarderChange())
    with pytest.raises(NotFound):
        await keeper(node).change_line(DEMO, ADA, LineChange())


async def test_lines_survive_a_restart(node: Node) -> None:
    """They are in the store before the mixer hears of them."""
    line = await keeper(node).add_line(DEMO, TRUNK)
    forwarder = await keeper(node).add_forwarder(DEMO, STUDIO)
    node.services = node.build()
    await node.rooms.load()
    await keeper(node).load()
    wanted = await spec(node)
    assert (wanted.rtp, wanted.forwarders) == ((line.spec,), (forwarder,))


async def test_an_unreadable_record_is_left_alone(node: Node) -> None:
    """And logged; the room is on air."""
    await node.store.commit(put={"/rooms/demo/lines": b"rubbish"})
    with capture_logs() as logs:
        await keeper(node).load()
    assert [entry["event"] for entry in logs] == ["lines_unreadable"]
    assert keeper(node).get(DEMO).forwarders == {}


async def test_a_removed_room_takes_its_lines_with_it(node: Node) -> None:
    """From memory and store; a new one of that name has none."""
    await keeper(node).add_line(DEMO, TRUNK)
    await node.rooms.remove(DEMO)
    assert await node.store.get("/rooms/demo/lines") is None
    with pytest.raises(RoomNotFound):
        keeper(node).get(DEMO)
    await node.rooms.create(Wanted(DEMO))
    assert keeper(node).get(DEMO).people == {}


async def test_a_room_that_goes_meanwhile_leaves_nothing(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its record is not written behind its back."""
    commit = node.store.commit

    async def commit_late(**what: object) -> object:
        monkeypatch.setattr(node.store, "commit", commit)
        await node.rooms.remove(DEMO)
        return await commit(**what)  # type: ignore[arg-type]

    monkeypatch.setattr(node.store, "commit", commit_late)
    with pytest.raises(RoomNotFound):
        await keeper(node).add_forwarder(DEMO, STUDIO)
    assert await node.store.get("/rooms/demo/lines") is None


async def test_there_is_an_end_to_how_many(node: Node) -> None:
    """Of each kind."""
    for _ in range(MAX_FORWARDERS):
        await keeper(node).add_forwarder(DEMO, STUDIO)
    for _ in range(MAX_PARTICIPANTS):
        await keeper(node).add_line(DEMO, TRUNK)
    with pytest.raises(TooMany):
        await keeper(node).add_forwarder(DEMO, STUDIO)
    with pytest.raises(TooMany):
        await keeper(node).add_line(DEMO, TRUNK)


async def test_what_is_not_there_cannot_be_removed(node: Node) -> None:
    """Neither forwarder nor person."""
    with pytest.raises(NotFound):
        await keeper(node).remove_forwarder(DEMO, "nothing")
    with pytest.raises(NotFound):
        await keeper(node).remove_line(DEMO, ADA)


async def test_the_record_has_no_life(node: Node) -> None:
    """Who is live is the mixer's to say."""
    await keeper(node).add_line(DEMO, TRUNK)
    record = await node.store.get("/rooms/demo/lines")
    assert record is not None
    assert "is_live" not in json.loads(record.value)["people"][0]
