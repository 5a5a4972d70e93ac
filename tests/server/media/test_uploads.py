"""The broadcast process and the upload process, with a real S3 server behind them."""

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from hls.core.conformance import media
from hls.core.timeline import LEAD_SEGMENTS
from hls.pipeline import Broadcaster
from hls.types import BroadcastSpec, KeySpec
from hls.upload.bucket import Bucket, BucketPlace
from hls.upload.core.merge import Piece, merge
from hls.upload.core.places import TEMPLATE_DEFAULT
from hls.upload.kept import KeptFolders
from hls.upload.spool import SpoolWriter, read_segment, streams
from hls.upload.streams import StreamPolicy, StreamUploads
from hls.upload.types import UploadState, Wanted
from mixer.types import RoomId, tick_at
from server.errors import PlaneUnavailable
from server.media.broadcast_plane import WorkerBroadcastPlane
from server.media.broadcast_worker import BroadcastService
from server.media.upload_plane import WorkerUploadPlane
from server.media.upload_spooler import ABSENT_ROUNDS, Spooler
from server.media.upload_wire import UploadSettings
from server.media.wire import SpoolSettings, broadcast_params
from server.rpc.codec import Request, Response
from server.rpc.unix import UnixTransport
from server.supervise import Supervisor
from tests.hls.listener import read
from tests.hls.upload.on_air import BASE, KEYS, NAME, SEGMENT_TICKS, on_air, room_spec, speak
from tests.support.s3 import S3Server

ROOM = RoomId("room")
KEY = KeySpec(0, b"k" * 16, b"i" * 16, "/hls/rooms/room/0/enc.key")


@pytest.fixture
async def supervisor() -> AsyncIterator[Supervisor]:
    """Owner of the processes."""
    with capture_logs():
        async with Supervisor() as root:
            yield root


@pytest.fixture
async def s3(tmp_path: Path) -> AsyncIterator[S3Server]:
    """An S3 server."""
    server = S3Server(tmp_path)
    await asyncio.to_thread(server.start)
    yield server
    await asyncio.to_thread(server.kill)


@pytest.fixture
async def upload(
    supervisor: Supervisor, tmp_path: Path, s3: S3Server
) -> AsyncIterator[WorkerUploadPlane]:
    """An upload process that serves."""
    plane = WorkerUploadPlane(settings(tmp_path, s3))
    await plane.start(supervisor)
    yield plane
    await plane.close()


def settings(tmp_path: Path, s3: S3Server) -> UploadSettings:
    return UploadSettings(
        control_fd=-1,
        url=s3.place.url,
        endpoint=s3.place.endpoint,
        region=s3.place.region,
        credentials_file=str(s3.credentials),
        folder=str(tmp_path / "upload"),
        spool=str(tmp_path / "upload" / "spool"),
        recordings=str(tmp_path / "recordings"),
        template=TEMPLATE_DEFAULT,
    )


