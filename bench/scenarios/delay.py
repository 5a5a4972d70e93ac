"""The delay a server adds, by markers: a chirp goes in with one person's packets and comes out."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.signal
from numpy.typing import NDArray

from bench.ear import Ear, Heard, hear
from bench.figures import Section
from bench.material import Clip, Pcm, chirp, encoder, make_clip, room_noise
from bench.plan import Part, Plan, Store, make_plan
from bench.run import Run
from bench.session import Session, session
from mixer.opus import Decoder
from mixer.types import FRAME_SAMPLES, SAMPLE_RATE, TICK_S

_signal: Any = scipy.signal

SLOT_TICKS = 12  # one chirp in the room at a time; rising and falling ones take turns
BED_DBOV = -45  # what people send between chirps: above every silence gate
LONGEST_S = 0.4
CLEAR = 8.0  # a peak of the matched filter above its median; noise stays below 5


@dataclass(frozen=True, slots=True)
class Marked:
    """A sender's loop of sound; `onset` is the first sample of its chirp as decoded."""

    clip: Clip
    onset: int
    rising: bool


def steps(run: Run) -> int:
    """Return how many steps the progress bar has."""
    return run.settings.measure.rounds * len(run.makers)


async def measure(run: Run) -> Section:
    """Measure added delay over senders of random phase."""
    section = Section(
        "delay",
        "Delay the server adds",
        {
            "added": "ms, sound in to sound out",
            "packet": "ms, packet with the onset in to first mixed packet with it out",
            "missed": "chirps not found",
        },
        main="added",
        note="Clean network, senders of random phase, one listener on loopback. Subtracted is the "
        "look-ahead of the sender's own encoder and nothing else.",
        show_percentiles=True,
    )
    senders = run.settings.sizes.marker_senders
    marked = [_marked(run, index, senders) for index in range(senders)]
    for turn, name, make in run.rounds():
        run.said(f"delay, round {turn + 1}: {name}")
        async with session(make, senders + 1, run.settings) as held:
            plan, packets = await _record(run, held, marked)
        added, packet, missed = _find(plan, hear(packets), marked)
        section.row(f"{senders} senders", held.rival.name).add(
            added=added, packet=packet, missed=float(missed)
        )
    return section


def _marked(run: Run, index: int, senders: int) -> Marked:
    rising = index % 2 == 0
    pcm = room_noise(senders * SLOT_TICKS * TICK_S, level_dbov=BED_DBOV, seed=index).copy()
    start = index * SLOT_TICKS * FRAME_SAMPLES
    sweep = chirp(rising=rising)
    pcm[start : start + len(sweep)] += sweep
    clip = make_clip(pcm, encoder(run.settings.uplink))
    decoder = Decoder()
    direct = np.concatenate([decoder.decode(packet) for packet in clip.packets])
    near = slice(max(0, start - 960), start + 2 * len(sweep))
    return Marked(clip, near.start + _peak(direct[near], rising=rising)[0], rising)


def _peak(pcm: Pcm, *, rising: bool) -> tuple[int, float]:
    """Return where a chirp begins, and how far its peak stands out."""
    sweep = chirp(rising=rising).astype(np.float64)
    match: NDArray[np.float64] = np.abs(
        _signal.fftconvolve(pcm.astype(np.float64), sweep[::-1], mode="valid")
    )
    best = int(match.argmax())
    return best, float(match[best] / max(np.median(match), 1.0))


async def _record(
    run: Run, held: Session, marked: list[Marked]
) -> tuple[Plan, list[tuple[float, bytes]]]:
    for _ in marked:
        await held.join("room")
    listener, ear = await held.join("room", "recvonly"), Ear()
    store = Store.of([entry.clip for entry in marked])
    cycle = len(marked[0].clip.packets)
    cycles = max(2, round(2 * run.settings.measure.seconds / (cycle * TICK_S)))
    parts = [
        Part(index, entry.clip, cycle * cycles, run.phase_s()) for index, entry in enumerate(marked)
    ]
    settling = [replace(part, ticks=cycle) for part in parts]
    await held.crowd.play(make_plan(store, settling))
    held.crowd.listen(listener, ear)
    plan = make_plan(store, parts)
    await held.crowd.play(plan)
    return plan, ear.packets


def _find(plan: Plan, heard: Heard, marked: list[Marked]) -> tuple[list[float], list[float], int]:
    """Return both delays in milliseconds for each chirp found, and how many were not."""
    sent_s = {
        (client, tick): when
        for client, tick, when in zip(
            plan.client.tolist(), plan.tick.tolist(), plan.sent_s.tolist(), strict=True
        )
    }
    cycle = len(marked[0].clip.packets)
    cycles = int(plan.tick.max() + 1) // cycle
    added, packet, missed = [], [], 0
    for index, entry in enumerate(marked):
        for turn in range(cycles):
            tick, offset = divmod(entry.onset + turn * cycle * FRAME_SAMPLES, FRAME_SAMPLES)
            left_s = sent_s[index, tick]
            first = int((left_s - heard.origin_s) / TICK_S)
            end = first + int(LONGEST_S / TICK_S)
            if first < 0 or end > len(heard.arrivals_s):
                continue  # at the very edge of the recording
            found, clarity = _peak(
                heard.pcm[first * FRAME_SAMPLES : end * FRAME_SAMPLES], rising=entry.rising
            )
            slot, at = divmod(found + first * FRAME_SAMPLES, FRAME_SAMPLES)
            if clarity < CLEAR or np.isnan(heard.arrivals_s[slot]):
                missed += 1
                continue
            came_s = float(heard.arrivals_s[slot])
            packet.append(1000 * (came_s - left_s))
            added.append(1000 * (came_s - left_s + (at - offset) / SAMPLE_RATE))
    return added, packet, missed
