"""A mixer process with a busy second Python thread, started at the moment argv names."""

import _thread
import sys

from mixer.plane import Plane
from mixer.types import RoomSpec
from server.media import mixer_worker

spinning = _thread.allocate_lock()


def spin() -> None:
    """Hold the interpreter lock as often as it can be had."""
    spinning.release()
    while True:
        pass


def start_spinning() -> None:
    """Start the thread and wait for it: one that has not run yet is not seen by anybody."""
    spinning.acquire()
    _thread.start_new_thread(spin, ())
    spinning.acquire()


class ThreadingPlane(Plane):
    """A plane that starts a thread when it is given a room."""

    def apply(self, spec: RoomSpec) -> None:
        """Start the thread, then apply."""
        start_spinning()
        super().apply(spec)


if __name__ == "__main__":
    moment, _worker, _verb, settings = sys.argv[1:]
    if moment == "at-start":
        start_spinning()
    setattr(mixer_worker, "Plane", ThreadingPlane)  # noqa: B010 - it is no public name there
    mixer_worker.main([settings])
