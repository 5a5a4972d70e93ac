import asyncio
import wave
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hls.core.conformance import media
from hls.errors import BucketLost, BucketRefused
from hls.pipeline import Broadcaster
from hls.upload.bucket import Bucket, BucketPlace
from hls.upload.core.journal import read_lines
from hls.upload.core.places import TEMPLATE_DEFAULT
from hls.upload.kept import KeptFolders
from hls.upload.spool import journal_path, streams
from hls.upload.streams import HELD_S, StreamPolicy, StreamUploads
from tests.hls.listener import read
from tests.hls.upload.on_air import BASE, KEYS, NAME, SEGMENT_TICKS, on_air, speak, spool
from tests.support.s3 import S3Server

NOW_S = 1_700_000_100.0
AT = f"blue/broadcast/{NAME}"
STREAM = f"blue_{NAME}"
POLICY = StreamPolicy(TEMPLATE_DEFAULT)


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


def uploads(
    tmp_path: Path, place: BucketPlace, policy: StreamPolicy = POLICY
) -> tuple[StreamUploads, Counter[str]]:
    counters: Counter[str] = Counter()
    kept = KeptFolders(tmp_path / "kept")
    return StreamUploads(tmp_path / "spool", Bucket(place), policy, kept, counters), counters


def local(tmp_path: Path) -> BucketPlace:
    return BucketPlace(f"file://{tmp_path}/bucket")


async def send(one: StreamUploads, now_s: float = NOW_S) -> None:
    while await one.work(now_s):
        pass


def check_against(files: dict[str, bytes], broadcaster: Broadcaster, now_tick: int) -> None:
    """Check that everything a playlist in the bucket names is there, byte by byte."""
    for rendition, folder in (("128k", AT), ("64k", f"{AT}/64k")):
        for name in ("stream.m3u8", "all.m3u8"):
            text = files[f"{folder}/{name}"].decode()
            assert not media.check(text)
            playlist = read(text)
            for named in {*playlist.names, playlist.init}:
                truth = broadcaster.fetch("blue", rendition, named, now_tick)
                assert truth is not None
                assert files[f"{folder}/{named}"] == truth


async def test_broadcast(tmp_path: Path, s3: S3Server) -> None:
    """Segments, init segments and playlists are in the bucket; keys stay behind the server."""
    broadcaster, now_tick = on_air(), BASE + 4 * SEGMENT_TICKS + 10
    speak(broadcaster, BASE, 4 * SEGMENT_TICKS)
    writer = await asyncio.to_thread(spool, broadcaster, tmp_path / "spool", 0, now_tick)
    one, counters = uploads(tmp_path, s3.place)
    await send(one)
    files = s3.files()
    check_against(files, broadcaster, now_tick)
    assert "#EXT-X-ENDLIST" not in files[f"{AT}/stream.m3u8"].decode()
    assert files[f"{AT}/master.m3u8"] == b"#EXTM3U\n# master\n"
    assert not any(name.endswith(".key") for name in files)
    assert not any(key.key in data for key in KEYS for data in files.values())
    assert one.oldest_needed() == {"blue": 0}
    assert one.waiting_bytes() == 0
    assert counters["upload_objects"] == 2 * 9
    await asyncio.to_thread(writer.end, STREAM)
    await send(one)
    assert s3.files()[f"{AT}/stream.m3u8"].endswith(b"#EXT-X-ENDLIST\n")
    assert s3.files()[f"{AT}/all.m3u8"].endswith(b"#EXT-X-ENDLIST\n")
    assert streams(tmp_path / "spool") == []


