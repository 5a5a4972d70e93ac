"""The containers of the classic playlist as FFmpeg and GStreamer read them."""

import itertools
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hls.core import adts, mpegts
from hls.core.fmp4 import AacFormat
from hls.core.playlist import Entry, Window, classic
from hls.core.timeline import AAC_SAMPLES, SEGMENT_FRAMES
from hls.encoder import AacEncoder
from hls.encryption import encrypt
from tests.hls.listener import KEY

pytestmark = pytest.mark.e2e

SEGMENTS = 3
FIRST = 5  # their numbers begin here


@pytest.fixture(scope="module")
def sound() -> tuple[AacFormat, list[list[bytes]]]:
    """A tone as segments of AAC frames."""
    encoder = AacEncoder(96_000)
    samples = np.arange(SEGMENTS * SEGMENT_FRAMES * AAC_SAMPLES)
    tone = (8000 * np.sin(2 * np.pi * 440 * samples / 48_000)).astype(np.int16)
    frames = [encoder.encode(part) for part in np.split(tone, SEGMENTS * SEGMENT_FRAMES)]
    cut = [frames[n : n + SEGMENT_FRAMES] for n in range(0, len(frames), SEGMENT_FRAMES)]
    return encoder.format, cut


def probe(path: Path, level: str = "warning") -> tuple[dict[str, Any], list[int]]:
    """Return FFprobe's view: the stream, and every packet's time; nothing may be reported."""
    command = ["ffprobe", "-v", level, "-show_packets", "-show_streams", "-of", "json"]
    command += ["-allowed_extensions", "ALL"] if path.suffix == ".m3u8" else []
    done = subprocess.run([*command, path], capture_output=True, check=True)
    assert not done.stderr
    found = json.loads(done.stdout)
    return found["streams"][0], [packet["pts"] for packet in found["packets"]]


def gstreamer(path: Path, *elements: str) -> bytes:
    """Return the bare AAC frames that GStreamer takes out of a file."""
    raw = path.with_suffix(".raw")
    command = ["gst-launch-1.0", "-q", "filesrc", f"location={path}"]
    for element in (*elements, "aacparse", "audio/mpeg,stream-format=raw"):
        command += ["!", element]
    command += ["!", "filesink", f"location={raw}"]
    subprocess.run(command, check=True, capture_output=True)
    return raw.read_bytes()


def test_transport_stream(tmp_path: Path, sound: tuple[AacFormat, list[list[bytes]]]) -> None:
    """Segments one after the other are one faultless stream, and each is one for itself."""
    audio, cut = sound
    segments = [
        mpegts.segment(audio, n, n * SEGMENT_FRAMES * AAC_SAMPLES, frames)
        for n, frames in enumerate(cut, FIRST)
    ]
    (tmp_path / "all.ts").write_bytes(b"".join(segments))
    (tmp_path / "one.ts").write_bytes(segments[1])
    stream, times = probe(tmp_path / "all.ts")
    assert (stream["codec_name"], stream["profile"], stream["channels"]) == ("aac", "LC", 1)
    begin, end = FIRST * 172_800, (FIRST + SEGMENTS) * 172_800
    assert times == list(range(begin, end, 1920))
    assert probe(tmp_path / "one.ts")[1] == list(range(begin + 172_800, begin + 345_600, 1920))
    assert gstreamer(tmp_path / "one.ts", "tsdemux") == b"".join(cut[1])


def test_packed_audio(tmp_path: Path, sound: tuple[AacFormat, list[list[bytes]]]) -> None:
    """A segment of packed audio is AAC of the right length, behind a tag that readers skip."""
    audio, cut = sound
    path = tmp_path / "one.aac"
    path.write_bytes(adts.segment(audio, FIRST * SEGMENT_FRAMES * AAC_SAMPLES, cut[0]))
    stream, times = probe(path, "error")  # it warns that it must guess how long the file is
    assert (stream["codec_name"], stream["profile"], stream["channels"]) == ("aac", "LC", 1)
    assert len(times) == SEGMENT_FRAMES
    assert gstreamer(path, "id3demux") == b"".join(cut[0])


def test_wrapped_clock(tmp_path: Path, sound: tuple[AacFormat, list[list[bytes]]]) -> None:
    """A stream on the air for 26.5 hours goes on over the end of its clock."""
    audio, cut = sound
    last = 2**33 // 172_800
    segments = [
        mpegts.segment(audio, n, n * SEGMENT_FRAMES * AAC_SAMPLES, frames)
        for n, frames in enumerate(cut, last)
    ]
    path = tmp_path / "wrap.ts"
    path.write_bytes(b"".join(segments))
    _, times = probe(path)
    assert {later - earlier for earlier, later in itertools.pairwise(times)} == {1920}


@pytest.mark.parametrize(
    ("container", "write"),
    [
        (
            "ts",
            lambda audio, n, frames: mpegts.segment(audio, n, n * 92_160, frames),
        ),
        ("aac", lambda audio, n, frames: adts.segment(audio, n * 92_160, frames)),
    ],
)
def test_encrypted_playlist(
    tmp_path: Path,
    sound: tuple[AacFormat, list[list[bytes]]],
    container: str,
    write: Callable[[AacFormat, int, list[bytes]], bytes],
) -> None:
    """FFmpeg plays the encrypted playlist of either container at the stream's own time."""
    audio, cut = sound
    entries = []
    for n, frames in enumerate(cut, FIRST):
        name = f"seg-{n}.{container}"
        (tmp_path / name).write_bytes(encrypt(KEY.key, KEY.iv, write(audio, n, frames)))
        entries.append(Entry(n, name, "", KEY, 1_700_000_000 + n * 1.92))
    (tmp_path / KEY.uri).write_bytes(KEY.key)
    path = tmp_path / "stream.m3u8"
    path.write_text(classic(Window(tuple(entries), is_ended=True)))
    stream, times = probe(path, "error")
    assert stream["codec_name"] == "aac"
    expected = range(FIRST * 172_800, (FIRST + SEGMENTS) * 172_800, 1920)
    assert len(times) == len(expected)
    assert times[0] == expected[0]
    assert times[3:] == list(expected[3:])  # it times what it probed, three frames, by itself
