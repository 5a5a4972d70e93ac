import asyncio
import json
import os
import socket
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hls.errors import BucketLost, BucketRefused
from hls.recording.core.manifest import FileKind, Manifest, RecordedFile, write_manifest
from hls.types import MixFormat
from hls.upload import bucket as bucket_module
from hls.upload.bucket import PART_BYTES, Bucket, BucketPlace, read_credentials
from hls.upload.core.places import TEMPLATE_DEFAULT
from hls.upload.kept import KeptFolders
from hls.upload.listening import make_listening_copy
from hls.upload.recordings import Folders, RecordingUploads
from hls.upload.types import UploadProgress, UploadState, Wanted
from tests.support.s3 import S3Server
from tests.support.sounds import wav

NOW_S = 1_700_000_100.0
AT = "blue/recordings/monday"
GROWS = Wanted("blue", "monday", is_over=False, began_unix_s=NOW_S)
OVER = Wanted("blue", "monday", is_over=True, began_unix_s=NOW_S)


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


def uploads(
    tmp_path: Path, place: BucketPlace | None = None, counters: Counter[str] | None = None
) -> RecordingUploads:
    place = place or BucketPlace(f"file://{tmp_path}/bucket")
    folders = Folders(tmp_path / "recordings", tmp_path / "state")
    kept = KeptFolders(tmp_path / "kept")
    counters = Counter() if counters is None else counters
    return RecordingUploads(folders, Bucket(place), TEMPLATE_DEFAULT, kept, counters)


def progress(one: RecordingUploads, wanted: Wanted = OVER) -> UploadProgress:
    (found,) = one.follow([wanted])
    return found


