"""Recordings from their folder to the bucket: while they grow, and whole when they are over."""

import asyncio
import json
import os
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from hls.errors import BadSound, BucketLost, EncoderLost
from hls.recording.core.manifest import FILE_NAME as MANIFEST
from hls.recording.core.manifest import BadManifest, read_manifest
from hls.upload.bucket import PART_BYTES, Bucket
from hls.upload.core.places import Kind, fill, object_path
from hls.upload.kept import KeptFolders
from hls.upload.listening import MEDIA_NAME, PLAYLIST_NAME, make_listening_copy
from hls.upload.spool import write_whole
from hls.upload.types import UploadProgress, UploadState, Wanted

GROWING: Final = "growing"  # the folder of pieces of what is still written
MANIFEST_EVERY_S: Final = 60.0
MAX_MANIFEST_BYTES: Final = 16 << 20
MAX_FILES: Final = 10_000
MAX_DEPTH: Final = 3
_ONE_FOLDER: Final = frozenset({"", ".", ".."})


@dataclass(slots=True)
class _Job:
    """What is known of one; all of it is in its file."""

    place: str
    pieces: dict[str, int] = field(default_factory=dict)  # of growing files, how many are there
    files: dict[str, tuple[int, int, str]] = field(default_factory=dict)  # size, time, etag
    is_done: bool = False
    total: int = 0
    sentence: str = ""
    told_s: float = float("-inf")  # when the manifest of a growing one was sent
    is_gone: bool = False

    @property
    def sent(self) -> int:
        return (
            sum(size for size, _, _ in self.files.values())
            or sum(self.pieces.values()) * PART_BYTES
        )


@dataclass(frozen=True, slots=True)
class Folders:
    """Where recordings are, where what is known of uploads is kept, and where work is done."""

    recordings: Path
    state: Path


