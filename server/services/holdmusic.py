"""Whether a file can be hold music, found out before a room has it."""

import asyncio

from hls.loop import MAX_SECONDS, MIN_SECONDS, TOO_LONG, TOO_SHORT
from mixer.types import TICK_S
from server.domain.announcement import FRAME_BYTES
from server.errors import BadInput, FieldMistake, NotEnabled, NotFound, SoundRefused
from server.ports import SoundDecoder
from server.services.sounds import Sounds


class HoldMusic:
    """Tries files of the folder of announcements, one at a time."""

    def __init__(self, sounds: Sounds, decoder: SoundDecoder) -> None:
        self._sounds = sounds
        self._decoder = decoder
        self._turn = asyncio.Lock()  # each takes a process

    async def check(self, name: str) -> None:
        """Raise BadInput if no room can play this file while it is empty."""
        async with self._turn:
            try:
                await self._try(name)
            except (NotEnabled, NotFound, SoundRefused) as error:
                raise BadInput(str(error), (FieldMistake("HoldMusic", str(error)),)) from None

    async def _try(self, name: str) -> None:
        with await self._sounds.open(name) as sound:
            decoding = await self._decoder.open(sound.fileno(), is_looped=False)
        try:
            length_s = decoding.length_s
            if length_s is not None and length_s > MAX_SECONDS:
                raise SoundRefused(TOO_LONG)
            least, size = round(MIN_SECONDS / TICK_S) * FRAME_BYTES, 0
            while size < least:
                chunk = await decoding.read()
                if not chunk:
                    raise SoundRefused(TOO_SHORT)
                size += len(chunk)
        finally:
            await decoding.close()
