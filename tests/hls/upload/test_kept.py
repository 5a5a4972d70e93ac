import asyncio
from pathlib import Path

from hls.upload.bucket import Bucket, BucketPlace
from hls.upload.kept import KeptFolders
from tests.support.s3 import S3Server

DAY_S = 86_400.0


def test_due(tmp_path: Path) -> None:
    """A folder is due when nothing was sent there for so long, also after a restart."""
    kept = KeptFolders(tmp_path / "kept")
    assert kept.due(0.0, DAY_S) == []
    kept.note("a", 0.0)
    kept.note("b", DAY_S)
    kept.note("b", DAY_S + 60)  # too soon to be written again
    again = KeptFolders(tmp_path / "kept")
    assert again.due(1.5 * DAY_S, DAY_S) == ["a"]
    assert again.due(2 * DAY_S, DAY_S) == ["a", "b"]
    again.note("a", 2 * DAY_S)
    assert again.due(2 * DAY_S, DAY_S) == ["b"]
    again.forget("b")
    assert again.due(9 * DAY_S, DAY_S) == ["a"]


def test_foul(tmp_path: Path) -> None:
    """A note that is damaged, or names another folder than its own, deletes nothing."""
    kept = KeptFolders(tmp_path)
    for number, content in enumerate(
        ("", "[]", "{}", '{"place":"","unix_s":0}', '{"place":"a","unix_s":"x"}')
    ):
        (tmp_path / f"{number}.json").write_text(content)
    (tmp_path / "moved.json").write_text('{"place":"everything","unix_s":0}')
    assert kept.due(1e9, 1.0) == []


async def test_folder_is_deleted(tmp_path: Path) -> None:
    """A folder goes with all that is in it; nothing beside it does, nor is it an error twice."""
    with S3Server(tmp_path) as server:
        bucket = Bucket(server.place)
        for path in ("a/b/1", "a/b/c d/2", "a/bb/3", "x"):
            await bucket.put(path, b"data")
        assert await bucket.delete_folder("a/b") == 2
        assert set(server.files()) == {"a/bb/3", "x"}
        assert await bucket.delete_folder("a/b") == 0
        await bucket.delete(["x", "x"])
    local = Bucket(BucketPlace(f"file://{tmp_path}/local"))
    await local.put("a/1", b"data")
    assert await local.delete_folder("a") == 1
    await local.delete(["a/1"])


async def test_headers(tmp_path: Path) -> None:
    """Objects have their type, and may be cached as long as they do not change."""
    with S3Server(tmp_path) as server:
        bucket = Bucket(server.place)
        await bucket.put("a.m3u8", b"#EXTM3U")
        await bucket.put("a.m4s", b"data", max_age_s=60)
        await bucket.put("a.en.vtt", b"WEBVTT")
        for path, kind, caching in (
            ("a.en.vtt", "text/vtt; charset=utf-8", "no-cache"),
            ("a.m3u8", "application/vnd.apple.mpegurl", "no-cache"),
            ("a.m4s", "video/iso.segment", "public, max-age=60"),
        ):
            told = await asyncio.to_thread(server.headers, path)
            assert (told["Content-Type"], told["Cache-Control"]) == (kind, caching)
