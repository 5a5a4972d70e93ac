"""Packets through the jitter buffer, in from the wire and out to it."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pylibsrtp import Policy, Session
from pytest_benchmark.fixture import BenchmarkFixture

from mixer.core.jitter import Arrival, JitterBuffer
from mixer.core.rtp import classify, parse_headers, write_headers
from mixer.rtc.block import DatagramBlock
from mixer.rtc.srtp import RowPointers, SrtpContext, protect_rows, unprotect_row

LEVEL_ID = 1
PAYLOAD = b"\xf8" + bytes(239)  # 96 kb/s
KEY = bytes(range(30))


def _session(direction: int) -> Session:
    return Session(Policy(key=KEY, ssrc_type=direction))


def test_jitter_push_pop(benchmark: BenchmarkFixture) -> None:
    """One packet in and one tick out of a buffer that plays."""
    buffer = JitterBuffer()
    numbers = itertools.count()

    def step() -> None:
        number = next(numbers)
        now = number * 0.02
        buffer.push(
            Arrival(
                sequence=number & 0xFFFF,
                timestamp=number * 960 & 0xFFFFFFFF,
                payload=PAYLOAD,
                arrival_s=now,
                silent=False,
            )
        )
        buffer.pop(now + 0.005)

    benchmark(step)


def _write(block: DatagramBlock, rows: int, first: int) -> None:
    here = np.arange(rows)
    write_headers(
        block.data,
        here,
        payload_type=np.full(rows, 111, np.uint8),
        marker=np.zeros(rows, np.bool_),
        sequence=(first + here).astype(np.uint16),
        timestamp=((first + here) * 960).astype(np.uint32),
        ssrc=np.full(rows, 7, np.uint32),
        level_id=np.full(rows, LEVEL_ID, np.uint8),
        level_dbov=np.full(rows, -30, np.int16),
    )
    block.data[:rows, 20 : 20 + len(PAYLOAD)] = np.frombuffer(PAYLOAD, np.uint8)
    block.lengths[:rows] = 20 + len(PAYLOAD)


@pytest.mark.parametrize("rows", [1, 40, 300])
def test_packets_out(benchmark: BenchmarkFixture, rows: int) -> None:
    """Headers, payload and SRTP of a tick's packets; the time is for all of them."""
    block = DatagramBlock(rows)
    pointers = RowPointers(block)
    handles = [SrtpContext(_session(Policy.SSRC_ANY_OUTBOUND)) for _ in range(rows)]
    firsts = itertools.count()

    def step() -> None:
        _write(block, rows, next(firsts) * rows)
        assert not protect_rows(pointers, [context.handle for context in handles])

    benchmark(step)


def _arriving(rows: int, rounds: int) -> Callable[[DatagramBlock], None]:
    """Return what fills a block with protected packets, new ones each time."""
    sender = SrtpContext(_session(Policy.SSRC_ANY_OUTBOUND))
    made = []
    for turn in range(rounds):
        block = DatagramBlock(rows)
        _write(block, rows, turn * rows)
        assert not protect_rows(RowPointers(block), [sender.handle] * rows)
        made.append(block)
    ready = iter(made)

    def fill(block: DatagramBlock) -> None:
        source = next(ready)
        block.data[:], block.lengths[:] = source.data, source.lengths

    return fill


@pytest.mark.parametrize("rows", [1, 20])
def test_packets_in(benchmark: Any, rows: int) -> None:
    """Sort, parse and decrypt what arrived; the time is for all of them."""
    rounds = 200
    fill = _arriving(rows, rounds)
    block = DatagramBlock(rows)
    pointers = RowPointers(block)
    receiver = SrtpContext(_session(Policy.SSRC_ANY_INBOUND))
    here, levels = np.arange(rows), np.full(rows, LEVEL_ID, np.uint8)

    def step() -> None:
        classify(block.data, block.lengths)
        assert parse_headers(block.data, block.lengths, here, levels).valid.all()
        assert all(unprotect_row(pointers, row, receiver) for row in range(rows))

    benchmark.pedantic(step, setup=lambda: fill(block), rounds=rounds)
