"""The captions of a take: each waits until its moment has passed, then it is in a file."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from hls.core.webvtt import Cue
from hls.recording.core.captions import HEAD, block
from hls.recording.core.clock import MediaClock
from hls.recording.core.ogg import Chapter
from hls.recording.files import Output, RecordingFile

MAX_WAITING = 2000  # eight languages, a minute ahead, twice as many as are let in
MAX_LANGUAGES = 16  # as a broadcast has at most; each is a file


class CaptionsFile(RecordingFile):
    """WebVTT, in the order in which captions came; how long it is is when its last cue is over."""

    def __init__(self, output: Output) -> None:
        super().__init__(output)
        output.append(HEAD)

    def put(self, cue: Cue) -> None:
        """Take a cue, in samples of the take."""
        self.output.append(block(cue))
        self.samples = max(self.samples, cue.end)

    def _close_gap(self) -> None:
        """See RecordingFile: it can be read as far as it is."""

    def _finish(self, chapters: Sequence[Chapter]) -> None:
        del chapters  # WebVTT has them in files of their own


class _Waiting(NamedTuple):
    language: str
    cue: Cue  # in samples since CLOCK_MONOTONIC's zero


class TakeCaptions:
    """Holds captions until `advance` is past their beginning, so that none is of a pause to come.

    `make_file` makes the file of a language once there is a first caption for it.
    """

    def __init__(self, clock: MediaClock, make_file: Callable[[str], CaptionsFile]) -> None:
        self.refused = 0
        """Captions that were too many, or in too many languages."""
        self._clock = clock
        self._make_file = make_file
        self._waiting: list[_Waiting] = []
        self._files: dict[str, CaptionsFile] = {}

    def put(self, language: str, cue: Cue) -> None:
        """Take a caption; `cue` counts from CLOCK_MONOTONIC's zero."""
        if len(self._waiting) >= MAX_WAITING:
            self.refused += 1
            return
        self._waiting.append(_Waiting(language, cue))

    def advance(self, now: int) -> None:
        """Write what has begun before sample `now`, unless it began in a pause or before the take.

        What is said in a pause is to be read as little as heard. Raises OSError.
        """
        ripe = [one for one in self._waiting if one.cue.start < now]
        self._waiting = [one for one in self._waiting if one.cue.start >= now]
        for language, cue in sorted(ripe, key=lambda one: one.cue.start):
            start = self._clock.sample(cue.start)
            if start is not None and block(cue):
                self._write(language, Cue(start, start + cue.end - cue.start, cue.text))

    def _write(self, language: str, cue: Cue) -> None:
        key = language.lower()  # as file systems may see names
        file = self._files.get(key)
        if file is None:
            if len(self._files) >= MAX_LANGUAGES:
                self.refused += 1
                return
            file = self._files[key] = self._make_file(language)
        file.put(cue)