async def until(done: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what another process does."""
    while not await done():  # noqa: ASYNC110 - they tell nobody
        await asyncio.sleep(0.05)  # sleep: polls another process


def place(s3: S3Server) -> str | None:
    """Return the folder of the only broadcast, None while there is none."""
    found = {"/".join(name.split("/")[:3]) for name in s3.files() if name.endswith("/stream.m3u8")}
    assert len(found) <= 1
    return min(found, default=None)


def listed(s3: S3Server) -> tuple[int, int]:
    """Return the first and last segment of the live playlist, (-1, -1) while there is none."""
    text = s3.files().get(f"{place(s3)}/stream.m3u8")
    if text is None:
        return -1, -1
    assert not media.check(text.decode())
    playlist = read(text.decode())
    assert set(playlist.names) <= {name.rpartition("/")[2] for name in s3.files()}
    return playlist.first_msn, playlist.last_msn


@pytest.mark.slow
async def test_everything_dies(
    supervisor: Supervisor, tmp_path: Path, s3: S3Server, upload: WorkerUploadPlane
) -> None:
    """A stream is whole in the bucket after the server, the upload and the broadcast were killed.

    The bucket has byte by byte what listeners could fetch.
    """
    spool = SpoolSettings(folder=str(tmp_path / "upload" / "spool"), max_bytes=1 << 28)
    broadcast = WorkerBroadcastPlane(tmp_path / "audio.sock", spool=spool)
    await broadcast.start(supervisor)
    base = tick_at(time.monotonic() - 30)
    await broadcast.apply(BroadcastSpec(ROOM, 1, (KEY,), base, 1_700_000_000.0))

    async def is_at(msn: int) -> bool:
        return (await asyncio.to_thread(listed, s3))[1] >= msn

    await until(lambda: is_at(17))
    await asyncio.to_thread(s3.kill)
    os.kill(upload.pid or 0, signal.SIGKILL)
    now = (await asyncio.to_thread(listed, s3))[1]

    async def is_spooled() -> bool:
        found = await asyncio.to_thread(lambda: [*(tmp_path / "upload").rglob("*.seg")])
        return len(found) >= 4

    await until(is_spooled)
    os.kill(broadcast.pid or 0, signal.SIGKILL)
    await asyncio.to_thread(s3.start)
    await until(lambda: is_at(now + 3))
    at = place(s3)
    held = {
        name: await broadcast.fetch(ROOM, "", name)
        for name in read(s3.files()[f"{at}/stream.m3u8"].decode()).names[-2:]
    }
    for name, truth in held.items():
        assert truth is not None
        assert s3.files()[f"{at}/{name}"] == truth.data
    await broadcast.apply(BroadcastSpec(ROOM, 2, (KEY,), base, 1_700_000_000.0, on_air=False))

    async def is_over() -> bool:
        return not await asyncio.to_thread(streams, tmp_path / "upload" / "spool")

    await until(is_over)
    whole = s3.files()[f"{at}/all.m3u8"].decode()
    assert whole.endswith("#EXT-X-ENDLIST\n")
    assert "#EXT-X-GAP" not in whole
    statistics = await upload.statistics()
    assert statistics.counters["upload_restarts"] == 1
    assert statistics.gauges["upload_waiting_bytes"] == 0
    assert (await broadcast.statistics()).counters["upload_spooled"] > 0
    await broadcast.close()


@pytest.mark.slow
async def test_wrong_credentials(tmp_path: Path, s3: S3Server, upload: WorkerUploadPlane) -> None:
    """Wrong credentials are a state, a sentence and counters; right ones are found by itself."""
    folder = tmp_path / "recordings" / "room" / "monday"
    folder.mkdir(parents=True)
    (folder / "mix.ogg").write_bytes(b"OggS")
    s3.authorize("wrong")
    wanted = [Wanted("room", "monday", is_over=True, began_unix_s=1_700_000_000.0)]

    async def is_refused() -> bool:
        report = await upload.follow(wanted)
        return report.state == "refused" and bool(report.recordings[0].sentence)

    await until(is_refused)
    report = await upload.follow(wanted)
    assert report.sentence == "The bucket refuses these credentials (SignatureDoesNotMatch)."
    assert report.recordings[0].state is UploadState.WAITING
    statistics = await upload.statistics()
    assert statistics.counters["upload_refused"] > 0
    assert statistics.gauges["upload_refused_now"] == 1
    s3.authorize("a-secret-of-tests")

    async def is_done() -> bool:
        report = await upload.follow(wanted)
        return report.recordings[0].state is UploadState.DONE

    await until(is_done)
    assert (await upload.follow([])).state == "ok"
    assert s3.files()["room/recordings/monday/mix.ogg"] == b"OggS"


@pytest.mark.slow
async def test_expiry(supervisor: Supervisor, tmp_path: Path, s3: S3Server) -> None:
    """What was uploaded too long ago is deleted, and nothing that nobody noted."""
    bucket = Bucket(s3.place)
    await bucket.put("old/x", b"1")
    await bucket.put("other/x", b"1")
    await asyncio.to_thread(KeptFolders(tmp_path / "upload" / "kept").note, "old", 0.0)
    plane = WorkerUploadPlane(settings(tmp_path, s3).model_copy(update={"keep_s": 60.0}))
    await plane.start(supervisor)

    async def is_gone() -> bool:
        return list(await asyncio.to_thread(s3.files)) == ["other/x"]

    await until(is_gone)

    async def is_counted() -> bool:
        return (await plane.statistics()).counters["upload_expired"] == 1

    await until(is_counted)
    await plane.close()


async def test_not_there() -> None:
    """A process that is away is unavailable, and its numbers say so."""
    plane = WorkerUploadPlane(
        UploadSettings(
            control_fd=-1, url="file:///x", folder="x", spool="x", recordings="x", template="x"
        )
    )
    with pytest.raises(PlaneUnavailable):
        await plane.follow([])
    assert (await plane.statistics()).gauges == {"upload_up": 0.0}
    assert plane.pid is None
    assert not plane.is_up


def spooler(tmp_path: Path, broadcaster: Broadcaster, clock: list[int]) -> Spooler:
    writer = SpoolWriter(tmp_path, 1 << 28)
    return Spooler(broadcaster, writer, lambda: clock[0], are_keys_sent=True)


def spooled(tmp_path: Path, rendition: str = "128k") -> list[int]:
    return sorted(int(path.stem) for path in tmp_path.glob(f"*/media/{rendition}/*.seg"))


async def test_spooler_goes_on(tmp_path: Path) -> None:
    """Each segment is taken once; a process that is started again leaves what was taken alone."""
    clock = [BASE + 2 * SEGMENT_TICKS + 10]
    one = spooler(tmp_path, on_air(), clock)
    await one.work()
    await one.work()
    assert spooled(tmp_path) == list(range(7))
    clock[0] += 3 * SEGMENT_TICKS
    first = tmp_path / f"blue_{NAME}" / "media" / "128k" / "000000000000006.seg"
    content = first.read_bytes()
    other = spooler(tmp_path, on_air(clock[0]), clock)
    first.write_bytes(b"untouched")
    await other.work()
    assert first.read_bytes() == b"untouched"
    assert len(content) > 100
    assert spooled(tmp_path) == list(range(10))
    for key in KEYS:
        path = tmp_path / f"blue_{NAME}" / "keys" / f"{key.epoch}.key"
        assert path.read_bytes() == key.key


async def test_spooler_ends(tmp_path: Path) -> None:
    """A room that goes off the air, or is of a life before, has an end."""
    clock = [BASE + 2 * SEGMENT_TICKS + 10]
    broadcaster = on_air()
    one = spooler(tmp_path, broadcaster, clock)
    await one.finish("blue")
    assert spooled(tmp_path) == list(range(7))
    assert one.spool.streams() == []
    await one.work()
    assert len(one.spool.streams()) == 1
    after = spooler(tmp_path, Broadcaster(delay_ticks=0), clock)
    for _ in range(ABSENT_ROUNDS - 1):
        await after.work()
    assert len(after.spool.streams()) == 1
    await after.work()
    assert after.spool.streams() == []
    assert room_spec().room == "blue"


async def test_off_and_on_again(tmp_path: Path) -> None:
    """Each time on air has a folder of its own, whether the one before is sent yet or not.

    What was said before is listed where it was, and merging gives all of it, once.
    """
    clock, broadcaster = [BASE], on_air()
    one = spooler(tmp_path / "spool", broadcaster, clock)
    bucket = Bucket(BucketPlace(f"file://{tmp_path}/bucket"))
    kept = KeptFolders(tmp_path / "kept")
    sending = StreamUploads(
        tmp_path / "spool", bucket, StreamPolicy(TEMPLATE_DEFAULT), kept, Counter()
    )
    whole: dict[str, str] = {}
    for turn in range(3):
        broadcaster.apply(replace(room_spec(), version=2 * turn + 2), clock[0])
        await one.work()
        speak(broadcaster, clock[0], 2 * SEGMENT_TICKS)
        clock[0] += 2 * SEGMENT_TICKS + 10
        broadcaster.end("blue", clock[0])
        await one.finish("blue")
        broadcaster.apply(replace(room_spec(), version=2 * turn + 3, on_air=False), clock[0])
        if turn:  # the first one waits until the second is there too
            while await sending.work(1_700_000_100.0) or streams(tmp_path / "spool"):
                pass
            found = (tmp_path / "bucket").glob("blue/broadcast/*/all.m3u8")
            texts = {path.parent.name: path.read_text() for path in found}
            assert whole.items() <= texts.items()
            whole = texts
        clock[0] += 40 * SEGMENT_TICKS
    parts = {name: read(text) for name, text in sorted(whole.items())}
    first, second, third = parts.values()
    assert min(whole) == NAME
    assert (first.first_msn, first.last_msn) == (0, 7)
    assert first.last_msn < second.first_msn < second.last_msn < third.first_msn
    merged = merge([Piece(whole[name], f"{name}/") for name in parts])
    assert read(merged).last_msn == third.last_msn
    of_parts = [f"{name}/{segment}" for name, part in parts.items() for segment in part.names]
    assert set(of_parts) <= set(read(merged).names)
    assert merged.count("#EXT-X-GAP") == len(read(merged).names) - len(of_parts)


async def test_off_and_on_within_a_second(tmp_path: Path) -> None:
    """Also then nothing is written over: the second begins a second later, by its name."""
    clock, broadcaster = [BASE], on_air()
    one = spooler(tmp_path, broadcaster, clock)
    await one.finish("blue")
    broadcaster.apply(replace(room_spec(), version=2, on_air=False), BASE)
    broadcaster.apply(replace(room_spec(), version=3), BASE)
    await one.work()
    assert [path.name for path in streams(tmp_path)] == [f"blue_{NAME}", f"blue_{NAME[:-1]}1"]


def decide(one: Spooler, broadcaster: Broadcaster, tick: int, **changed: object) -> None:
    """Apply a change of the room as the broadcast process does."""
    spec = replace(broadcaster.specs()[0], **changed)  # type: ignore[arg-type]
    one.hear(spec)
    broadcaster.apply(spec, tick)


async def test_not_uploaded_for_a_while(tmp_path: Path) -> None:
    """What is said meanwhile is never spooled, and the stream before ends at once.

    Keys of what was spooled before are needed all the same.
    """
    clock, broadcaster = [BASE], on_air()
    one = spooler(tmp_path / "spool", broadcaster, clock)
    clock[0] += 3 * SEGMENT_TICKS + 10
    await one.work()
    before = spooled(tmp_path / "spool")
    decide(one, broadcaster, clock[0], version=2, is_uploaded=False)
    clock[0] += 4 * SEGMENT_TICKS
    await one.work()
    assert one.spool.streams() == []
    clock[0] += 4 * SEGMENT_TICKS
    await one.work()
    assert spooled(tmp_path / "spool") == before
    decide(one, broadcaster, clock[0], version=3, is_uploaded=True)
    first = (clock[0] - BASE) // SEGMENT_TICKS + LEAD_SEGMENTS + 1
    await one.work()
    clock[0] += 3 * SEGMENT_TICKS
    await one.work()
    assert len(one.spool.streams()) == 1
    assert spooled(tmp_path / "spool") == [*before, first, first + 1]
    sending = StreamUploads(
        tmp_path / "spool",
        Bucket(BucketPlace(f"file://{tmp_path}/bucket")),
        StreamPolicy(TEMPLATE_DEFAULT),
        KeptFolders(tmp_path / "kept"),
        Counter(),
    )
    await sending.work(1_700_000_100.0)
    assert sending.oldest_needed() == {"blue": 0}


async def test_not_uploaded_between_two_rounds(tmp_path: Path) -> None:
    """Also what is turned off for less than a second leaves that out."""
    clock, broadcaster = [BASE], on_air()
    one = spooler(tmp_path, broadcaster, clock)
    clock[0] += SEGMENT_TICKS + 10
    await one.work()
    before = spooled(tmp_path)
    clock[0] += SEGMENT_TICKS
    for number, is_uploaded in enumerate((False, True, False, True)):
        decide(one, broadcaster, clock[0], version=2 + number, is_uploaded=is_uploaded)
    await one.work()
    clock[0] += 2 * SEGMENT_TICKS
    await one.work()
    assert len(streams(tmp_path)) == 2
    assert spooled(tmp_path) == [*before, before[-1] + 3]


async def test_off_the_air_while_not_uploaded(tmp_path: Path) -> None:
    """The end of such a broadcast takes nothing, whether anything was taken before or not."""
    clock, broadcaster = [BASE], on_air()
    for has_begun in (False, True):
        one = spooler(tmp_path / str(has_begun), broadcaster, clock)
        if has_begun:
            decide(one, broadcaster, clock[0], version=3, is_uploaded=True)
            await one.work()
        before = spooled(tmp_path / str(has_begun))
        decide(one, broadcaster, clock[0], version=2 + 2 * has_begun, is_uploaded=False)
        clock[0] += 3 * SEGMENT_TICKS
        broadcaster.end("blue", clock[0])
        await one.finish("blue")
        assert one.spool.streams() == []
        assert spooled(tmp_path / str(has_begun)) == before


async def test_not_uploaded_after_a_crash(tmp_path: Path) -> None:
    """What a life before left open of a room that is not uploaded any more ends at once."""
    clock = [BASE + 10]
    await spooler(tmp_path, on_air(), clock).work()
    broadcaster = on_air()
    after = spooler(tmp_path, broadcaster, clock)
    assert len(after.spool.streams()) == 1
    decide(after, broadcaster, clock[0], version=2, is_uploaded=False)
    await after.work()
    assert after.spool.streams() == []


async def test_turned_off_amid_a_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that is looked at afterwards is taken."""
    clock, broadcaster = [BASE + 10], on_air()
    one, put_init = spooler(tmp_path, broadcaster, clock), SpoolWriter.put_init

    def put(*arguments: object) -> None:
        one.hear(replace(broadcaster.specs()[0], version=2, is_uploaded=False))
        put_init(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(SpoolWriter, "put_init", put)
    await one.work()
    assert spooled(tmp_path)
    assert not spooled(tmp_path, "64k")


async def test_the_process_hears_of_it(tmp_path: Path) -> None:
    """What is decided reaches the spooler with the spec, and goes with the room."""
    broadcaster, clock = Broadcaster(delay_ticks=0), [BASE]
    service = BroadcastService(broadcaster, UnixTransport())
    service.spooler = one = spooler(tmp_path, broadcaster, clock)
    for version, is_uploaded in enumerate((True, False), 1):
        spec = replace(room_spec(), version=version, is_uploaded=is_uploaded)
        call = Request(version, "apply", broadcast_params(spec))
        assert isinstance(await service.dispatcher.dispatch(call), Response)
        await one.work()
        assert len(one.spool.streams()) == is_uploaded


async def test_spooler_takes_all(tmp_path: Path) -> None:
    """However much waits at the end of a broadcast, all of it is taken, the last piece included."""
    clock = [BASE]
    broadcaster = on_air()
    one = spooler(tmp_path, broadcaster, clock)
    broadcaster.apply(replace(room_spec(), version=2, window_s=100.0), BASE)
    clock[0] = BASE + 20 * SEGMENT_TICKS + 50
    broadcaster.end("blue", clock[0])
    await one.finish("blue")
    assert spooled(tmp_path) == list(range(26))
    last = tmp_path / f"blue_{NAME}" / "media" / "128k" / "000000000000025.seg"
    found = read_segment(last)
    assert found is not None
    assert found[0].frames == 42  # a second, less what the encoder still holds


async def test_spooler_does_not_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that hangs does not keep a room on the air."""
    monkeypatch.setattr("server.media.upload_spooler.FINISH_S", 0.01)
    one = spooler(tmp_path, on_air(), [BASE + SEGMENT_TICKS + 10])
    released = asyncio.Event()

    async def hang() -> None:
        async with one._working:
            await released.wait()

    async with asyncio.TaskGroup() as group:
        group.create_task(hang())
        await asyncio.sleep(0)
        await one.finish("blue")
        released.set()
    assert one.spool.counters["upload_spool_failures"] == 1


async def test_credentials(
    supervisor: Supervisor, tmp_path: Path, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bucket's may stand in our environment, as the vendor's own tools know them."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret")
    plane = WorkerUploadPlane(settings(tmp_path, s3))
    await plane.start(supervisor)
    environment = Path(f"/proc/{plane.pid}/environ").read_bytes()  # noqa: ASYNC240 - a test
    assert b"a-secret" in environment
    await plane.close()