async def test_bucket_dies(tmp_path: Path, s3: S3Server) -> None:
    """A server that is killed in the middle costs nothing: what was spooled arrives afterwards."""
    broadcaster = on_air()
    first, second = BASE + 2 * SEGMENT_TICKS + 10, BASE + 6 * SEGMENT_TICKS + 10
    speak(broadcaster, BASE, 6 * SEGMENT_TICKS)
    await asyncio.to_thread(spool, broadcaster, tmp_path / "spool", 0, first)
    one, _ = uploads(tmp_path, s3.place)
    await send(one)
    before = s3.files()
    s3.kill()
    await asyncio.to_thread(spool, broadcaster, tmp_path / "spool", 7, second)
    other, _ = uploads(tmp_path, s3.place)
    assert other.oldest_needed() is None
    with pytest.raises(BucketLost):
        await other.work(NOW_S)
    assert other.oldest_needed() == {"blue": 0}
    for _ in range(3):
        with pytest.raises(BucketLost, match="cannot be reached") as lost:
            await one.work(NOW_S)
        assert not isinstance(lost.value, BucketRefused)
    assert s3.files() == before
    s3.start()
    await send(one)
    check_against(s3.files(), broadcaster, second)


async def test_process_dies(tmp_path: Path) -> None:
    """Another process goes on from the journal, also where the last one died between two steps."""
    broadcaster = on_air()
    first, second = BASE + 2 * SEGMENT_TICKS + 10, BASE + 6 * SEGMENT_TICKS + 10
    speak(broadcaster, BASE, 6 * SEGMENT_TICKS)
    await asyncio.to_thread(spool, broadcaster, tmp_path / "spool", 0, first)
    one, _ = uploads(tmp_path, local(tmp_path))
    await send(one)
    journal = journal_path(tmp_path / "spool" / STREAM, "128k")
    journal.write_bytes(journal.read_bytes() + b'{"msn": 9, "na')
    await asyncio.to_thread(spool, broadcaster, tmp_path / "spool", 5, second)
    other, _ = uploads(tmp_path, local(tmp_path))
    await send(other)
    root = tmp_path / "bucket"
    files = {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }
    check_against(files, broadcaster, second)
    whole = read(files[f"{AT}/stream.m3u8"].decode())
    assert (whole.first_msn, whole.last_msn) == (0, 10)
    assert list(read_lines(journal.read_bytes())) == list(range(11))


