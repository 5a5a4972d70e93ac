"""What a room is told, and how often."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from mixer.types import RoomId
from server.services.announcements import Announcements

DEMO, OTHER = RoomId("demo"), RoomId("other")


class Heard:
    def __init__(self) -> None:
        self.said: list[tuple[RoomId, Any]] = []
        self.changes: list[tuple[RoomId, Any]] = []
        self.lobbies: list[RoomId] = []
        self.announcements = Announcements(
            self.tell,
            lambda room: [{"userId": f"in {room}"}],
            self.lobbies.append,
        )

    def tell(self, room: RoomId, make: Callable[[], str], deltas: bool) -> None:  # noqa: FBT001 - the callback's form
        (self.changes if deltas else self.said).append((room, json.loads(make())))

    def methods(self) -> list[str]:
        return [message["method"] for _, message in self.said]


def test_people() -> None:
    """Many changes of a room become one list, and other rooms hear nothing of it."""
    heard = Heard()
    for _ in range(5):
        heard.announcements.people_changed(DEMO)
    heard.announcements.flush(0)
    heard.announcements.flush(1)
    assert heard.said == [
        (DEMO, {"jsonrpc": "2.0", "method": "roomStatus", "params": [{"userId": "in demo"}]})
    ]


def test_talking() -> None:
    """Who talks is told at once, then at most five times a second, the newest."""
    heard = Heard()
    for sixteenth in range(32):  # two seconds of changes
        heard.announcements.talking(DEMO, {"ada": -sixteenth})
        heard.announcements.flush(sixteenth / 16)
    levels = [message["params"]["levels"]["ada"] for _, message in heard.said]
    assert levels == [0, -4, -8, -12, -16, -20, -24, -28]


def test_talking_on_change() -> None:
    """What was told already is not told again."""
    heard = Heard()
    for now in (0.0, 1.0, 2.0):
        heard.announcements.talking(DEMO, {"ada": -30})
        heard.announcements.flush(now)
    assert len(heard.said) == 1


def test_silence() -> None:
    """That nobody talks any more is told, but not that nobody talked from the start."""
    heard = Heard()
    for now, levels in enumerate(({}, {"ada": -30}, {})):
        heard.announcements.talking(DEMO, levels)
        heard.announcements.flush(now)
    assert [message["params"]["levels"] for _, message in heard.said] == [{"ada": -30}, {}]


def test_rooms_have_turns_of_their_own() -> None:
    """One room's talking does not delay another's."""
    heard = Heard()
    for room, now in ((DEMO, 0.0), (OTHER, 0.05)):
        heard.announcements.talking(room, {"ada": -30})
        heard.announcements.flush(now)
    assert [room for room, _ in heard.said] == [DEMO, OTHER]


def test_forget() -> None:
    """An empty room is told nothing."""
    heard = Heard()
    heard.announcements.people_changed(DEMO)
    heard.announcements.talking(DEMO, {"ada": -30})
    heard.announcements.forget(DEMO)
    heard.announcements.flush(0)
    assert heard.said == []


async def test_run() -> None:
    """Running, it tells what changed by itself."""
    heard = Heard()
    task = asyncio.create_task(heard.announcements.run())
    heard.announcements.people_changed(DEMO)
    for _ in range(3):
        await asyncio.sleep(0)
    task.cancel()
    assert heard.methods() == ["roomStatus"]
