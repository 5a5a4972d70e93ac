"""A rendition of captions of a room: cues in, a playlist and encrypted WebVTT segments out."""

from dataclasses import replace

from hls.catalogue import Facts, entry_of
from hls.core.cues import Cues
from hls.core.listing import Listing
from hls.core.playlist import Entry, PlaylistWriter, Window
from hls.core.timeline import SEGMENT_FRAMES
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
        self._listing = Listing(self._entry)
        self._writer = PlaylistWriter()
        self._listed = 0

    def add(self, caption: Caption, open_msn: int) -> CaptionFate:
        """Show a caption while segment `open_msn` is being made."""
        at = self._facts.timeline.position_of
        start = max(0, at(caption.start_unix_s))
        end = max(start, at(caption.end_unix_s))
        return self.cues.add(Cue(start, end, caption.text), open_msn + 1)

    def playlist(self, first: int, open_msn: int) -> str:
        """Return the playlist of the segments from `first` to the one that is being made."""
        is_over = self._facts.extent.is_over  # nothing is made, and what was listed stays
        self._listed = max(self._listed, open_msn if is_over else open_msn + 1)
        window = Window(
            self._listing.follow(first, self._listed),
            discontinuity_sequence=self._facts.formats.sequence(first),
            is_ended=self._facts.extent.is_marked,
        )
        return self._writer.subtitles(window)

    def finished(self, first: int, open_msn: int) -> Window:
        """Return the segments from `first` to the one before `open_msn`."""
        entries = map(self._entry, range(first, open_msn))
        return Window(tuple(entries), discontinuity_sequence=self._facts.formats.sequence(first))

    def _entry(self, msn: int) -> Entry:
        """Return a segment, which is whole: that was said when nobody knew of an end."""
        return replace(entry_of(self._facts, WEBVTT, "", msn), frames=SEGMENT_FRAMES)

    def segment(self, msn: int) -> bytes:
        """Return a segment that is listed, encrypted."""
        key = self._facts.keys.of(msn)
        return encrypt(key.key, key.iv, segment(self.cues.of(msn), msn))
