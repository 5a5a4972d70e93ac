import subprocess
import sys

import pytest

from server.media.threads import (
    ENVIRONMENT,
    ExtraThread,
    check_environment,
    count_os_threads,
    count_python_threads,
)

# In a process of its own: the test runner has threads, or may.
PROGRAM = """
import _thread, threading
from server.media.threads import check_single_thread, count_python_threads
check_single_thread()
lock, started = _thread.allocate_lock(), _thread.allocate_lock()
lock.acquire(), started.acquire()
{start}
started.acquire()
assert count_python_threads() == 2
check_single_thread()
"""
STARTS = {
    "threading": 'threading.Thread(target=lambda: (started.release(), lock.acquire()), name="spy", '
    "daemon=True).start()",
    "_thread": "_thread.start_new_thread(lambda: (started.release(), lock.acquire()), ())",
}


@pytest.mark.parametrize(("start", "name"), [("threading", "spy"), ("_thread", "unnamed")])
def test_a_second_thread_is_found_however_it_was_started(start: str, name: str) -> None:
    """Alone the check passes; a thread `threading` does not know of fails it too."""
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(start=STARTS[start])],
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"2 Python threads instead of 1: {name}" in run.stderr


def test_the_kernel_sees_at_least_the_python_threads() -> None:
    """The two counts are of the same process."""
    assert count_os_threads() >= count_python_threads() >= 1


def test_numpy_must_not_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The check names the variable that is missing or wrong."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    check_environment()
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    monkeypatch.delenv("OMP_NUM_THREADS")
    with pytest.raises(ExtraThread, match="OPENBLAS_NUM_THREADS, OMP_NUM_THREADS"):
        check_environment()
