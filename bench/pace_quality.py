"""`python -m bench.pace_quality`: a frame won or gained by pace, against one dropped or made up.

Three seconds of coded speech around each voiced place of four voices are scored (PESQ-WB). PESQ
lines an utterance up as a whole: whoever changes the pace within one is marked down for where the
rest of it lies, however it sounds. Two columns tell that share from what is heard:

- the same change by tools that may take their time (SoX, FFmpeg and Rubber Band, as far as they are
  installed) tells what the method of scoring leaves to anybody;
- in *undone* each seam is there and the time is given back right behind it, by another seam, so
  that nothing but the seams is scored: what is heard of them is half of what is missing.
"""

import shutil
import subprocess
import tempfile
import wave
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from bench import speech_score
from bench.material import SPEECH
from mixer.core.stretch import FADE, SLOW_PERIOD, lengthen, shorten
from mixer.opus import Application, Decoder, Encoder
from mixer.types import FRAME_SAMPLES, SAMPLE_RATE, Int16Frame

VOICES = ("en-us", "en-us+f3", "en-gb+m7", "en-gb-scotland+f2")
AROUND = 75  # frames before and after
EVERY = 9
VOICED_RMS = 1500.0
RATIO = 2 * AROUND / (2 * AROUND - 1)  # what wins 20 ms in all of them
SPAN = 10 * FRAME_SAMPLES  # in which a tool that can be told where wins them

# Each reads `in.wav` of its folder and writes `out.wav`.
TOOLS = {
    "SoX tempo -s": ("sox", "-D", "in.wav", "out.wav", "tempo", "-s", f"{RATIO}"),
    "FFmpeg atempo": ("ffmpeg", "-i", "in.wav", "-af", f"atempo={RATIO}", "out.wav"),
    "Rubber Band R2": ("rubberband", "-2", f"-T{RATIO}", "in.wav", "out.wav"),
    "Rubber Band R3": ("rubberband", "-3", f"-T{RATIO}", "in.wav", "out.wav"),
    "Rubber Band R3, there": ("rubberband", "-3", f"-T{RATIO}", "-Mmap", "in.wav", "out.wav"),
}

Change = Callable[[Int16Frame, Int16Frame, int], Int16Frame]
"""Of (what was played, what is to be, how many samples at most) to what is to be then."""


