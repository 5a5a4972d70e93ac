"""What the processes that upload are started with."""

from pathlib import Path

import pytest

from server.compose.uploading import spool_settings, upload_settings
from server.config import Settings
from server.errors import SetupMistake
from server.sources import load


def test_nothing() -> None:
    """Nothing is uploaded unless a bucket is named."""
    assert upload_settings(Settings()) is None
    assert spool_settings(Settings(upload_what="both")) is None


def test_all_of_it(tmp_path: Path) -> None:
    """Settings become what the processes read; broadcasts are spooled only if they are wanted."""
    wanted = Settings(
        upload_url="s3://bucket/prefix",
        upload_what="both",
        upload_credentials=tmp_path / "credentials",
        upload_keep_days=2,
        upload_spool_mb=3,
        upload_keys=True,
        public_url="https://a.example",
        state_dir=tmp_path,
    )
    told = upload_settings(wanted)
    assert told is not None
    assert told.credentials_file == str(tmp_path / "credentials")
    assert (told.keep_s, told.key_base, told.are_keys_sent) == (172_800, "https://a.example", True)
    assert told.recordings == str(tmp_path / "recordings")
    spool = spool_settings(wanted)
    assert spool is not None
    assert (spool.folder, spool.max_bytes, spool.are_keys_sent) == (told.spool, 3_000_000, True)
    assert spool_settings(wanted.model_copy(update={"upload_what": "recordings"})) is None


@pytest.mark.parametrize(
    "url", ["ftp://x", "s3://key:secret@bucket", "file://host/x", "s3://", "/x"]
)
def test_no_bucket(url: str) -> None:
    """An address that is none is refused, and credentials in one are not shown."""
    with pytest.raises(SetupMistake) as refused:
        load({"upload_url": url}, {})
    assert "it looks like s3://bucket/prefix" in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("url", ["s3://b", "gs://b/c", "az://account/container/x", "file:///mnt/x"])
def test_buckets(url: str) -> None:
    """Every kind of bucket is taken."""
    assert Settings(upload_url=url).upload_url == url


def test_template() -> None:
    """A template that leads elsewhere, or would mix things up, is refused."""
    for template in ("{room}/{name}", "../{room}/{kind}/{name}", "{room}/{kind}/{name}/"):
        with pytest.raises(ValueError, match="the template"):
            Settings(upload_template=template)
