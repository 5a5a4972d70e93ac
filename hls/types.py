"""Values that cross the border of the broadcast plane."""

from dataclasses import dataclass, field
from enum import StrEnum


class Container(StrEnum):
    """What the classic playlist's segments are; low latency is always fMP4."""

    FMP4 = "fmp4"
    TS = "ts"
    ADTS = "adts"


class PlaylistKind(StrEnum):
    """Which playlist is asked for."""

    LOW_LATENCY = "low_latency"  # media playlist with parts, for whoever knows them
    CLASSIC = "classic"  # the same without them
    MULTIVARIANT = "multivariant"  # the list of renditions, by their playlists of low latency
    CLASSIC_MULTIVARIANT = "classic_multivariant"  # the same by their classic ones

    @property
    def is_multivariant(self) -> bool:
        """Whether it lists renditions, and no segments."""
        return self in {PlaylistKind.MULTIVARIANT, PlaylistKind.CLASSIC_MULTIVARIANT}


class MixFormat(StrEnum):
    """What a recording of the mix is; the value is the file's extension."""

    OGG_OPUS = "ogg"
    FLAC = "flac"
    WAV = "wav"


@dataclass(frozen=True, slots=True)
class KeySpec:
    """The AES-128 key of one epoch: `key` and `iv` are 16 bytes, `uri` goes into the playlist.

    It is in force from segment `first_msn` until the next key's. Every part and every segment is a
    CBC run of its own with key and IV.
    """

    epoch: int
    key: bytes = field(repr=False)  # it must get into no log
    iv: bytes
    uri: str
    first_msn: int = 0


@dataclass(frozen=True, slots=True)
class RenditionSpec:
    """One encoding of what goes on air: a bus at a bit rate (b/s).

    `name` is part of the address: one to 32 of a-z, 0-9 and the hyphen. `language` (BCP 47) and
    `label` tell listeners what they will hear.
    """

    name: str
    bit_rate: int
    bus: str = "floor"
    language: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True)
class CaptionsSpec:
    """A rendition of captions in one `language` (BCP 47), which there may be no cues of.

    `name` is part of the address, as that of a RenditionSpec, and none of those.
    """

    name: str
    language: str


@dataclass(frozen=True, slots=True)
class Caption:
    """What is said from `start_unix_s` until `end_unix_s` on the clock of the stream's dates."""

    language: str
    text: str
    start_unix_s: float
    end_unix_s: float


class CaptionFate(StrEnum):
    """What became of a caption."""

    SHOWN = "shown"
    LATE = "late"  # shown later than it was said: what it belongs to was listed already
    FULL = "full"  # not shown: there are too many at that time
    UNKNOWN = "unknown"  # not shown: the room is not on air, or not captioned in that language


@dataclass(frozen=True, slots=True)
class RecordedPerson:
    """Somebody who is in a recorded room now: `name` is what people see."""

    peer: str
    name: str
    is_muted: bool = False


@dataclass(frozen=True, slots=True)
class RecordingSpec:
    """A recording of a room as it should be: the `mix`, `tracks` of the packets of each person.

    `name` tells one recording of a room from another, `folder` is the absolute path where it is
    written, made if it is not there. `exact` asks for the very samples that went into the mix, a
    file for each person. `people` are those who are in the room: who is there in one spec and not
    in the next has left at that moment. None in place of a recording ends it. The same recording
    after a restart of the process goes on as its next take. A room that is not on air can be
    recorded.
    """

    name: str
    folder: str
    is_paused: bool = False
    mix: MixFormat = MixFormat.OGG_OPUS
    tracks: bool = True
    exact: bool = False
    people: tuple[RecordedPerson, ...] = ()


class RecordingState(StrEnum):
    """Where a recording is in its life."""

    RECORDING = "recording"
    PAUSED = "paused"
    FINISHED = "finished"
    FAILED = "failed"  # it ended by itself; what was written is whole
    INTERRUPTED = "interrupted"  # in a manifest that was repaired: its process died


