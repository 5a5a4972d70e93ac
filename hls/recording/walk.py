"""The files of a recording: what its folder holds for others, and nothing outside of it."""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

MAX_FILES: Final = 10_000
MAX_DEPTH: Final = 3


def walk(place: Path, *, is_strict: bool = False) -> Iterator[tuple[str, os.stat_result]]:
    """Yield the regular files in and below a folder by their relative names; bounded.

    Links are not followed, whoever put them there; a folder that is one has nothing in it. What
    begins with a dot or ends in `.new` is the writer's own: for a full disk, a lock, or unfinished.
    What cannot be read is left out, or raises OSError if it `is_strict`.
    """
    ignored = (FileNotFoundError, NotADirectoryError) if is_strict else (OSError,)
    left = MAX_FILES
    waiting = [("", place, 0)]
    while waiting:
        before, folder, depth = waiting.pop()
        if folder.is_symlink():
            continue
        with contextlib.suppress(*ignored), os.scandir(folder) as entries:
            for entry in entries:
                left -= 1
                if left < 0:
                    return
                with contextlib.suppress(*ignored):  # it was removed meanwhile
                    status = entry.stat(follow_symlinks=False)
                    if entry.name.startswith(".") or entry.name.endswith(".new"):
                        continue
                    if stat.S_ISREG(status.st_mode):
                        yield before + entry.name, status
                    elif stat.S_ISDIR(status.st_mode) and depth < MAX_DEPTH:
                        waiting.append((f"{before}{entry.name}/", Path(entry.path), depth + 1))
