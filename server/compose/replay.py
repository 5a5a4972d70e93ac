"""`roomtone replay`: a recorded room run again, as a table, as sound, as one number."""

import wave
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from mixer.core.recording import BadRecording, Header, Record, Seat, read_header, read_records
from mixer.opus import Decoder, OpusError
from mixer.room.replay import Played, Replay, ReplaySettings
from mixer.types import FRAME_SAMPLES, SAMPLE_RATE, Int16Frame, RoomId

MAX_SILENCE_TICKS: Final = 3000  # a minute: what is longer between two ticks is not written out
_SILENCE: Final = bytes(2 * FRAME_SAMPLES)
_COMFORT_BYTES: Final = 2


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a replay shall leave behind, and under which settings."""

    settings: ReplaySettings
    mix: Path | None = None
    per_person: Path | None = None


class _Wav:
    """Mono 48 kHz, one frame a tick; ticks without a frame are silent."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self._file = wave.open(str(path), "wb")  # noqa: SIM115 - the stack closes it
        stack.callback(self._file.close)
        self._file.setnchannels(1)
        self._file.setsampwidth(2)
        self._file.setframerate(SAMPLE_RATE)
        self._next: int | None = None

    def write(self, tick: int, pcm: Int16Frame | None, first_tick: int) -> None:
        if self._next is None:
            self._next = first_tick
        for _ in range(min(tick - self._next, MAX_SILENCE_TICKS)):
            self._file.writeframesraw(_SILENCE)
        self._file.writeframesraw(_SILENCE if pcm is None else pcm.astype("<i2").tobytes())
        self._next = tick + 1


class _Ears:
    """Decodes what each row is sent and writes it to a file of its own."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self._wavs: dict[int, _Wav] = {}
        self._decoders: dict[int, Decoder] = defaultdict(Decoder)
        self._is_heard: set[int] = set()

    def seat(self, seat: Seat, number: int) -> None:
        name = "".join(c if c.isalnum() or c in "-_" else "_" for c in seat.peer)[:48]
        self._wavs[seat.row] = _Wav(self._folder / f"{number:02}-{name}.wav", self._stack)
        self._decoders.pop(seat.row, None)

    def hear(self, played: Played, first_tick: int) -> None:
        for frame in played.sent:
            for row in frame.rows.tolist():
                wav = self._wavs.get(row)
                if wav is not None:
                    pcm = self._decode(row, frame.payload, frame.pcm)
                    wav.write(played.tick, pcm, first_tick)

    def _decode(self, row: int, payload: bytes, pcm: Int16Frame | None) -> Int16Frame | None:
        if len(payload) <= _COMFORT_BYTES:
            return pcm if pcm is None or len(pcm) == FRAME_SAMPLES else pcm[::2]  # a music room's
        try:
            return self._decoders[row].decode(payload)
        except OpusError:  # cannot happen with our own encoder, and would be worth hearing
            return None


def replay(path: Path, wishes: Wishes, advance: Callable[[int], None]) -> list[str]:
    """Run a recording again; return what to print, line by line.

    `advance` is told the bytes that were read, as they are.

    Raises:
        BadRecording: it is none, or damaged.
        OSError: a file cannot be read or written.
    """
    with ExitStack() as stack:
        file = stack.enter_context(path.open("rb"))
        header = read_header(file.read)
        made = Replay(RoomId(header.room), wishes.settings)
        mix = None if wishes.mix is None else _Wav(wishes.mix, stack)
        ears = None
        if wishes.per_person is not None:
            wishes.per_person.mkdir(parents=True, exist_ok=True)
            ears = _Ears(wishes.per_person, stack)
        first_tick: int | None = None
        for record in _records(file, advance):
            played = made.feed(record)
            if isinstance(record, Seat) and ears is not None:
                ears.seat(record, len(made.seats))
            if played is None:
                continue
            first_tick = played.tick if first_tick is None else first_tick
            if mix is not None:
                mix.write(played.tick, played.mix, first_tick)
            if ears is not None:
                ears.hear(played, first_tick)
    if made.ticks == 0:
        raise BadRecording("The recording holds not one tick")
    return [*_report(header, made)]


def _records(file: BinaryIO, advance: Callable[[int], None]) -> Iterator[Record]:
    told = file.tell()
    advance(told)
    for number, record in enumerate(read_records(file.read)):
        if number % 1024 == 0:
            advance(file.tell() - told)
            told = file.tell()
        yield record
    advance(file.tell() - told)


def _report(header: Header, made: Replay) -> Iterator[str]:
    yield f"room      {header.room}"
    yield f"ticks     {made.ticks} ({made.ticks / 50:.1f} s)"
    yield f"encodes   {made.room.encodes}"
    if made.failures or made.lost_chunks:
        yield f"failures  {made.failures} ticks, {made.lost_chunks} chunks missing"
    yield ""
    rows = [(seat.peer, numbers) for seat, numbers in made.statistics()]
    yield from _table(rows)
    yield ""
    yield f"digest    {made.digest.value().hex()}"
    yield f"as sent   {_verdict(header, made)}"


def _table(rows: list[tuple[str, dict[str, Any]]]) -> Iterator[str]:
    if not rows:
        return
    names = list(rows[0][1])
    width = max(6, *(len(peer) for peer, _ in rows))
    yield "person".ljust(width) + "".join(f"  {name.removesuffix('_frames')}" for name in names)
    for peer, numbers in rows:
        cells = (
            f"  {_shown(numbers[name]):>{len(name.removesuffix('_frames'))}}" for name in names
        )
        yield peer.ljust(width) + "".join(cells)


def _shown(number: Any) -> str:
    return f"{number:.4g}" if isinstance(number, float) else str(number)


def _verdict(header: Header, made: Replay) -> str:
    if not header.is_whole:
        return "unknown: it begins in the middle of a call; equal settings give this digest again"
    if made.recorded_digest is None:
        return "unknown: the recording ended before its first digest"
    return "yes, bit for bit" if made.is_as_recorded else "no: other settings, code or a gap"
