"""A thread for what may have to wait for a disk, so that nobody else has to."""

import logging
import queue
import threading
from collections.abc import Callable

MAX_WAITING = 16_384  # jobs, should the disk hang

Job = Callable[[], object]
"""Something to do in any thread; it raises nothing."""

_log = logging.getLogger(__name__)


def at_once(job: Job) -> bool:
    """Do a job here and now."""
    job()
    return True


class Background:
    """Jobs in the order in which they came, each done by a thread of our own."""

    def __init__(self, name: str, max_waiting: int = MAX_WAITING) -> None:
        self._jobs: queue.Queue[Job] = queue.Queue(max_waiting)
        # A daemon: a disk that hangs must not keep the process.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def __call__(self, job: Job) -> bool:
        """Take a job; False, and it is not done, if too many wait. Never waits."""
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            return False
        return True

    def join(self, timeout_s: float) -> bool:
        """Wait until all is done that was taken; whether it is."""
        done = threading.Event()
        try:
            self._jobs.put(done.set, timeout=timeout_s)
        except queue.Full:
            return False
        return done.wait(timeout_s)

    def _run(self) -> None:
        while True:
            job = self._jobs.get()
            try:
                job()
            except Exception:  # noqa: BLE001 - the others are to be done all the same
                _log.exception("a job in the background failed")
