"""The shelf of a rendition: its media as it is fetched, the newest from memory, older from disk."""

import hashlib
from collections import Counter

from hls.background import Job
from hls.core.framepack import pack, unpack
from hls.core.keyring import Keyring
from hls.disk import DiskWindow
from hls.encryption import encrypt
from hls.rendition import Rendition
from hls.types import Container

MEMORY_SEGMENTS = 32  # a minute


class Shelf:
    """Parts and segments of one rendition, wrapped and encrypted when somebody asks.

    Silence is neither in memory nor on disk.
    """

    def __init__(
        self,
        room: str,
        rendition: Rendition,
        keys: Keyring,
        disk: DiskWindow | None,
        counters: Counter[str],
    ) -> None:
        self.rendition = rendition
        self._keys = keys
        self._disk = disk
        self._counters = counters
        # A file name, whatever the room is called.
        self._stream = hashlib.sha256(f"{room}/{rendition.spec.name}".encode()).hexdigest()[:32]
        self._complete = 0

    @property
    def floor(self) -> int:
        """The oldest segment that may be listed as far as the disk is concerned."""
        return 0 if self._disk is None else self._disk.floor(self._stream)

    def settle(self, oldest: int, complete: int) -> None:
        """Keep segments [oldest, complete), of which all before `complete` are final."""
        in_memory = complete - MEMORY_SEGMENTS
        sounding = self.rendition.sounding
        self._counters["segments_sounding_total"] += sum(
            self._complete <= msn < complete for msn in sounding
        )
        self._complete = complete
        if self._disk is not None:
            for msn in sounding:
                if oldest <= msn < in_memory:
                    self._disk.put(self._stream, msn, pack(self.rendition.frames(msn)))
            self._disk.drop_before(self._stream, oldest)
        self.rendition.drop_before(max(oldest, in_memory))

    def unread(self, msn: int) -> Job | None:
        """Return what must be done, in any thread, for `segment` not to wait for the disk."""
        if self._disk is None or not self.rendition.is_silent(msn):
            return None
        return self._disk.unread(self._stream, msn)

    def part(self, msn: int, part: int) -> bytes | None:
        """Return a final part, encrypted; None if it is too old."""
        if msn < self._complete - MEMORY_SEGMENTS:
            return None
        key = self._keys.of(msn)
        return encrypt(key.key, key.iv, self.rendition.part(msn, part))

    def segment(self, msn: int, container: Container) -> bytes | None:
        """Return a final segment that is to be kept, encrypted; None if it was lost."""
        frames = self._frames(msn)
        if frames is None:
            return None
        key = self._keys.of(msn)
        return encrypt(key.key, key.iv, self.rendition.segment(msn, frames, container))

    def close(self) -> None:
        """Delete what is on disk."""
        if self._disk is not None:
            self._disk.forget(self._stream)

    def _frames(self, msn: int) -> list[bytes] | None:
        if self.rendition.is_silent(msn):
            if self._disk is not None and self._disk.has(self._stream, msn):
                packed = self._disk.get(self._stream, msn)
                return None if packed is None else unpack(packed)
            self._counters["segments_silent_total"] += 1
        return self.rendition.frames(msn)
