"""Files in processes of their own: formats, harm, limits, and how they end."""

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs

from server.errors import SoundRefused
from server.media.decoder_process import DecoderProcess, DecoderProcesses
from server.supervise import Supervisor
from tests.support import sounds
from tests.support.webrtc_client import Pcm, level_db

pytestmark = pytest.mark.slow  # starts real processes

# A decoder that says what it likes, in the place of ours.
LIAR = """
import json, signal, socket, struct, sys, time
control = socket.socket(fileno=json.loads(sys.argv[3])["control_fd"])
def say(kind, body): control.sendall(struct.pack(">IB", len(body), kind) + body)
def tell(method, **params):
    say(1, json.dumps({"jsonrpc": "2.0", "method": method, "params": params}).encode())
"""


@pytest.fixture
async def decoders() -> AsyncIterator[DecoderProcesses]:
    """Owner of the processes."""
    with capture_logs():
        async with Supervisor() as root:
            yield DecoderProcesses(root)


async def opened(
    decoders: DecoderProcesses, data: bytes, *, is_looped: bool = False
) -> DecoderProcess:
    """Open bytes as a file without a name."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        return await decoders.open(file.fileno(), is_looped=is_looped)


async def read_all(decoding: DecoderProcess) -> Pcm:
    """Return everything, and end it."""
    chunks = []
    try:
        while chunk := await decoding.read():
            chunks.append(chunk)
    finally:
        await decoding.close()
    return np.frombuffer(b"".join(chunks), "<i2").astype(np.int16)


def liar(decoders: DecoderProcesses, says: str) -> None:
    """Have another program decode."""
    decoders._command = [sys.executable, "-c", LIAR + says]


@pytest.mark.parametrize("name", sounds.FORMATS)
async def test_formats(decoders: DecoderProcesses, name: str) -> None:
    """What people have: as long as it was, as loud, at the same pitch."""
    decoding = await opened(decoders, sounds.encoded(name, 2.0))
    assert decoding.length_s == pytest.approx(2.0, abs=0.1)
    pcm = await read_all(decoding)
    assert len(pcm) % 960 == 0
    assert len(pcm) / 48_000 == pytest.approx(2.0, abs=0.1)
    assert level_db(pcm[24_000:72_000], 1000) == pytest.approx(-10.5, abs=0.5)


@pytest.mark.parametrize("name", sounds.HOSTILE)
async def test_what_is_no_sound_is_refused(decoders: DecoderProcesses, name: str) -> None:
    """With a sentence, and no process is left; a playlist opens nothing."""
    with pytest.raises(SoundRefused, match=r"sound|decode"):
        await opened(decoders, sounds.HOSTILE[name])
    assert not children()


async def test_a_file_that_claims_hours(decoders: DecoderProcesses) -> None:
    """It plays what it has; the claim is a number and nothing else."""
    decoding = await opened(decoders, sounds.endless_wav())
    assert len(await read_all(decoding)) == pytest.approx(48_000, abs=2000)


async def test_a_small_file_of_many_hours(decoders: DecoderProcesses) -> None:
    """It is decoded as fast as it is heard, in bounded memory."""
    decoding = await opened(decoders, sounds.bomb())
    assert decoding.length_s == pytest.approx(24_000)
    for _ in range(100):
        assert len(await decoding.read()) == 5 * 1920
    status = Path(f"/proc/{decoding.pid}/status").read_text(encoding="ascii")  # noqa: ASYNC240 - a test
    assert int(status.split("VmHWM:")[1].split()[0]) < 600_000
    await decoding.close()


@pytest.mark.parametrize("name", sounds.FORMATS)
async def test_a_damaged_file(decoders: DecoderProcesses, name: str) -> None:
    """It plays what can be played, or is refused; seed 7."""
    try:
        pcm = await read_all(await opened(decoders, sounds.damaged(name, 7)))
    except SoundRefused:
        return
    assert len(pcm) <= 48_000 * 60


async def test_half_a_file(decoders: DecoderProcesses) -> None:
    """It plays to where it was cut."""
    whole = sounds.encoded("tone.mp3", 2.0)
    pcm = await read_all(await opened(decoders, whole[: len(whole) // 2]))
    assert len(pcm) / 48_000 == pytest.approx(1.0, abs=0.2)


async def test_a_loop_waits_for_its_reader(decoders: DecoderProcesses) -> None:
    """It goes on for ever, and no further ahead than the socket holds."""
    decoding = await opened(decoders, sounds.wav(0.2), is_looped=True)
    count = 0
    while count < 100:
        count += len(await decoding.read()) // 1920
    before_s = cpu_s(decoding.pid)
    await asyncio.sleep(0.3)  # sleep: a process that waits is seen by what it does not do
    assert cpu_s(decoding.pid) - before_s < 0.1
    await decoding.close()
    assert not children()


async def test_it_may_not_write_and_yields(
    decoders: DecoderProcesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limits are those of the process, not of a promise; nobody's credentials are in it."""
    monkeypatch.setenv("AWS_KEY", "a-secret")
    decoding = await opened(decoders, sounds.wav(0.2), is_looped=True)
    limits = Path(f"/proc/{decoding.pid}/limits").read_text(encoding="ascii")  # noqa: ASYNC240 - a test
    rows = {line[:26].strip(): line[26:].split() for line in limits.splitlines()}
    assert rows["Max file size"][:2] == ["0", "0"]
    assert rows["Max address space"][:2] == [str(1 << 30)] * 2
    assert rows["Max cpu time"][:2] == ["600", "600"]
    own = os.getpriority(os.PRIO_PROCESS, 0)
    assert os.getpriority(os.PRIO_PROCESS, decoding.pid) == min(19, own + 10)
    assert b"a-secret" not in Path(f"/proc/{decoding.pid}/environ").read_bytes()  # noqa: ASYNC240 - a test
    await decoding.close()


