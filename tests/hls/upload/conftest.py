"""A recording, and an S3 server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hls.recording.core.manifest import FileKind, Manifest, RecordedFile, write_manifest
from hls.types import MixFormat
from tests.hls.upload.recorded import NOW_S
from tests.support.s3 import S3Server
from tests.support.sounds import wav


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3 server."""
    with S3Server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def s3(server: S3Server) -> S3Server:
    """The same with nothing in it, running."""
    server.kill()
    for path in sorted(server.bucket.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    server.start()
    return server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a recording with a mix and a track."""
    folder = tmp_path / "recordings" / "blue" / "monday"
    (folder / "tracks").mkdir(parents=True)
    (folder / "mix.wav").write_bytes(wav(2))
    (folder / "tracks" / "1-Zoë.ogg").write_bytes(b"OggS" * 1000)
    manifest = Manifest("blue", "monday", NOW_S, MixFormat.WAV, tracks=True, exact=False)
    manifest.files = [RecordedFile("mix.wav", FileKind.MIX, 1, 0.0)]
    (folder / "manifest.json").write_text(write_manifest(manifest))
    return folder
