"""What outlives the server: rooms, links and keys."""

import signal
from pathlib import Path

import pytest

from tests.support.program import Program, children_of, running

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(90)]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
async def test_rooms_survive_a_restart(tmp_path: Path, how: signal.Signals) -> None:
    """A room, its links and its PIN are the same after the server was stopped or killed."""
    program = Program(tmp_path / "state")
    await program.start()
    room = await program.new_room(name="Studio")
    await program.stop(how)

    try:
        await program.start()
        status, answer = await program.call("GET", f"/api/rooms/{room['roomId']}")
    finally:
        await program.stop()
    assert status == 200
    assert answer["room"]["links"] == room["links"]


async def test_no_worker_outlives_a_killed_server(tmp_path: Path) -> None:
    """A kill -9 of the control process leaves no orphan behind."""
    async with running(tmp_path / "state") as program:
        workers = children_of(program.pid)
        await program.stop(signal.SIGKILL)
        await program.start()  # binds the same UDP port: the old mixer is gone
    assert set(workers) == {"mixer", "broadcast"}


async def test_interrupt_ends_cleanly(tmp_path: Path) -> None:
    """Ctrl-C ends the server with status 0 and nothing that looks like an accident."""
    async with running(tmp_path / "state") as program:
        status = await program.stop(signal.SIGINT)
    assert status == 0
    assert "Traceback" not in program.output
