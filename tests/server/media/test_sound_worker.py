"""The inside of a process that is fed with a room's sound, on a socket pair in this one."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from hls.core.fmp4 import AacFormat
from hls.core.soundpart import SoundPart
from server.media import wire
from server.media.sound_process import WorkerSoundProcesses, _sentence
from server.media.sound_worker import Feeding
from server.rpc.codec import Notification, encode
from server.rpc.framing import FrameKind, FrameReader, frame_head
from server.supervise import Supervisor

PART = SoundPart(AacFormat(b"\x11\x88", 1, 128_000), (b"one", b"two"), b"silent")
ORDER = {
    "address": "192.0.2.1",
    "host": "live.example",
    "port": 1935,
    "tls": False,
    "app": "app",
    "key": "a-secret-key",
    "base": "rtmp://live.example/app",
}


@pytest.fixture
def line() -> Iterator[tuple[Feeding, socket.socket]]:
    """The process's end of the line, and the control process's."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Feeding(theirs), ours


def send(ours: socket.socket, kind: FrameKind, body: bytes) -> None:
    ours.sendall(frame_head(kind, len(body)) + body)


def order(ours: socket.socket, params: dict[str, object]) -> None:
    send(ours, FrameKind.JSON, encode(Notification("publish", params)).encode())


def test_an_order_then_parts(line: tuple[Feeding, socket.socket]) -> None:
    """The order comes first, then parts with the numbers of their frames, until nobody is there."""
    feeding, ours = line
    order(ours, ORDER)
    for first in (0, 2, 2**40):
        send(ours, FrameKind.SOUND, wire.part_body(first, PART))
    ours.shutdown(socket.SHUT_WR)
    assert feeding.order(wire.Publish).model_dump() == ORDER
    assert list(feeding.parts()) == [(0, PART), (2, PART), (2**40, PART)]


def test_no_order(line: tuple[Feeding, socket.socket]) -> None:
    """A control process that is gone before it said anything is no error."""
    feeding, ours = line
    ours.close()
    with pytest.raises(SystemExit) as over:
        feeding.order(wire.Publish)
    assert over.value.code == 0


def test_a_foul_order(line: tuple[Feeding, socket.socket]) -> None:
    """It ends the process with a sentence in which nothing of the order is."""
    feeding, ours = line
    order(ours, ORDER | {"port": 0})
    with pytest.raises(SystemExit) as over:
        feeding.order(wire.Publish)
    assert over.value.code == "the order cannot be read"


@pytest.mark.parametrize("body", [b"", b"\0" * 8, wire.part_body(1, PART)[:-1]])
def test_a_foul_part(line: tuple[Feeding, socket.socket], body: bytes) -> None:
    """What is no part is refused as such."""
    feeding, ours = line
    send(ours, FrameKind.SOUND, body)
    with pytest.raises(wire.WireError):
        next(feeding.parts())


def test_answers(line: tuple[Feeding, socket.socket]) -> None:
    """What was made goes back as it is; why it does not go on, as a sentence."""
    feeding, ours = line
    feeding.answer(b"mp3")
    feeding.fail("It was refused")
    blob, said = FrameReader().feed(ours.recv(65_536))
    assert (blob.kind, blob.body) == (FrameKind.BLOB, b"mp3")
    assert said.kind is FrameKind.JSON
    assert _sentence(said.body) == "It was refused"


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (b"rubbish", "Its process said what it should not"),
        (json.dumps({"jsonrpc": "2.0", "method": "other"}).encode(), "Its process said what"),
        (encode(Notification("failed", {"sentence": "x" * 999})).encode(), "x" * 300),
    ],
)
def test_last_words(said: bytes, sentence: str) -> None:
    """They are a sentence of bounded length, whatever the process says."""
    told = _sentence(said)
    assert told.startswith(sentence)
    assert len(told) <= 300


@pytest.mark.slow  # starts a real process
async def test_nobody_elses_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """It speaks with strangers: what stands in our environment is not for it."""
    monkeypatch.setenv("AWS_KEY", "a-secret")
    async with Supervisor() as root:
        process = await WorkerSoundProcesses(root).encoder()
        environment = Path(f"/proc/{process.pid}/environ").read_bytes()  # noqa: ASYNC240 - a test
        await process.close()
    assert b"PATH=" in environment
    assert b"a-secret" not in environment