class RecordingUploads:
    """All recordings that are wanted in the bucket."""

    def __init__(
        self,
        folders: Folders,
        bucket: Bucket,
        template: str,
        kept: KeptFolders,
        counters: Counter[str],
    ) -> None:
        self._folders = folders
        self._bucket = bucket
        self._template = template
        self._kept = kept
        self._counters = counters
        self._wanted: dict[tuple[str, str], Wanted] = {}
        self._jobs: dict[tuple[str, str], _Job] = {}

    def follow(self, wanted: Sequence[Wanted]) -> list[UploadProgress]:
        """Have these recordings uploaded and no others, and return how far each is."""
        self._wanted = {(one.room, one.name): one for one in wanted if _is_safe(one)}
        self._jobs = {key: job for key, job in self._jobs.items() if key in self._wanted}
        return [self._progress(one) for one in self._wanted.values()]

    async def work(self, now_unix_s: float) -> None:
        """Send whatever can be sent, what is over first. Raises BucketLost."""
        for one in sorted(self._wanted.values(), key=lambda wanted: not wanted.is_over):
            if (one.room, one.name) not in self._wanted:
                continue
            job = await self._job(one)
            if job.is_done or job.is_gone:
                continue
            job.sentence = ""
            try:
                await asyncio.to_thread(self._kept.note, job.place, now_unix_s)
                if one.is_over:
                    await self._finish(one, job)
                else:
                    await self._grow(one, job, now_unix_s)
                await self._keep(one, job)
            except FileNotFoundError:
                job.is_gone = not self._folder(one).is_dir()
                job.sentence = "A file of it is not there any more."
            except OSError as error:
                job.sentence = f"A file of it cannot be read: {error.strerror}."
            except BucketLost as error:
                job.sentence = str(error)
                await self._keep(one, job)
                raise

    def _progress(self, one: Wanted) -> UploadProgress:
        job = self._jobs.get((one.room, one.name))
        if job is None:
            return UploadProgress(one.room, one.name, UploadState.WAITING)
        state = UploadState.UPLOADING
        if job.is_done:
            state = UploadState.DONE
        elif job.is_gone:
            state = UploadState.FAILED
        elif job.sentence or not job.sent:
            state = UploadState.WAITING
        total = max(job.total, job.sent)
        return UploadProgress(one.room, one.name, state, job.sent, total, job.sentence)

    async def _job(self, one: Wanted) -> _Job:
        key = (one.room, one.name)
        job = self._jobs.get(key)
        if job is None:
            fallback = fill(self._template, one.room, Kind.RECORDING, one.name)
            job = await asyncio.to_thread(_read_job, self._state_path(one), fallback)
            self._jobs[key] = job
        return job

    # While it is being recorded

    async def _grow(self, one: Wanted, job: _Job, now_unix_s: float) -> None:
        """Send the pieces that are complete of files that grow, and now and then the manifest.

        Heads are written anew at the end, so these pieces are no file yet; but should this machine
        burn, what is in the bucket can be put together and played.
        """
        for path, status in await asyncio.to_thread(lambda: list(walk(self._folder(one)))):
            relative = path.relative_to(self._folder(one)).as_posix()
            for number in range(job.pieces.get(relative, 0), status.st_size // PART_BYTES):
                data = await asyncio.to_thread(_read_piece, path, number)
                await self._bucket.put(f"{job.place}/{GROWING}/{relative}/{number:06d}", data)
                job.pieces[relative] = number + 1
                self._counters["upload_objects"] += 1
                self._counters["upload_bytes"] += len(data)
                await self._keep(one, job)
        if now_unix_s - job.told_s >= MANIFEST_EVERY_S:
            data = await asyncio.to_thread(_read_manifest, self._folder(one))
            await self._bucket.put(f"{job.place}/{GROWING}/{MANIFEST}", data)
            job.told_s = now_unix_s

    # When it is over

    async def _finish(self, one: Wanted, job: _Job) -> None:
        """Send every file that was not sent as it is, and what is made of them, then tidy up."""
        folder = self._folder(one)
        found = await asyncio.to_thread(lambda: list(walk(folder)))
        if not found:
            job.is_gone = not folder.is_dir()
            job.sentence = "There is nothing in its folder."
            return
        job.total = sum(status.st_size for _, status in found)
        for path, status in found:
            relative = path.relative_to(folder).as_posix()
            known = job.files.get(relative)
            if known is not None and known[:2] == (status.st_size, status.st_mtime_ns):
                continue
            etag = await self._bucket.put_file(f"{job.place}/{relative}", path)
            job.files[relative] = (status.st_size, status.st_mtime_ns, etag)
            self._counters["upload_objects"] += 1
            self._counters["upload_bytes"] += status.st_size
            await self._keep(one, job)
        await self._send_listening_copy(one, job)
        now = await asyncio.to_thread(lambda: list(walk(folder)))
        if [(path, status.st_mtime_ns) for path, status in now] != [
            (path, status.st_mtime_ns) for path, status in found
        ]:
            return  # somebody still writes: what has changed is sent in the next round
        if job.pieces or job.told_s > 0:
            await self._bucket.delete_folder(f"{job.place}/{GROWING}")
        job.is_done = True
        self._counters["upload_recordings"] += 1

    async def _send_listening_copy(self, one: Wanted, job: _Job) -> None:
        folder = self._folder(one)
        copy = self._state_path(one).with_suffix(".mp4")
        try:
            manifest = read_manifest((await asyncio.to_thread(_read_manifest, folder)).decode())
            playlist = await asyncio.to_thread(make_listening_copy, folder, manifest, copy)
        except (BadManifest, BadSound, EncoderLost, FileNotFoundError, UnicodeDecodeError):
            self._counters["upload_unplayable"] += 1
            playlist = None
        try:
            if playlist is not None:
                await self._bucket.put_file(f"{job.place}/{MEDIA_NAME}", copy)
                await self._bucket.put(f"{job.place}/{PLAYLIST_NAME}", playlist.encode())
        finally:
            await asyncio.to_thread(copy.unlink, missing_ok=True)

    # What is remembered

    async def _keep(self, one: Wanted, job: _Job) -> None:
        try:
            await asyncio.to_thread(_write_job, self._state_path(one), job)
        except OSError as error:
            raise BucketLost(
                f"The folder of uploads cannot be written: {error.strerror}."
            ) from None

    def _folder(self, one: Wanted) -> Path:
        return self._folders.recordings / one.room / one.name

    def _state_path(self, one: Wanted) -> Path:
        return self._folders.state / one.room / f"{one.name}.json"


def walk(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield the files in a folder and below; links are not followed, whoever put them there."""
    waiting, count = [(folder, 0)], 0
    while waiting:
        place, depth = waiting.pop()
        try:
            found = sorted(os.scandir(place), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in found:
            status = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode) and depth < MAX_DEPTH:
                waiting.append((Path(entry.path), depth + 1))
            elif stat.S_ISREG(status.st_mode) and count < MAX_FILES:
                count += 1
                yield Path(entry.path), status


def _is_safe(one: Wanted) -> bool:
    return all(part not in _ONE_FOLDER and "/" not in part for part in (one.room, one.name))


def _read_piece(path: Path, number: int) -> bytes:
    with path.open("rb") as file:
        file.seek(number * PART_BYTES)
        return file.read(PART_BYTES)


def _read_manifest(folder: Path) -> bytes:
    with (folder / MANIFEST).open("rb") as file:
        return file.read(MAX_MANIFEST_BYTES)


def _write_job(path: Path, job: _Job) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    document = {
        "place": job.place,
        "pieces": job.pieces,
        "files": job.files,
        "is_done": job.is_done,
        "total": job.total,
    }
    write_whole(path, json.dumps(document).encode())


def _read_job(path: Path, place: str) -> _Job:
    """Return what is remembered; something damaged is as if nothing had been sent."""
    try:
        document = json.loads(path.read_bytes())
        return _Job(
            place=object_path(str(document["place"])),
            pieces={str(name): int(count) for name, count in document["pieces"].items()},
            files={
                str(name): (int(size), int(time), str(etag))
                for name, (size, time, etag) in document["files"].items()
            },
            is_done=document["is_done"] is True,
            total=int(document["total"]),
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return _Job(place)
