"""What is known of the upload of one recording, and its file."""

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path

from hls.upload.bucket import PART_BYTES
from hls.upload.core.places import object_path
from hls.upload.spool import write_whole


@dataclass(slots=True)
class Job:
    """How far one recording is; what is above `sentence` is in its file."""

    place: str
    began_unix_s: float
    pieces: dict[str, int] = field(default_factory=dict)  # of growing files, how many are there
    files: dict[str, tuple[int, int, str]] = field(default_factory=dict)  # size, time, etag
    is_begun: bool = False  # something of it is in the bucket
    has_copy: bool = False  # so is the copy to listen to, or none can be made
    is_done: bool = False
    total: int = 0
    sentence: str = ""
    told_s: float = float("-inf")  # when the manifest of a growing one was sent
    is_gone: bool = False
    failures: int = 0  # since something of it could be sent
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def sent(self) -> int:
        """How many bytes of it are in the bucket."""
        return (
            sum(size for size, _, _ in self.files.values())
            or sum(self.pieces.values()) * PART_BYTES
        )


def write_job(path: Path, job: Job) -> None:
    """Keep what is known. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    document = {
        "place": job.place,
        "began_unix_s": job.began_unix_s,
        "pieces": job.pieces,
        "files": job.files,
        "is_begun": job.is_begun,
        "has_copy": job.has_copy,
        "is_done": job.is_done,
        "total": job.total,
    }
    write_whole(path, json.dumps(document).encode())


def read_job(path: Path) -> Job | None:
    """Return what is remembered; what is damaged is None, as if nothing had been sent."""
    try:
        document = json.loads(path.read_bytes())
        return Job(
            place=object_path(str(document["place"])),
            began_unix_s=float(document["began_unix_s"]),
            pieces={str(name): int(count) for name, count in document["pieces"].items()},
            files={
                str(name): (int(size), int(time), str(etag))
                for name, (size, time, etag) in document["files"].items()
            },
            is_begun=document["is_begun"] is True,
            has_copy=document["has_copy"] is True,
            is_done=document["is_done"] is True,
            total=int(document["total"]),
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
