"""A node with a room and its recorder, on a disk whose space a test says."""

import asyncio
import json
from dataclasses import replace
from typing import Any

from hls.types import RecordingReport, RecordingSpec
from hls.types import RecordingState as Reported
from mixer.types import RecordTaps, RoomId
from server.domain.grants import Role
from server.domain.recording import (
    Automatic,
    Recording,
    What,
)
from server.domain.webhook import Kind
from server.media.archive import Archive
from server.services.presence import Arrival
from server.services.recorder import Recorder
from server.supervise import Supervisor
from tests.server.services.people import ADA
from tests.support.node import FakeClient, Node

DEMO = RoomId("demo")


SPACE = 5_000_000_000


class Disk(Archive):
    """An archive on a disk whose free space a test says."""

    free = SPACE
    fails = ""

    def free_bytes(self) -> int:
        if self.fails:
            raise OSError(5, self.fails)
        return self.free


class Studio:
    """A node with a room, its recorder, and what webhooks were told."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.disk = Disk(node.folder / "recordings")
        self.told: list[tuple[Kind, dict[str, Any]]] = []
        self.renew()

    def renew(self) -> None:
        self.recorder.storage.archive = self.disk
        self.recorder.happened = lambda kind, _room, data: self.told.append((kind, dict(data)))

    @property
    def recorder(self) -> Recorder:
        return self.node.services.context.recorder

    @property
    def kinds(self) -> list[str]:
        return [kind.value for kind, _ in self.told]

    async def restart(self) -> None:
        """Lose everything but the store."""
        self.node.services = self.node.build()
        self.renew()
        await self.node.services.load()
        await self.node.settle()

    async def spec(self, room: RoomId = DEMO) -> RecordingSpec | None:
        await self.node.settle()
        return self.node.broadcast.specs[room].recording

    async def taps(self, room: RoomId = DEMO) -> RecordTaps | None:
        await self.node.settle()
        return self.node.mixer.specs[room].record

    async def say(self, name: str, state: Reported, **more: Any) -> None:
        """Report as the broadcast process does, and let it be looked at."""
        self.node.broadcast.reported(RecordingReport(DEMO, name, state, **more))
        async with Supervisor() as supervisor:
            _ = supervisor.spawn(self.recorder.run(), name="reports")
            while self.recorder._reports:  # noqa: ASYNC110 - nobody says when
                await asyncio.sleep(0)

    async def start(self, by: str = "api", **what: Any) -> Recording:
        return await self.recorder.start(DEMO, What(**what), by)

    async def done(self, **what: Any) -> Recording:
        """A recording that is over, one second long."""
        one = await self.start(**what)
        self.node.advance(1)
        await self.recorder.stop(DEMO, one.name, "api")
        await self.recorder.finished(DEMO, one.name)
        return self.recorder.get(DEMO, one.name)

    def enter(self, user: Any = ADA, name: str = "Ada") -> FakeClient:
        client = FakeClient()
        arrival = Arrival(user, Role.HOST, name)
        self.node.presence.enter(self.node.rooms.get(DEMO), arrival, client)
        return client

    def automatic(self, wish: Automatic) -> None:
        self.recorder.policy = replace(self.recorder.policy, automatic=wish)

    async def sweep(self, seconds: float = 1.0) -> None:
        self.node.advance(seconds)
        await self.recorder.sweep()


def notices(client: FakeClient) -> list[str]:
    found = [json.loads(text) for text in client.texts]
    return [one["params"]["state"] for one in found if one["method"] == "recording"]
