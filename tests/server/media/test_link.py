"""A link to a worker process that misbehaves in every way."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator, MutableSequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter
from structlog.testing import capture_logs
from structlog.typing import EventDict

from server.errors import PlaneUnavailable, SetupMistake
from server.media.child import ChildSpec, Patience
from server.media.link import Link, SpecForm
from server.supervise import Supervisor

FAKE = Path(__file__).parents[2] / "support" / "fake_worker.py"
ANY: TypeAdapter[object] = TypeAdapter(object)
QUICK = Patience(ready_s=5.0, ping_every_s=0.0, ping_s=0.2, terminate_s=0.2)
SLOW_PING = Patience(ping_every_s=60.0)


@dataclass(frozen=True, slots=True)
class Wish:
    """A spec for the fake worker."""

    room: str
    version: int
    is_over: bool = False


FORM: SpecForm[Wish] = SpecForm(
    params=lambda wish: {"room": wish.room, "version": wish.version},
    is_over=lambda wish: wish.is_over,
)


class LinkUnderTest(Link[Wish]):
    """A link that says when it was lost."""

    def __init__(
        self, patience: Patience, *, with_credentials: bool = False, **settings: object
    ) -> None:
        self.lost_once = asyncio.Event()
        child = ChildSpec(
            name="fake",
            verb="fake",
            settings=settings,
            with_credentials=with_credentials,
            command=[sys.executable, "-S", str(FAKE)],
            patience=patience,
        )
        super().__init__(child, FORM, lost=self.lost_once.set)

    async def applied(self) -> object:
        """What the worker was told, once there is one."""
        await self.wait_up()
        return await self.ask(ANY, "applied")

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send the worker a signal."""
        assert self.pid is not None
        os.kill(self.pid, number)


@pytest.fixture
def logs() -> Iterator[MutableSequence[EventDict]]:
    """What is logged."""
    with capture_logs() as entries:
        yield entries


@pytest.fixture
async def supervisor(logs: MutableSequence[EventDict]) -> AsyncIterator[Supervisor]:
    """Owner of the links."""
    async with Supervisor() as root:
        yield root


def reasons(logs: MutableSequence[EventDict]) -> list[str]:
    """Why workers were lost."""
    return [entry["reason"] for entry in logs if entry["event"] == "worker_lost"]


async def test_a_worker_is_told_and_asked(supervisor: Supervisor) -> None:
    """Specs arrive in order; a version that is not above the last stays here."""
    link = LinkUnderTest(SLOW_PING)
    await link.start(supervisor)
    for wish in (Wish("a", 1), Wish("a", 3), Wish("a", 2), Wish("a", 3)):
        await link.apply(wish)
    assert await link.applied() == [{"room": "a", "version": 1}, {"room": "a", "version": 3}]
    assert link.greeting.udp_port == 7


@pytest.mark.parametrize("with_credentials", [True, False])
async def test_credentials_are_for_who_needs_them(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch, *, with_credentials: bool
) -> None:
    """What others find in our environment a worker gets only if it is to have it."""
    monkeypatch.setenv("AWS_KEY", "a-secret")
    link = LinkUnderTest(SLOW_PING, with_credentials=with_credentials)
    await link.start(supervisor)
    environment = Path(f"/proc/{link.pid}/environ").read_bytes()  # noqa: ASYNC240 - a test
    assert (b"a-secret" in environment) == with_credentials


async def test_a_killed_worker_comes_back_and_is_told_everything(
    supervisor: Supervisor, logs: MutableSequence[EventDict]
) -> None:
    """The newest spec of each room is applied again, ended rooms are not."""
    link = LinkUnderTest(SLOW_PING)
    await link.start(supervisor)
    for wish in (
        Wish("a", 1),
        Wish("a", 2),
        Wish("b", 1),
        Wish("c", 1),
        Wish("c", 2, is_over=True),
    ):
        await link.apply(wish)
    link.kill()
    await link.lost_once.wait()
    assert not link.is_up
    assert await link.applied() == [{"room": "a", "version": 2}, {"room": "b", "version": 1}]
    assert (link.restarts, reasons(logs)) == (1, ["it died"])


async def test_what_is_applied_while_it_is_away_is_told_later(supervisor: Supervisor) -> None:
    """`apply` succeeds in an outage; calls fail fast; a room that ended meanwhile is forgotten."""
    link = LinkUnderTest(SLOW_PING)
    await link.start(supervisor)
    await link.apply(Wish("over", 1))
    link.kill()
    await link.lost_once.wait()
    with pytest.raises(PlaneUnavailable):
        await link.ask(ANY, "applied")
    await link.apply(Wish("a", 1))
    await link.apply(Wish("over", 2, is_over=True))
    told = await link.applied()
    assert isinstance(told, list)
    assert {"room": "a", "version": 1} in told
    assert link.spec("over") is None


