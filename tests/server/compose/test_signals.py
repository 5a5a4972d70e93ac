"""What signals do."""

import asyncio
import os
import signal
from pathlib import Path

from server.compose.signals import Signals
from tests.support.node import Node, open_node


async def test_nobody_to_wait_for(tmp_path: Path) -> None:
    """With nobody in a room SIGTERM ends at once."""
    async with open_node(tmp_path) as node:
        signals = Signals()
        with signals.caught():
            os.kill(os.getpid(), signal.SIGTERM)
            await signals.wait_end(node.services.context)
        assert not node.services.context.drain.is_on


class Crowd:
    """Presence of people who do not leave."""

    total = 1

    def tell_all(self, _told: object) -> None:
        pass


async def waiting(node: Node, signals: Signals) -> asyncio.Task[None]:
    context = node.services.context
    context.drain._people = Crowd()  # type: ignore[assignment]
    context.presence = Crowd()  # type: ignore[assignment]
    task = asyncio.create_task(signals.wait_end(context))
    await asyncio.sleep(0)
    return task


async def test_the_second_ends(tmp_path: Path) -> None:
    """SIGTERM waits for people, a second one does not."""
    async with open_node(tmp_path, drain_s=3600) as node:
        signals = Signals()
        task = await waiting(node, signals)
        signals.terminate()
        while not node.services.context.drain.is_on:  # noqa: ASYNC110 - a turn or two
            await asyncio.sleep(0)
        assert not task.done()
        signals.terminate()
        await task


async def test_interrupt_ends_a_drain(tmp_path: Path) -> None:
    """Ctrl-C ends at once, whether people are there or a drain goes on."""
    async with open_node(tmp_path, drain_s=3600) as node:
        signals = Signals()
        task = await waiting(node, signals)
        signals.interrupt()
        await task
        assert not node.services.context.drain.is_on


async def test_hang_up_reloads() -> None:
    """SIGHUP reads the settings again; before the server serves it does nothing."""
    signals = Signals()
    signals.hang_up()
    came = asyncio.Event()
    signals.reload = came.set
    with signals.caught():
        os.kill(os.getpid(), signal.SIGHUP)
        await came.wait()
