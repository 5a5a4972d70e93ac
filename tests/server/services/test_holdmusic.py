"""Hold music of a node: which files it takes, and when a broadcast has it."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from hls.loop import TOO_LONG, TOO_SHORT
from mixer.types import PeerId, RoomId, RtpParticipantSpec
from server.domain.air import Air
from server.domain.grants import Role
from server.domain.identity import UserId
from server.domain.lines import Line, Lines
from server.errors import BadInput, SoundRefused
from server.services.holdmusic import HoldMusic
from server.services.presence import Arrival
from server.services.rooms import Wanted
from server.services.sounds import Sounds
from tests.support.node import FakeClient, Node, open_node
from tests.support.planes import FakeDecoder

DEMO = RoomId("demo")
ADA = UserId("6b1f1c5e-0000-4000-8000-00000000000a")


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    """One whose rooms have hold music."""
    async with open_node(tmp_path, hold_music=tmp_path / "jazz.ogg") as node:
        yield node


async def hold(node: Node, room: RoomId = DEMO) -> str:
    """Return what the broadcast plane was told to play."""
    await node.settle()
    spec = node.broadcast.spec(room)
    assert spec is not None
    return Path(spec.hold).name


async def test_while_nobody_is_in_the_room(node: Node) -> None:
    """From the first one who comes to the last one who goes there is none."""
    room = await node.rooms.create(Wanted(id=DEMO))
    assert await hold(node) == "jazz.ogg"
    node.presence.enter(room, Arrival(ADA, Role.ANCHOR), FakeClient())
    assert await hold(node) == ""
    other = UserId("6b1f1c5e-0000-4000-8000-00000000000b")
    node.presence.enter(room, Arrival(other, Role.ANCHOR), FakeClient())
    node.presence.leave(DEMO, ADA)
    assert await hold(node) == ""
    node.presence.leave(DEMO, other)
    assert await hold(node) == "jazz.ogg"


async def test_plain_rtp_is_somebody(node: Node) -> None:
    """Who comes by plain RTP is in the room while their packets come."""
    await node.rooms.create(Wanted(id=DEMO))
    line = Line(RtpParticipantSpec(PeerId(ADA)))
    node.presence.set_lines(DEMO, Lines().with_person(line))
    assert await hold(node) == "jazz.ogg"
    node.presence.note_line(DEMO, line, is_live=True)
    assert await hold(node) == ""
    node.presence.note_line(DEMO, replace(line, is_live=True), is_live=False)
    assert await hold(node) == "jazz.ogg"
    node.presence.set_lines(DEMO, Lines().with_person(replace(line, is_live=True)))
    assert await hold(node) == ""
    node.presence.set_lines(DEMO, Lines())
    assert await hold(node) == "jazz.ogg"


async def test_who_joins_says_nothing_to_rooms_without(node: Node) -> None:
    """A room that wants silence, or is not on air, is not told again for those who come."""
    quiet, off = RoomId("quiet"), RoomId("off-air")
    await node.rooms.create(Wanted(id=quiet, air=Air(hold="")))
    await node.rooms.create(Wanted(id=off, broadcast=False))
    await node.settle()
    for room in (quiet, off):
        node.presence.enter(node.rooms.get(room), Arrival(ADA, Role.ANCHOR), FakeClient())
    assert not node.services.streams.rooms_due()


async def test_a_room_that_changes(node: Node) -> None:
    """Its own file, or silence, stands for the server's; and again after a restart."""
    await node.rooms.create(Wanted(id=DEMO))
    await node.rooms.change(DEMO, lambda room: replace(room, air=Air(hold="")))
    assert await hold(node) == ""
    await node.rooms.change(DEMO, lambda room: replace(room, air=Air(hold=None)))
    assert await hold(node) == "jazz.ogg"
    node.services = node.build()
    await node.services.load()
    assert await hold(node) == "jazz.ogg"


class Case:
    """A folder with a file, and a decoder that is not asked to be real."""

    def __init__(self, folder: Path) -> None:
        (folder / "a.wav").write_bytes(b"sound")
        self.decoder = FakeDecoder()
        self.music = HoldMusic(Sounds(folder, folder, 1000), self.decoder)


@pytest.fixture
def case(tmp_path: Path) -> Case:
    """With one file of a second."""
    return Case(tmp_path)


async def test_a_file_that_is_good(case: Case) -> None:
    """A second of it is decoded, and its process ended."""
    await case.music.check("a.wav")
    assert case.decoder.read == [b"sound"]
    assert case.decoder.opened[0].is_closed


async def test_files_that_are_not(case: Case, tmp_path: Path) -> None:
    """Each is refused with what is wrong, as a field of the request."""
    refused = {}
    for name in ("b.wav", "../a.wav", ".a"):
        refused[name] = "no such file"
    for name, sentence in refused.items():
        await refuse(case.music, sentence, name)
    case.decoder.chunks = 9
    await refuse(case.music, TOO_SHORT)
    assert case.decoder.opened[-1].is_closed
    case.decoder.length_s = 601.0
    await refuse(case.music, TOO_LONG)
    case.decoder.refusal = SoundRefused("This is no sound file.")
    await refuse(case.music, "no sound file")
    without = HoldMusic(Sounds(tmp_path, None, 1000), case.decoder)
    await refuse(without, "announcements_dir")


async def refuse(music: HoldMusic, sentence: str, name: str = "a.wav") -> None:
    """See it refused."""
    with pytest.raises(BadInput, match=sentence) as caught:
        await music.check(name)
    assert caught.value.fields is not None
    assert caught.value.fields[0].field == "HoldMusic"