@pytest.mark.parametrize(
    ("number", "match"),
    [
        (signal.SIGSEGV, "broke on this file"),
        (signal.SIGALRM, "too long to decode"),
        (signal.SIGXCPU, "computing time"),
    ],
)
async def test_a_decoder_that_dies(
    decoders: DecoderProcesses, number: signal.Signals, match: str
) -> None:
    """What it had sent can be read, then the reason is told."""
    decoding = await opened(decoders, sounds.wav(0.2), is_looped=True)
    os.kill(decoding.pid, number)
    with pytest.raises(SoundRefused, match=match):
        await read_all(decoding)


@pytest.mark.parametrize(
    "says",
    [
        "say(5, bytes(1920))",  # before it opened
        "say(9, b'')",
        "say(1, b'{')",
        "say(1, b'[]')",
        """say(1, b'{"jsonrpc":"2.0","id":1,"result":1}')""",
        "control.sendall(b'\\xff' * 5000)",
        "tell('opened', seconds=-1); say(5, bytes(1919))",
        "tell('opened', seconds=1e300); say(5, b'')",
        "tell('opened', seconds='x'); say(5, bytes(6 * 1920))",
        "tell('opened'); tell('opened')",
        "tell('opened'); say(1, b'x' * 5000)",
        "tell('opened'); say(5, bytes(1920)); control.sendall(bytes(3))",
    ],
)
async def test_a_decoder_that_was_taken_over(decoders: DecoderProcesses, says: str) -> None:
    """Whatever it says: its own announcement fails."""
    liar(decoders, says)

    async def play() -> None:
        decoding = await opened(decoders, b"x")
        assert decoding.length_s is None
        await read_all(decoding)

    with pytest.raises(SoundRefused):
        await play()
    assert not children()


async def test_a_decoder_that_says_nothing(
    decoders: DecoderProcesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is given up after its time, and ended."""
    monkeypatch.setattr("server.media.decoder_process.OPEN_S", 0.3)
    liar(decoders, "time.sleep(60)")
    with pytest.raises(SoundRefused, match="too long"):
        await opened(decoders, b"x")
    assert not children()


async def test_a_decoder_that_cannot_be_started(decoders: DecoderProcesses) -> None:
    """The reason is told."""
    decoders._command = ["/nowhere/at/all"]
    with pytest.raises(SoundRefused, match="No such file"):
        await opened(decoders, b"x")


def children() -> list[int]:
    """Return the decoders that this process has."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(entry.read_text().rpartition(")")[2].split()[1])
            command = (entry.parent / "cmdline").read_text().split("\0")
        except (OSError, ValueError):
            continue
        if parent == os.getpid() and "decoder" in command:
            found.append(int(entry.parent.name))
    return found


def cpu_s(pid: int) -> float:
    """Return the seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
