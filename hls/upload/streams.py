"""Broadcasts from the spool to the bucket: segments first, then the playlists that name them."""

import asyncio
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from hls.core.timeline import SEGMENT_S
from hls.errors import BucketLost
from hls.upload.bucket import Bucket
from hls.upload.core.journal import Listed, read_lines, write_line
from hls.upload.core.places import Kind, fill
from hls.upload.core.playlists import LIVE_SEGMENTS, MAX_LISTED, broadcast_playlist
from hls.upload.kept import KeptFolders
from hls.upload.spool import (
    ENDED,
    KEYS,
    MEDIA,
    Head,
    Sent,
    close_stream,
    forget_stream,
    journal_path,
    read_head,
    read_segment,
    sent_streams,
    streams,
    waiting_segments,
    write_whole,
)

AT_ONCE: Final = 4  # segments on their way: 200 KB
A_ROUND: Final = 32  # of a rendition, before others have their turn
WHOLE_EVERY: Final = 30  # segments: the playlist of all is large, and nobody waits for it
# How long after its end the keys of a broadcast are needed. For ever would be every key of every
# day in each message about a room on air; a week of talk are at most 2100 of them.
HELD_S: Final = 604_800.0
FOR_EVER_S: Final = 31_536_000
_TRIMMED: Final = MAX_LISTED // 10


@dataclass(frozen=True, slots=True)
class StreamPolicy:
    """How broadcasts are uploaded.

    `key_base` goes before the addresses of keys, which are those of this server. With
    `are_keys_sent` the keys are in the bucket, and so can whoever reads it listen.
    """

    template: str
    key_base: str = ""
    are_keys_sent: bool = False
    keep_s: float | None = None


@dataclass(slots=True)
class _Rendition:
    """What is known of one; the journal holds it when we are gone."""

    sent: dict[int, Listed]
    told: int = -1  # the newest segment that the live playlist in the bucket names
    told_whole: int = -WHOLE_EVERY
    is_ended: bool = False
    inits: set[str] = field(default_factory=set)


@dataclass(slots=True)
class _Stream:
    head: Head
    master: str = ""
    keys: set[str] = field(default_factory=set)
    renditions: dict[str, _Rendition] = field(default_factory=dict)


