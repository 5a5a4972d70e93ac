"""Twenty epochs through the real pipeline, heard by somebody who was there from the first."""

import re
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hls.core.timeline import AAC_SAMPLES, SEGMENT_FRAMES, SEGMENT_S
from hls.types import KeySpec
from mixer.types import RoomId
from server.domain.identity import UserId
from server.domain.reload import PlaylistAsk
from server.services.rooms import Wanted
from server.services.tokens import Grant
from tests.hls.listener import decrypt
from tests.server.services.people import ADA
from tests.support.node import Node, open_node
from tests.support.real_broadcast import RealBroadcast

DEMO = RoomId("demo")
EVERY = 20
PART_FRAMES = 15
_NAME = re.compile(
    r'^(?:#EXT-X-PART:.*URI=")?(?P<name>seg-\w+-(?P<msn>\d+)(?:\.(?P<part>\d+))?\.m4s)'
)


class Player:
    """Follows the playlist, asks for a key once, and decrypts each new segment."""

    def __init__(self, node: Node, user: UserId) -> None:
        self.node = node
        self.token = node.listen_token(Grant(DEMO, user), ttl_s=7200)
        self.heard: dict[int, int] = {}  # the epoch of each segment
        self.parts: dict[tuple[int, int], int] = {}
        self._names: set[str] = set()
        self._keys: dict[str, bytes] = {}

    async def poll(self) -> None:
        """Load the playlist and hear what is new in it."""
        listening = self.node.services.context.listening
        stream = self.node.rooms.stream(DEMO)
        listening.keys.heard(DEMO)
        listening.seen(DEMO, self.token)
        text = await self.node.broadcast.playlist(DEMO, PlaylistAsk())
        assert text is not None
        uri, iv = "", b""
        for line in text.text.splitlines():
            if line.startswith("#EXT-X-KEY"):
                found = re.search(r'URI="([^"]+)",IV=0x([0-9A-F]+)', line)
                assert found is not None
                uri, iv = found[1], bytes.fromhex(found[2])
            elif (named := _NAME.search(line)) and named["name"] not in self._names:
                self._names.add(named["name"])
                epoch = uri.split("/")[-2]
                if uri not in self._keys:
                    self._keys[uri] = listening.key(DEMO, stream, self.token, epoch).key
                media = await self.node.broadcast.fetch(DEMO, "", named["name"])
                assert media is not None
                clear = decrypt(media.data, KeySpec(int(epoch), self._keys[uri], iv, uri))
                self._hear(int(named["msn"]), int(named["part"] or -1), int(epoch), clear)

    def _hear(self, msn: int, part: int, epoch: int, clear: bytes) -> None:
        """Note the epoch of what lies in its place of the media timeline."""
        starts = msn * SEGMENT_FRAMES + max(0, part) * PART_FRAMES
        assert struct.pack(">Q", starts * AAC_SAMPLES) in clear[:200]  # tfdt
        if part < 0:
            self.heard[msn] = epoch
        else:
            self.parts[msn, part] = epoch


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    async with open_node(tmp_path, broadcast_key_segments=EVERY) as opened:
        opened.broadcast = RealBroadcast(opened.clock)
        opened.services = opened.build()
        await opened.rooms.create(Wanted(id=DEMO))
        await opened.settle()
        yield opened


async def play(node: Node, player: Player, segments: int) -> None:
    """Play in real order of things: a playlist a segment, and what is due between."""
    for _ in range(segments):
        node.advance(SEGMENT_S)
        await player.poll()
        assert await node.services.context.listening.keys.work()
        await node.settle()


async def test_twenty_epochs(node: Node) -> None:
    """Every segment can be heard, none twice, and keys change where they should."""
    player = Player(node, ADA)
    node.advance(0.2)
    await play(node, player, 20 * EVERY)
    msns = sorted(player.heard)
    assert msns == list(range(msns[0], msns[0] + len(msns)))
    assert len(msns) > 20 * EVERY
    assert all(epoch == msn // EVERY for msn, epoch in player.heard.items())
    assert all(epoch == msn // EVERY for (msn, _), epoch in player.parts.items())
    assert len(player.parts) >= 6 * 20 * EVERY
    (listener,) = node.services.context.listening.listeners.all(DEMO)
    assert listener.keys == max(player.heard.values()) + 1


async def test_over_a_crash(node: Node) -> None:
    """Control and broadcast processes that are started again go on with the same keys."""
    player = Player(node, ADA)
    node.advance(0.2)
    await play(node, player, EVERY + 5)
    node.services = node.build()
    node.broadcast = RealBroadcast(node.clock)
    node.services = node.build()
    await node.services.load()
    await node.settle()
    await play(node, player, 3 * EVERY)
    assert all(epoch == msn // EVERY for msn, epoch in player.heard.items())
    assert len(player.heard) > 4 * EVERY


async def test_early_player(node: Node) -> None:
    """A player that asks for the next key as soon as it may has it before it is needed."""
    player = Player(node, ADA)
    keys = node.services.context.listening.keys
    node.advance(0.2)
    await play(node, player, 10)
    stream = node.rooms.stream(DEMO)
    while keys.now_msn(stream) < EVERY - 2:
        await play(node, player, 1)
    stream = node.rooms.stream(DEMO)
    assert keys.of_epoch(DEMO, stream, "1").first_msn == EVERY
