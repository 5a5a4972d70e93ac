"""A recording's folder beside its sound: the manifest, the project and the labels, kept whole."""

import contextlib
import errno
import fcntl
import os
from pathlib import Path

from hls.recording.core.captions import BLANK_LINE, in_order, seconds
from hls.recording.core.flac import HEAD_BYTES, flac_head, last_frame, read_streaminfo
from hls.recording.core.labels import audacity, chapters
from hls.recording.core.manifest import (
    FILE_NAME,
    BadManifest,
    FileKind,
    Manifest,
    RecordedFile,
    TakeEnd,
    read_manifest,
    write_manifest,
)
from hls.recording.core.ogg import last_page, read_pre_skip, renew_head
from hls.recording.core.reaper import reaper
from hls.recording.core.wav import HEAD_BYTES as WAV_HEAD_BYTES
from hls.recording.core.wav import WavFormat, wav_head
from hls.types import RecordingFailure, RecordingState

PROJECT, LABELS = "project.rpp", "labels.txt"
RESERVE, RESERVE_BYTES = ".reserve", 256 * 1024  # given up so that a full disk takes the manifest
LOCK = ".lock"
MOST_MANIFEST_BYTES = 64 << 20
_TAIL_BYTES = 256 * 1024  # above the longest page of Ogg, 65,307 bytes, and frame of FLAC
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_GONE = {errno.ENOENT, errno.ESTALE, errno.ENOTDIR, errno.ENODEV}
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ELOOP}


def failure_of(error: OSError) -> RecordingFailure:
    """Return what to tell people of an error of the disk."""
    for codes, failure in (
        (_FULL, RecordingFailure.FULL),
        (_GONE, RecordingFailure.GONE),
        (_DENIED, RecordingFailure.DENIED),
    ):
        if error.errno in codes:
            return failure
    return RecordingFailure.BROKEN


