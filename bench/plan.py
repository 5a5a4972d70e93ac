"""Who sends which packet when: computed before, so that sending costs next to nothing."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.material import Clip
from mixer.types import TICK_S

T = TypeVar("T")
STORE_BYTES = 1280


class Road(Protocol):
    """What a network does to packets; `tests.support.netem.Network` is one."""

    def carry(self, sent: Iterable[tuple[float, T]]) -> Iterator[tuple[float, T]]:
        """Yield (arrival, packet) in order of arrival for (sending time, packet) in order."""


@dataclass(slots=True)
class Store:
    """All clips of a run: `data` uint8[n, STORE_BYTES], `lengths`, `levels` (0..127, below 0).

    `is_red` tells the packets that are redundant (RFC 2198).
    """

    data: NDArray[np.uint8]
    lengths: NDArray[np.int32]
    levels: NDArray[np.uint8]
    is_red: NDArray[np.bool_]
    first: dict[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, clips: Sequence[Clip]) -> "Store":
        """Copy clips into one block of memory."""
        packets = [packet for clip in clips for packet in clip.packets]
        store = cls(
            np.zeros((len(packets), STORE_BYTES), np.uint8),
            np.array([len(packet) for packet in packets], np.int32),
            np.array([-level for clip in clips for level in clip.levels], np.uint8),
            np.repeat([clip.is_red for clip in clips], [len(clip.packets) for clip in clips]),
        )
        for row, packet in enumerate(packets):
            store.data[row, : len(packet)] = np.frombuffer(packet, np.uint8)
        at = 0
        for clip in clips:
            store.first[id(clip)] = at
            at += len(clip.packets)
        return store


@dataclass(frozen=True, slots=True)
class Part:
    """One client's share of a plan: `ticks` of a clip from its packet `at` on, over a road."""

    client: int
    clip: Clip
    ticks: int
    phase_s: float = 0.0
    at: int = 0
    road: Road | None = None


@dataclass(slots=True)
class Plan:
    """Departures in order of time: one array entry each.

    `number` counts what the client sent before loss (its sequence number), `tick` is its media
    time in frames, `packet` the row of the store. `sent_s` is filled as they go.
    """

    store: Store
    seconds: float
    time_s: NDArray[np.float64]
    client: NDArray[np.intp]
    number: NDArray[np.int64]
    tick: NDArray[np.int64]
    packet: NDArray[np.intp]
    sent_s: NDArray[np.float64]
    totals: dict[int, tuple[int, int]]  # by client: packets and ticks of this plan


def make_plan(store: Store, parts: Sequence[Part]) -> Plan:
    """Lay out everybody's packets in order of time."""
    columns: list[tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.intp], Part]] = []
    totals = {}
    seconds = 0.0
    for part in parts:
        ticks = np.arange(part.ticks)
        rows = store.first[id(part.clip)] + (part.at + ticks) % len(part.clip.packets)
        ticks = ticks[store.lengths[rows] > 0]
        rows = rows[store.lengths[rows] > 0]
        times = (part.phase_s + ticks * TICK_S).astype(np.float64)
        order = np.arange(len(ticks))
        if part.road is not None:
            carried = list(part.road.carry(zip(times.tolist(), order.tolist(), strict=True)))
            times = np.array([time for time, _ in carried])
            order = np.array([number for _, number in carried], np.intp)
        columns.append((times, order, np.stack((ticks[order], rows[order])), part))
        totals[part.client] = (len(ticks), part.ticks)
        seconds = max(seconds, part.phase_s + part.ticks * TICK_S)
    time_s = np.concatenate([times for times, *_ in columns])
    by_time = np.argsort(time_s, kind="stable")
    return Plan(
        store,
        seconds,
        time_s[by_time],
        np.concatenate([np.full(len(t), p.client, np.intp) for t, *_, p in columns])[by_time],
        np.concatenate([order for _, order, _, _ in columns])[by_time],
        np.concatenate([both[0] for _, _, both, _ in columns])[by_time],
        np.concatenate([both[1] for _, _, both, _ in columns])[by_time],
        np.zeros(len(time_s)),
        totals,
    )
