"""The life of a worker process."""

import subprocess
import sys

SCRIPT = """
import gc
from server.media import mixer_worker
from server.media.worker import settle_heap
before = len(gc.get_objects())
settle_heap()
print(before, len(gc.get_objects()), gc.get_freeze_count())
"""


def test_what_a_worker_begins_with_is_no_garbage_to_look_for() -> None:
    """A collection that walks all modules would stop a mixer for longer than a tick."""
    told = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, check=True)
    before, after, frozen = map(int, told.stdout.split())
    assert after < before / 20
    assert frozen > before / 2