class RecordingFailure(StrEnum):
    """Why a recording ended by itself."""

    FULL = "full"  # no space left
    GONE = "gone"  # its folder is not there any more
    DENIED = "denied"  # the folder may not be written
    BROKEN = "broken"  # anything else


@dataclass(frozen=True, slots=True)
class RecordingReport:
    """How a recording is: on each change, and once a second while something is written.

    `seconds` are of all its takes, pauses left out. `lost` counts what could not be written because
    the disk was too slow (in ticks of somebody's sound). `sentence` says to people what a
    `failure` is.
    """

    room: str
    name: str
    state: RecordingState
    seconds: float = 0.0
    size_bytes: int = 0
    take: int = 1
    lost: int = 0
    failure: RecordingFailure | None = None
    sentence: str = ""


DEFAULT_RENDITIONS = (RenditionSpec("128k", 128_000), RenditionSpec("64k", 64_000))


@dataclass(frozen=True, slots=True)
class BroadcastSpec:
    """A room's broadcast as it should be.

    `base_tick` is the (20 ms, CLOCK_MONOTONIC) tick at which the room went on air and `base_unix_s`
    the wall clock at that tick, so that sequence numbers and PROGRAM-DATE-TIME go on after a
    restart. Before that tick the stream has a few segments of silence, so that there is something
    to play from the first moment on. A base that moved starts the stream anew.

    `keys` ascend by `first_msn`: the first covers the oldest segment that is still served, later
    ones are for times to come. The first of `renditions` is the default one. Another number of
    `channels` is a discontinuity with another init segment. A part has `part_frames` AAC frames, a
    multiple of 3 that divides 90. `window_s` is how far back a listener may go. `loudness_lufs` is
    the level that the broadcast is brought to, None as it comes; `title` is what
    listeners are told they hear, `captions` are the languages in which they can read it. `hold` is
    the path of a sound file that is to be heard now in place of silence, "" for none. `stream` (0
    to 16 of a-z and digits) is in the name of each piece of media, so that caches never take one
    stream's for another's; another one is another stream. What is said while it is not
    `is_uploaded` goes into no spool.
    """

    room: str
    version: int
    keys: tuple[KeySpec, ...]
    base_tick: int
    base_unix_s: float
    on_air: bool = True
    renditions: tuple[RenditionSpec, ...] = DEFAULT_RENDITIONS
    channels: int = 1
    part_frames: int = 15  # 320 ms
    window_s: float = 15.36  # 8 segments: a player that paused for a breath still finds its place
    container: Container = Container.FMP4
    loudness_lufs: float | None = None
    hold: str = ""
    title: str = ""
    captions: tuple[CaptionsSpec, ...] = ()
    recording: RecordingSpec | None = None
    stream: str = ""
    is_uploaded: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """All renditions by name, the default one first, those of captions last."""
        return (*(one.name for one in self.renditions), *(one.name for one in self.captions))


@dataclass(frozen=True, slots=True)
class LoopSpec:
    """What of a sound file rooms can play in a loop: how it is coded, and how loud (LUFS)."""

    path: str
    channels: int
    bit_rates: tuple[int, ...]
    loudness_lufs: float | None

    @classmethod
    def of(cls, spec: BroadcastSpec) -> "LoopSpec | None":
        """Return what a broadcast wants, None if it wants nothing."""
        if not spec.hold:
            return None
        rates = tuple(sorted({one.bit_rate for one in spec.renditions}))
        return cls(spec.hold, spec.channels, rates, spec.loudness_lufs)


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the stream: part `part` (from 0) of segment `msn`."""

    msn: int
    part: int


@dataclass(frozen=True, slots=True)
class Reading:
    """How loud a bus is on air, `gain_db` included; -120 stands for silence.

    Integrated loudness and true peak, the highest, are of all since the process began with it.
    """

    momentary_lufs: float
    short_term_lufs: float
    integrated_lufs: float
    true_peak_dbtp: float
    gain_db: float
