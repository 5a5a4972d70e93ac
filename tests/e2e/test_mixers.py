"""The running server with more than one mixer to its name."""

import contextlib
import os
import signal
import socket
from pathlib import Path

import pytest

from tests.support.program import Program, children_of

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(90)]


async def test_a_second_mixer_waits_until_it_is_needed(tmp_path: Path) -> None:
    """One runs, both ports are named, and a killed one is started again under its name."""
    program = Program(tmp_path / "state", "--mixers", "2", terminal=True)
    program.udp_port = free_udp_pair()
    try:
        await program.start()
        first = children_of(program.pid)
        assert set(first) == {"mixer", "broadcast"}
        assert f"{program.udp_port}-{program.udp_port + 1}/udp" in program.output
        os.kill(first["mixer"], signal.SIGKILL)
        while 'roomtone_mixer_restarts_total{process="mixer-0"} 1.0' not in await metrics(program):
            pass
        assert set(children_of(program.pid)) == {"mixer", "broadcast"}
        assert 'process="mixer-1"' not in await metrics(program)
    finally:
        await program.stop()


def free_udp_pair() -> int:
    """Return a UDP port that nobody holds, like the one after it."""
    while True:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as first,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as second,
            contextlib.suppress(OSError, OverflowError),
        ):
            first.bind(("", 0))
            port = int(first.getsockname()[1])
            second.bind(("", port + 1))
            return port


async def metrics(program: Program) -> str:
    """Everything the server counts."""
    async with program.http.get(f"{program.url}/metrics") as answer:
        return await answer.text()
