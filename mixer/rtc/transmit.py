"""Media out: each frame to everybody who hears it, by columns."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mixer.core.red import pack_red
from mixer.core.rtp import header_length, write_headers
from mixer.rtc.block import DatagramBlock
from mixer.rtc.peers import PeerTable
from mixer.rtc.srtp import MAX_PAYLOAD_BYTES, RowPointers, protect_rows
from mixer.rtc.streams import SplitSender
from mixer.types import FRAME_SAMPLES, Outgoing

SEND_ROWS = 1024
_ONE = np.uint16(1)
_WITH_LEVEL, _WITHOUT_LEVEL = header_length(level=True), header_length(level=False)
MAX_RED_BYTES = 1100  # with header and SRTP within 1,200, what every path carries in one piece


@dataclass(slots=True)
class _Part:
    """A payload and the rows it goes to, all of them plain or all of them redundant."""

    payload: bytes
    rows: NDArray[np.intp]
    level_dbov: int
    marker: bool
    is_red: bool = False


class MediaSender:
    """Writes packets as rows of a block, protects them in place, sends them by one call."""

    def __init__(self, sender: SplitSender, table: PeerTable, *, counters: Counter[str]) -> None:
        self._sender = sender
        self._table = table
        self._counters = counters
        self._outgoing = DatagramBlock(SEND_ROWS)
        self._outgoing_pointers = RowPointers(self._outgoing)

    def send(self, frames: Sequence[Outgoing], tick: int) -> None:
        """Send each frame to its hearers: headers by columns, SRTP in place, one call."""
        for chunk in _chunks(self._parts(frames)):
            self._send_chunk(chunk, tick)

    def _parts(self, frames: Sequence[Outgoing]) -> Iterator[_Part]:
        """Split each frame into plain and redundant: packed once for all who take the same."""
        table = self._table
        some_take_red = bool(table.red_depth.any())  # mostly nobody does: once, not for each frame
        for frame in frames:
            rows = frame.rows
            if some_take_red and frame.previous and (depths := table.red_depth[rows]).any():
                for depth in np.unique(depths[depths > 0]).tolist():
                    yield from self._redundant(frame, rows[depths == depth], depth)
                rows = rows[depths == 0]
            if len(rows):
                yield _Part(frame.payload, rows, frame.level_dbov, frame.marker)

    def _redundant(self, frame: Outgoing, rows: NDArray[np.intp], depth: int) -> Iterator[_Part]:
        earlier = [
            (FRAME_SAMPLES * ago, payload)
            for ago, payload in enumerate(frame.previous[:depth], start=1)
        ]
        opus = self._table.payload_type[rows]
        for payload_type in np.unique(opus).tolist():
            body = pack_red(payload_type, frame.payload, earlier[::-1])
            for kept in range(len(earlier))[::-1]:  # the oldest goes first
                if len(body) > MAX_RED_BYTES:
                    body = pack_red(payload_type, frame.payload, earlier[:kept][::-1])
            hearers = rows[opus == payload_type]
            self._counters["red_sent"] += len(hearers)
            yield _Part(body, hearers, frame.level_dbov, frame.marker, is_red=True)

    def _send_chunk(self, frames: Sequence[_Part], tick: int) -> None:
        table, block = self._table, self._outgoing
        rows = np.concatenate([frame.rows for frame in frames])
        total = len(rows)
        counts = [len(frame.rows) for frame in frames]
        level_ids = table.level_id[rows]
        write_headers(
            block.data,
            slice(total),
            payload_type=_payload_types(table, rows, frames, counts),
            marker=np.array([frame.marker for frame in frames]).repeat(counts),
            sequence=table.sequence_out[rows],
            timestamp=table.timestamp_base[rows] + np.uint32(tick * FRAME_SAMPLES & 0xFFFFFFFF),
            ssrc=table.ssrc_out[rows],
            level_id=level_ids,
            level_dbov=np.array([frame.level_dbov for frame in frames], np.int16).repeat(counts),
        )
        sizes = np.array([len(frame.payload) for frame in frames], np.uint32).repeat(counts)
        self._write_payloads(frames, counts, level_ids > 0)
        block.lengths[:total] += sizes.view(np.int32)
        table.sequence_out[rows] += _ONE
        table.packets_out[rows] += _ONE
        table.octets_out[rows] += sizes
        block.addresses[:total] = table.address[rows]
        block.address_lengths[:total] = table.address_length[rows]
        handles = table.send_handles
        failed = protect_rows(self._outgoing_pointers, [handles[row] for row in rows.tolist()])
        if failed:  # such a row holds clear text and must stay
            protected = np.ones(total, np.bool_)
            protected[failed] = False
            total = block.keep(protected)
            self._counters["srtp_protect_failures"] += len(failed)
        self._counters["rtp_sent"] += self._sender.send(block, total)

    def _write_payloads(
        self, parts: Sequence[_Part], counts: Sequence[int], levelled: NDArray[np.bool_]
    ) -> None:
        """Write each payload behind its rows' headers, and the headers' lengths as those so far."""
        block, at = self._outgoing, 0
        if np.logical_and.reduce(levelled):  # all take the same header, as nearly always
            block.lengths[: len(levelled)] = _WITH_LEVEL
            for part, count in zip(parts, counts, strict=True):
                end = _WITH_LEVEL + len(part.payload)
                block.data[at : at + count, _WITH_LEVEL:end] = np.frombuffer(part.payload, np.uint8)
                at += count
            return
        offsets = np.where(levelled, _WITH_LEVEL, _WITHOUT_LEVEL)
        block.lengths[: len(levelled)] = offsets
        for part, count in zip(parts, counts, strict=True):
            data = np.frombuffer(part.payload, np.uint8)
            for offset in (_WITH_LEVEL, _WITHOUT_LEVEL):
                rows = at + np.flatnonzero(offsets[at : at + count] == offset)
                block.data[rows, offset : offset + len(data)] = data
            at += count


def _payload_types(
    table: PeerTable, rows: NDArray[np.intp], parts: Sequence[_Part], counts: Sequence[int]
) -> NDArray[np.uint8]:
    is_red = [part.is_red for part in parts]
    plain = table.payload_type[rows]
    if not any(is_red):
        return plain
    return np.where(np.array(is_red).repeat(counts), table.red_payload_type[rows], plain)


def _chunks(frames: Iterable[_Part]) -> list[list[_Part]]:
    """Split parts so that each chunk fits one block; those too long to send are left out."""
    chunks: list[list[_Part]] = []
    used = SEND_ROWS
    for frame in frames:
        if len(frame.payload) > MAX_PAYLOAD_BYTES:
            continue
        start = 0
        while start < len(frame.rows):
            if used >= SEND_ROWS:
                chunks.append([])
                used = 0
            count = min(len(frame.rows) - start, SEND_ROWS - used)
            is_whole = count == len(frame.rows)  # as nearly all are
            part = frame if is_whole else replace(frame, rows=frame.rows[start : start + count])
            chunks[-1].append(part)
            used += count
            start += count
    return chunks
