"""The spool: what of broadcasts is to be uploaded, as files between two processes."""

import json
import os
import re
import shutil
from collections import Counter, deque
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from hls.upload.core.journal import MAX_LINE, Listed, read_line, read_lines, write_line

HEAD: Final = "stream.json"
ENDED: Final = "ended"
SENT: Final = "sent"
KEYS: Final = "keys"
MEDIA: Final = "media"
JOURNAL: Final = "journal"
_SUFFIX: Final = ".seg"
_DRAFT: Final = ".draft"
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,120}")
_RENDITION: Final = re.compile(r"[a-z0-9-]{1,32}")
_MAX_HEAD: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Head:
    """One time on air of a room: what a folder in the bucket holds.

    `renditions` begin with the default one; `master` is the multivariant playlist. `stream` is the
    room's (`BroadcastSpec.stream`), whose clock and numbers go on from one time on air to the next.
    """

    room: str
    name: str
    renditions: tuple[str, ...]
    master: str
    stream: str = ""

    @property
    def id(self) -> str:
        """Its folder's name in the spool."""
        return f"{self.room}_{self.name}"


@dataclass(frozen=True, slots=True)
class Sent:
    """What is remembered of a stream all of which was sent at `unix_s`: where it began."""

    room: str
    first_msn: int
    unix_s: float


class SpoolWriter:
    """Writes segments within a number of bytes, for another process that deletes what it sent.

    When there is no room the oldest segment that waits goes, of whatever stream, counted. Nothing
    here raises OSError: what cannot be written is counted, and a gap of its playlist.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.counters: Counter[str] = Counter(
            upload_spooled=0, upload_spool_dropped=0, upload_spool_failures=0
        )
        self._folder = folder
        self._max_bytes = max_bytes
        self._held: deque[tuple[Path, int]] = deque()
        self._bytes = 0
        self._look()

    def streams(self) -> list[str]:
        """Return the ids of the streams that have not ended."""
        found = _folders(self._folder)
        return [one.name for one in found if not (one / ENDED).exists()]

    def open_name(self, room: str, stream: str) -> str | None:
        """Return the name of what a life before began of a stream, and nobody has ended."""
        heads = map(read_head, (self._folder / one for one in self.streams()))
        found = (one.name for one in heads if one and (one.room, one.stream) == (room, stream))
        return max(found, default=None)

    def has(self, stream: str) -> bool:
        """Whether there is such a stream, or something is left of one."""
        return (self._folder / stream).exists()

    def begin(self, head: Head) -> bool:
        """Have a stream, or change what is known of it; return whether the disk took it."""
        return self._write(self._folder / head.id / HEAD, json.dumps(asdict(head)).encode())

    def last_msn(self, stream: str, rendition: str) -> int:
        """Return the newest segment that was put here, now or in a life before; -1 for none.

        What a life before heard must not be written over: this one has silence there.
        """
        folder = self._folder / stream
        waiting = waiting_segments(folder / MEDIA / rendition)
        sent = last_sent(journal_path(folder, rendition))
        return max([sent, *(msn for msn, _ in waiting[-1:])])

    def put(self, stream: str, rendition: str, one: Listed, data: bytes) -> None:
        """Take a segment, encrypted."""
        path = self._folder / stream / MEDIA / rendition / f"{one.msn:015d}{_SUFFIX}"
        content = write_line(one) + data
        if not self._make_room(len(content)) or not self._write(path, content):
            self.counters["upload_spool_dropped"] += 1
            return
        self._held.append((path, len(content)))
        self._bytes += len(content)
        self.counters["upload_spooled"] += 1

    def put_init(self, stream: str, rendition: str, name: str, data: bytes) -> None:
        """Take an init segment; again is nothing."""
        path = self._folder / stream / MEDIA / rendition / name
        if not path.exists():
            self._write(path, data)

    def put_key(self, stream: str, epoch: int, key: bytes) -> None:
        """Take a key that is to be in the bucket."""
        path = self._folder / stream / KEYS / f"{epoch}.key"
        if not path.exists():
            self._write(path, key)

    def end(self, stream: str) -> None:
        """Say that nothing of a stream will follow."""
        self._write(self._folder / stream / ENDED, b"")

    def _make_room(self, size: int) -> bool:
        if self._bytes + size <= self._max_bytes:
            return True
        self._look()  # much of what we wrote has been sent
        while self._held and self._bytes + size > self._max_bytes:
            path, known = self._held.popleft()
            try:
                path.unlink()
                self.counters["upload_spool_dropped"] += 1
            except FileNotFoundError:
                pass  # sent meanwhile
            except OSError:
                self.counters["upload_spool_failures"] += 1
            self._bytes -= known
        return self._bytes + size <= self._max_bytes

    def _look(self) -> None:
        """See what waits, oldest first."""
        found = []
        for path in self._folder.glob(f"*/{MEDIA}/*/*{_SUFFIX}"):
            try:
                status = path.stat()
            except OSError:
                continue
            found.append((status.st_mtime_ns, path, status.st_size))
        found.sort(key=lambda one: one[0])
        self._held = deque((path, size) for _, path, size in found)
        self._bytes = sum(size for _, size in self._held)

    def _write(self, path: Path, data: bytes) -> bool:
        draft = path.with_name(path.name + _DRAFT)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(path, data)
        except OSError:
            self.counters["upload_spool_failures"] += 1
            draft.unlink(missing_ok=True)
            return False
        return True


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that is there whole or not at all, for us alone. Raises OSError."""
    draft = path.with_name(path.name + _DRAFT)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
    draft.replace(path)


