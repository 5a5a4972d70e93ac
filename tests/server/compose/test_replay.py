"""`roomtone replay`, on recordings made in memory."""

import re
import subprocess
import wave
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from mixer.core.recording import Header, Tick, write_header, write_record
from server.compose import cli
from server.compose.mistakes import EXIT_MISTAKE
from server.media.child import program
from tests.mixer.room.test_replay import Shelf, eventful
from tests.support.webrtc_client import level_db


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A call of 13 s with losses, mutes, a restart and people who come and go."""
    shelf = Shelf()
    eventful(shelf)
    path = tmp_path_factory.mktemp("replay") / "hall-1.arrivals"
    path.write_bytes(shelf.files["call"])
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["replay", *map(str, arguments)])


def digest(text: str) -> str:
    found = re.search(r"^digest +([0-9a-f]{64})$", text, re.MULTILINE)
    assert found is not None, text
    return found[1]


def test_it_prints_a_table(recording: Path) -> None:
    """Everybody with their packets, and whether it is what was sent."""
    result = run(recording)
    assert result.exit_code == 0, result.output
    assert re.search(r"^ann +\d+", result.output, re.MULTILINE)
    assert "concealed" in result.output
    assert "late" in result.output
    assert "yes, bit for bit" in result.output


@pytest.mark.slow
def test_two_processes_agree_and_other_settings_do_not(recording: Path) -> None:
    """Equal settings, equal digest; another least depth of the jitter buffers, another table."""

    def in_a_process(*options: str) -> str:
        command = [*program(), "replay", str(recording), *options]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    first, second, other = (in_a_process(), in_a_process(), in_a_process("--jitter-min", "6"))
    assert first == second
    assert digest(first) != digest(other)
    assert "no: other settings" in other


def test_it_writes_what_was_heard(recording: Path, tmp_path: Path) -> None:
    """The mix, and each person's own, as long as the call; nobody hears themselves."""
    result = run(recording, "--mix", tmp_path / "mix.wav", "--per-person", tmp_path / "people")
    assert result.exit_code == 0, result.output
    names = sorted(path.name for path in (tmp_path / "people").iterdir())
    assert names == ["01-ann.wav", "02-bob.wav", "03-cyd.wav", "04-bob.wav"]
    mix, ann = read(tmp_path / "mix.wav"), read(tmp_path / "people" / "01-ann.wav")
    talk = slice(48_000, 3 * 48_000)
    assert min(level_db(mix[talk], 440), level_db(mix[talk], 1000)) > -14
    assert level_db(ann[talk], 1000) > -14
    assert level_db(ann[talk], 440) < -40


def read(path: Path) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"RIFF", "no recording"),
        (write_header(Header("room")), "not one tick"),
        (write_header(Header("room")) + b"\x09\x00\x00\x00\x00", "damaged at record 0"),
        (write_header(Header("room")) + 2 * write_record(Tick(5, 1.0)), "from tick 5 to 5"),
    ],
)
def test_a_wrong_file_gets_a_sentence(tmp_path: Path, content: bytes, words: str) -> None:
    """And status 2."""
    path = tmp_path / "wrong"
    path.write_bytes(content)
    result = run(path)
    assert result.exit_code == EXIT_MISTAKE
    assert words in result.output
    assert "Traceback" not in result.output


def test_a_missing_file_gets_a_sentence(tmp_path: Path) -> None:
    """As do folders that cannot be written to."""
    result = run(tmp_path / "nowhere")
    assert (result.exit_code, "No such file" in result.output) == (EXIT_MISTAKE, True)


def test_a_recording_without_a_digest_says_so(tmp_path: Path) -> None:
    """It ended before the first second was over."""
    path = tmp_path / "short"
    path.write_bytes(write_header(Header("room")) + write_record(Tick(5, 1.0)))
    result = run(path)
    assert result.exit_code == 0
    assert "unknown" in result.output


def test_silence_between_far_ticks_is_cut(tmp_path: Path) -> None:
    """A machine that slept for hours makes no file of hours."""
    path = tmp_path / "slept"
    records = (Tick(5, 1.0), Tick(5 + 50 * 3600, 3601.0))
    path.write_bytes(write_header(Header("room")) + b"".join(map(write_record, records)))
    assert run(path, "--mix", tmp_path / "mix.wav").exit_code == 0
    assert len(read(tmp_path / "mix.wav")) < 61 * 48_000


def test_the_help_says_whose_voice_it_is() -> None:
    """A recording is personal data."""
    assert "personal data" in run("--help").output
    served = CliRunner().invoke(cli, ["serve", "--help"]).output
    assert "ask them first" in " ".join(served.split())
