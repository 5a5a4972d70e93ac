"""What the doctor finds at a bucket: a real S3 server, a folder, and what can be wrong there."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from server.compose.doctor.bucket import check_bucket
from server.compose.doctor.finding import Finding, Verdict
from server.config import Settings
from server.services.clock import system_clock
from tests.support.s3 import KEY_ID, SECRET, S3Server


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[S3Server]:
    """An S3 server."""
    with S3Server(tmp_path) as server:
        yield server


async def look(s3: S3Server, *, url: str = "", ahead_s: float = 0.0) -> list[Finding]:
    settings = Settings(
        upload_url=url or s3.place.url,
        upload_endpoint=s3.place.endpoint,
        upload_region=s3.place.region,
        upload_credentials=s3.credentials,
    )
    clock = system_clock()
    findings = await check_bucket(settings, lambda: clock.unix() + ahead_s)
    told = " ".join(f"{one.found} {one.do}" for one in findings)
    assert SECRET not in told
    assert KEY_ID not in told
    return findings


async def test_well(s3: S3Server) -> None:
    """It takes, gives, lists and deletes, its clock is right, and nothing is left there."""
    bucket, clock = await look(s3)
    assert (bucket.verdict, bucket.found) == (Verdict.OK, "it takes, gives, lists and deletes")
    assert clock.verdict is Verdict.OK
    assert s3.files() == {}


@pytest.mark.parametrize(("ahead_s", "verdict"), [(60.0, Verdict.WARN), (-1000.0, Verdict.FAIL)])
async def test_clock(s3: S3Server, ahead_s: float, verdict: Verdict) -> None:
    """A clock that is minutes away is told; one that signatures do not allow is a failure."""
    _, clock = await look(s3, ahead_s=ahead_s)
    assert clock.verdict is verdict
    assert "chrony" in clock.do


async def test_ill(s3: S3Server) -> None:
    """A wrong key, a bucket that is not there and a dead line each have a sentence and advice."""
    s3.authorize("another")
    (refused,) = await look(s3)
    assert refused.verdict is Verdict.FAIL
    assert refused.found.startswith("The bucket refuses these credentials (SignatureDoesNotMatch).")
    assert "ROOMTONE_UPLOAD_CREDENTIALS" in refused.do or "upload-credentials" in refused.do
    s3.credentials.chmod(0o644)
    (readable,) = await look(s3)
    assert "chmod 600" in readable.found
    s3.authorize(SECRET)
    (missing,) = await look(s3, url="s3://nowhere")
    assert missing.found == "There is no such bucket. (write)"
    assert missing.do.startswith("make it")
    s3.kill()
    (away,) = await look(s3)
    assert away.found == "The bucket cannot be reached. (write)"
    assert "network" in away.do


async def test_folder(tmp_path: Path) -> None:
    """A folder is a bucket too; without any there is nothing to be looked at."""
    clock = system_clock().unix
    findings = await check_bucket(Settings(upload_url=f"file://{tmp_path}/kept"), clock)
    assert [one.verdict for one in findings] == [Verdict.OK, Verdict.OK]
    assert await check_bucket(Settings(), clock) == []
