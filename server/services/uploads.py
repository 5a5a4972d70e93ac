"""What is uploaded, as the control process knows it: asked for, followed, told to people."""

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

import structlog

from hls.upload.types import UploadProgress, UploadState, Wanted
from mixer.types import PlaneStatistics, RoomId
from server.domain.recording import Recording
from server.errors import PlaneUnavailable
from server.services.recorder import Recorder

log = structlog.get_logger(__name__)

EVERY_S: Final = 2.0
A_ROUND: Final = 500  # recordings: what one call takes
_SETTLED: Final = frozenset({UploadState.DONE, UploadState.FAILED})
_Key = tuple[str, str, float]


class Report(Protocol):
    """How far uploads are."""

    @property
    def state(self) -> str:
        """`ok`, `away` or `refused`."""

    @property
    def sentence(self) -> str:
        """Why it is not ok."""

    @property
    def recordings(self) -> Sequence[UploadProgress]:
        """Each recording that was asked for."""

    @property
    def oldest(self) -> dict[str, int] | None:
        """The first segment of each room that the bucket needs the key of; None: not known."""


class UploadPlane(Protocol):
    """Who uploads."""

    async def follow(self, wanted: Sequence[Wanted]) -> Report:
        """Have these recordings uploaded. Raises PlaneUnavailable."""

    async def statistics(self) -> PlaneStatistics:
        """Return its numbers."""


class Uploads:
    """Tells the upload process which recordings there are, and keeps what it says of them.

    Without a `plane` nothing is uploaded. A recording that is to be uploaded and is not yet must
    not be removed: also while nobody has said how far it is.
    """

    def __init__(
        self, plane: UploadPlane | None, recorder: Recorder, *, are_recordings_sent: bool
    ) -> None:
        self.state, self.sentence = "ok", ""
        self.plane = plane
        self._recorder = recorder
        self._are_recordings_sent = plane is not None and are_recordings_sent
        self._progress: dict[_Key, UploadProgress] = {}
        self._oldest: dict[str, int] | None = None
        self._turn = 0
        recorder.is_needed, recorder.why_needed = self.is_needed, self.why_needed

    async def run(self) -> None:
        """Ask again and again, for ever."""
        while True:
            await self.work()
            await asyncio.sleep(EVERY_S)

    async def work(self) -> None:
        """Ask once."""
        if self.plane is None:
            return
        try:
            wanted = self._wanted()
            report = await self.plane.follow(wanted)
        except PlaneUnavailable:
            return  # it is started again, and the next round will do
        asked = {(one.room, one.name): one.began_unix_s for one in wanted}
        for one in report.recordings:
            if (began := asked.get((one.room, one.name))) is not None:
                self._progress[one.room, one.name, began] = one
        known = set(map(_key, self._recorder.all()))
        self._progress = {key: one for key, one in self._progress.items() if key in known}
        self._oldest = report.oldest if report.oldest is not None else self._oldest
        self.state, self.sentence = report.state, report.sentence

    def is_needed(self, one: Recording) -> bool:
        """Whether a recording is to be uploaded and is not yet."""
        if not (self._are_recordings_sent and one.is_uploaded):
            return False
        known = self._progress.get(_key(one))
        return known is None or known.state not in _SETTLED

    def why_needed(self) -> str:
        """Return what people are told who would remove such a recording."""
        if self.sentence:
            return f"This recording is not uploaded yet. {self.sentence.removesuffix('.')}"
        return "This recording is being uploaded: wait until that is done"

    def progress(self, one: Recording) -> dict[str, object] | None:
        """Return what people are told of a recording's upload; None if there is none."""
        if not (self._are_recordings_sent and one.is_uploaded):
            return None
        known = self._progress.get(_key(one))
        if known is None:
            known = UploadProgress(one.room, one.name, UploadState.WAITING)
        return {
            "state": known.state.value,
            "sent": known.sent,
            "total": known.total,
            "reason": known.sentence,
        }

    def oldest_msn(self, room: RoomId) -> int | None:
        """Return the oldest segment of a room whose key listeners of the bucket need.

        While that is not known, all of them.
        """
        if self.plane is None:
            return None
        return 0 if self._oldest is None else self._oldest.get(room)

    def _wanted(self) -> list[Wanted]:
        """Return what is not done, what is recorded now first; of many some at a time."""
        if not self._are_recordings_sent:
            return []
        found = [
            one
            for one in self._recorder.all()
            if one.is_uploaded and (not one.is_over or self.is_needed(one))
        ]
        found.sort(key=lambda one: one.is_over)
        if len(found) > A_ROUND:
            self._turn = (self._turn + A_ROUND // 2) % len(found)
            found = [*found[self._turn :], *found[: self._turn]]
        return [Wanted(*_key(one)[:2], one.is_over, _key(one)[2]) for one in found[:A_ROUND]]


def _key(one: Recording) -> _Key:
    """Return what a recording is told by from all others, also from one before it of its name."""
    return one.room, one.name, one.began_at.timestamp()
