"""What one process writes of a recording without a break: its files, and what goes into them."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hls.core.webvtt import Cue
from hls.recording.captions import CaptionsFile, TakeCaptions
from hls.recording.core import manifest as said
from hls.recording.core.captions import path_of
from hls.recording.core.clock import MediaClock
from hls.recording.core.heard import TICK_SAMPLES, Codec, Heard, HeardFrame, HeardPacket
from hls.recording.core.labels import chapters
from hls.recording.core.manifest import FileKind, Manifest, RecordedFile
from hls.recording.core.names import file_name
from hls.recording.core.ogg import MIX_PRE_SKIP
from hls.recording.core.track import HOLD, Track
from hls.recording.files import (
    OggFile,
    Output,
    PacketFile,
    PcmFile,
    RecordingFile,
    packet_file,
    pcm_file,
    silence_of,
)
from hls.types import MixFormat, RecordingSpec

SAMPLE_RATE = 48_000
LATE_TICKS = 25  # 0.5 s: what comes later finds silence in its place
MAX_FILES = 250  # a process may open 1024, and each of the others needs some
PLAYED = "played"

_SUFFIXES = {Codec.OPUS: ".ogg", Codec.PCMU: ".ulaw.wav", Codec.PCMA: ".alaw.wav"}


@dataclass(eq=False, slots=True)
class _Open:
    """A file that is being written, and what the manifest says of it."""

    file: RecordingFile
    entry: RecordedFile


class TakeWriter:
    """Writes one take. Raises OSError wherever the disk does; then only `abandon` is of use."""

    def __init__(
        self, folder: Path, manifest: Manifest, spec: RecordingSpec, channels: int
    ) -> None:
        self._folder = folder
        self._manifest = manifest
        self._take = manifest.takes[-1]
        self._spec = spec
        self._channels = channels
        self._files: list[_Open] = []
        self._tracks: dict[tuple[str, Codec], tuple[Track, PacketFile | None]] = {}
        self._exact: dict[str, tuple[PcmFile, int]] = {}  # with the tick it begins at
        self.late = 0
        """Ticks that came when silence was in their place already."""
        self.refused = 0
        """Packets and frames of people who were too many to have a file."""

    def begin(self, first_tick: int) -> None:
        """Begin with a tick."""
        self.clock = MediaClock(first_tick)
        self._ticks = first_tick
        self._captions = TakeCaptions(self.clock, self._open_captions)
        self._mix: RecordingFile = self._open_mix()

    def _open_mix(self) -> RecordingFile:
        kind = self._spec.mix
        output, entry = self._open(FileKind.MIX, f"mix{self._suffix}.{kind.value}", 0, None)
        if kind is MixFormat.OGG_OPUS:
            file: RecordingFile = OggFile(
                output, self._manifest.name, self._channels, pre_skip=MIX_PRE_SKIP
            )
        else:
            file = pcm_file(kind, output, self._channels)
        self._files.append(_Open(file, entry))
        return file

    @property
    def _suffix(self) -> str:
        number = self._take.number
        return "" if number == 1 else f".take{number}"

    # What is heard

    def hear(self, heard: Heard) -> None:
        """Write what a room made of a tick; a second time, or much too late, is counted."""
        position = self.clock.tick(heard.tick)
        if position is not None:
            self._hear_mix(position, heard)
            if self._spec.exact:
                for frame in heard.frames:
                    self._hear_frame(position, frame)
        if self._spec.tracks:
            for packet in heard.packets:
                self._hear_packet(packet)

    def _hear_mix(self, position: int, heard: Heard) -> None:
        mix = self._mix
        if isinstance(mix, PacketFile):
            if heard.mix_packet and self._is_due(mix, position):
                self._fill_mix(position)
                mix.put([(heard.mix_packet, TICK_SAMPLES)])
        elif isinstance(mix, PcmFile) and heard.mix_pcm is not None and self._is_due(mix, position):
            self._fill_mix(position)
            mix.put(heard.mix_pcm)

    def _is_due(self, mix: RecordingFile, position: int) -> bool:
        is_due = mix.samples <= position * TICK_SAMPLES
        self.late += not is_due
        return is_due

    def _fill_mix(self, position: int) -> None:
        missing = position * TICK_SAMPLES - self._mix.samples
        if isinstance(self._mix, PacketFile):
            self._mix.put(silence_of(Codec.OPUS, missing))
        elif isinstance(self._mix, PcmFile):
            self._mix.be_silent(missing)

    def _hear_frame(self, position: int, frame: HeardFrame) -> None:
        known = self._exact.get(frame.peer)
        if known is None:
            known = self._open_exact(position, frame.peer)
            if known is None:
                return
        file, first = known
        missing = (position - first) * TICK_SAMPLES - file.samples
        if missing < 0:
            self.late += 1
            return
        file.be_silent(missing)
        file.put(frame.pcm)

    def _open_exact(self, position: int, peer: str) -> tuple[PcmFile, int] | None:
        if self._is_full():
            return None
        path = f"exact/{self._name(peer)}{self._suffix}.flac"
        output, entry = self._open(FileKind.EXACT, path, position * TICK_SAMPLES, peer)
        file = pcm_file(MixFormat.FLAC, output, self._channels)
        self._files.append(_Open(file, entry))
        self._exact[peer] = file, position
        return file, position

    def _hear_packet(self, packet: HeardPacket) -> None:
        key = packet.peer, packet.codec
        if key not in self._tracks:
            if self._is_full():
                return
            self._tracks[key] = Track(self.clock, packet.codec), None
        self._tracks[key][0].push(packet)

    def _is_full(self) -> bool:
        is_full = len(self._tracks) + len(self._exact) >= MAX_FILES
        self.refused += is_full
        return is_full

    # What can be read

    def caption(self, language: str, cue: Cue) -> None:
        """Take what is said from one moment, in samples since CLOCK_MONOTONIC's zero, to another.

        It is written when its beginning has passed, unless that is in a pause or before the take.
        """
        self._captions.put(language, cue)

    def _open_captions(self, language: str) -> CaptionsFile:
        output, entry = self._open(FileKind.CAPTIONS, path_of(self._suffix, language), 0, None)
        entry.language = language
        file = CaptionsFile(output)
        self._files.append(_Open(file, entry))
        return file

    # Time

    def advance(self, now_tick: int) -> None:
        """Write up to half a second ago, and make all of it safe."""
        self._lay(now_tick * TICK_SAMPLES)
        self._fill(now_tick - LATE_TICKS)
        self._captions.advance(now_tick * TICK_SAMPLES)
        for one in self._files:
            one.file.flush()
        self._ticks = max(self._ticks, now_tick)
        self._note()

    def finish(self, now_tick: int) -> None:
        """Write all there is, with its chapters, and close the files."""
        self._lay(now_tick * TICK_SAMPLES + HOLD)
        self._fill(now_tick)
        self._captions.advance(now_tick * TICK_SAMPLES)
        self._ticks = max(self._ticks, now_tick)
        self._note()
        for one in self._files:
            one.file.finish(chapters(self._manifest, one.entry))
        self._note()

    def abandon(self) -> None:
        """Close the files as far as they will; never raises."""
        for one in self._files:
            with suppress(Exception):
                one.file.flush()
            with suppress(Exception):
                one.file.output.close()

    def _lay(self, now: int) -> None:
        for key, (track, known) in list(self._tracks.items()):
            laid = track.advance(now)
            if not laid:
                continue
            assert track.first is not None, "something was laid"
            file = known or self._open_track(key, track.first, laid[0][0])
            self._tracks[key] = track, file
            file.put(laid)

    def _open_track(self, key: tuple[str, Codec], first: int, payload: bytes) -> PacketFile:
        peer, codec = key
        path = f"tracks/{self._name(peer)}{self._suffix}{_SUFFIXES[codec]}"
        output, entry = self._open(FileKind.TRACK, path, first, peer)
        channels = 2 if codec is Codec.OPUS and payload[0] & 4 else 1
        file = packet_file(codec, output, self._called(peer), channels)
        self._files.append(_Open(file, entry))
        return file

    def _fill(self, tick: int) -> None:
        """Be silent up to a tick, where nothing was heard."""
        position = self.clock.ticks(tick)
        if position * TICK_SAMPLES > self._mix.samples:
            self._fill_mix(position)
        for file, first in self._exact.values():
            file.be_silent((position - first) * TICK_SAMPLES - file.samples)

    @property
    def counts(self) -> dict[str, int]:
        """How much was left out so far, by what it was."""
        return {
            "ticks_late": self.late,
            "sounds_refused": self.refused,
            "captions_refused": self._captions.refused,
            "packets_dropped": sum(track.dropped for track, _ in self._tracks.values()),
        }

    # What the manifest says

    @property
    def position_s(self) -> float:
        """How long the take is, by the last time it was told."""
        return self.clock.ticks(self._ticks) * TICK_SAMPLES / SAMPLE_RATE

    def position_at(self, tick: int) -> float:
        """Return how long the take is at a tick."""
        return self.clock.ticks(tick) * TICK_SAMPLES / SAMPLE_RATE

    def _note(self) -> None:
        for one in self._files:
            one.entry.seconds = one.file.samples / SAMPLE_RATE
            one.entry.size_bytes = one.file.output.size_bytes
            if isinstance(one.file, PcmFile):
                one.entry.clipped = one.file.clipped
        self._take.seconds = self.position_s
        self._manifest.seconds = self._take.offset_s + self._take.seconds

    def _open(
        self, kind: FileKind, path: str, first: int, peer: str | None
    ) -> tuple[Output, RecordedFile]:
        where = self._folder / path
        if "/" in path:
            where.parent.mkdir(mode=0o700, exist_ok=True)
        output = Output(where)
        offset_s = self._take.offset_s + first / SAMPLE_RATE
        entry = RecordedFile(path, kind, self._take.number, offset_s, peer=peer)
        self._manifest.files.append(entry)
        return output, entry

    def _name(self, peer: str) -> str:
        if not peer:
            return PLAYED
        person = self._person(peer)
        return file_name(person.number, person.name)

    def _called(self, peer: str) -> str:
        return self._person(peer).name

    def _person(self, peer: str) -> said.Person:
        for person in self._manifest.people:
            if person.peer == peer:
                return person
        person = said.Person(len(self._manifest.people) + 1, peer, peer)
        self._manifest.people.append(person)
        return person
