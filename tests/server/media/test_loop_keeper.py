"""Hold music made in processes of their own: for whom, how often, and what becomes of bad files."""

import os
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from hls.pipeline import Broadcaster
from hls.types import BroadcastSpec, PlaylistKind
from server.media import loop_keeper
from server.media.loop_keeper import LoopKeeper
from server.media.loop_worker import REFUSED
from tests.hls.listener import decode, decrypt, level_db, read, spec
from tests.support import sounds

pytestmark = pytest.mark.slow  # starts real processes

BASE = 1000
# A process that says what it likes, in the place of ours.
LIAR = """
import array, fcntl, json, os, sys, termios, time
fd = json.loads(sys.argv[3])["loop_fd"]
def tell(text): os.write(1, text.encode())
def wait_read():
    left = array.array("i", [1])
    while left[0]:
        fcntl.ioctl(1, termios.FIONREAD, left)
        time.sleep(0.001)  # sleep: polls whether the pipe was read
"""


class House:
    """A broadcaster with its keeper, and a folder of sounds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.broadcaster = Broadcaster()
        self.now = BASE + 500
        self.keeper = LoopKeeper(self.broadcaster, folder, lambda: self.now)

    def on_air(self, hold: str, version: int = 1, room: str = "blue") -> None:
        """Have a room play a file of the folder."""
        wanted: BroadcastSpec = replace(
            spec(room, version=version), hold=str(self.folder / hold), loudness_lufs=-16.0
        )
        self.broadcaster.apply(wanted, self.now)

    def level(self, room: str = "blue") -> float:
        """Return how loud a room is some seconds later."""
        self.now += 500
        playlist = read(self.broadcaster.playlist(room, "", PlaylistKind.CLASSIC, self.now))
        init = self.broadcaster.fetch(room, "", playlist.init, self.now)
        assert init is not None
        data = self.broadcaster.fetch(room, "", playlist.names[-1], self.now)
        return level_db(decode(init, [decrypt(data)]))

    @property
    def counts(self) -> tuple[int, int]:
        """How many were made, and failed."""
        counters = self.keeper.counters
        return counters["hold_loops_made"], counters["hold_loops_failed"]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """Without anything in it."""
    with capture_logs() as logs:
        yield House(tmp_path)
    assert not [line for line in logs if line["log_level"] == "error"]


async def test_a_file_becomes_music(house: House) -> None:
    """Once for all rooms, at the loudness of the broadcast; nothing is left on disk."""
    (house.folder / "a.wav").write_bytes(sounds.wav(1.0, amplitude=0.02))
    house.on_air("a.wav")
    house.on_air("a.wav", room="red")
    await house.keeper.work()
    await house.keeper.work()
    assert house.counts == (1, 0)
    assert house.level() == pytest.approx(-16, abs=1.5)
    assert house.level("red") == pytest.approx(-16, abs=1.5)
    assert sorted(path.name for path in house.folder.iterdir()) == ["a.wav"]


async def test_a_file_that_is_replaced(house: House) -> None:
    """It is made anew; one that goes away sounds on."""
    path = house.folder / "a.wav"
    path.write_bytes(sounds.wav(1.0))
    house.on_air("a.wav")
    await house.keeper.work()
    path.write_bytes(sounds.wav(2.0))
    await house.keeper.work()
    assert house.counts == (2, 0)
    path.unlink()
    await house.keeper.work()
    assert house.counts == (2, 0)
    assert house.level() == pytest.approx(-16, abs=1.5)


@pytest.mark.parametrize("name", ["noise", "short", "folder", "pipe", "none"])
async def test_what_cannot_be_played_is_silence(house: House, name: str) -> None:
    """Counted, and said in the log with the reason."""
    path = house.folder / "a.wav"
    if name == "folder":
        path.mkdir()
    elif name == "pipe":
        os.mkfifo(path)
    elif name != "none":
        path.write_bytes(sounds.wav(0.3) if name == "short" else sounds.HOSTILE[name])
    house.on_air("a.wav")
    with capture_logs() as logs:
        await house.keeper.work()
        await house.keeper.work()
    assert house.counts == (0, 1)
    (told,) = [line for line in logs if line["event"] == "hold_music_failed"]
    assert told["file"] == "a.wav"
    assert told["reason"].endswith(".")
    assert house.level() < -90


async def test_it_is_tried_again(house: House) -> None:
    """After a minute, and at once when it is another file; the log is not filled with it."""
    path = house.folder / "a.wav"
    house.on_air("a.wav")
    with capture_logs() as logs:
        await house.keeper.work()
        await house.keeper.work(tries_again=True)
        path.write_bytes(sounds.wav(1.0))
        await house.keeper.work()
    assert house.counts == (1, 2)
    assert [line["event"] for line in logs] == ["hold_music_failed", "hold_music_made"]
    assert house.level() == pytest.approx(-16, abs=1.5)


@pytest.mark.parametrize(
    ("says", "reason"),
    [
        (f"print('Nothing.', end=''); sys.exit({REFUSED})", "Nothing."),
        (f"tell('Not '); wait_read(); tell('a sound.'); sys.exit({REFUSED})", "Not a sound."),
        (f"tell('a' * 400); sys.exit({REFUSED})", "a" * 300),
        (f"tell(','.join(os.environ.keys() & {{'AWS_KEY', 'HOME'}})); sys.exit({REFUSED})", "HOME"),
        ("os.kill(os.getpid(), 14)", "It takes too long to decode."),
        ("os.kill(os.getpid(), 9)", "It takes more computing time than hold music may."),
        ("sys.exit(1)", "The decoder broke on this file (status 1)."),
        ("os.write(fd, b'x' * 5000)", "What was made of the sound file cannot be read."),
        ("", "What was made of the sound file cannot be read."),
    ],
)
async def test_a_process_that_goes_wrong(
    house: House, monkeypatch: pytest.MonkeyPatch, says: str, reason: str
) -> None:
    """Whatever it does or says, in pieces too, is no more than a file that cannot be played."""
    monkeypatch.setenv("AWS_KEY", "secret")
    (house.folder / "a.wav").write_bytes(sounds.wav(1.0))
    house.keeper._command = [sys.executable, "-c", LIAR + says]
    house.on_air("a.wav")
    with capture_logs() as logs:
        await house.keeper.work()
    assert [line["reason"] for line in logs] == [reason]
    assert house.counts == (0, 1)


async def test_a_process_that_says_no_end(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not listened to for ever, and ends."""
    monkeypatch.setattr(loop_keeper, "MAKE_S", 0.5)
    (house.folder / "a.wav").write_bytes(sounds.wav(1.0))
    house.keeper._command = [sys.executable, "-c", LIAR + "while True: tell('a' * 4096)"]
    house.on_air("a.wav")
    with capture_logs() as logs:
        await house.keeper.work()
    assert [line["reason"] for line in logs] == ["It takes too long to decode."]
