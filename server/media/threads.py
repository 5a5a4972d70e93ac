"""The rule that the mixer process runs one Python thread.

A second one costs a hundredfold: every call into libsrtp through cffi gives up the interpreter
lock, and with a busy thread beside it gets it back only after the switch interval (5 ms). Forty
such calls go from 0.2 ms to 116 ms, in a tick of 20 ms.
"""

import os
import sys
import threading
from pathlib import Path

from server.errors import ServerError

# A 100 x 100 x 960 product burns 20 ms of CPU a tick otherwise, 0.4 ms with one thread. Read when
# numpy is imported, so the parent sets them.
ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class ExtraThread(ServerError):  # noqa: N818 - what there is
    """There is, or will be, a thread beside the main one; the sentence says which."""


def count_python_threads() -> int:
    """Return how many threads have a Python state, started by `threading` or not.

    `threading.enumerate()` knows only its own. Threads of native libraries hold no lock of ours and
    do not count here.
    """
    return len(sys._current_frames())  # noqa: SLF001 - documented (sys), specialised as it says


def count_os_threads() -> int:
    """Return how many threads the kernel sees, 0 where it does not tell."""
    try:
        return sum(1 for _ in Path("/proc/self/task").iterdir())
    except OSError:
        return 0


def check_single_thread() -> None:
    """Raise ExtraThread if any Python thread but the calling one exists."""
    count = count_python_threads()
    if count > 1:
        names = [t.name for t in threading.enumerate() if t is not threading.current_thread()]
        raise ExtraThread(f"{count} Python threads instead of 1: {', '.join(names) or 'unnamed'}")


def check_environment() -> None:
    """Raise ExtraThread if numpy was allowed more than one thread."""
    wrong = [name for name, value in ENVIRONMENT.items() if os.environ.get(name) != value]
    if wrong:
        raise ExtraThread(f"the mixer process needs {', '.join(wrong)} set to 1")
