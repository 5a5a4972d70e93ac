import asyncio
import json
import os
from collections import Counter
from pathlib import Path

import pytest

from hls.errors import BucketLost, BucketRefused
from hls.upload.bucket import PART_BYTES, Bucket, BucketPlace, read_credentials
from hls.upload.core.places import TEMPLATE_DEFAULT
from hls.upload.kept import KeptFolders
from hls.upload.recordings import Folders, RecordingUploads
from hls.upload.types import UploadProgress, UploadState, Wanted
from tests.hls.upload.recorded import AT, GROWS, NOW_S, OVER, originals, progress, uploads
from tests.support.s3 import S3Server
from tests.support.sounds import wav


async def test_finished(tmp_path: Path, folder: Path, s3: S3Server) -> None:
    """Every file of a recording that is over arrives byte by byte, and the copy to listen to."""
    one = uploads(tmp_path, s3.place)
    assert progress(one).state is UploadState.WAITING
    await one.finish(NOW_S)
    files = s3.files()
    assert originals(folder).items() <= files.items()
    assert set(files) - set(originals(folder)) == {f"{AT}/listen.mp4", f"{AT}/listen.m3u8"}
    done = progress(one)
    assert done.state is UploadState.DONE
    assert done.sent == done.total == sum(map(len, originals(folder).values()))


async def test_grows(tmp_path: Path, folder: Path, s3: S3Server) -> None:
    """Whole pieces go while it is recorded; in the end the file, with its new head, does."""
    data = os.urandom(2 * PART_BYTES + 1000)
    (folder / "mix.ogg").write_bytes(data)
    one = uploads(tmp_path, s3.place)
    one.follow([GROWS])
    await one.grow(NOW_S)
    pieces = {name: body for name, body in s3.files().items() if "mix.ogg" in name}
    assert list(pieces) == [f"{AT}/growing/mix.ogg/{number:06d}" for number in range(2)]
    assert b"".join(pieces.values()) == data[: 2 * PART_BYTES]
    assert f"{AT}/growing/manifest.json" in s3.files()
    assert progress(one, GROWS).state is UploadState.UPLOADING
    with (folder / "mix.ogg").open("r+b") as file:
        file.write(b"new head")
    again = uploads(tmp_path, s3.place)
    again.follow([OVER])
    await again.finish(NOW_S + 1)
    files = s3.files()
    assert originals(folder).items() <= files.items()
    assert not any("growing" in name for name in files)


