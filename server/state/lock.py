"""A lock file: one process owns what lies beside it, and says which."""

import fcntl
import os
from pathlib import Path
from typing import Self

from server.errors import SetupMistake


class LockFile:
    """Held from `acquire` to `release`, or until the process is gone, however it went."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    @classmethod
    def acquire(cls, path: Path) -> Self:
        """Take the lock at `path`. Raises SetupMistake that names the owner."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SetupMistake(f"{path} cannot be opened: {error.strerror}") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = os.read(descriptor, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise SetupMistake(
                f"Another Roomtone (process {owner}) already uses {path.parent}."
                " Stop it, or give this one a --state-dir of its own"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        return cls(path, descriptor)

    def release(self) -> None:
        """Let go. The file stays: removing it would race with the next owner."""
        os.close(self._descriptor)
