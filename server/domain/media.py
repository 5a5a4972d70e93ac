"""A piece of a stream as it is sent to everybody who asks for it."""

import hashlib
from dataclasses import dataclass, field
from typing import Final

_TAG_CHARACTERS: Final = 22  # 88 bits


@dataclass(frozen=True, slots=True)
class Media:
    """Bytes that never change under their name; `tag` is their strong ETag, without quotes."""

    data: bytes
    tag: str = field(init=False)

    def __post_init__(self) -> None:
        """Make the tag, once for all who ask."""
        tag = hashlib.sha256(self.data).hexdigest()[:_TAG_CHARACTERS]
        object.__setattr__(self, "tag", tag)
