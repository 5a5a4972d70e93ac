"""The catalogue of a room: what its playlists say."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from hls.core.dates import Dates
from hls.core.extent import Extent
from hls.core.fmp4 import media_segment
from hls.core.formats import Formats
from hls.core.keyring import Keyring
from hls.core.listing import Listing
from hls.core.multivariant import Subtitles, Variant, multivariant
from hls.core.names import Names
from hls.core.playlist import Entry, Part, PlaylistWriter, Report, Window
from hls.core.timeline import SEGMENT_FRAMES, SEGMENT_S, Timeline
from hls.rendition import Rendition
from hls.types import Container, Position, RenditionSpec

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
        Report(way + _address(one, renditions), last.msn, last.part)
        for one in renditions
        if one.name != own
    )


def variants(
    renditions: tuple[RenditionSpec, ...],
    channels: int,
    part_frames: int,
    captions: Sequence[Subtitles] = (),
) -> str:
    """Return the multivariant playlist."""
    parts = SEGMENT_FRAMES // part_frames
    empty = parts * len(media_segment(1, 0, [b""] * part_frames))
    boxes_bps = 8 * empty / SEGMENT_S
    return multivariant(
        [
            Variant(
                _address(one, renditions),
                one.bit_rate,
                peak_bps=round(one.bit_rate * _PEAK_SHARE + boxes_bps),
                average_bps=round(one.bit_rate * _MEAN_SHARE + boxes_bps),
                bus=one.bus,
                label=one.label,
                language=one.language,
                channels=channels,
            )
            for one in renditions
        ],
        captions,
    )


def _address(one: RenditionSpec, renditions: tuple[RenditionSpec, ...]) -> str:
    return "stream.m3u8" if one is renditions[0] else f"{one.name}/stream.m3u8"
