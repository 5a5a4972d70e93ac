"""The catalogue of a room: what its playlists say."""

from dataclasses import dataclass, replace
from functools import lru_cache, partial

from hls.codec import codec
from hls.core import mpegts
from hls.core.dates import Dates
from hls.core.extent import Extent
from hls.core.formats import Formats
from hls.core.keyring import Keyring
from hls.core.listing import Listing
from hls.core.multivariant import Subtitles, Variant, multivariant
from hls.core.names import Names
from hls.core.playlist import Entry, Part, PlaylistWriter, Report, Window
from hls.core.timeline import SEGMENT_FRAMES, SEGMENT_S, Timeline
from hls.rendition import Rendition, wrapped
from hls.types import (
    DEFAULT_RENDITIONS,
    BroadcastSpec,
    Container,
    PlaylistKind,
    Position,
    RenditionSpec,
)

LOW_LATENCY, CLASSIC = "stream.m3u8", "classic.m3u8"
CONTAINERS = {"m4s": Container.FMP4, "ts": Container.TS, "aac": Container.ADTS}
_EXTENSIONS = {container: extension for extension, container in CONTAINERS.items()}
# Of the bit rate, measured with noise, tones and speech: libavcodec's rate control is a little
# generous, and more so over a segment with many onsets.
_MEAN_SHARE, _PEAK_SHARE = 1.04, 1.25


@dataclass(frozen=True, slots=True)
class Facts:
    """What all playlists of a room depend on."""

    timeline: Timeline
    keys: Keyring
    formats: Formats
    extent: Extent
    dates: Dates
    names: Names

    @property
    def part_frames(self) -> int:
        """How many frames a whole part has."""
        return self.extent.part_frames

    @property
    def parts(self) -> int:
        """How many parts a whole segment has."""
        return SEGMENT_FRAMES // self.part_frames


class Catalogue:
    """The media playlists of one rendition."""

    def __init__(self, rendition: Rendition, facts: Facts) -> None:
        self._rendition = rendition
        self._facts = facts
        self._texts: dict[Container, tuple[Listing, PlaylistWriter]] = {}

    def low_latency(
        self, first: int, position: Position, others: tuple[Report, ...], *, skip: bool
    ) -> str:
        """Return the playlist from segment `first` to the part before `position`."""
        listing, writer = self._text(Container.FMP4)
        if self._facts.extent.is_over:
            ended = self._ended(Container.FMP4, listing, first, position)
            return writer.low_latency(replace(ended, reports=others))
        open_ = self._entry(Container.FMP4, position.msn, position.part)
        hint = self._facts.names.part(position.msn, position.part)
        window = replace(
            self._window(listing, first, position), open=open_, hint=hint, reports=others
        )
        return writer.low_latency(window, skip=skip)

    def classic(self, first: int, position: Position, container: Container) -> str:
        """Return the playlist of the segments from `first` to the one before `position`."""
        listing, writer = self._text(container)
        if self._facts.extent.is_over:
            return writer.classic(self._ended(container, listing, first, position))
        return writer.classic(self._window(listing, first, position))

    def finished(self, first: int, position: Position, container: Container) -> Window:
        """Return the segments from `first` to the one before `position`, without their parts."""
        entries = (self._entry(container, msn, 0) for msn in range(first, position.msn))
        return Window(tuple(entries), discontinuity_sequence=self._facts.formats.sequence(first))

    def _text(self, container: Container) -> tuple[Listing, PlaylistWriter]:
        text = self._texts.get(container)
        if text is None:
            listing = Listing(partial(self._entry, container))
            text = self._texts[container] = (listing, PlaylistWriter())
        return text

    def _ended(
        self, container: Container, listing: Listing, first: int, position: Position
    ) -> Window:
        """Return what is listed of a stream that is over; the last segment is shorter, mostly."""
        last = position.msn - 1
        if self._facts.extent.frames(last) == SEGMENT_FRAMES:
            window = self._window(listing, first, position)
        else:
            window = self._window(listing, first, Position(last, 0))
            window = replace(window, open=self._entry(container, last))
        return replace(window, is_final=True, is_ended=self._facts.extent.is_marked)

    def _window(self, listing: Listing, first: int, position: Position) -> Window:
        facts = self._facts
        return Window(
            entries=listing.follow(first, position.msn),
            part_frames=facts.part_frames,
            discontinuity_sequence=facts.formats.sequence(first),
            dates=facts.dates.since(facts.timeline.unix_s(first)),
        )

    def _entry(self, container: Container, msn: int, parts: int | None = None) -> Entry:
        """Return a segment with its first `parts` parts, or with all."""
        facts, init = self._facts, ""
        if container is Container.FMP4:
            init = self._rendition.codec_of(msn).init_name
        sizes = facts.extent.parts(msn)[:parts]
        named = tuple(Part(facts.names.part(msn, n), frames) for n, frames in enumerate(sizes))
        return replace(entry_of(facts, _EXTENSIONS[container], init, msn), parts=named)


