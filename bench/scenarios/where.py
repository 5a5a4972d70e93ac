"""Where the CPU time of a room goes: by the library a sample of the processor falls into."""

import asyncio
import re
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from bench.errors import BenchMistake
from bench.figures import Section
from bench.plan import Store
from bench.run import Run
from bench.scenarios.cpu import parse_size, plan_of
from bench.session import Session, session

FREQUENCY_HZ = 1999  # no multiple of the ticks
# What a sample's object says it is. The kernel's share is sockets, timers and waking up.
PARTS = {
    "codec": re.compile(r"opus"),
    "crypto": re.compile(r"srtp|libcrypto|libssl|pylibsrtp|_binding|openssl|_rust"),
    "kernel": re.compile(r"\[kernel|\[guest|vdso|\[unknown\]"),
    "arrays": re.compile(r"numpy|_multiarray|_umath|openblas"),
    "python": re.compile(r"python|_asyncio|_ctypes|libffi|_cffi|_struct|cpython"),
}
OWN = ("codec", "crypto", "kernel")  # what is left if everything else cost nothing


def steps(run: Run) -> int:
    """Return how many steps the progress bar has."""
    return len(run.settings.sizes.cpu) * run.settings.measure.rounds * len(run.makers)


async def measure(run: Run) -> Section:
    """Measure all sizes in turns.

    Raises:
        BenchMistake: there is no perf, or it may not look.
    """
    if shutil.which("perf") is None:
        raise BenchMistake("There is no perf here: sudo apt install linux-perf")
    section = Section(
        "where",
        "Where the CPU time goes",
        {
            "cpu": "% of a core per anchor",
            **{part: part for part in (*PARTS, "other")},
            "floor": "codec, crypto and kernel",
        },
        main="cpu",
        note="All in % of a core per anchor. Sampling costs a little too: compare the parts.",
    )
    for text in run.settings.sizes.cpu:
        for turn, name, make in run.rounds():
            run.said(f"where, {text}, round {turn + 1}: {name}")
            size = parse_size(text)
            async with session(make, size.anchors, run.settings) as held:
                for room in range(size.rooms):
                    for _ in range(size.people):
                        await held.join(f"room-{room}")
                clips = [run.clip("speech"), run.clip("noise")]
                phases = [run.phase_s() for _ in range(size.anchors)]
                measured = run.settings.measure
                seconds = measured.warm_up_s + measured.seconds
                plan = plan_of(run, Store.of(clips), size, ("noise", phases), seconds)
                (spent, took_s), samples = await asyncio.gather(
                    held.measure(plan), _sample(held, measured.warm_up_s, measured.seconds)
                )
                cpu = 100 * spent / took_s / size.anchors
                parts = {part: cpu * share for part, share in shares(samples).items()}
                row = section.row(text, held.rival.name)
                row.add(cpu=cpu, floor=sum(parts[part] for part in OWN), **parts)
    return section


async def _sample(held: Session, after_s: float, seconds: float) -> str:
    """Let perf look at the server for a while; return its report by object."""
    await asyncio.sleep(after_s)
    pids = ",".join(str(pid) for pid in held.rival.pids())
    with tempfile.TemporaryDirectory(prefix="roomtone-bench-") as folder:
        data = str(Path(folder) / "perf.data")
        await _perf("record", "-e", "cpu-clock", "-F", str(FREQUENCY_HZ), "-p", pids, "-o", data,
                    "--", "sleep", str(seconds))  # fmt: skip
        return await _perf("report", "-i", data, "--no-children", "--sort", "dso", "--stdio")


async def _perf(*arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        "perf", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, said = await process.communicate()
    if process.returncode:
        raise BenchMistake(f"perf {arguments[0]} failed: {said.decode(errors='replace')[-300:]}")
    return out.decode(errors="replace")


def shares(report: str) -> dict[str, float]:
    """Return each part's share (0 to 1) of the samples in a report of perf by object."""
    found = dict.fromkeys((*PARTS, "other"), 0.0)
    for percent, name in _objects(report.splitlines()):
        part = next((part for part, known in PARTS.items() if known.search(name)), "other")
        found[part] += percent
    total = sum(found.values()) or 1.0
    return {part: value / total for part, value in found.items()}


def _objects(lines: Iterable[str]) -> Iterable[tuple[float, str]]:
    for line in lines:
        match = re.match(r"\s+(\d+\.\d+)%\s+(\S+)", line)
        if match:
            yield float(match[1]), match[2]
