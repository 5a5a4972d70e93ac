"""A rendition: one bus at one bit rate, from frames that sound to parts in the clear."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hls.codec import Codec, codec
from hls.core import adts, mpegts
from hls.core.channels import fitted
from hls.core.extent import Extent
from hls.core.fmp4 import AacFormat, media_segment
from hls.core.formats import Formats
from hls.core.hold import Hold, Sealed
from hls.core.segmenter import Segmenter
from hls.core.soundpart import SoundPart
from hls.core.timeline import AAC_SAMPLES, LOOKAHEAD_FRAMES, SEGMENT_FRAMES
from hls.encoder import GatedEncoder
from hls.errors import EncoderLost
from hls.types import Container, RenditionSpec


class Rendition:
    """Encoder and segmenter of one rendition; where the format changes, another encoder goes on."""

    def __init__(
        self,
        spec: RenditionSpec,
        formats: Formats,
        hold: Hold,
        extent: Extent,
        counters: Counter[str],
    ) -> None:
        """Follow `formats` and `extent`, which are the room's, and `hold`, which is the bus's."""
        self.spec = spec
        self._hold = hold
        self._formats = formats
        self._extent = extent
        self._part_frames = extent.part_frames
        self._counters = counters
        self._segmenter = Segmenter()
        self._encoders: dict[int, GatedEncoder] = {}  # by the first segment of their format

    def goes_on_as(self, spec: RenditionSpec) -> bool:
        """Take `spec` if it sounds the same, and return whether it does; its label may differ."""
        is_same = (spec.bit_rate, spec.bus) == (self.spec.bit_rate, self.spec.bus)
        if is_same:
            self.spec = spec
        return is_same

    def push(self, sealed: Sealed) -> None:
        """Take the next frame that is to be encoded, of any channels."""
        index = sealed.index
        for span in self._formats.spans:
            first = span.first_msn * SEGMENT_FRAMES
            end = None if span.end_msn is None else span.end_msn * SEGMENT_FRAMES
            # The last frames of a format need what comes after them.
            if first <= index and (end is None or index < end + LOOKAHEAD_FRAMES):
                encoder = self._encoders.get(span.first_msn)
                if encoder is None:
                    encoder = GatedEncoder(self.spec.bit_rate, span.channels)
                    self._encoders[span.first_msn] = encoder
                if sealed.lead:
                    self._join(encoder, sealed, span.channels)
                sound = fitted(sealed.samples, AAC_SAMPLES, span.channels)
                self._encode(encoder, index, sound, range(first, end or index + 1))

    def advance(self, sealed_frames: int) -> None:
        """Take silence up to `sealed_frames`; what is LOOKAHEAD_FRAMES before it is final."""
        if self._encoders:
            self._rest(sealed_frames)
        self._segmenter.seal(sealed_frames - LOOKAHEAD_FRAMES)

    def codec_of(self, msn: int) -> Codec:
        """Return the codec of segment `msn`."""
        return codec(self.spec.bit_rate, self._formats.of(msn))

    def init(self, name: str) -> bytes | None:
        """Return the init segment of that name, None if no segment here needs it."""
        for span in self._formats.spans:
            found = codec(self.spec.bit_rate, span.channels)
            if found.init_name == name:
                return found.init
        return None

    def is_silent(self, msn: int) -> bool:
        """Whether nothing of segment `msn` was encoded here, or is here any more."""
        return self._segmenter.is_silent(msn)

    @property
    def sounding(self) -> list[int]:
        """The segments of which something was encoded and is here, in ascending order."""
        return self._segmenter.sounding

    def part(self, msn: int, part: int) -> bytes:
        """Return part `part` of segment `msn` in the clear, final or not."""
        first, count = self._place(msn, part)
        return _fragment(first, self._frames(first, count), self._part_frames)

    def sound(self, msn: int, part: int) -> SoundPart:
        """Return the frames of part `part` of segment `msn`, final or not."""
        first, count = self._place(msn, part)
        its = self.codec_of(msn)
        frames = self._frames(first, count)
        return SoundPart(its.audio, tuple(frames), its.silent_frame)

    def frames(self, msn: int) -> list[bytes]:
        """Return the AAC frames of segment `msn`, final or not."""
        return self._frames(msn * SEGMENT_FRAMES, self._extent.frames(msn))

    def segment(self, msn: int, frames: Sequence[bytes], container: Container) -> bytes:
        """Return segment `msn` in the clear, of its frames."""
        return wrapped(container, self.codec_of(msn).audio, msn, frames, self._part_frames)

    def _place(self, msn: int, part: int) -> tuple[int, int]:
        """Return the first frame of a part and how many it has."""
        first = msn * SEGMENT_FRAMES + part * self._part_frames
        return first, self._extent.parts(msn)[part]

    def drop_before(self, msn: int) -> None:
        """Forget the sound of all segments below `msn`."""
        self._segmenter.drop_before(msn)

    def _frames(self, first: int, count: int) -> list[bytes]:
        """Return AAC frames [first, first + count) of one segment, as they are now."""
        its = self.codec_of(first // SEGMENT_FRAMES)
        frames = self._segmenter.frames(first, count, its.silent_frame)
        for begin, end, music in self._hold.coded(first, first + count):
            form = (its.audio.bit_rate, its.audio.channels)
            frames[begin - first : end - first] = (
                music.frame(index, *form) or its.silent_frame for index in range(begin, end)
            )
        return frames

    def _join(self, encoder: GatedEncoder, sealed: Sealed, channels: int) -> None:
        """Let the encoder go on where it was the music alone."""
        try:
            lead = (fitted(one, AAC_SAMPLES, channels) for one in sealed.lead)
            encoder.join(sealed.index, lead)
        except EncoderLost:
            self._counters["encoder_lost_total"] += 1

    def _rest(self, sealed_frames: int) -> None:
        for span in self._formats.spans:
            encoder = self._encoders.get(span.first_msn)
            if encoder is None:
                continue
            end = None if span.end_msn is None else span.end_msn * SEGMENT_FRAMES
            before = sealed_frames if end is None else min(sealed_frames, end + LOOKAHEAD_FRAMES)
            first = span.first_msn * SEGMENT_FRAMES
            if self._hold.is_alone(encoder.next_index):
                encoder.leave()
            self._encode(encoder, before, None, range(first, end or sealed_frames))
            if end is not None and sealed_frames >= end + LOOKAHEAD_FRAMES:
                del self._encoders[span.first_msn]

    def _encode(
        self, encoder: GatedEncoder, index: int, samples: NDArray[np.int16] | None, its: range
    ) -> None:
        """Encode the sounding frame `index`, or silence up to it; keep what is in `its`."""
        try:
            frames = encoder.advance(index) if samples is None else encoder.push(index, samples)
        except EncoderLost:
            self._counters["encoder_lost_total"] += 1
            return
        for at, frame in frames:
            if at in its:
                self._segmenter.push(at, frame)


def wrapped(
    container: Container, audio: AacFormat, msn: int, frames: Sequence[bytes], part_frames: int
) -> bytes:
    """Return segment `msn` in a container: in fMP4 it is its parts in a row."""
    first = msn * SEGMENT_FRAMES
    match container:
        case Container.FMP4:
            return b"".join(
                _fragment(first + start, frames[start : start + part_frames], part_frames)
                for start in range(0, len(frames), part_frames)
            )
        case Container.TS:
            return mpegts.segment(audio, msn, first * AAC_SAMPLES, frames)
        case Container.ADTS:
            return adts.segment(audio, first * AAC_SAMPLES, frames)


def _fragment(first: int, frames: Sequence[bytes], part_frames: int) -> bytes:
    return media_segment(first // part_frames + 1, first * AAC_SAMPLES, frames)
