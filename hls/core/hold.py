"""Hold music of one bus: where it sounds alone, and how it comes and goes beside the room."""

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from hls.core.channels import fitted
from hls.core.timeline import AAC_SAMPLES, LOOKAHEAD_FRAMES

FADE_FRAMES: Final = 24  # 0.51 s
PAUSE_FRAMES: Final = 141  # 3 s: who reloads a page, or plays one thing after another, has silence
# An encoder that has heard so much of the music codes what follows as one that heard all of it.
LEAD_FRAMES: Final = 6


class Music(Protocol):
    """Sound without an end, on the grid of AAC frames: as samples, and as it is coded."""

    def samples(self, index: int) -> NDArray[np.int16]:
        """Return frame `index`, int16[1024 * channels] of one or two channels, interleaved."""

    def frame(self, index: int, bit_rate: int, channels: int) -> bytes | None:
        """Return AAC frame `index`; None if it is not here in that form."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A frame that is to be encoded: int16[1024 * channels], interleaved.

    With `lead` what came before it was not, and was this: an encoder is to know of it.
    """

    index: int
    samples: NDArray[np.int16]
    lead: tuple[NDArray[np.int16], ...] = ()


@dataclass(slots=True)
class _Span:
    """Frames [first, end) are of the music alone."""

    first: int
    end: int
    music: Music


class Hold:
    """Puts music where a bus is silent.

    Frames in which the music is alone are neither mixed nor encoded here: they are known as spans,
    and whoever wants them takes them from the music as it was coded once for everybody. What is to
    be encoded are the fades, with whatever the room says meanwhile. Only frames after those that
    were advanced over change.
    """

    def __init__(self, first: int) -> None:
        """Begin at frame `first`; there was no music before."""
        self._next = first
        self._resume_at = first
        self._wanted: Music | None = None
        self._planned: tuple[int, Music | None] | None = None  # from which frame on it is wanted
        self._music: Music | None = None  # what sounds, or fades
        self._level = 0  # of FADE_FRAMES
        self._spans: list[_Span] = []
        self._is_alone = False  # the last span goes on

    def want(self, music: Music | None, since: int = 0) -> None:
        """Have this music, or none, from frame `since` on, and until then what there was.

        Another one begins when this has faded out.
        """
        self._planned = (since, music)
        if since <= self._next:
            self._follow_plan()

    def pause(self) -> None:
        """Let there be no new music for three seconds."""
        self._resume_at = max(self._resume_at, self._next + PAUSE_FRAMES)

    def advance(
        self, until: int, heard: Sequence[tuple[int, NDArray[np.int16]]], channels: int
    ) -> list[Sealed]:
        """Go on to frame `until`; return what is to be encoded, in ascending order.

        `heard` is what sounds of the room on the way there, ascending. It is returned with the
        music, which goes as soon as anything is heard.
        """
        waiting = deque(heard)
        done: list[Sealed] = []
        if self._planned is not None and self._planned[0] < until:
            done += self._advance(self._planned[0], waiting, channels)
            self._follow_plan()
        return done + self._advance(until, waiting, channels)

    def is_alone(self, index: int) -> bool:
        """Whether frame `index` is of the music alone."""
        return any(True for _ in self._within(index, index + 1))

    def coded(self, first: int, end: int) -> Iterator[tuple[int, int, Music]]:
        """Return those of the AAC frames [first, end) that are of the music alone, by its parts.

        Each part is (first, end, music). A coded frame spans two of samples.
        """
        for span in self._within(first, end):
            begin, stop = max(first, span.first), min(end, span.end - 1)
            if begin < stop:
                yield begin, stop, span.music

    def forget_before(self, index: int) -> None:
        """Forget the music before frame `index`."""
        while self._spans and self._spans[0].end <= index and not self._is_open(self._spans[0]):
            del self._spans[0]

    def _advance(
        self, until: int, waiting: deque[tuple[int, NDArray[np.int16]]], channels: int
    ) -> list[Sealed]:
        """Go on to frame `until` with what is wanted now; take what was heard until then."""
        done: list[Sealed] = []
        while self._next < until:
            index, samples = self._next, None
            if waiting and waiting[0][0] == index:
                samples = waiting.popleft()[1]
                self._resume_at = index + 1 + PAUSE_FRAMES
            limit = min(waiting[0][0], until) if waiting else until
            is_rising = samples is None and self._is_due(index)
            if is_rising and self._level == FADE_FRAMES:
                done += self._alone(index, limit, channels)
            elif is_rising or self._level:
                done.append(self._fade(index, samples, channels, is_rising=is_rising))
            elif samples is not None:
                done.append(Sealed(index, samples))
                self._next += 1
            else:
                self._next = limit if self._wanted is None else min(limit, self._resume_at)
        return done

    def _follow_plan(self) -> None:
        assert self._planned is not None, "there is something new to want"
        (_, self._wanted), self._planned = self._planned, None

    def _is_due(self, index: int) -> bool:
        """Whether the music that is wanted may become louder."""
        if self._wanted is None or index < self._resume_at:
            return False
        return self._level == 0 or self._music is self._wanted

    def _is_open(self, span: _Span) -> bool:
        return self._is_alone and span is self._spans[-1]

    def _within(self, first: int, end: int) -> Iterator[_Span]:
        """Return the spans that share a frame with [first, end)."""
        start = bisect_right(self._spans, first, key=lambda span: span.end)
        for span in self._spans[start:]:
            if span.first >= end:
                return
            yield span

    def _alone(self, index: int, limit: int, channels: int) -> Iterator[Sealed]:
        """Let the music be alone up to `limit`; the encoder needs the first of it."""
        assert self._music is not None, "it has faded in"
        if not self._is_alone:
            self._spans.append(_Span(index, index, self._music))
            self._is_alone = True
        span = self._spans[-1]
        span.end = self._next = limit
        for at in range(index, min(limit, span.first + LOOKAHEAD_FRAMES)):
            yield Sealed(at, _sound(self._music, at, channels))

    def _fade(
        self, index: int, samples: NDArray[np.int16] | None, channels: int, *, is_rising: bool
    ) -> Sealed:
        """Return a frame in which the music comes or goes."""
        if self._level == 0:
            self._music = self._wanted
        music = self._music
        assert music is not None, "it comes, or has come"
        lead: tuple[NDArray[np.int16], ...] = ()
        if self._is_alone and index > self._spans[-1].first + LOOKAHEAD_FRAMES:
            lead = tuple(_sound(music, at, channels) for at in range(index - LEAD_FRAMES, index))
        self._is_alone = False
        before = self._level
        self._level += 1 if is_rising else -1
        self._next = index + 1
        gains = np.linspace(before, self._level, AAC_SAMPLES, endpoint=False) / FADE_FRAMES
        mixed = np.rint(_sound(music, index, channels) * np.repeat(gains, channels))
        if samples is not None:
            mixed += samples
        return Sealed(index, np.clip(mixed, -32_768, 32_767).astype(np.int16), lead)


def _sound(music: Music, index: int, channels: int) -> NDArray[np.int16]:
    return fitted(music.samples(index), AAC_SAMPLES, channels)
