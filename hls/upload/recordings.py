"""Recordings from their folder to the bucket: while they grow, and whole when they are over."""

import asyncio
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from hls.errors import BadSound, BucketLost, EncoderLost
from hls.recording.core.manifest import FILE_NAME as MANIFEST
from hls.recording.core.manifest import BadManifest, Manifest, read_manifest
from hls.recording.shelf import claim
from hls.recording.walk import walk
from hls.upload.bucket import PART_BYTES, Bucket
from hls.upload.core.places import Kind, fill
from hls.upload.job import Job, read_job, write_job
from hls.upload.kept import KeptFolders
from hls.upload.listening import MEDIA_NAME, PLAYLIST_NAME, make_listening_copy
from hls.upload.types import UploadProgress, UploadState, Wanted

GROWING: Final = "growing"  # the folder of pieces of what is still written
MANIFEST_EVERY_S: Final = 60.0
MAX_MANIFEST_BYTES: Final = 16 << 20
A_TURN: Final = 8  # pieces of one recording that grows, before others have their turn
_ONE_FOLDER: Final = frozenset({"", ".", ".."})


@dataclass(frozen=True, slots=True)
class Folders:
    """Where recordings are, where what is known of uploads is kept, and where work is done."""

    recordings: Path
    state: Path


class RecordingUploads:
    """All recordings that are wanted in the bucket.

    What grows and what is over are sent side by side: neither waits for the other.
    """

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
        self._jobs: dict[tuple[str, str], Job] = {}

    def follow(self, wanted: Sequence[Wanted]) -> list[UploadProgress]:
        """Have these recordings uploaded and no others, and return how far each is."""
        self._wanted = {_key(one): one for one in wanted if _is_safe(one)}
        self._jobs = {
            key: job
            for key, job in self._jobs.items()
            if (one := self._wanted.get(key)) is not None and one.began_unix_s == job.began_unix_s
        }
        return [self._progress(one) for one in self._wanted.values()]

    async def grow(self, now_unix_s: float) -> None:
        """Send what can be sent of recordings that are not over. Raises BucketLost."""
        for one in self._turns(is_over=False):
            await self._advance(one, now_unix_s)

    async def finish(self, now_unix_s: float) -> None:
        """Send recordings that are over. Raises BucketLost."""
        for one in self._turns(is_over=True):
            await self._advance(one, now_unix_s)

    def _turns(self, *, is_over: bool) -> list[Wanted]:
        """Return whose turn it is: what could not be sent does not stand before what can be."""
        found = [one for one in self._wanted.values() if one.is_over == is_over]
        return sorted(
            found,
            key=lambda one: 0 if (job := self._jobs.get(_key(one))) is None else job.failures,
        )

    async def _advance(self, one: Wanted, now_unix_s: float) -> None:
        job = await self._job(one)
        async with job.turn:
            if not self._is_wanted(one) or job.is_done or job.is_gone:
                return
            job.sentence = ""
            try:
                await asyncio.to_thread(self._kept.note, job.place, now_unix_s)
                if one.is_over:
                    await self._finish(one, job)
                else:
                    await self._grow(one, job, now_unix_s)
                job.failures = 0
            except FileNotFoundError:
                job.sentence = "A file of it is not there any more."
                job.failures += 1
            except OSError as error:
                job.sentence = f"A file of it cannot be read: {error.strerror}."
                job.failures += 1
            except BucketLost as error:
                job.sentence = str(error)
                job.failures += 1
                await self._keep(one, job)
                raise

    def _progress(self, one: Wanted) -> UploadProgress:
        job = self._jobs.get(_key(one))
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

    def _is_wanted(self, one: Wanted) -> bool:
        return self._wanted.get(_key(one)) == one

    async def _job(self, one: Wanted) -> Job:
        job = self._jobs.get(_key(one))
        if job is None:
            job = await asyncio.to_thread(self._recall, one)
            if self._is_wanted(one):
                job = self._jobs.setdefault(_key(one), job)
        return job

    def _recall(self, one: Wanted) -> Job:
        """Return what is remembered of it; of another that had its name, only that there was one.

        What that one has in the bucket is nobody's to write over. No name of a recording has a dot.
        """
        job, name = read_job(self._state_path(one)), one.name
        if job is not None and job.began_unix_s == one.began_unix_s:
            return job
        if job is not None:
            began = datetime.fromtimestamp(one.began_unix_s, UTC)
            name = f"{name}.{began:%Y-%m-%d_%H-%M-%S}"
        place = fill(self._template, one.room, Kind.RECORDING, name)
        return Job(place, one.began_unix_s)

    # While it is being recorded

    async def _grow(self, one: Wanted, job: Job, now_unix_s: float) -> None:
        """Send the pieces that are complete of files that grow, and now and then the manifest.

        Heads are written anew at the end, so these pieces are no file yet; but should this machine
        burn, what is in the bucket can be put together and played.
        """
        folder = self._folder(one)
        found = await asyncio.to_thread(_look, folder)
        pieces = [
            (file, number)
            for file, (size, _) in found.items()
            for number in range(job.pieces.get(file, 0), size // PART_BYTES)
        ]
        for file, number in pieces[:A_TURN]:
            data = await asyncio.to_thread(_read_piece, folder / file, number)
            await self._bucket.put(f"{job.place}/{GROWING}/{file}/{number:06d}", data)
            job.pieces[file], job.is_begun = number + 1, True
            self._count(len(data))
            await self._keep(one, job)
        if now_unix_s - job.told_s >= MANIFEST_EVERY_S and MANIFEST in found:
            data = await asyncio.to_thread(_read_manifest, folder)
            await self._bucket.put(f"{job.place}/{GROWING}/{MANIFEST}", data)
            job.told_s, job.is_begun = now_unix_s, True
            await self._keep(one, job)

    # When it is over

    async def _finish(self, one: Wanted, job: Job) -> None:
        """Send every file that was not sent as it is, and what is made of them, then tidy up."""
        folder = self._folder(one)
        found = await asyncio.to_thread(_look, folder)
        if not found:
            await asyncio.to_thread(self._check_mounted, job)
            job.is_gone, job.sentence = True, "There is nothing in its folder."
            return
        if await asyncio.to_thread(_is_written, folder):
            job.sentence = "The last of it is still being written."
            return
        job.total = sum(size for size, _ in found.values())
        for file, known in found.items():
            if job.files.get(file, ())[:2] == known:
                continue
            etag = await self._bucket.put_file(f"{job.place}/{file}", folder / file)
            job.files[file] = (*known, etag)
            job.is_begun, job.has_copy = True, False
            self._count(known[0])
            await self._keep(one, job)
            if not self._is_wanted(one):
                return
        if not job.has_copy:
            await self._send_listening_copy(one, job, found)
        if await asyncio.to_thread(_look, folder) != found:
            return  # somebody still writes: what has changed is sent in the next round
        await self._bucket.delete_folder(f"{job.place}/{GROWING}")
        job.is_done = True
        self._counters["upload_recordings"] += 1
        await self._keep(one, job)

    def _check_mounted(self, job: Job) -> None:
        """Tell what is gone from what is away: an empty mount point. Raises BucketLost."""
        folder = self._folders.recordings
        if not folder.is_dir() or (job.is_begun and not any(folder.iterdir())):
            raise BucketLost("The folder of recordings is not there: is it mounted?")

    async def _send_listening_copy(
        self, one: Wanted, job: Job, found: dict[str, tuple[int, int]]
    ) -> None:
        """Send the copy to listen to, once; that none can be made keeps nothing from its end."""
        folder, copy = self._folder(one), self._state_path(one).with_suffix(".mp4")
        try:
            try:
                manifest = await asyncio.to_thread(_parse_manifest, folder, found)
                playlist = await asyncio.to_thread(make_listening_copy, folder, manifest, copy)
            except (BadManifest, BadSound, EncoderLost, OSError, UnicodeDecodeError):
                self._counters["upload_unplayable"] += 1
                playlist = None
            if playlist is not None:
                await self._bucket.put_file(f"{job.place}/{MEDIA_NAME}", copy)
                await self._bucket.put(f"{job.place}/{PLAYLIST_NAME}", playlist.encode())
        finally:
            await asyncio.to_thread(copy.unlink, missing_ok=True)
        job.has_copy = True
        await self._keep(one, job)

    # What is remembered

    def _count(self, size: int) -> None:
        self._counters["upload_objects"] += 1
        self._counters["upload_bytes"] += size

    async def _keep(self, one: Wanted, job: Job) -> None:
        try:
            await asyncio.to_thread(write_job, self._state_path(one), job)
        except OSError as error:
            raise BucketLost(
                f"The folder of uploads cannot be written: {error.strerror}."
            ) from None

    def _folder(self, one: Wanted) -> Path:
        return self._folders.recordings / one.room / one.name

    def _state_path(self, one: Wanted) -> Path:
        return self._folders.state / one.room / f"{one.name}.json"


def _key(one: Wanted) -> tuple[str, str]:
    return one.room, one.name


def _is_safe(one: Wanted) -> bool:
    return all(part not in _ONE_FOLDER and "/" not in part for part in (one.room, one.name))


def _look(folder: Path) -> dict[str, tuple[int, int]]:
    """Return the files of a recording with their sizes and times. Raises OSError."""
    found = walk(folder, is_strict=True)
    return dict(sorted((file, (status.st_size, status.st_mtime_ns)) for file, status in found))


def _is_written(folder: Path) -> bool:
    """Whether somebody writes in it; on a disk that does not say, or may not be asked, nobody."""
    try:
        os.close(claim(folder, wait=False))
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


def _read_piece(path: Path, number: int) -> bytes:
    with path.open("rb") as file:
        file.seek(number * PART_BYTES)
        return file.read(PART_BYTES)


def _read_manifest(folder: Path) -> bytes:
    handle = os.open(folder / MANIFEST, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        return file.read(MAX_MANIFEST_BYTES)


def _parse_manifest(folder: Path, found: dict[str, tuple[int, int]]) -> Manifest:
    """Read the manifest, without what is no file of this folder."""
    manifest = read_manifest(_read_manifest(folder).decode())
    manifest.files = [one for one in manifest.files if one.path in found]
    return manifest