def originals(folder: Path) -> dict[str, bytes]:
    return {
        f"{AT}/{path.relative_to(folder).as_posix()}": path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


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


async def test_name_again(tmp_path: Path, folder: Path) -> None:
    """Another recording of the same name is sent too, and writes over nothing of the first."""
    one = uploads(tmp_path)
    one.follow([OVER])
    await one.finish(NOW_S)
    first = (folder / "mix.wav").read_bytes()
    (folder / "mix.wav").write_bytes(wav(1))
    second = replace(OVER, began_unix_s=NOW_S + 60)
    for again in (one, uploads(tmp_path)):  # the same process, and the next one
        assert progress(again, second).state is UploadState.WAITING or again is not one
        await again.finish(NOW_S + 120)
        assert progress(again, second).state is UploadState.DONE
    there = tmp_path / "bucket"
    assert (there / AT / "mix.wav").read_bytes() == first
    second_place = there / f"{AT}.2023-11-14_22-16-00"
    assert (second_place / "mix.wav").read_bytes() == wav(1)
    third = replace(OVER, began_unix_s=NOW_S + 120)
    one.follow([third])
    await one.finish(NOW_S + 180)
    assert len(list((there / "blue" / "recordings").iterdir())) == 3


def refusing(monkeypatch: pytest.MonkeyPatch, name: str) -> list[str]:
    """Have a bucket that does not take files of that name; return the paths it was asked for."""
    put_file, asked = Bucket.put_file, list[str]()

    async def refuse(bucket: Bucket, path: str, file: Path, *, max_age_s: int = 0) -> str:
        asked.append(path)
        if file.name == name:
            raise BucketLost("The bucket cannot be reached (413).")
        return await put_file(bucket, path, file, max_age_s=max_age_s)

    monkeypatch.setattr(Bucket, "put_file", refuse)
    return asked


async def test_one_cannot_be_sent(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the bucket does not take does not keep others from it; once it does, all is sent."""
    (folder / "huge.ogg").write_bytes(b"1")
    behind = folder.parent / "tuesday"
    behind.mkdir()
    (behind / "mix.ogg").write_bytes(b"1")
    one, other = uploads(tmp_path), replace(OVER, name="tuesday")
    with monkeypatch.context() as patch:
        refusing(patch, "huge.ogg")
        for _ in range(2):
            one.follow([OVER, other])
            with pytest.raises(BucketLost):
                await one.finish(NOW_S)
        states = [found.state for found in one.follow([OVER, other])]
        assert states == [UploadState.WAITING, UploadState.DONE]
    await one.finish(NOW_S)
    assert {found.state for found in one.follow([OVER, other])} == {UploadState.DONE}


async def test_empty(tmp_path: Path, folder: Path) -> None:
    """A recording with an empty folder is failed: nobody waits for it."""
    (folder.parent / "empty").mkdir()
    one, empty = uploads(tmp_path), replace(OVER, name="empty")
    one.follow([empty])
    await one.finish(NOW_S)
    assert progress(one, empty).state is UploadState.FAILED


@pytest.mark.parametrize("is_mount_point", [False, True])
async def test_folder_away(
    tmp_path: Path,
    folder: Path,
    is_mount_point: bool,  # noqa: FBT001 - a column
) -> None:
    """A folder on a network that is away for a while loses nothing: it is waited for."""
    (folder / "mix.ogg").write_bytes(os.urandom(PART_BYTES))
    one = uploads(tmp_path)
    one.follow([GROWS])
    await one.grow(NOW_S)
    recordings, away = tmp_path / "recordings", tmp_path / "away"
    recordings.rename(away)
    if is_mount_point:
        recordings.mkdir()
    again = uploads(tmp_path)
    again.follow([OVER])
    with pytest.raises(BucketLost, match="is it mounted"):
        await again.finish(NOW_S)
    assert progress(again).state is UploadState.WAITING
    if is_mount_point:
        recordings.rmdir()
    away.rename(recordings)
    await again.finish(NOW_S)
    assert progress(again).state is UploadState.DONE


async def test_unreadable(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that cannot be read now is not an empty one."""
    scandir = os.scandir

    def broken(path: Path) -> object:
        if path.name == "tracks":
            raise OSError(5, "Input/output error")
        return scandir(path)

    one = uploads(tmp_path)
    one.follow([OVER])
    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", broken)
        await one.finish(NOW_S)
    assert progress(one).sentence == "A file of it cannot be read: Input/output error."
    await one.finish(NOW_S)
    assert progress(one).state is UploadState.DONE


async def test_only_what_is_a_recording(tmp_path: Path, folder: Path) -> None:
    """The writer's own files are not sent, nor is anything of a folder that is a link."""
    for name in (".reserve", ".lock", "manifest.json.new"):
        (folder / name).write_bytes(b"x")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("secret")
    (folder.parent / "linked").symlink_to(outside)
    one, linked = uploads(tmp_path), replace(OVER, name="linked")
    for wanted in ([replace(one, is_over=False) for one in (OVER, linked)], [OVER, linked]):
        one.follow(wanted)
        await one.grow(NOW_S)
        await one.finish(NOW_S)
    found = {path.name for path in (tmp_path / "bucket").rglob("*") if path.is_file()}
    assert found == {"mix.wav", "1-Zoë.ogg", "manifest.json", "listen.mp4", "listen.m3u8"}


async def test_manifest_elsewhere(tmp_path: Path, folder: Path) -> None:
    """Neither a manifest nor a mix that is a link brings what is outside into the bucket."""
    outside = tmp_path / "mix.wav"
    (folder / "mix.wav").rename(outside)
    (folder / "mix.wav").symlink_to(outside)
    one = uploads(tmp_path)
    one.follow([OVER])
    await one.finish(NOW_S)
    assert not (tmp_path / "bucket" / AT / "listen.mp4").exists()
    assert progress(one).state is UploadState.DONE


async def test_no_manifest_yet(tmp_path: Path) -> None:
    """A recording that has only begun is not said to have lost anything."""
    one = uploads(tmp_path)
    one.follow([GROWS])
    await one.grow(NOW_S)
    assert progress(one, GROWS) == UploadProgress("blue", "monday", UploadState.WAITING)


async def test_growing_is_tidied_up(tmp_path: Path, folder: Path) -> None:
    """What was sent of a small recording before a restart goes in the end."""
    del folder
    one = uploads(tmp_path)
    one.follow([GROWS])
    await one.grow(NOW_S)
    assert (tmp_path / "bucket" / AT / "growing" / "manifest.json").exists()
    again = uploads(tmp_path)
    again.follow([OVER])
    await again.finish(NOW_S)
    assert not list((tmp_path / "bucket" / AT).rglob("growing/*"))


async def test_no_listening_copy(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk leaves out the copy to listen to, once, and says nothing of a file of theirs."""
    made, counters = [], Counter[str]()

    def full(*_: object) -> str:
        made.append(1)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hls.upload.recordings.make_listening_copy", full)
    one = uploads(tmp_path, counters=counters)
    one.follow([OVER])
    with monkeypatch.context() as patch:
        patch.setattr(Bucket, "delete_folder", _fail)
        with pytest.raises(BucketLost):
            await one.finish(NOW_S)
    await one.finish(NOW_S)
    assert progress(one).state is UploadState.DONE
    assert (counters["upload_unplayable"], len(made)) == (1, 1)


async def _fail(*_: object) -> int:
    raise BucketLost("The bucket cannot be reached.")


async def test_copy_is_made_once(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not encoded again because the last step failed, also not by the next process."""
    made = []

    def make(*arguments: object) -> str | None:
        made.append(1)
        return make_listening_copy(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("hls.upload.recordings.make_listening_copy", make)
    one = uploads(tmp_path)
    one.follow([OVER])
    with monkeypatch.context() as patch:
        patch.setattr(Bucket, "delete_folder", _fail)
        with pytest.raises(BucketLost):
            await one.finish(NOW_S)
    again = uploads(tmp_path)
    again.follow([OVER])
    await again.finish(NOW_S)
    assert progress(again).state is UploadState.DONE
    assert made == [1]
    assert (tmp_path / "bucket" / AT / "listen.mp4").stat().st_size > 1000


async def test_growing_does_not_wait(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pieces of what is recorded now are sent while something that is over is under way."""
    growing = folder.parent / "tuesday"
    growing.mkdir()
    (growing / "mix.ogg").write_bytes(os.urandom(PART_BYTES))
    one, released = uploads(tmp_path), asyncio.Event()
    put_file = Bucket.put_file

    async def slow(bucket: Bucket, path: str, file: Path, *, max_age_s: int = 0) -> str:
        await released.wait()
        return await put_file(bucket, path, file, max_age_s=max_age_s)

    monkeypatch.setattr(Bucket, "put_file", slow)
    one.follow([OVER, replace(GROWS, name="tuesday")])
    async with asyncio.TaskGroup() as group:
        group.create_task(one.finish(NOW_S))
        await asyncio.sleep(0)
        await one.grow(NOW_S)
        assert (tmp_path / "bucket/blue/recordings/tuesday/growing/mix.ogg/000000").exists()
        released.set()


async def test_not_wanted_any_more(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a recording that was removed nothing more is sent than the file under way."""
    del folder
    asked = refusing(monkeypatch, "")
    one, put_file = uploads(tmp_path), Bucket.put_file

    async def removed(bucket: Bucket, path: str, file: Path, *, max_age_s: int = 0) -> str:
        one.follow([])
        return await put_file(bucket, path, file, max_age_s=max_age_s)

    monkeypatch.setattr(Bucket, "put_file", removed)
    one.follow([OVER])
    await one.finish(NOW_S)
    assert len(asked) == 1


async def test_slow_line(
    tmp_path: Path, folder: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part that took too long is said so, and then they go one by one and have the line alone."""
    (folder / "mix.ogg").write_bytes(os.urandom(2 * PART_BYTES))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        bucket = Bucket(BucketPlace(s3.place.url, endpoint, "us-east-1", s3.credentials))
        monkeypatch.setattr(bucket_module, "PART_S", 1.0)
        with pytest.raises(BucketLost) as slow:
            await bucket.put_file("x", folder / "mix.ogg")
    assert str(slow.value) == "The bucket took longer than 1 s for 8 MiB: is the line slow?"
    asked = []

    async def put(*_: object, **how: object) -> dict[str, str]:
        asked.append(how["max_concurrency"])
        return {"e_tag": ""}

    monkeypatch.setattr("obstore.put_async", put)
    await bucket.put_file("x", folder / "mix.ogg")
    await Bucket(s3.place).put_file("x", folder / "mix.ogg")
    assert asked == [1, 2]


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
