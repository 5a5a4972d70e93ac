"""The bucket that a server would upload to: what may be done there, and what its clock says."""

import asyncio
import secrets
from collections.abc import Callable
from typing import Final

from hls.errors import BucketLost, BucketRefused
from hls.upload.bucket import Bucket, BucketPlace
from server.compose.doctor.finding import Finding, Verdict
from server.config import Settings, option

PATIENCE_S: Final = 30.0  # a bucket that takes longer for a hundred bytes takes no segments
SKEW_S: Final = 5.0  # buckets tell whole seconds, and an object travels for a while
REFUSED_SKEW_S: Final = 600.0  # signatures of another quarter of an hour are refused (S3)
_WORD: Final = b"What the doctor left may be deleted.\n"
_CLOCK: Final = "let chrony or systemd-timesyncd set this machine's clock"


async def check_bucket(settings: Settings, unix_s: Callable[[], float]) -> list[Finding]:
    """Write, read, list and delete a small object there; nothing where nothing is uploaded."""
    if not settings.upload_url:
        return []
    check = f"bucket {settings.upload_url}"
    bucket = Bucket(
        BucketPlace(
            settings.upload_url,
            settings.upload_endpoint,
            settings.upload_region,
            settings.upload_credentials,
        )
    )
    folder = f"roomtone-doctor-{secrets.token_hex(6)}"
    path, step = f"{folder}/word.txt", "write"
    try:
        async with asyncio.timeout(PATIENCE_S):
            await bucket.put(path, _WORD)
            step, written_s = "read", unix_s()
            data, told_s = await bucket.get(path)
            step = "list"
            listed = [name async for some in bucket.names(folder) for name in some]
            step = "delete"
            await bucket.delete([path])
    except BucketLost as error:
        return [Finding(check, Verdict.FAIL, f"{error} ({step})", _advice(error, step))]
    except TimeoutError:
        found = f"it did not answer in {PATIENCE_S:.0f} s ({step})"
        return [Finding(check, Verdict.FAIL, found, _NETWORK)]
    if data != _WORD or not any(name.endswith(path) for name in listed):
        found = "what is written there is not what is read, or is not listed"
        return [Finding(check, Verdict.FAIL, found, "something between here and there caches")]
    told = Finding(check, Verdict.OK, "it takes, gives, lists and deletes")
    return [told, _skew(f"clock of {settings.upload_url}", told_s - written_s)]


_NETWORK: Final = (
    f"look at this machine's network and firewall, and at {option('upload_endpoint')} and"
    f" {option('upload_region')}"
)


def _advice(error: BucketLost, step: str) -> str:
    said = str(error)
    if "TimeTooSkewed" in said:
        return _CLOCK
    if not isinstance(error, BucketRefused):
        return _NETWORK
    if "no such bucket" in said:
        return f"make it, or name another with {option('upload_url')}"
    if "file of credentials" in said or "folder" in said:
        return f"see {option('upload_credentials')} and {option('upload_url')}"
    if step == "write":
        return f"look at the key in {option('upload_credentials')}, and whether it may write there"
    return f"let this key {step} objects there as well"


def _skew(check: str, skew_s: float) -> Finding:
    if abs(skew_s) <= SKEW_S:
        return Finding(check, Verdict.OK, f"{abs(skew_s):.1f} s apart at most")
    verdict = Verdict.FAIL if abs(skew_s) > REFUSED_SKEW_S else Verdict.WARN
    return Finding(check, verdict, f"{skew_s:+.1f} s away from this machine's", _CLOCK)
