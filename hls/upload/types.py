"""Values that cross the border of the upload process."""

from dataclasses import dataclass
from enum import StrEnum


class UploadState(StrEnum):
    """Where the upload of a recording is."""

    WAITING = "waiting"  # for its turn, for the recording to grow, or for the bucket
    UPLOADING = "uploading"
    DONE = "done"
    FAILED = "failed"  # it is not there any more


@dataclass(frozen=True, slots=True)
class Wanted:
    """A recording that is to be uploaded; another of its name is told from it by when it began."""

    room: str
    name: str
    is_over: bool
    began_unix_s: float


@dataclass(frozen=True, slots=True)
class UploadProgress:
    """How far a recording is: `sent` of `total` bytes. The sentence says what is wrong."""

    room: str
    name: str
    state: UploadState
    sent: int = 0
    total: int = 0
    sentence: str = ""
