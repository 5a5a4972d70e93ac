"""A bucket or a folder: the door of obstore."""

import asyncio
import math
import re
import stat
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import obstore
from obstore import exceptions, store

from hls.errors import BucketLost, BucketRefused
from hls.upload.core.places import object_path

PART_BYTES: Final = 8 << 20  # S3 takes no parts below 5 MiB, and 10,000 of these are 80 GB
PARTS_AT_ONCE: Final = 2  # of one file: what of it is in memory is the product
SMALL_BYTES: Final = 1 << 20
REQUEST_S: Final = 60.0
PART_S: Final = 600.0  # of what is not small: 8 MiB at 112 kb/s
CONNECT_S: Final = 10.0
MAX_CREDENTIALS_BYTES: Final = 65_536
SCHEMES: Final = ("s3", "gs", "az", "file")

# What obstore's errors say: that it gave up waiting, and after how long in all.
_GAVE_UP: Final = re.compile(r"elapsed: ([0-9.]+)s,.*kind: Timeout", re.DOTALL)
_CODE: Final = re.compile(r"<Code>([A-Za-z]{1,60})</Code>")
_STATUS: Final = re.compile(r"status code: ([0-9]{3})")
_MISSING: Final = frozenset({"NoSuchBucket", "ContainerNotFound"})
_TYPES: Final = {
    ".m3u8": "application/vnd.apple.mpegurl",
    ".m4s": "video/iso.segment",
    ".mp4": "audio/mp4",
    ".ts": "video/mp2t",
    ".aac": "audio/aac",
    ".key": "application/octet-stream",
    ".ogg": "audio/ogg",
    ".flac": "audio/flac",
    ".wav": "audio/wav",
    ".json": "application/json",
    ".txt": "text/plain; charset=utf-8",
    ".vtt": "text/vtt; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class BucketPlace:
    """A bucket: `url` is `s3://bucket/prefix`, `gs://…`, `az://account/container/…`, `file:///…`.

    Credentials come from the environment as the vendor's own tools know them, or from a file of
    lines NAME=value that only we may read.
    """

    url: str
    endpoint: str = ""
    region: str = ""
    credentials_file: Path | None = field(default=None, repr=False)

    @property
    def scheme(self) -> str:
        """What kind it is."""
        return self.url.partition("://")[0]


class Bucket:
    """One bucket. What it refuses is told by its own sentences: those of its errors hold secrets.

    It is opened at the first use, and anew after each refusal, so that new credentials count.
    After a request that took too long the parts of a file go one by one.
    """

    def __init__(self, place: BucketPlace) -> None:
        self._place = place
        self._stores: dict[float, Any] = {}  # by how long a request may take
        self._parts_at_once = PARTS_AT_ONCE

    async def put(self, path: str, data: bytes, *, max_age_s: int = 0) -> None:
        """Write an object whole. Raises BucketLost."""
        await self._put(path, data, max_age_s, len(data))

    async def put_file(self, path: str, file: Path, *, max_age_s: int = 0) -> str:
        """Write a file, in parts that go side by side; return the object's etag. Raises BucketLost.

        At most PARTS_AT_ONCE parts of it are in memory; nobody sees it before it is there whole.
        Raises OSError where the file cannot be read.
        """
        status = await asyncio.to_thread(file.stat)
        return await self._put(path, file, max_age_s, status.st_size)

    async def _put(self, path: str, data: bytes | Path, max_age_s: int, size: int) -> str:
        request_s = REQUEST_S if size <= SMALL_BYTES else PART_S
        opened, name = self._open(request_s), object_path(path)
        # A folder knows no types; obstore refuses them there.
        attributes: Any = None if self._place.scheme == "file" else _attributes(name, max_age_s)
        try:
            with _told(request_s, min(size, PART_BYTES)):
                result = await obstore.put_async(
                    opened,
                    name,
                    data,
                    attributes=attributes,
                    use_multipart=size > PART_BYTES,
                    chunk_size=PART_BYTES,
                    max_concurrency=self._parts_at_once,
                )
        except _TooSlow:
            self._parts_at_once = 1
            raise
        return (result["e_tag"] or "").strip('"')

    async def get(self, path: str) -> tuple[bytes, float]:
        """Return a small object, and when it was written (Unix time) by the bucket's clock.

        Raises BucketLost.
        """
        with _told():
            found = await obstore.get_async(self._open(), object_path(path))
            return bytes(await found.bytes_async()), found.meta["last_modified"].timestamp()

    async def delete(self, paths: Sequence[str]) -> None:
        """Delete objects; those that are not there are none the less deleted. Raises BucketLost."""
        opened = self._open()
        for path in paths:
            try:
                with _told():
                    await obstore.delete_async(opened, object_path(path))
            except _NotThere:
                continue

    async def names(self, folder: str) -> AsyncIterator[list[str]]:
        """Yield the names of all objects in a folder, some at a time. Raises BucketLost."""
        with _told():
            async for some in obstore.list(self._open(), object_path(folder) + "/"):
                yield [one["path"] for one in some]

    async def delete_folder(self, folder: str) -> int:
        """Delete a folder with all that is in it; return how much that was. Raises BucketLost."""
        count = 0
        async for some in self.names(folder):
            await self.delete(some)
            count += len(some)
        return count

    def reopen(self) -> None:
        """Read credentials anew at the next use."""
        self._stores = {}

    def _open(self, request_s: float = REQUEST_S) -> Any:
        if request_s not in self._stores:
            self._stores[request_s] = _opened(self._place, request_s)
        return self._stores[request_s]


class _NotThere(BucketLost):
    """There is no such object."""


class _TooSlow(BucketLost):
    """A request was given up for it took too long."""

    def __init__(self, request_s: float, size: int) -> None:
        long = f"{request_s / 60:.0f} minutes" if request_s > 60 else f"{request_s:.0f} s"
        much = f"{size / (1 << 20):.0f} MiB" if size > SMALL_BYTES else f"{size} bytes"
        super().__init__(f"The bucket took longer than {long} for {much}: is the line slow?")


def _opened(place: BucketPlace, request_s: float) -> Any:
    with _told():
        if place.scheme == "file":
            return store.from_url(place.url, mkdir=True)
        settings: dict[str, str] = read_credentials(place.credentials_file)
        if place.endpoint:
            settings["endpoint"] = place.endpoint
        if place.region and place.scheme == "s3":
            settings["region"] = place.region
        config: Any = settings
        return store.from_url(
            place.url,
            config=config,
            client_options={
                "allow_http": place.endpoint.startswith("http://"),
                "timeout": timedelta(seconds=request_s),
                "connect_timeout": timedelta(seconds=CONNECT_S),
            },
            # Who calls us tries again, with longer waits, and tells people meanwhile.
            retry_config={"max_retries": 1, "retry_timeout": timedelta(seconds=request_s)},
        )


def read_credentials(path: Path | None) -> dict[str, str]:
    """Return what a file of credentials says, {} for None. Raises BucketRefused."""
    if path is None:
        return {}
    try:
        with path.open("rb") as file:
            if stat.S_IMODE(path.stat().st_mode) & 0o077:
                raise BucketRefused("The file of credentials can be read by others: chmod 600 it.")
            text = file.read(MAX_CREDENTIALS_BYTES).decode()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise BucketRefused(f"The file of credentials cannot be read: {why}.") from None
    found = {}
    for line in text.splitlines():
        name, separator, value = line.strip().partition("=")
        if separator and not name.startswith("#"):
            found[name.strip().removeprefix("export ").lower()] = value.strip().strip("\"'")
    if not found:
        raise BucketRefused("The file of credentials has no line NAME=value.")
    return found


def _attributes(name: str, max_age_s: int) -> Mapping[str, str]:
    suffix = name[name.rfind(".") :] if "." in name else ""
    return {
        "Content-Type": _TYPES.get(suffix, "application/octet-stream"),
        "Cache-Control": f"public, max-age={max_age_s}" if max_age_s else "no-cache",
    }


@contextmanager
def _told(request_s: float = math.inf, size: int = 0) -> Iterator[None]:
    """Say in our own words what went wrong: obstore's hold signatures and addresses."""
    try:
        yield
    except BucketLost:
        raise
    except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as error:
        raise BucketRefused(f"The bucket refuses these credentials{_code(error)}.") from None
    except PermissionError:
        raise BucketRefused("The folder may not be written.") from None
    except (FileNotFoundError, exceptions.NotFoundError) as error:
        if _is_missing(error):
            raise BucketRefused("There is no such bucket.") from None
        raise _NotThere(f"There is no such object{_code(error)}.") from None
    except exceptions.UnknownConfigurationKeyError:
        raise BucketRefused(
            "The file of credentials has a name that the bucket does not know."
        ) from None
    except (exceptions.BaseError, OSError, ValueError, NotImplementedError, TimeoutError) as error:
        gave_up = _GAVE_UP.search(str(error))
        if gave_up is not None and float(gave_up[1]) >= request_s:  # else it was a connection
            raise _TooSlow(request_s, size) from None
        raise BucketLost(f"The bucket cannot be reached{_code(error)}.") from None


def _is_missing(error: Exception) -> bool:
    found = _CODE.search(str(error))
    return found is not None and found[1] in _MISSING


def _code(error: Exception) -> str:
    text = str(error)
    found = _CODE.search(text) or _STATUS.search(text)
    return f" ({found[1]})" if found else ""
