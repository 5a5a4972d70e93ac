import asyncio
import contextlib
import os
import re
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import click
import numpy as np
import pytest

from bench.children import tree
from bench.cli import _run_of, cli
from bench.ear import Ear, hear
from bench.errors import BenchMistake
from bench.janus import find_janus
from bench.material import encoder, make_clip
from bench.plan import Part, Store, make_plan
from bench.rivals import JANUS_BY_ITSELF, Rival, makers
from bench.run import Run
from bench.session import session
from bench.settings import MixSettings, Settings, Uplink
from bench.whole_server import WholeServer

ROOT = Path(__file__).resolve().parents[2]
TONE = (8000 * np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000)).astype(np.int16)

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(60)]

needs_janus = pytest.mark.skipif(
    shutil.which("janus") is None and "CI" not in os.environ,
    reason="Janus is not installed: apt install janus",
)


async def _is_heard(make: Callable[[], Rival]) -> tuple[list[int], float]:
    """Return the server's processes, and how loud one client's tone came out at another."""
    clip, ear = make_clip(TONE, encoder(Uplink())), Ear()
    async with session(make, 2, Settings()) as held:
        speaker, listener = await held.join("room"), await held.join("room", "recvonly")
        held.crowd.listen(listener, ear)
        await held.crowd.play(make_plan(Store.of([clip]), [Part(speaker.index, clip, 60)]))
        pids = held.rival.pids()
    pcm = hear(ear.packets).pcm
    return pids, float(np.abs(pcm[len(pcm) // 2 :].astype(int)).max())


@pytest.mark.parametrize("name", ["roomtone", "aiortc", pytest.param("janus", marks=needs_janus)])
async def test_each_server_mixes_and_is_gone(name: str) -> None:
    """A client's voice reaches another through every rival; afterwards no process is left."""
    pids, peak = await _is_heard(makers(MixSettings(), None)[name])
    assert peak > 4000
    assert pids
    assert not any(map(_exists, pids))


async def test_the_whole_server_has_rooms_on_air_and_is_gone() -> None:
    """Made by REST, known to mixer and broadcast; nobody is let in; no process is left."""
    server = WholeServer()
    try:
        await server.start()
        await server.idle_rooms(5)
        assert await server._rooms() == (5, 5)
        pids = server.pids()
        with pytest.raises(BenchMistake, match="without people"):
            await server.answer("room", "peer", "offer")
    finally:
        await server.stop()
    assert len(pids) == 3
    while not all(map(_is_dead, pids)):  # noqa: ASYNC110 - the kernel tells nobody
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("verb", "names", "complexity", "expected"),
    [
        ("cpu", ("roomtone", "janus", "aiortc"), 1, 4),
        ("cpu", ("roomtone", "aiortc"), 1, 2),
        ("cpu", ("janus",), 4, 1),
        ("idle", ("roomtone", "janus"), 1, 2),
    ],
)
def test_the_cpu_of_janus_is_measured_twice(
    verb: str, names: tuple[str, ...], complexity: int, expected: int
) -> None:
    """At its cheapest and as it is by itself, unless that is what was asked for."""
    settings = Settings(mix=MixSettings(complexity_rival=complexity))
    every = makers(settings.mix, None)
    run = Run(settings, {name: every[name] for name in names}, lambda _: None)
    chosen = _run_of(verb, run, every)
    assert len(chosen.makers) == expected
    assert (JANUS_BY_ITSELF in chosen.makers) == (expected == 4)


def test_all_measures_every_rival_by_itself() -> None:
    """Plain aiortc as well; a single verb leaves it out, for it shrinks what can be compared."""
    rivals = {name: _default(command) for name, command in cli.commands.items()}
    assert rivals["all"] == "roomtone,janus,aiortc"
    assert rivals["cpu"] == "roomtone,janus"


def _default(command: click.Command) -> object:
    return next((one.default for one in command.params if one.name == "rivals"), None)


async def test_a_missing_janus_is_named() -> None:
    """Without Janus the sentence says how to get it."""
    with pytest.raises(BenchMistake, match=r"not found at /none/janus.*apt install janus"):
        find_janus("/none/janus")


def _hear_interrupts() -> None:
    """Undo what a shell does to jobs in the background, should the tests be one."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextlib.asynccontextmanager
async def _bench(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench", *arguments,
        cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        preexec_fn=_hear_interrupts,
    )  # fmt: skip
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nonsense"], "There is no measurement 'nonsense'. There are: all, broadcast, control"),
        (["cpu", "--anchors", "2", "--speaking", "3"], "3 of 2 cannot speak"),
        (["cpu", "--rivals", "asterisk"], "choose among roomtone, janus, aiortc"),
        (["cpu", "--janus", "/none/janus"], "give another build with --janus PATH"),
        (["cpu", "--settings", "/none.toml"], "/none.toml cannot be read"),
    ],
)
async def test_mistakes_on_the_command_line(arguments: list[str], said: str) -> None:
    """A wrong argument gets a sentence with the next step, and no traceback."""
    async with _bench(*arguments) as process:
        _, errors = await process.communicate()
    text = re.sub(r"\s+", " ", errors.decode())
    assert said in text
    assert "Traceback" not in text
    assert process.returncode == 2


async def test_an_interrupt_leaves_nothing_behind() -> None:
    """Ctrl-C in the middle of a measurement ends the bench and every server, with a sentence."""
    async with _bench(
        "cpu", "--anchors", "4", "--rivals", "roomtone", "--seconds", "50"
    ) as process:
        children: list[int] = []
        while not children:  # the server, not a program that is asked for facts
            await asyncio.sleep(0)
            children = [pid for pid in tree(process.pid) if "server_roomtone" in _command(pid)]
        process.send_signal(signal.SIGINT)
        _, errors = await process.communicate()
    assert b"stopped" in errors
    assert process.returncode == 130
    assert not any(map(_exists, children))


async def test_a_child_dies_with_its_parent(tmp_path: Path) -> None:
    """A server does not outlive a bench that was killed."""
    program = (
        "import asyncio, os, sys\n"
        "from bench.children import start_child\n"
        "async def main():\n"
        "    log = os.open(os.devnull, os.O_WRONLY)\n"
        "    child = await start_child(['sleep', '60'], log=log)\n"
        "    print(child.pid, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    child = int(await parent.stdout.readline())
    parent.kill()
    await parent.wait()
    while not _is_dead(child):  # noqa: ASYNC110 - the kernel tells nobody; the time-out asserts
        await asyncio.sleep(0)


def _exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def _is_dead(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"  # init may reap it late
