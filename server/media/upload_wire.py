"""What the control process and the upload process say to each other, checked on arrival."""

from typing import Annotated

from pydantic import BaseModel, Field, TypeAdapter

from hls.upload.types import UploadProgress, Wanted

MAX_WANTED = 500  # in one call: 100 KB of names


class UploadSettings(BaseModel):
    """How an upload process is started. No secret is here: `ps` shows it."""

    control_fd: int
    url: str
    endpoint: str = ""
    region: str = ""
    credentials_file: str | None = None
    folder: str
    spool: str
    recordings: str
    template: str
    key_base: str = ""
    are_keys_sent: bool = False
    keep_s: float | None = None


class FollowUploads(BaseModel):
    """`follow`: which recordings are to be uploaded."""

    recordings: Annotated[tuple[Wanted, ...], Field(max_length=MAX_WANTED)]


class UploadReport(BaseModel):
    """The result of `follow`: how the bucket is, how far recordings are.

    `state` is ok, away or refused, and the sentence says why. `oldest` is, of each room, the first
    segment that a playlist in the bucket names or will name; None while that is not known.
    """

    state: str
    sentence: str
    recordings: tuple[UploadProgress, ...]
    oldest: dict[str, int] | None


REPORT = TypeAdapter(UploadReport)
