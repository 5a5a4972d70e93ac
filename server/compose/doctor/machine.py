"""What the machine gives a server: descriptors, buffers, disk, clock."""

import os
import resource
import shutil
import stat
import tempfile
from collections.abc import Iterator
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final

import aiohttp

from server.compose.doctor.finding import Finding, Verdict
from server.config import Settings, option

DESCRIPTORS: Final = 4096  # a person takes a socket, a listener one for as long as they ask
RMEM_BYTES: Final = 1 << 20  # of one UDP port: a mixer that is late by 50 ms loses nothing
LOW_DISK_BYTES: Final = 1 << 30
NO_DISK_BYTES: Final = 50 << 20
SKEW_S: Final = 2.0  # tokens and the dates in a stream are by the clock
ANSWER_S: Final = 5.0


def check_descriptors() -> Finding:
    """Look at how many files and sockets one process may open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = hard if hard != resource.RLIM_INFINITY else soft
    if soft >= DESCRIPTORS or soft == resource.RLIM_INFINITY:
        return Finding("file descriptors", Verdict.OK, f"{soft}")
    return Finding(
        "file descriptors", Verdict.WARN, f"{soft}: enough for about {max(0, soft - 64)} sockets",
        f"ulimit -n {min(most, 65_536)}, or LimitNOFILE= in the unit",
    )  # fmt: skip


def check_buffers(path: Path = Path("/proc/sys/net/core/rmem_max")) -> Finding:
    """Look at how much may wait in front of a UDP socket."""
    try:
        limit = int(path.read_text())
    except (OSError, ValueError):
        return Finding("UDP buffer", Verdict.WARN, "this system does not tell its limit")
    if limit >= RMEM_BYTES:
        return Finding("UDP buffer", Verdict.OK, f"{limit // 1024} KiB")
    return Finding(
        "UDP buffer", Verdict.WARN, f"{limit // 1024} KiB at most: bursts are lost",
        f"sysctl -w net.core.rmem_max={4 * RMEM_BYTES}",
    )  # fmt: skip


def check_state(settings: Settings) -> Iterator[Finding]:
    """Look whether the state folder can be written, by whom it can be read, and its disk."""
    folder = settings.state_dir
    check = f"state folder {folder}"
    do = f"choose another with {option('state_dir')}, or let this user write there"
    place = _first_there(folder)
    try:
        if place == folder:
            with tempfile.TemporaryFile(dir=folder) as file:
                file.write(b"doctor")
                file.flush()
                os.fsync(file.fileno())
        elif not os.access(place, os.W_OK | os.X_OK):
            yield Finding(check, Verdict.FAIL, "it is not there and cannot be made", do)
            return
    except OSError as error:
        yield Finding(check, Verdict.FAIL, f"it cannot be written: {error.strerror}", do)
        return
    mode = stat.S_IMODE(folder.stat().st_mode) if place == folder else 0o700
    if mode & 0o077:
        yield Finding(
            check, Verdict.WARN, f"others may look into it ({mode:04o})", f"chmod 700 {folder}"
        )
    else:
        found = "it can be written" if place == folder else "it will be made"
        yield Finding(check, Verdict.OK, found)
    yield _disk(shutil.disk_usage(place).free)


def _first_there(folder: Path) -> Path:
    return next(one for one in (folder, *folder.parents) if one.is_dir())


def _disk(free: int) -> Finding:
    shown = f"{free / 1e9:.1f} GB free"
    do = "make space: announcements and recordings go there too"
    if free < NO_DISK_BYTES:
        return Finding("disk", Verdict.FAIL, shown, do)
    return Finding("disk", Verdict.WARN if free < LOW_DISK_BYTES else Verdict.OK, shown,
                   do if free < LOW_DISK_BYTES else "")  # fmt: skip


def check_store_clock(folder: Path, now: float) -> Finding:
    """Compare the clock of the state folder's file system, which may be another machine's."""
    check = "clock of the store"
    if not folder.is_dir():
        return Finding(check, Verdict.OK, "there is none yet")
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor") as file:
            skew = os.fstat(file.fileno()).st_mtime - now
    except OSError as error:
        return Finding(check, Verdict.WARN, f"it cannot be asked: {error.strerror}")
    return _skew(check, skew)


async def check_peer_clock(url: str, now: datetime) -> Finding:
    """Compare the Date that a server elsewhere answers with."""
    check = f"clock of {url}"
    try:
        timeout = aiohttp.ClientTimeout(total=ANSWER_S)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.head(url, allow_redirects=False) as answer,
        ):
            said = parsedate_to_datetime(answer.headers["Date"])
        return _skew(check, (said - now).total_seconds())
    except KeyError:
        return Finding(check, Verdict.WARN, "it does not tell the time")
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError, TypeError) as error:
        told = str(error) or type(error).__name__
        return Finding(check, Verdict.WARN, f"it cannot be asked: {told}", "name another --peer")


def _skew(check: str, skew_s: float) -> Finding:
    # A Date has whole seconds and travels for a while.
    if abs(skew_s) <= SKEW_S:
        return Finding(check, Verdict.OK, f"{abs(skew_s):.1f} s apart at most")
    return Finding(
        check, Verdict.FAIL, f"{skew_s:+.1f} s away from this machine's",
        "let chrony or systemd-timesyncd set the clock: tokens and streams are by it",
    )  # fmt: skip
