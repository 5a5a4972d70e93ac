"""The media clock of a take: the room's own, pauses left out."""

from dataclasses import dataclass

from hls.recording.core.heard import TICK_SAMPLES

MAX_SPANS = 256  # the oldest go: nothing that arrives is older than the last pauses


@dataclass(slots=True)
class _Span:
    """From tick `begin` up to `end` (None: still going on), media position `position` on."""

    begin: int
    position: int
    end: int | None = None


class MediaClock:
    """Says where in a take a moment lies; ticks and samples count from CLOCK_MONOTONIC's zero."""

    def __init__(self, first_tick: int) -> None:
        self._spans = [_Span(first_tick, 0)]

    @property
    def is_paused(self) -> bool:
        """Whether what happens now is left out."""
        return self._spans[-1].end is not None

    def pause(self, tick: int) -> None:
        """Leave out what is from `tick` on."""
        last = self._spans[-1]
        if last.end is None:
            last.end = max(tick, last.begin)

    def resume(self, tick: int) -> None:
        """Go on with `tick` where the pause began."""
        last = self._spans[-1]
        if last.end is not None:
            position = last.position + last.end - last.begin
            self._spans.append(_Span(max(tick, last.end), position))
            del self._spans[:-MAX_SPANS]

    def ticks(self, now_tick: int) -> int:
        """Return how long the take is at the beginning of `now_tick`."""
        last = self._spans[-1]
        end = now_tick if last.end is None else min(now_tick, last.end)
        return last.position + max(0, end - last.begin)

    def tick(self, tick: int) -> int | None:
        """Return how many ticks of the take are before `tick`; None if it is left out."""
        position = self.sample(tick * TICK_SAMPLES)
        return None if position is None else position // TICK_SAMPLES

    def sample(self, sample: int) -> int | None:
        """Return how many samples of the take are before `sample`; None if it is left out."""
        for span in reversed(self._spans):
            behind = sample - span.begin * TICK_SAMPLES
            if behind < 0:
                continue
            if span.end is not None and behind >= (span.end - span.begin) * TICK_SAMPLES:
                return None
            return span.position * TICK_SAMPLES + behind
        return None