async def test_a_call_in_flight_fails_at_once_when_the_worker_dies(supervisor: Supervisor) -> None:
    """Nobody waits for the timeout."""
    link = LinkUnderTest(SLOW_PING, dies_at="crash")
    await link.start(supervisor)
    with pytest.raises(PlaneUnavailable):
        await link.ask(ANY, "crash")


async def test_a_worker_that_hangs_is_killed(
    supervisor: Supervisor, logs: MutableSequence[EventDict]
) -> None:
    """No answer to a ping: killed, whatever it does about SIGTERM, and started again."""
    link = LinkUnderTest(QUICK, is_stubborn=True)
    await link.start(supervisor)
    link.kill(signal.SIGSTOP)
    await link.lost_once.wait()
    assert await link.applied() == []
    assert reasons(logs) == ["it did not answer for 0.2 s"]


async def test_who_speaks_is_not_asked_whether_it_lives(supervisor: Supervisor) -> None:
    """A call wakes both sides up; only a silent worker gets one for nothing."""
    link = LinkUnderTest(Patience(ping_every_s=0.5), dies_at="ping")
    await link.start(supervisor)
    loop = asyncio.get_running_loop()
    until = loop.time() + 1.2
    while loop.time() < until:
        assert await link.ask(ANY, "applied") == []
    await link.lost_once.wait()


async def test_our_own_standstill_is_not_the_workers(
    supervisor: Supervisor, logs: MutableSequence[EventDict]
) -> None:
    """Whoever asks may itself stand still, on a paused machine: nobody is killed for that."""
    link = LinkUnderTest(QUICK)
    await link.start(supervisor)
    loop = asyncio.get_running_loop()

    def stand_still() -> None:
        until = time.monotonic() + 0.3
        while time.monotonic() < until:
            pass

    for turns in range(6):  # so that a ping is under way at one of them
        for _ in range(turns):
            await asyncio.sleep(0)
        loop.call_soon(stand_still)
        assert await link.applied() == []
    assert (link.restarts, reasons(logs)) == (0, [])


async def test_a_worker_that_cannot_start_says_why(supervisor: Supervisor) -> None:
    """The first start fails with the worker's own sentence."""
    link = LinkUnderTest(SLOW_PING, fails="UDP port 10000 is taken")
    with pytest.raises(SetupMistake, match="UDP port 10000 is taken"):
        await link.start(supervisor)
    assert link.pid is None


@pytest.mark.parametrize(
    ("settings", "ready_s", "sentence"),
    [({"is_mute": True}, 0.3, "did not start within 0.3 s"), ({"dies_at": "apply"}, 30, "died")],
)
async def test_a_worker_that_never_serves_is_a_failed_start(
    supervisor: Supervisor, settings: dict[str, Any], ready_s: float, sentence: str
) -> None:
    """Neither silence nor an early death lets `start` wait for ever."""
    link = LinkUnderTest(Patience(ready_s=ready_s), **settings)
    await link.apply(Wish("a", 1))
    with pytest.raises(SetupMistake, match=sentence):
        await link.start(supervisor)


async def test_a_program_that_is_not_there_is_a_failed_start(supervisor: Supervisor) -> None:
    """The sentence is the system's."""
    link = Link(ChildSpec("fake", "fake", {}, command=["/nowhere/program"]), FORM)
    with pytest.raises(SetupMistake, match="/nowhere/program"):
        await link.start(supervisor)


async def test_one_refused_spec_keeps_no_other_out(supervisor: Supervisor) -> None:
    """A worker that comes up takes what it can; calls go through."""
    link = LinkUnderTest(SLOW_PING, refuses="apply")
    await link.apply(Wish("a", 1))
    await link.apply(Wish("b", 1))
    await link.start(supervisor)
    assert await link.applied() == [{"room": "a", "version": 1}, {"room": "b", "version": 1}]


async def test_the_last_words_of_a_worker_are_logged(
    supervisor: Supervisor, logs: MutableSequence[EventDict]
) -> None:
    """What it wrote before it died stands in our log."""
    link = LinkUnderTest(SLOW_PING, says=["Fatal: no luck"], fails="no luck")
    with pytest.raises(SetupMistake):
        await link.start(supervisor)
    assert [entry["line"] for entry in logs if entry["event"] == "worker_said"] == [
        "Fatal: no luck"
    ]


async def test_closing_ends_a_stubborn_worker(supervisor: Supervisor) -> None:
    """SIGTERM ignored, socket ignored: SIGKILL, and the process is reaped."""
    link = LinkUnderTest(QUICK, is_stubborn=True)
    await link.start(supervisor)
    pid = link.pid
    assert pid is not None
    await link.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(PlaneUnavailable):
        await link.ask(ANY, "applied")