async def test_server_dies(
    tmp_path: Path, folder: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server is killed amid the parts of a file, and we too: nothing is lost, or sent twice."""
    (folder / "mix.ogg").write_bytes(os.urandom(6 * PART_BYTES))
    one = uploads(tmp_path, s3.place)
    one.follow([OVER])
    put_file = Bucket.put_file

    async def dying(bucket: Bucket, path: str, file: Path, *, max_age_s: int = 0) -> str:
        if file.name != "mix.ogg":
            return await put_file(bucket, path, file, max_age_s=max_age_s)
        sent, _ = await asyncio.gather(put_file(bucket, path, file), asyncio.to_thread(s3.kill))
        return sent

    with monkeypatch.context() as patch:
        patch.setattr(Bucket, "put_file", dying)
        with pytest.raises(BucketLost):
            await one.finish(NOW_S)
    waiting = progress(one)
    assert (waiting.state, waiting.sentence[:28]) == (
        UploadState.WAITING,
        "The bucket cannot be reached",
    )
    done = set(json.loads((tmp_path / "state" / "blue" / "monday.json").read_text())["files"])
    assert done
    await asyncio.to_thread(s3.start)
    for name in done:  # sent already: not again
        (s3.bucket / "pre" / AT / name).unlink()
    again = uploads(tmp_path, s3.place)
    again.follow([OVER])
    await again.finish(NOW_S)
    files = s3.files()
    truth = {
        name: body for name, body in originals(folder).items() if name[len(AT) + 1 :] not in done
    }
    assert truth.items() <= files.items()
    assert not any(f"{AT}/{name}" in files for name in done)
    assert progress(again).state is UploadState.DONE


async def test_refused(tmp_path: Path, folder: Path, s3: S3Server) -> None:
    """Wrong credentials are a clear sentence without the secret, and new ones count at once."""
    del folder
    s3.authorize("wrong-secret")
    bucket = Bucket(s3.place)
    folders = Folders(tmp_path / "recordings", tmp_path / "state")
    kept = KeptFolders(tmp_path / "kept")
    one = RecordingUploads(folders, bucket, TEMPLATE_DEFAULT, kept, Counter())
    one.follow([OVER])
    with pytest.raises(BucketRefused) as refused:
        await one.finish(NOW_S)
    sentence = "The bucket refuses these credentials (SignatureDoesNotMatch)."
    assert str(refused.value) == progress(one).sentence == sentence
    s3.authorize("a-secret-of-tests")
    bucket.reopen()
    await one.finish(NOW_S)
    assert progress(one).state is UploadState.DONE
    assert "secret" not in repr(s3.place)


async def test_no_bucket(tmp_path: Path, folder: Path, s3: S3Server) -> None:
    """A bucket that is not there is said so."""
    del folder
    place = BucketPlace("s3://nothing/x", s3.place.endpoint, "us-east-1", s3.credentials)
    one = uploads(tmp_path, place)
    one.follow([OVER])
    with pytest.raises(BucketRefused, match="There is no such bucket"):
        await one.finish(NOW_S)


def test_credentials(tmp_path: Path) -> None:
    """A file of credentials that others can read, or that is none, is refused."""
    path = tmp_path / "credentials"
    with pytest.raises(BucketRefused, match="cannot be read: No such file"):
        read_credentials(path)
    path.write_text("export AWS_ACCESS_KEY_ID='x'\n")
    path.chmod(0o644)
    with pytest.raises(BucketRefused, match="chmod 600"):
        read_credentials(path)
    path.chmod(0o600)
    assert read_credentials(path) == {"aws_access_key_id": "x"}
    assert read_credentials(None) == {}
    for content in (b"hello", b"\xff\xfe"):
        path.write_bytes(content)
        with pytest.raises(BucketRefused):
            read_credentials(path)


async def test_hostile_names(tmp_path: Path, folder: Path) -> None:
    """Links are not followed and names lead nowhere else, in the folder or in what is asked for."""
    secret = tmp_path / "secret"
    secret.write_text("secret")
    (folder / "link.ogg").symlink_to(secret)
    (folder / "tracks" / "2-a#b?c%2e.ogg").write_bytes(b"1")
    one = uploads(tmp_path)
    asked = [
        Wanted("..", "monday", is_over=True, began_unix_s=NOW_S),
        Wanted("a/b", "x", is_over=True, began_unix_s=NOW_S),
    ]
    assert one.follow([*asked, OVER]) == [UploadProgress("blue", "monday", UploadState.WAITING)]
    await one.finish(NOW_S)
    found = {path.name for path in (tmp_path / "bucket").rglob("*") if path.is_file()}
    assert found >= {"mix.wav", "1-Zoë.ogg", "2-a_b_c_2e.ogg"}
    assert "link.ogg" not in found


async def test_gone(tmp_path: Path) -> None:
    """A recording without files is failed, and needed no more."""
    (tmp_path / "recordings").mkdir()
    one = uploads(tmp_path)
    one.follow([OVER])
    await one.finish(NOW_S)
    assert progress(one).state is UploadState.FAILED
    assert progress(one).sentence == "There is nothing in its folder."


async def test_damaged_state(tmp_path: Path, folder: Path) -> None:
    """What is remembered may be damaged: then everything is sent anew. A bad manifest is a file."""
    (folder / "manifest.json").write_text("{")
    state = tmp_path / "state" / "blue" / "monday.json"
    state.parent.mkdir(parents=True)
    for content in ("", "[]", '{"place": 5}', '{"place": "../../x", "files": {}}'):
        state.write_text(content)
        one = uploads(tmp_path)
        one.follow([OVER])
        await one.finish(NOW_S)
        assert progress(one).state is UploadState.DONE
    assert not (tmp_path / "bucket" / AT / "listen.mp4").exists()


async def test_still_written(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What changes while it is sent is sent again."""
    one, is_written = uploads(tmp_path), [wav(4)]
    one.follow([OVER])
    put_file = Bucket.put_file

    async def slow(bucket: Bucket, path: str, file: Path, *, max_age_s: int = 0) -> str:
        etag = await put_file(bucket, path, file, max_age_s=max_age_s)
        if file.name == "mix.wav" and is_written:
            await asyncio.to_thread(file.write_bytes, is_written.pop())
        return etag

    monkeypatch.setattr(Bucket, "put_file", slow)
    await one.finish(NOW_S)
    assert progress(one).state is UploadState.UPLOADING
    await one.finish(NOW_S)
    assert progress(one).state is UploadState.DONE
    assert (tmp_path / "bucket" / AT / "mix.wav").read_bytes() == (folder / "mix.wav").read_bytes()


@pytest.mark.slow
async def test_memory(tmp_path: Path, folder: Path) -> None:
    """A huge file is not read into memory: a few parts of it are."""
    with (folder / "mix.ogg").open("wb") as file:
        file.truncate(256 << 20)
    one = uploads(tmp_path)
    one.follow([OVER])
    before = _peak_kib()
    await one.finish(NOW_S)
    assert _peak_kib() - before < 96 << 10
    assert (tmp_path / "bucket" / AT / "mix.ogg").stat().st_size == 256 << 20


def _peak_kib() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])
