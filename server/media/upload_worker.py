"""The upload process: what broadcasts spooled and what was recorded, into a bucket."""

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from hls.errors import BucketLost, BucketRefused
from hls.upload.bucket import Bucket, BucketPlace
from hls.upload.kept import KeptFolders
from hls.upload.recordings import Folders, RecordingUploads
from hls.upload.streams import StreamPolicy, StreamUploads
from mixer.types import PlaneStatistics
from server.backoff import delays_s
from server.media import upload_wire, wire, worker, worker_log
from server.memory import resident_bytes
from server.rpc.codec import Params
from server.rpc.dispatch import Dispatcher
from server.rpc.unix import UnixTransport
from server.services.clock import system_clock
from server.supervise import Supervisor

log = structlog.get_logger(__name__)

NICENESS: Final = 10  # the listening copy of an hour takes 22 s of a core
LOOK_S: Final = 1.0
EXPIRE_S: Final = 3600.0
FIRST_RETRY_S: Final = 1.0
LONGEST_RETRY_S: Final = 60.0  # a bucket that is back after ten minutes is noticed within one
OK, AWAY, REFUSED = "ok", "away", "refused"

Work = Callable[[float], Awaitable[bool]]


class UploadService:
    """The uploads' methods for the control process, and the work itself."""

    def __init__(self, settings: upload_wire.UploadSettings) -> None:
        self.dispatcher = Dispatcher(wire.refusal)
        self._clock = system_clock()
        self._settings = settings
        self._counters: Counter[str] = Counter(
            dict.fromkeys(
                (
                    *("upload_objects", "upload_bytes", "upload_recordings", "upload_expired"),
                    *("upload_failures", "upload_refused", "upload_damaged", "upload_unplayable"),
                ),
                0,
            )
        )
        credentials = settings.credentials_file
        self._bucket = Bucket(
            BucketPlace(
                settings.url,
                settings.endpoint,
                settings.region,
                None if credentials is None else Path(credentials),
            )
        )
        folder = Path(settings.folder)
        self._kept = KeptFolders(folder / "kept")
        self._recordings = RecordingUploads(
            Folders(Path(settings.recordings), folder / "recordings"),
            self._bucket,
            settings.template,
            self._kept,
            self._counters,
        )
        self._streams = StreamUploads(
            Path(settings.spool),
            self._bucket,
            StreamPolicy(
                settings.template, settings.key_base, settings.are_keys_sent, settings.keep_s
            ),
            self._kept,
            self._counters,
        )
        self._troubles: dict[str, BucketLost] = {}
        self.dispatcher.add("follow", upload_wire.FollowUploads, self._follow)
        self.dispatcher.add("statistics", None, self._statistics)

    def keep(self, supervisor: Supervisor) -> None:
        """Work for ever; one kind of work does not wait for another."""
        for name, work, every_s in (
            ("broadcasts", self._streams.work, LOOK_S),
            ("recordings", self._finish_recordings, LOOK_S),
            ("growing recordings", self._grow_recordings, LOOK_S),
            ("expiry", self._expire, EXPIRE_S),
        ):
            _ = supervisor.keep_running(partial(self._repeat, name, work, every_s), name=name)

    async def _repeat(self, name: str, work: Work, every_s: float) -> None:
        waits = _delays()
        while True:
            try:
                more = await work(self._clock.unix())
            except BucketLost as error:
                self._fail(name, error)
                await asyncio.sleep(next(waits))
            except OSError as error:
                self._fail(name, BucketLost(f"The folder of uploads: {error.strerror}."))
                await asyncio.sleep(next(waits))
            else:
                waits = _delays()
                if self._troubles.pop(name, None) is not None:
                    log.info("upload_goes_on", what=name)
                await asyncio.sleep(0 if more else every_s)

    async def _finish_recordings(self, now_unix_s: float) -> bool:
        await self._recordings.finish(now_unix_s)
        return False

    async def _grow_recordings(self, now_unix_s: float) -> bool:
        await self._recordings.grow(now_unix_s)
        return False

    async def _expire(self, now_unix_s: float) -> bool:
        keep_s = self._settings.keep_s
        if keep_s is None:
            return False
        for place in await asyncio.to_thread(self._kept.due, now_unix_s, keep_s):
            count = await self._bucket.delete_folder(place)
            await asyncio.to_thread(self._kept.forget, place)
            self._counters["upload_expired"] += count
            log.info("upload_expired", place=place, objects=count)
        return False

    def _fail(self, name: str, error: BucketLost) -> None:
        is_refused = isinstance(error, BucketRefused)
        self._counters["upload_refused" if is_refused else "upload_failures"] += 1
        if str(self._troubles.get(name)) != str(error):
            log.warning("upload_waits", what=name, reason=str(error))
        self._troubles[name] = error
        if is_refused:
            self._bucket.reopen()

    def _trouble(self) -> tuple[str, str]:
        """Return how the bucket is, and why."""
        found = sorted(self._troubles.values(), key=lambda one: not isinstance(one, BucketRefused))
        if not found:
            return OK, ""
        return REFUSED if isinstance(found[0], BucketRefused) else AWAY, str(found[0])

    async def _follow(self, params: upload_wire.FollowUploads) -> object:
        progress = [asdict(one) for one in self._recordings.follow(params.recordings)]
        state, sentence = self._trouble()
        return {
            "state": state,
            "sentence": sentence,
            "recordings": progress,
            "oldest": self._streams.oldest_needed(),
        }

    async def _statistics(self, _params: Params) -> object:
        waiting = await asyncio.to_thread(self._streams.waiting_bytes)
        gauges = {
            "upload_waiting_bytes": float(waiting),
            "upload_away": float(self._trouble()[0] == AWAY),
            "upload_refused_now": float(self._trouble()[0] == REFUSED),
            "resident_bytes": float(resident_bytes() or 0),
        }
        return wire.statistics_result(PlaneStatistics(self._counters, gauges))


def main(arguments: Sequence[str]) -> None:
    """Run the upload process: `roomtone worker upload <settings>`."""
    worker_log.configure()
    settings = worker.read_settings(upload_wire.UploadSettings, arguments)
    os.nice(NICENESS)

    @asynccontextmanager
    async def open_service(
        supervisor: Supervisor, _transport: UnixTransport
    ) -> AsyncIterator[worker.Service]:
        service = UploadService(settings)
        service.keep(supervisor)
        yield worker.Service(service.dispatcher, wire.Ready())

    worker.run(settings.control_fd, open_service)


def _delays() -> Iterator[float]:
    seed = random.randrange(2**32)  # noqa: S311 - spreads attempts, protects nothing
    return delays_s(FIRST_RETRY_S, LONGEST_RETRY_S, seed=seed)
