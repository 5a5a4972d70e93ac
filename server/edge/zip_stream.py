"""Files as one ZIP archive that is written while it is sent: nothing of it is held but a piece."""

import time
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

PIECE_BYTES: Final = 1 << 18
_FIRST_YEAR: Final = 1980  # of a time in a ZIP archive


class _Outlet:
    """What zipfile writes to: it cannot seek, so sizes stand behind each file."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, piece: bytes) -> int:
        """Take a piece."""
        self._pieces.append(bytes(piece))
        return len(piece)

    def tell(self) -> int:
        """Say that it cannot."""
        raise OSError

    def seek(self, _offset: int, _whence: int = 0) -> int:
        """Say that it cannot."""
        raise OSError

    def close(self) -> None:
        """Do nothing: what was taken is gone, and the rest is garbage."""

    def flush(self) -> None:
        """Do nothing: there is nothing behind it."""

    def take(self) -> bytes:
        """Return what was written since."""
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken


def zipped(files: Iterable[tuple[str, Path]]) -> Iterator[bytes]:
    """Yield a ZIP archive of files by name, as they are: sound does not get smaller. Blocks.

    A file that grows meanwhile is in it as far as it was read. Raises OSError.
    """
    outlet = _Outlet()
    with zipfile.ZipFile(outlet, "w", zipfile.ZIP_STORED) as archive:
        for name, path in files:
            with path.open("rb") as file:
                moment = time.gmtime(path.stat().st_mtime)[:6]
                info = zipfile.ZipInfo(name, max(moment, (_FIRST_YEAR, 1, 1, 0, 0, 0)))
                info.external_attr = 0o600 << 16
                with archive.open(info, "w", force_zip64=True) as entry:
                    while piece := file.read(PIECE_BYTES):
                        entry.write(piece)
                        yield outlet.take()
    yield outlet.take()
