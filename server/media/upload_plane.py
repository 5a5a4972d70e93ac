"""The upload process as the control process sees it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from hls.types import BroadcastSpec
from hls.upload.types import Wanted
from mixer.types import PlaneStatistics
from server.errors import PlaneUnavailable
from server.media import wire
from server.media.child import ChildSpec, Patience, program
from server.media.link import Link, SpecForm
from server.media.upload_wire import REPORT, UploadReport, UploadSettings
from server.supervise import Supervisor

# A folder on a network that hangs may hold the process up for longer than others may be silent.
PATIENCE: Final = Patience(ping_s=30.0)


def _no_params(_spec: BroadcastSpec) -> Mapping[str, object]:
    return {}


def _never(_spec: BroadcastSpec) -> bool:
    return False


# Nothing is applied: what is to be uploaded is said again with each call.
_FORM: SpecForm[BroadcastSpec] = SpecForm(params=_no_params, is_over=_never)


class WorkerUploadPlane:
    """An upload process: started again when it dies, and never waited for."""

    def __init__(
        self,
        settings: UploadSettings,
        *,
        command: Sequence[str] | None = None,
        patience: Patience = PATIENCE,
    ) -> None:
        child = ChildSpec(
            name="upload",
            verb="upload",
            settings=settings.model_dump(mode="json", exclude={"control_fd"}),
            with_credentials=True,
            command=command or program(),
            patience=patience,
        )
        self.folder = Path(settings.folder)
        self._link = Link(child, _FORM)

    async def start(self, supervisor: Supervisor) -> None:
        """Start the process and wait until it serves. Raises SetupMistake if it cannot."""
        await self._link.start(supervisor)

    async def close(self) -> None:
        """End the process; what was not sent stays where it is."""
        await self._link.close()

    @property
    def is_up(self) -> bool:
        """The process serves."""
        return self._link.is_up

    @property
    def pid(self) -> int | None:
        """The process, None between two."""
        return self._link.pid

    async def follow(self, wanted: Sequence[Wanted]) -> UploadReport:
        """Say which recordings are to be uploaded, and hear how far all is.

        Raises PlaneUnavailable.
        """
        return await self._link.ask(REPORT, "follow", {"recordings": list(map(asdict, wanted))})

    async def statistics(self) -> PlaneStatistics:
        """Return the process's statistics; while it is away only that."""
        ours = PlaneStatistics(
            {"upload_restarts": self._link.restarts}, {"upload_up": float(self.is_up)}
        )
        try:
            theirs = await self._link.ask(wire.STATISTICS, "statistics")
        except PlaneUnavailable:
            return ours
        return theirs.joined(ours)
