"""Uploads of recordings that go on, whatever stands in their way."""

import asyncio
import os
import socket
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from hls.errors import BucketLost
from hls.recording.shelf import claim
from hls.upload import bucket as bucket_module
from hls.upload.bucket import PART_BYTES, Bucket, BucketPlace
from hls.upload.listening import make_listening_copy
from hls.upload.types import UploadProgress, UploadState
from tests.hls.upload.recorded import AT, GROWS, NOW_S, OVER, progress, uploads
from tests.support.s3 import S3Server
from tests.support.sounds import wav


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


async def test_writer_is_not_done(tmp_path: Path, folder: Path) -> None:
    """A recording that is over by name only waits for its writer, and that is said."""
    writer = claim(folder, wait=True)
    one = uploads(tmp_path)
    one.follow([OVER])
    await one.finish(NOW_S)
    told = progress(one)
    sentence = "The last of it is still being written."
    assert (told.state, told.sentence) == (UploadState.WAITING, sentence)
    (folder / "mix.wav").write_bytes(wav(4))
    os.close(writer)
    await one.finish(NOW_S)
    assert progress(one).state is UploadState.DONE
    assert (tmp_path / "bucket" / AT / "mix.wav").read_bytes() == wav(4)


async def test_lock_that_is_none(tmp_path: Path, folder: Path) -> None:
    """Where nobody can say who writes the upload goes on."""
    (folder / ".lock").symlink_to(tmp_path / "elsewhere")
    one = uploads(tmp_path)
    one.follow([OVER])
    await one.finish(NOW_S)
    assert progress(one).state is UploadState.DONE
    assert not (tmp_path / "elsewhere").exists()


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
