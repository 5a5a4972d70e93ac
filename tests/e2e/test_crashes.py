"""Random steps against a real server that is killed again and again.

A thousand by default, six kills among them; `ROOMTONE_STEPS=10000 make test ARGS="-k crashes"`
takes some minutes and kills it 66 times. ROOMTONE_SEED=… repeats what a failure printed.
"""

import contextlib
import os
import random
import secrets
import socket
from pathlib import Path

import pytest

from bench.whole_server import no_limits
from tests.support.program import Program
from tests.support.town import KILL_EVERY, Town
from tests.support.webrtc_client import client

STEPS = int(os.environ.get("ROOMTONE_STEPS", "1000"))
SEED = os.environ.get("ROOMTONE_SEED") or secrets.token_hex(4)

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120 + STEPS)]


def lasting_port() -> int:
    """Return a port that is free, with the next one, for TCP and UDP.

    It is below those that the kernel gives to whoever asks for any: nobody gets it between two
    lives of the server.
    """
    while True:
        port = random.randrange(10_240, 32_000)
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                for number in (port, port + 1):
                    sock = stack.enter_context(socket.socket(socket.AF_INET, kind))
                    sock.bind(("", number))
            return port


async def test_crashes_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """No room, seat, ban or setting that was answered for is lost, and none comes back."""
    async with client() as made:
        offer = await made.offer()
    program = Program(tmp_path / "state", "--rtp-port", str(lasting_port()), *no_limits())
    program.port, program.udp_port = lasting_port(), lasting_port()
    program.url = f"http://127.0.0.1:{program.port}"
    town = Town(program, SEED, offer)
    number = 0
    try:
        await program.start()
        for number in range(STEPS):
            await town.step(number)
        await town.audit()
    finally:
        print(town.report(number))  # noqa: T201 - shown where it fails
        await town.close()
        await program.stop()
    assert town.kills["SIGKILL"] == STEPS // KILL_EVERY
