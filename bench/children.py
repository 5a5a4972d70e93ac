"""The processes of a server under measurement: they die with the bench."""

import asyncio
import contextlib
import ctypes
import os
import signal
from collections.abc import Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_libc = ctypes.CDLL(None)
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def _die_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


async def start_child(
    arguments: Sequence[str | Path], *, log: int, pipes: bool = False, limit: int = 1 << 20
) -> asyncio.subprocess.Process:
    """Start a program in a session of its own (Ctrl-C is ours to handle), gone when we are.

    `log` is the file descriptor of its standard error; with `pipes` the other two are ours.
    """
    return await asyncio.create_subprocess_exec(
        *arguments,
        stdin=asyncio.subprocess.PIPE if pipes else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE if pipes else log,
        stderr=log,
        limit=limit,
        start_new_session=True,
        preexec_fn=_die_with_parent,  # one system call, before any thread exists
    )


async def end_child(process: asyncio.subprocess.Process) -> None:
    """Kill the program and what it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def tree(pid: int) -> list[int]:
    """Return a process and all its descendants."""
    found, waiting = [], [pid]
    while waiting:
        parent = waiting.pop()
        found.append(parent)
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{parent}/task").iterdir():
                waiting += [int(child) for child in (task / "children").read_text().split()]
    return found


def cpu_seconds(pids: Sequence[int]) -> float:
    """Return user and system time of processes, their threads included."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(stat[11]) + int(stat[12])
    return total / _TICKS


def rss_bytes(pids: Sequence[int]) -> int:
    """Return the resident memory of processes."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    return total
