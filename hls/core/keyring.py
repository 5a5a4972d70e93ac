"""The keys of a stream: which one encrypts which segment."""

from collections.abc import Iterable
from dataclasses import replace

from hls.types import KeySpec


class Keyring:
    """Keys in ascending order of the segment from which each is in force.

    What was announced never changes its key: `plan` decides about later segments only.
    """

    def __init__(self, keys: Iterable[KeySpec]) -> None:
        """Take at least one key, in ascending order. The first covers everything before it too."""
        self._keys = list(keys)
        assert self._keys, "a stream is never in the clear"

    def __len__(self) -> int:
        return len(self._keys)

    def plan(self, keys: Iterable[KeySpec], from_msn: int) -> None:
        """Follow `keys` (at least one, ascending) from segment `from_msn` on."""
        new = Keyring(keys)
        first = replace(new.of(from_msn), first_msn=from_msn)
        kept = [key for key in self._keys if key.first_msn < from_msn]
        if not (kept and _is_same(kept[-1], first)):
            kept.append(first)
        self._keys = kept + [key for key in new._keys if key.first_msn > from_msn]

    def of(self, msn: int) -> KeySpec:
        """Return the key that segment `msn` is encrypted with."""
        found = self._keys[0]
        for key in self._keys[1:]:
            if key.first_msn > msn:
                break
            found = key
        return found

    def forget_before(self, msn: int) -> None:
        """Drop the keys that no segment from `msn` on needs."""
        while len(self._keys) > 1 and self._keys[1].first_msn <= msn:
            del self._keys[0]


def _is_same(one: KeySpec, other: KeySpec) -> bool:
    return replace(one, first_msn=other.first_msn) == other