async def test_never_named_before_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A segment that the bucket does not take is in no playlist, nor is one that follows it."""
    broadcaster, now_tick = on_air(), BASE + 4 * SEGMENT_TICKS + 10
    await asyncio.to_thread(spool, broadcaster, tmp_path / "spool", 0, now_tick)
    one, _ = uploads(tmp_path, local(tmp_path))
    put = Bucket.put

    async def picky(bucket: Bucket, path: str, data: bytes, *, max_age_s: int = 0) -> None:
        if path.endswith("seg-5.m4s"):
            raise BucketLost("no")
        await put(bucket, path, data, max_age_s=max_age_s)

    monkeypatch.setattr(Bucket, "put", picky)
    for _ in range(2):
        with pytest.raises(BucketLost):
            await one.work(NOW_S)
    assert not list((tmp_path / "bucket").rglob("*.m3u8"))
    monkeypatch.setattr(Bucket, "put", put)
    await send(one)
    text = (tmp_path / "bucket" / AT / "stream.m3u8").read_text()
    assert read(text).last_msn == 8
    assert "#EXT-X-GAP" not in text


async def test_keys_on_wish(tmp_path: Path) -> None:
    """Keys are in the bucket if they are asked for, and the playlists name them there."""
    broadcaster, now_tick = on_air(), BASE + 6 * SEGMENT_TICKS + 10
    writer = await asyncio.to_thread(spool, broadcaster, tmp_path / "spool", 0, now_tick)
    for key in KEYS:
        writer.put_key(STREAM, key.epoch, key.key)
    policy = replace(POLICY, are_keys_sent=True)
    one, _ = uploads(tmp_path, local(tmp_path), policy)
    await send(one)
    root = tmp_path / "bucket" / AT
    for folder in (root, root / "64k"):
        uris = read((folder / "stream.m3u8").read_text()).key_uris
        found = [(folder / uri).read_bytes() for uri in dict.fromkeys(uris)]
        assert found == [key.key for key in KEYS]
    await asyncio.to_thread(writer.end, STREAM)
    await send(one)
    # What is over is played by itself, from the bucket alone.
    command = ["ffmpeg", "-v", "error", "-xerror", "-allowed_extensions", "ALL", "-i"]
    played = tmp_path / "played.wav"
    process = await asyncio.create_subprocess_exec(*command, str(root / "all.m3u8"), str(played))
    assert await process.wait() == 0
    with wave.open(str(played)) as sound:
        assert abs(sound.getnframes() - 11 * 92_160) < 2048


async def test_key_address(tmp_path: Path) -> None:
    """The address of the server may stand before those of its keys."""
    now_tick = BASE + SEGMENT_TICKS + 10
    await asyncio.to_thread(spool, on_air(), tmp_path / "spool", 0, now_tick)
    one, _ = uploads(tmp_path, local(tmp_path), replace(POLICY, key_base="https://a.example"))
    await send(one)
    text = (tmp_path / "bucket" / AT / "stream.m3u8").read_text()
    assert 'URI="https://a.example/hls/rooms/blue/1/enc.key"' in text


@pytest.mark.parametrize(("keep_s", "held_s"), [(None, HELD_S), (3600.0, 3600.0)])
async def test_keys_after_the_end(tmp_path: Path, keep_s: float | None, held_s: float) -> None:
    """What a broadcast was encrypted with is needed for a week after its end, if it is there."""
    broadcaster = on_air()
    folder = tmp_path / "spool"
    writer = await asyncio.to_thread(spool, broadcaster, folder, 3, BASE + 3 * SEGMENT_TICKS)
    policy = replace(POLICY, keep_s=keep_s)
    one, _ = uploads(tmp_path, local(tmp_path), policy)
    await asyncio.to_thread(writer.end, STREAM)
    await send(one)
    assert streams(folder) == []
    assert not list(folder.rglob("*.jsonl"))
    other, _ = uploads(tmp_path, local(tmp_path), policy)
    for either in (one, other):
        await send(either, NOW_S + held_s - 1)
        assert either.oldest_needed() == {"blue": 3}
    assert writer.has(STREAM), "so that no other is named like it"
    for either in (one, other):
        await send(either, NOW_S + held_s)
        assert either.oldest_needed() == {}
    assert not writer.has(STREAM)


async def test_expiry(tmp_path: Path) -> None:
    """Of a broadcast that goes on what is too old is deleted, and named no longer before that."""
    broadcaster = on_air()
    for start in range(0, 80, 8):
        now_tick = BASE + start * SEGMENT_TICKS + 10
        if start:
            await asyncio.to_thread(spool, broadcaster, tmp_path / "spool", start - 4, now_tick)
    one, counters = uploads(tmp_path, local(tmp_path), replace(POLICY, keep_s=100.0))
    await send(one, 1_700_000_000.0 + 60)
    root = tmp_path / "bucket" / AT
    assert (root / "seg-4.m4s").exists()
    await send(one, 1_700_000_000.0 + 75 * 1.92 + 40)
    assert not (root / "seg-4.m4s").exists()
    first = read((root / "all.m3u8").read_text()).first_msn
    assert first == min(int(path.stem[4:]) for path in root.glob("seg-*.m4s"))
    assert counters["upload_expired"] > 0
    await send(one, 1_700_000_000.0 + 75 * 1.92 + 40)
    assert one.oldest_needed() == {"blue": first}


async def test_foul(tmp_path: Path) -> None:
    """Damaged segments and folders that are no streams are passed over, counted."""
    now_tick = BASE + 2 * SEGMENT_TICKS + 10
    await asyncio.to_thread(spool, on_air(), tmp_path / "spool", 0, now_tick)
    (tmp_path / "spool" / STREAM / "media" / "128k" / "000000000000003.seg").write_bytes(b"x")
    (tmp_path / "spool" / "nothing").mkdir()
    one, counters = uploads(tmp_path, local(tmp_path))
    await send(one)
    assert counters["upload_damaged"] == 1
    text = (tmp_path / "bucket" / AT / "stream.m3u8").read_text()
    assert text.count("#EXT-X-GAP") == 1
