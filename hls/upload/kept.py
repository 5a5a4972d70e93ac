"""The folders of a bucket that we filled, and when each is to go."""

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from hls.upload.spool import write_whole

_A_DAY_S: Final = 86_400


class KeptFolders:
    """A small file for each folder; only what stands there is ever deleted from the bucket."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._noted: dict[str, float] = {}

    def note(self, place: str, now_unix_s: float) -> None:
        """Remember that something was sent to `place`; a note an hour is enough. Raises OSError."""
        if now_unix_s - self._noted.get(place, -math.inf) < _A_DAY_S / 24:
            return
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        content = json.dumps({"place": place, "unix_s": now_unix_s})
        write_whole(self._path(place), content.encode())
        self._noted[place] = now_unix_s

    def due(self, now_unix_s: float, keep_s: float) -> list[str]:
        """Return the places to which nothing was sent for so long."""
        found = []
        for path in self._folder.glob("*.json"):
            note = _read(path)
            place, unix_s = note.get("place"), note.get("unix_s")
            if not isinstance(place, str) or not place or not isinstance(unix_s, int | float):
                continue
            if path == self._path(place) and now_unix_s - unix_s >= keep_s:
                found.append(place)
        return sorted(found)

    def forget(self, place: str) -> None:
        """Forget a place that was deleted."""
        self._noted.pop(place, None)
        self._path(place).unlink(missing_ok=True)

    def _path(self, place: str) -> Path:
        return self._folder / f"{hashlib.sha256(place.encode()).hexdigest()[:32]}.json"


def _read(path: Path) -> Mapping[str, object]:
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}
