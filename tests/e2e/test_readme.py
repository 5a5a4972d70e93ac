"""The README, taken at its word: a clean clone, `make run`, and its lines as they stand."""

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from tests.support.program import ROOT, free_port

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

FIRST_START_S, NEXT_START_S, STOP_S = 180, 3, 2


@dataclass(frozen=True, slots=True)
class Clone:
    """A fresh clone and the surroundings its commands run in."""

    folder: Path
    base: str
    arguments: str
    environment: dict[str, str]


async def run(*command: str, cwd: Path, env: dict[str, str] | None = None) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


@pytest.fixture
async def clone(tmp_path: Path) -> Clone:
    folder = tmp_path / "a clone"  # people have spaces in their paths
    await run("git", "clone", "--quiet", "--depth=1", f"file://{ROOT}", str(folder), cwd=tmp_path)
    port, udp_port = free_port(), free_port()
    base = f"http://127.0.0.1:{port}"
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("ROOMTONE_", "VIRTUAL_ENV"))}
    paths = {"XDG_STATE_HOME": str(tmp_path / "state"), "BASE": base, "OUT": "tour.wav"}
    arguments = (
        f"ARGS=--port {port} --udp-port {udp_port} --mixers 1"  # the next port may be anybody's
    )
    return Clone(folder, base, arguments, kept | paths)


@contextlib.asynccontextmanager
async def make_run(clone: Clone, within_s: float) -> AsyncIterator[None]:
    """Run `make run` in the background; end it as Ctrl-C does."""
    with (clone.folder / "serve.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *("make", "run", clone.arguments),
            cwd=clone.folder,
            env=clone.environment,
            start_new_session=True,
            stdout=log,
            stderr=log,
        )
    try:
        async with asyncio.timeout(within_s), aiohttp.ClientSession() as http:
            while not await is_ready(http, clone.base):
                assert process.returncode is None, "make run ended"
                await asyncio.sleep(0.1)
        yield
    finally:
        os.killpg(process.pid, signal.SIGINT)
        async with asyncio.timeout(STOP_S + 8):  # ample: the figure itself is the bench's business
            await process.wait()
    assert process.returncode in (0, -signal.SIGINT)  # make itself dies of the Ctrl-C it got


async def is_ready(http: aiohttp.ClientSession, base: str) -> bool:
    try:
        async with http.get(f"{base}/ready") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


async def test_two_commands_and_the_lines_as_written(clone: Clone) -> None:
    """`make run` in a clean clone serves, and the README's shell lines work as they stand."""
    readme = (clone.folder / "README.md").read_text()
    lines = re.findall(r"^```sh\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    async with make_run(clone, FIRST_START_S):
        output = await run(
            "bash",
            "-euo",
            "pipefail",
            "-c",
            "\n".join(lines),
            cwd=clone.folder,
            env=clone.environment,
        )
    assert '"roomId": "tour"' in output
    assert "#EXTM3U" in output
    assert (clone.folder / "tour.wav").stat().st_size > 5 * 48_000 * 2

    async with make_run(clone, 10 * NEXT_START_S):  # the second start fetches nothing
        pass
    assert "Traceback" not in (clone.folder / "serve.log").read_text()