def streams(folder: Path) -> list[Path]:
    """Return the folders of all streams of which something is, or may be, to be sent."""
    return [one for one in _named(folder) if not (one / SENT).exists()]


def read_head(stream: Path) -> Head | None:
    """Return what is known of a stream, None if that cannot be read."""
    try:
        with (stream / HEAD).open("rb") as file:
            document = json.loads(file.read(_MAX_HEAD))
        head = Head(
            room=str(document["room"]),
            name=str(document["name"]),
            renditions=tuple(map(str, document["renditions"])),
            master=str(document["master"]),
            stream=str(document.get("stream", "")),
        )
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    is_sound = head.renditions and all(map(_RENDITION.fullmatch, head.renditions))
    return head if is_sound and head.id == stream.name else None


def waiting_segments(folder: Path) -> list[tuple[int, Path]]:
    """Return the numbers and files of the segments that wait, in ascending order."""
    try:
        names = os.listdir(folder)  # noqa: PTH208 - a listing of 17,000 names, many times
    except OSError:
        return []
    stems = ((name.removesuffix(_SUFFIX), name) for name in names if name.endswith(_SUFFIX))
    return sorted((int(stem), folder / name) for stem, name in stems if stem.isdecimal())


def journal_path(stream: Path, rendition: str) -> Path:
    """Return where the segments of a rendition that were sent are noted, one a line."""
    return stream / JOURNAL / f"{rendition}.jsonl"


def last_sent(journal: Path) -> int:
    """Return the newest segment that was sent, -1 if none was."""
    try:
        with journal.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 2 * MAX_LINE))
            return max(read_lines(file.read()), default=-1)
    except OSError:
        return -1


def read_segment(path: Path) -> tuple[Listed, bytes] | None:
    """Return a segment that waits; None if it is damaged. Raises OSError."""
    content = path.read_bytes()
    line, separator, data = content[: MAX_LINE + 1].partition(b"\n")
    one = read_line(line) if separator else None
    if one is None or not data:
        return None
    return one, content[len(line) + 1 :]


def close_stream(stream: Path, sent: Sent) -> None:
    """Remember of a stream no more than that it was sent. Raises OSError."""
    write_whole(stream / SENT, json.dumps(asdict(sent)).encode())
    for name in (MEDIA, JOURNAL, KEYS):
        shutil.rmtree(stream / name, ignore_errors=True)


def sent_streams(folder: Path) -> dict[str, Sent]:
    """Return what is remembered of the streams that were sent; what cannot be read is not."""
    found = ((one.name, _read_sent(one / SENT)) for one in _named(folder))
    return {name: sent for name, sent in found if sent is not None}


def forget_stream(stream: Path) -> None:
    """Delete what is left of a stream."""
    shutil.rmtree(stream, ignore_errors=True)


def _read_sent(path: Path) -> Sent | None:
    try:
        document = json.loads(path.read_bytes())
        return Sent(
            room=str(document["room"]),
            first_msn=int(document["first_msn"]),
            unix_s=float(document["unix_s"]),
        )
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None


def _named(folder: Path) -> list[Path]:
    return [one for one in _folders(folder) if _ID.fullmatch(one.name)]


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(one for one in folder.iterdir() if one.is_dir())
    except OSError:
        return []
