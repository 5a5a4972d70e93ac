"""A rendition of captions of a room: cues in, a playlist and encrypted WebVTT segments out."""

from functools import partial

from hls.catalogue import Facts, entry_of
from hls.core.cues import Cues
from hls.core.listing import Listing
from hls.core.multivariant import Subtitles
from hls.core.playlist import PlaylistWriter, Window
from hls.core.webvtt import Cue, segment
from hls.encryption import encrypt
from hls.types import Caption, CaptionFate, CaptionsSpec

WEBVTT = "vtt"  # their segments' extension


class Captions:
    """One language. Its segments are those of the sound, and have the sound's keys.

    A segment is listed when it begins, not when it ends: then who listens at low latency has it
    before its sound. So it holds what is known by then, and what comes later is shown in the next.
    """

    def __init__(self, spec: CaptionsSpec, facts: Facts) -> None:
        self.spec = spec
        self.cues = Cues()
        self._facts = facts
        self._listing = Listing(partial(entry_of, facts, WEBVTT, ""))
        self._writer = PlaylistWriter()

    def add(self, caption: Caption, open_msn: int) -> CaptionFate:
        """Show a caption while segment `open_msn` is being made."""
        at = self._facts.timeline.position_of
        start = max(0, at(caption.start_unix_s))
        end = max(start, at(caption.end_unix_s))
        return self.cues.add(Cue(start, end, caption.text), open_msn + 1)

    def playlist(self, first: int, open_msn: int) -> str:
        """Return the playlist of the segments from `first` to the one that is being made."""
        window = Window(
            self._listing.follow(first, open_msn + 1),
            discontinuity_sequence=self._facts.formats.sequence(first),
        )
        return self._writer.subtitles(window)

    def finished(self, first: int, open_msn: int) -> Window:
        """Return the segments from `first` to the one before `open_msn`."""
        entries = (entry_of(self._facts, WEBVTT, "", msn) for msn in range(first, open_msn))
        return Window(tuple(entries), discontinuity_sequence=self._facts.formats.sequence(first))

    def segment(self, msn: int) -> bytes:
        """Return a segment that is listed, encrypted."""
        key = self._facts.keys.of(msn)
        return encrypt(key.key, key.iv, segment(self.cues.of(msn), msn))


def subtitles(captions: tuple[CaptionsSpec, ...]) -> list[Subtitles]:
    """Return what the multivariant playlist says of them."""
    return [
        Subtitles(f"{one.name}/stream.m3u8", label=one.language, language=one.language)
        for one in captions
    ]
