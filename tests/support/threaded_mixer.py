"""A mixer process with a busy second Python thread, started at the moment argv names."""

import _thread
import sys

from mixer.plane import Plane
from mixer.types import RoomSpec
from server.media import mixer_worker


def spin() -> None:
    """Hold the interpreter lock as often as it can be had."""
    while True:
        pass


class ThreadingPlane(Plane):
    """A plane that starts a thread when it is given a room."""

    def apply(self, spec: RoomSpec) -> None:
        """Start the thread, then apply."""
        _thread.start_new_thread(spin, ())
        super().apply(spec)


if __name__ == "__main__":
    moment, _worker, _verb, settings = sys.argv[1:]
    if moment == "at-start":
        _thread.start_new_thread(spin, ())
    setattr(mixer_worker, "Plane", ThreadingPlane)  # noqa: B010 - it is no public name there
    mixer_worker.main([settings])