class StreamUploads:
    """All broadcasts that are in the spool."""

    def __init__(
        self,
        spool: Path,
        bucket: Bucket,
        policy: StreamPolicy,
        kept: KeptFolders,
        counters: Counter[str],
    ) -> None:
        self._spool = spool
        self._bucket = bucket
        self._policy = policy
        self._kept = kept
        self._counters = counters
        self._known: dict[str, _Stream] = {}
        self._sent: dict[str, Sent] | None = None  # streams that are over, None: not looked yet
        self._oldest: dict[str, int] | None = None

    async def work(self, now_unix_s: float) -> bool:
        """Send what waits, a turn for each stream; return whether more waits. Raises BucketLost."""
        more = False
        folders = await asyncio.to_thread(streams, self._spool)
        self._oldest = await asyncio.to_thread(self._look, folders, now_unix_s)
        for folder in folders:
            more = await self._advance(folder, now_unix_s) or more
        return more

    def oldest_needed(self) -> dict[str, int] | None:
        """Return of each room the oldest segment that is, or will be, named in the bucket.

        None while nobody has looked.
        """
        return self._oldest

    def _look(self, folders: Sequence[Path], now_unix_s: float) -> dict[str, int]:
        found: dict[str, int] = {}
        for sent in self._remembered(now_unix_s).values():
            found[sent.room] = min(found.get(sent.room, sys.maxsize), sent.first_msn)
        for folder in folders:
            head = read_head(folder)
            if head is None:
                continue
            known = self._known.setdefault(folder.name, _Stream(head)).renditions
            for name in _renditions(folder):
                if name not in known:
                    known[name] = _Rendition(read_lines(_read(journal_path(folder, name))))
                waiting = waiting_segments(folder / MEDIA / name)[:1]
                firsts = [*list(known[name].sent)[:1], *(msn for msn, _ in waiting)]
                found[head.room] = min([found.get(head.room, sys.maxsize), *firsts])
        return found

    def _remembered(self, now_unix_s: float) -> dict[str, Sent]:
        """Return the streams that are over and whose keys are needed; forget the others."""
        if self._sent is None:
            self._sent = sent_streams(self._spool)
        held_s = HELD_S if self._policy.keep_s is None else min(HELD_S, self._policy.keep_s)
        for name, sent in list(self._sent.items()):
            if now_unix_s - sent.unix_s >= held_s:
                forget_stream(self._spool / name)
                del self._sent[name]
        return self._sent

    def _close(self, folder: Path, stream: _Stream, now_unix_s: float) -> None:
        """Let go of a stream that is over, all but where it began. Raises OSError."""
        firsts = [next(iter(one.sent)) for one in stream.renditions.values() if one.sent]
        if self._policy.are_keys_sent or not firsts:  # then nobody will ask us for keys
            forget_stream(folder)
            return
        sent = Sent(stream.head.room, min(firsts), now_unix_s)
        close_stream(folder, sent)
        self._remembered(now_unix_s)[folder.name] = sent

    def waiting_bytes(self) -> int:
        """Return what waits in the spool."""
        total = 0
        for path in self._spool.glob(f"*/{MEDIA}/*/*.seg"):
            try:
                total += path.stat().st_size
            except OSError:
                continue
        return total

    async def _advance(self, folder: Path, now_unix_s: float) -> bool:
        head = await asyncio.to_thread(read_head, folder)
        if head is None:
            return False
        stream = self._known.setdefault(folder.name, _Stream(head))
        stream.head = head
        is_ended = await asyncio.to_thread((folder / ENDED).exists)
        place = fill(self._policy.template, head.room, Kind.BROADCAST, head.name)
        await asyncio.to_thread(self._kept.note, place, now_unix_s)
        if self._policy.are_keys_sent:
            await self._send_keys(folder, stream, place)
        more = False
        for name, one in stream.renditions.items():
            at = place if name == head.renditions[0] else f"{place}/{name}"
            count = await self._send_segments(folder, name, one, at)
            more = more or count == A_ROUND
            await self._send_playlists(stream, one, at, is_ended=is_ended and count < A_ROUND)
            await self._expire(folder, name, one, at, now_unix_s)
        if stream.master != head.master and stream.renditions:
            await self._bucket.put(f"{place}/master.m3u8", head.master.encode())
            stream.master = head.master
        if is_ended and not more and all(one.is_ended for one in stream.renditions.values()):
            await asyncio.to_thread(self._close, folder, stream, now_unix_s)
            self._known.pop(folder.name, None)
        return more

    async def _send_segments(self, folder: Path, name: str, one: _Rendition, at: str) -> int:
        """Send what waits of one rendition; return how many that were."""
        media = folder / MEDIA / name
        waiting = (await asyncio.to_thread(waiting_segments, media))[:A_ROUND]
        for first in range(0, len(waiting), AT_ONCE):
            some = [path for _, path in waiting[first : first + AT_ONCE]]
            await self._send_some(some, one, at, media, journal_path(folder, name))
        return len(waiting)

    async def _send_some(
        self, paths: Sequence[Path], one: _Rendition, at: str, media: Path, journal: Path
    ) -> None:
        results = await asyncio.gather(
            *(self._send_segment(path, one, at, media) for path in paths), return_exceptions=True
        )
        # In order and up to the first that failed: what is journaled is named.
        failed = next((error for error in results if isinstance(error, BaseException)), None)
        sent = []
        for result in results:
            if isinstance(result, BaseException):
                break
            if result is not None:
                sent.append(result)
        done = paths[: len(results) if failed is None else results.index(failed)]
        await asyncio.to_thread(_journal, journal, sent, done)
        one.sent.update((segment.msn, segment) for segment in sent)
        if failed is not None:
            raise failed

    async def _send_segment(
        self, path: Path, one: _Rendition, at: str, media: Path
    ) -> Listed | None:
        try:
            found = await asyncio.to_thread(read_segment, path)
        except OSError:  # it was dropped, for others need its room
            return None
        if found is None:
            self._counters["upload_damaged"] += 1
            return None
        segment, data = found
        if segment.init and segment.init not in one.inits:
            init = await asyncio.to_thread(_read, media / segment.init)
            if init:
                await self._bucket.put(f"{at}/{segment.init}", init, max_age_s=FOR_EVER_S)
                one.inits.add(segment.init)
        await self._bucket.put(f"{at}/{segment.name}", data, max_age_s=FOR_EVER_S)
        self._counters["upload_objects"] += 1
        self._counters["upload_bytes"] += len(data)
        return segment

    async def _send_playlists(
        self, stream: _Stream, one: _Rendition, at: str, *, is_ended: bool
    ) -> None:
        if not one.sent:
            one.is_ended = is_ended
            return
        last = next(reversed(one.sent))
        if last == one.told and one.is_ended == is_ended:
            return
        known = list(one.sent.values())
        depth = (
            "" if "/" not in at or at.rpartition("/")[2] not in stream.head.renditions else "../"
        )
        key_folder = f"{depth}{KEYS}"

        def uri(segment: Listed) -> str:
            if self._policy.are_keys_sent:
                return f"{key_folder}/{segment.epoch}.key"
            return self._policy.key_base + segment.uri

        live = broadcast_playlist(known, uri, segments=LIVE_SEGMENTS, is_ended=is_ended)
        await self._bucket.put(f"{at}/stream.m3u8", live.encode())
        one.told = last
        if is_ended or last >= one.told_whole + WHOLE_EVERY:
            text = await asyncio.to_thread(broadcast_playlist, known, uri, is_ended=is_ended)
            await self._bucket.put(f"{at}/all.m3u8", text.encode())
            one.told_whole = last
        one.is_ended = is_ended

    async def _send_keys(self, folder: Path, stream: _Stream, place: str) -> None:
        for path in await asyncio.to_thread(_files, folder / KEYS):
            if path.name not in stream.keys:
                data = await asyncio.to_thread(_read, path)
                await self._bucket.put(f"{place}/{KEYS}/{path.name}", data, max_age_s=FOR_EVER_S)
                stream.keys.add(path.name)

    async def _expire(
        self, folder: Path, name: str, one: _Rendition, at: str, now_unix_s: float
    ) -> None:
        """Let go of what is too old of a broadcast that goes on, some at a time."""
        too_old = self._too_old(one, now_unix_s)
        first_kept = -1
        if len(one.sent) > MAX_LISTED + _TRIMMED:
            first_kept = next(reversed(one.sent)) + 1 - MAX_LISTED
        old = {segment.msn for segment in too_old}
        kept = {
            msn: segment
            for msn, segment in one.sent.items()
            if msn >= first_kept and msn not in old
        }
        if len(kept) == len(one.sent) or not kept:
            return
        # Playlists first: they must not name what is deleted.
        one.sent, one.told, one.told_whole = kept, -1, -WHOLE_EVERY
        await self._send_playlists(self._known[folder.name], one, at, is_ended=one.is_ended)
        await self._bucket.delete([f"{at}/{segment.name}" for segment in too_old])
        await asyncio.to_thread(_rewrite, journal_path(folder, name), list(kept.values()))
        self._counters["upload_expired"] += len(too_old)

    def _too_old(self, one: _Rendition, now_unix_s: float) -> list[Listed]:
        if self._policy.keep_s is None or not one.sent:
            return []
        limit = now_unix_s - self._policy.keep_s
        if next(iter(one.sent.values())).unix_s + WHOLE_EVERY * SEGMENT_S > limit:
            return []
        return [segment for segment in one.sent.values() if segment.unix_s < limit]


def _renditions(folder: Path) -> list[str]:
    try:
        return sorted(one.name for one in (folder / MEDIA).iterdir() if one.is_dir())
    except OSError:
        return []


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(one for one in folder.iterdir() if one.suffix == ".key")
    except OSError:
        return []


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _journal(journal: Path, sent: Sequence[Listed], done: Sequence[Path]) -> None:
    """Note what is in the bucket, then let go of it. Raises BucketLost if the disk does not."""
    try:
        journal.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with journal.open("ab") as file:
            # What a crash left half written ends here.
            file.write(b"\n" + b"".join(map(write_line, sent)))
    except OSError as error:
        raise BucketLost(f"The folder of uploads cannot be written: {error.strerror}.") from None
    for path in done:
        path.unlink(missing_ok=True)


def _rewrite(journal: Path, kept: Sequence[Listed]) -> None:
    try:
        write_whole(journal, b"".join(map(write_line, kept)))
    except OSError as error:
        raise BucketLost(f"The folder of uploads cannot be written: {error.strerror}.") from None