def entry_of(facts: Facts, extension: str, init: str, msn: int) -> Entry:
    """Return a segment without its parts."""
    return Entry(
        msn=msn,
        name=facts.names.segment(msn, extension),
        init=init,
        key=facts.keys.of(msn),
        unix_s=facts.timeline.unix_s(msn),
        is_discontinuous=facts.formats.is_turn(msn),
        frames=facts.extent.frames(msn),
    )


def reports(
    asked: str, renditions: tuple[RenditionSpec, ...], last: Position
) -> tuple[Report, ...]:
    """Return how far the other renditions are than the one asked for: all to part `last`.

    The default one is asked for by "" or, in a folder as the others, by its name.
    """
    own, way = asked or renditions[0].name, "../" if asked else ""
    return tuple(
        Report(f"{way}{_folder(one, renditions)}{LOW_LATENCY}", last.msn, last.part)
        for one in renditions
        if one.name != own
    )


def variants(spec: BroadcastSpec, channels: int, kind: PlaylistKind) -> str:
    """Return a multivariant playlist: of the playlists of low latency, or of the classic ones."""
    is_classic = kind is PlaylistKind.CLASSIC_MULTIVARIANT
    container = spec.container if is_classic else Container.FMP4
    name = CLASSIC if is_classic else LOW_LATENCY
    return multivariant(
        [
            Variant(
                _folder(one, spec.renditions) + name,
                one.bit_rate,
                peak_bps=_peak_bps(container, one.bit_rate, channels, spec.part_frames),
                average_bps=_mean_bps(container, one.bit_rate, channels, spec.part_frames),
                bus=one.bus,
                label=one.label,
                language=one.language,
                channels=channels,
            )
            for one in spec.renditions
        ],
        [
            Subtitles(f"{one.name}/{name}", label=one.language, language=one.language)
            for one in spec.captions
        ],
    )


def _folder(one: RenditionSpec, renditions: tuple[RenditionSpec, ...]) -> str:
    return "" if one is renditions[0] else f"{one.name}/"


def _peak_bps(container: Container, bit_rate: int, channels: int, part_frames: int) -> int:
    more = mpegts.MOST_STUFFING / 2 if container is Container.TS else 0.0
    peak = _segment_size(container, bit_rate * _PEAK_SHARE, channels, part_frames)
    return round(8 * (peak + more) / SEGMENT_S)


def _mean_bps(container: Container, bit_rate: int, channels: int, part_frames: int) -> int:
    mean = _segment_size(container, bit_rate * _MEAN_SHARE, channels, part_frames)
    return round(8 * mean / SEGMENT_S)


@lru_cache(256)  # there are as many as bit rates and formats
def _segment_size(container: Container, sound_bps: float, channels: int, part_frames: int) -> float:
    """Return how many bytes segments of sound of a bit rate have."""
    frame_bytes = sound_bps * SEGMENT_S / 8 / SEGMENT_FRAMES
    if container is Container.TS:
        return mpegts.usual_size(frame_bytes, SEGMENT_FRAMES)
    audio = codec(DEFAULT_RENDITIONS[0].bit_rate, channels).audio  # of any: headers are as long
    empty = wrapped(container, audio, 0, [b""] * SEGMENT_FRAMES, part_frames)
    return len(empty) + SEGMENT_FRAMES * frame_bytes