def spoken(voice: str) -> Int16Frame:
    """Return some sentences in one of espeak-ng's voices, in whole frames."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["espeak-ng", "-v", voice, "-w", "in.wav", SPEECH], cwd=folder, check=True)
        command = ["sox", "-D", "in.wav", "-r", str(SAMPLE_RATE), "out.wav", "gain", "-n", "-6"]
        subprocess.run(command, cwd=folder, check=True)
        pcm = _read(Path(folder) / "out.wav")
    return pcm[: len(pcm) // FRAME_SAMPLES * FRAME_SAMPLES]


def encoded(pcm: Int16Frame) -> list[bytes]:
    """Return the packets a browser sends of it."""
    encoder = Encoder(application=Application.VOIP, bitrate_bps=32_000, complexity=9)
    encoder.set_fec(enabled=True)
    return [encoder.encode(frame) for frame in pcm.reshape(-1, FRAME_SAMPLES)]


def decoded(
    packets: Sequence[bytes], *, first: int = 0, drop: int = -1, conceal: int = -1
) -> Int16Frame:
    """Return what is heard from packet `first` on, one of them dropped or a frame made up."""
    decoder = Decoder()
    frames = []
    for number, packet in enumerate(packets):
        if number == conceal:
            frames.append(decoder.conceal())
        if number != drop:
            frames.append(decoder.decode(packet))
    return np.concatenate(frames[first:])


def sped_up(pcm: Int16Frame, at: int) -> Int16Frame:
    """Return `pcm` shorter by a frame, or nearly, from sample `at` on."""
    ahead, pending, rest = pcm[:at], pcm[at : at + FRAME_SAMPLES], pcm[at + FRAME_SAMPLES :]
    surplus, played = FRAME_SAMPLES, [ahead]
    for frame in rest.reshape(-1, FRAME_SAMPLES):
        whole = np.concatenate((pending, frame))
        pending = shorten(whole, surplus)
        surplus -= len(whole) - len(pending)
        played.append(pending[:FRAME_SAMPLES])
        pending = pending[FRAME_SAMPLES:]
    return np.concatenate((*played, pending))


def slowed_down(pcm: Int16Frame, at: int) -> Int16Frame:
    """Return `pcm` longer by at least a frame from sample `at` on."""
    played = [pcm[:at]]
    gained = 0
    for frame in pcm[at:].reshape(-1, FRAME_SAMPLES):
        longer = frame
        if gained < FRAME_SAMPLES:
            longer = lengthen(played[-1], frame, max(FRAME_SAMPLES - gained, SLOW_PERIOD))
        gained += len(longer) - FRAME_SAMPLES
        played.append(longer)
    return np.concatenate(played)


def undone(pcm: Int16Frame, at: int, change: Change) -> Int16Frame:
    """Return `pcm` with the seams of a frame won or gained by `change`, each taken back at once."""
    made = pcm.copy()
    left = FRAME_SAMPLES
    ramp = (np.arange(FADE) + 0.5) / FADE
    while left > 0 and at + 3 * FRAME_SAMPLES <= len(pcm):
        part = pcm[at : at + 2 * FRAME_SAMPLES]
        changed = change(pcm[:at], part, left)
        won = len(part) - len(changed)
        left -= abs(won)
        if won:
            common = min(len(part), len(changed))
            unlike = np.flatnonzero(changed[-common:][::-1] != part[-common:][::-1])
            end = len(changed) - (int(unlike[0]) if len(unlike) else common)  # of the seam
            made[at : at + end] = changed[:end]
            old = pcm[at + end + won :][:FADE].astype(np.float64)
            back = old + (pcm[at + end :][:FADE] - old) * ramp
            made[at + end :][:FADE] = np.rint(back)
            at += FRAME_SAMPLES
        at += FRAME_SAMPLES
    return made


def by_tools(pcm: Int16Frame, at: int) -> Iterator[tuple[str, Int16Frame]]:
    """Yield what each tool that is installed makes of `pcm`, a frame shorter."""
    points = (
        (at, at),
        (at + SPAN, at + SPAN - FRAME_SAMPLES),
        (len(pcm), len(pcm) - FRAME_SAMPLES),
    )
    for name, command in TOOLS.items():
        if shutil.which(command[0]) is None:
            continue
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "map").write_text("".join(f"{was} {is_}\n" for was, is_ in points))
            with wave.open(f"{folder}/in.wav", "wb") as file:
                file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
                file.writeframes(pcm.tobytes())
            subprocess.run(command, cwd=folder, check=True, capture_output=True)
            yield name, _read(Path(folder) / "out.wav")


def heard(packets: Sequence[bytes], at: int) -> Iterator[tuple[str, Int16Frame]]:
    """Yield each way of hearing the packets around number `at`."""
    first, packets = at - AROUND, packets[: at + AROUND]
    whole, middle = decoded(packets, first=first), AROUND * FRAME_SAMPLES
    yield "as it is", whole
    yield from by_tools(whole, middle)
    yield "sped up", sped_up(whole, middle)
    yield "sped up, undone", undone(whole, middle, lambda _, pcm, most: shorten(pcm, most))
    yield "packet dropped", decoded(packets, first=first, drop=at)
    yield "slowed down", slowed_down(whole, middle)
    yield (
        "slowed down, undone",
        undone(whole, middle, lengthen),
    )
    yield "frame made up", decoded(packets, first=first, conceal=at)


def places(pcm: Int16Frame) -> Iterable[int]:
    """Return the numbers of some voiced frames."""
    frames = pcm.reshape(-1, FRAME_SAMPLES)
    loud = np.sqrt(np.mean(frames.astype(float) ** 2, axis=1)) >= VOICED_RMS
    return [at for at in range(AROUND + 5, len(frames) - AROUND, EVERY) if loud[at]]


def run() -> None:
    """Measure and print a table."""
    scores: dict[str, list[float]] = {}
    for voice in VOICES:
        pcm = spoken(voice)
        packets = encoded(pcm)
        for at in places(pcm):
            reference = pcm[(at - AROUND) * FRAME_SAMPLES : (at + AROUND) * FRAME_SAMPLES]
            for name, each in heard(packets, at):
                found = speech_score.score(reference, each, 0).pesq
                scores.setdefault(name, []).append(found)
    print(f"PESQ-WB, {len(scores['as it is'])} voiced places")
    for name, found_ in scores.items():
        print(f"{name:<22} mean {np.mean(found_):.2f}  median {np.median(found_):.2f}")


def _read(path: Path) -> Int16Frame:
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)


if __name__ == "__main__":
    run()
