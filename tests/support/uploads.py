"""An upload process that uploads nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

from hls.upload.types import UploadProgress, Wanted
from mixer.types import PlaneStatistics
from server.errors import PlaneUnavailable


@dataclass
class Told:
    state: str = "ok"
    sentence: str = ""
    recordings: Sequence[UploadProgress] = ()
    oldest: dict[str, int] | None = None


class FakePlane:
    """Says what a test tells it to."""

    def __init__(self) -> None:
        self.told = Told()
        self.asked: list[Sequence[Wanted]] = []
        self.is_away = False

    async def follow(self, wanted: Sequence[Wanted]) -> Told:
        if self.is_away:
            raise PlaneUnavailable
        self.asked.append(wanted)
        return self.told

    async def statistics(self) -> PlaneStatistics:
        return PlaneStatistics({}, {})
