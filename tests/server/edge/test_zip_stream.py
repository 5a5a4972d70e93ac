"""Files as one ZIP archive that is written while it is sent."""

import io
import os
import zipfile
from pathlib import Path

import pytest

from server.edge.zip_stream import PIECE_BYTES, zipped


def test_a_zip_has_every_byte(tmp_path: Path) -> None:
    """Of large files too, in pieces; the archive is sound, whatever time a file has."""
    large = os.urandom(3 * PIECE_BYTES + 7)
    contents = {"one/mix.ogg": b"mix", "one/tracks/2-Bob.ogg": large, "one/empty.txt": b""}
    files = []
    for name, content in contents.items():
        path = tmp_path / name.replace("/", "-")
        path.write_bytes(content)
        os.utime(path, (0, 0))  # before a ZIP archive's time begins
        files.append((name, path))
    pieces = list(zipped(files))
    assert max(map(len, pieces)) < 2 * PIECE_BYTES
    with zipfile.ZipFile(io.BytesIO(b"".join(pieces))) as read:
        assert read.testzip() is None
        assert {name: read.read(name) for name in read.namelist()} == contents


def test_a_file_that_is_gone_meanwhile_ends_the_zip(tmp_path: Path) -> None:
    """Loudly: a short archive that looks whole would be worse."""
    with pytest.raises(FileNotFoundError):
        list(zipped([("a", tmp_path / "nothing")]))
