"""Captions in the broadcast process: on air, in a recording, in both or in neither."""

from dataclasses import asdict, replace
from pathlib import Path

import pytest

from hls.core.cues import MAX_IN_SEGMENT
from hls.pipeline import Broadcaster
from hls.types import BroadcastSpec, Caption, CaptionFate, CaptionsSpec, KeySpec, RecordingSpec
from server.media import broadcast_worker, wire
from server.media.broadcast_worker import BroadcastService
from server.rpc.codec import Request, Response
from server.rpc.unix import UnixTransport

KEY = KeySpec(0, b"k" * 16, b"i" * 16, "enc.key")
UNIX_S = 1_700_000_000.0


class Room:
    """A broadcast process's service, at a tick, with a room that is captioned in English."""

    def __init__(self, folder: Path) -> None:
        self.tick = 1000
        self.folder = folder
        self.spec = BroadcastSpec(
            "room", 1, (KEY,), 500, UNIX_S, captions=(CaptionsSpec("en-cc", "en"),)
        )
        self.service: BroadcastService

    async def apply(self, *, on_air: bool, is_recorded: bool) -> None:
        recording = RecordingSpec("monday", str(self.folder)) if is_recorded else None
        self.spec = replace(
            self.spec, version=self.spec.version + 1, on_air=on_air, recording=recording
        )
        await self._ask("apply", wire.broadcast_params(self.spec))

    async def say(self, text: str, language: str = "en") -> CaptionFate:
        """Say something that is heard now."""
        start = UNIX_S + (self.tick - 500) * 0.02
        caption = asdict(Caption(language, text, start, start + 1))
        return CaptionFate(str(await self._ask("caption", {"room": "room", "caption": caption})))

    async def _ask(self, method: str, params: dict[str, object]) -> object:
        answer = await self.service.dispatcher.dispatch(Request(1, method, params))
        assert isinstance(answer, Response), answer
        return answer.result

    async def written(self) -> list[str]:
        """End the recording a second later and return what was said in it."""
        self.tick += 50
        await self.service.recorder.close()
        path = self.folder / "mix.en.vtt"
        return path.read_text().split("\n")[3::3] if path.exists() else []


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Room:
    room = Room(tmp_path / "monday")
    monkeypatch.setattr(broadcast_worker, "_now_tick", lambda: room.tick)
    room.service = BroadcastService(Broadcaster(), UnixTransport())  # connected to nothing
    return room


async def test_of_a_room_off_air(room: Room) -> None:
    """They are written down where it is recorded, in the room's languages, and else unknown."""
    assert await room.say("Nobody") is CaptionFate.UNKNOWN
    await room.apply(on_air=False, is_recorded=True)
    assert await room.say("Hello") is CaptionFate.SHOWN
    assert await room.say("Bonjour", "fr") is CaptionFate.UNKNOWN
    assert await room.written() == ["Hello"]
    await room.apply(on_air=False, is_recorded=False)
    assert await room.say("Nobody any more") is CaptionFate.UNKNOWN


async def test_of_a_room_on_air(room: Room) -> None:
    """Listeners read them, late or in time, and the recording has the same: none that was refused.

    One that only listeners can have is theirs all the same.
    """
    await room.apply(on_air=True, is_recorded=False)
    assert await room.say("Not recorded") is CaptionFate.LATE
    await room.apply(on_air=True, is_recorded=True)
    fates = [await room.say(f"{number}") for number in range(MAX_IN_SEGMENT)]
    assert fates == [CaptionFate.LATE] * (MAX_IN_SEGMENT - 1) + [CaptionFate.FULL]
    assert await room.written() == [f"{number}" for number in range(MAX_IN_SEGMENT - 1)]