def make_folder(folder: Path) -> None:
    """Make a recording's folder, and in it what is given up when the disk is full.

    Raises OSError.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _replace(folder / RESERVE, b"\0" * RESERVE_BYTES)


def claim(folder: Path, *, wait: bool) -> int:
    """Be the only one who writes in a recording's folder until the descriptor is closed.

    The kernel closes it when the process dies. On a disk that knows no locks everybody is. Raises
    OSError; BlockingIOError, unless it is to `wait`, while somebody else is.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(folder / LOCK, flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        os.close(descriptor)
        raise
    except OSError:
        pass
    return descriptor


def load(folder: Path) -> Manifest | None:
    """Return what the manifest says, None if there is none. Raises OSError, BadManifest."""
    try:
        with (folder / FILE_NAME).open(encoding="utf-8", errors="strict") as file:
            return read_manifest(file.read(MOST_MANIFEST_BYTES))
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        raise BadManifest("This manifest of a recording is no text.") from None


def save(folder: Path, manifest: Manifest) -> None:
    """Write the manifest in place of the one before. Raises OSError; then that one is whole."""
    _replace(folder / FILE_NAME, write_manifest(manifest).encode("utf-8", "replace"))


def save_all(folder: Path, manifest: Manifest) -> None:
    """Write the manifest, the project and the labels, at the end of a take. Raises OSError."""
    (folder / RESERVE).unlink(missing_ok=True)
    for file in manifest.files:
        if file.kind is FileKind.CAPTIONS:
            with contextlib.suppress(OSError):  # it is gone, or stays as it came
                _put_in_order(folder / file.path, file)
    save(folder, manifest)
    _replace(folder / PROJECT, reaper(manifest).encode("utf-8", "replace"))
    _replace(folder / LABELS, audacity(manifest).encode("utf-8", "replace"))


def repair(folder: Path) -> Manifest | None:
    """End a recording whose process died: its files say how far they are. None if there is none.

    Whoever calls has claimed the folder. Raises OSError, BadManifest.
    """
    manifest = load(folder)
    if manifest is not None and any(take.end is TakeEnd.OPEN for take in manifest.takes):
        mend(folder, manifest, RecordingState.INTERRUPTED, TakeEnd.INTERRUPTED)
        save_all(folder, manifest)
    return manifest


def mend(folder: Path, manifest: Manifest, state: RecordingState, ending: TakeEnd) -> None:
    """End the takes that are open: cut off what is half written, say how long all is."""
    for take in manifest.takes:
        if take.end is not TakeEnd.OPEN:
            continue
        files = [file for file in manifest.files if file.take == take.number]
        for file in files:
            with contextlib.suppress(OSError):  # it is gone, or what is left of it is of no use
                _repair_file(folder, manifest, file)
        ends = [  # a caption may outlast the sound
            file.offset_s + file.seconds for file in files if file.kind is not FileKind.CAPTIONS
        ]
        written_s = max((end - take.offset_s for end in ends), default=take.seconds)
        if take.ended_unix_s is None:
            take.ended_unix_s = take.began_unix_s + take.seconds
        take.ended_unix_s += written_s - take.seconds  # the files are ahead of the manifest or not
        take.seconds, take.end = written_s, ending
        manifest.ended_unix_s = take.ended_unix_s
    last = manifest.takes[-1]
    manifest.seconds = last.offset_s + last.seconds
    manifest.state = state


def _repair_file(folder: Path, manifest: Manifest, entry: RecordedFile) -> None:
    descriptor = os.open(folder / entry.path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        size = os.fstat(descriptor).st_size
        begin = max(0, size - _TAIL_BYTES)
        tail = os.pread(descriptor, _TAIL_BYTES, begin)
        extension = entry.path.rpartition(".")[2]
        if extension == "ogg" and (page := last_page(tail)) is not None:
            end, granule = page
            os.ftruncate(descriptor, begin + end)
            head = os.pread(descriptor, _TAIL_BYTES, 0)
            entry.seconds = max(0, granule - read_pre_skip(head)) / 48_000
            renewed = renew_head(head, chapters(manifest, entry))
            if renewed is not None:
                os.pwrite(descriptor, renewed, 0)
        elif extension == "flac" and (frame := last_frame(tail)) is not None:
            at, samples = frame
            os.ftruncate(descriptor, begin + at)  # whether it is whole cannot be told
            entry.seconds = samples / 48_000
            info = read_streaminfo(os.pread(descriptor, HEAD_BYTES, 0))
            if info is not None:
                os.pwrite(descriptor, flac_head(info, samples), 0)
        elif extension == "wav":
            entry.seconds = _repair_wav(descriptor, size)
        elif extension == "vtt" and (end := tail.rfind(BLANK_LINE)) >= 0:
            os.ftruncate(descriptor, begin + end + len(BLANK_LINE))
        os.fdatasync(descriptor)
        entry.size_bytes = os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)


def _repair_wav(descriptor: int, size: int) -> float:
    head = os.pread(descriptor, WAV_HEAD_BYTES, 0)
    if len(head) < WAV_HEAD_BYTES:
        return 0.0
    kind, channels = WavFormat(head[20]), max(1, head[22])
    block, rate = (2 * channels, 48_000) if kind is WavFormat.PCM else (channels, 8_000)
    blocks = (size - WAV_HEAD_BYTES) // block
    os.ftruncate(descriptor, WAV_HEAD_BYTES + blocks * block)
    os.pwrite(descriptor, wav_head(kind, channels, blocks * block), 0)
    return blocks / rate


def _put_in_order(path: Path, entry: RecordedFile) -> None:
    """Have captions stand by their time, for they may have come late. Raises OSError."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
        data = file.read()
    ordered = in_order(data)
    if ordered != data:
        try:
            _replace(path, ordered)
        except OSError:
            _new(path).unlink(missing_ok=True)  # the manifest needs the room
            raise
    entry.seconds, entry.size_bytes = seconds(ordered), len(ordered)


def _replace(path: Path, data: bytes) -> None:
    """Write a file in place of another, which is whole until this one is."""
    new = _new(path)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(new, flags, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
    new.replace(path)


def _new(path: Path) -> Path:
    return path.with_name(path.name + ".new")
