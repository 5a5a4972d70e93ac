"""A listener of the broadcaster: follows playlists, decrypts and decodes what they name."""

import re
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO

import av
import numpy as np
from av.container import InputContainer
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7
from numpy.typing import NDArray

from hls.pipeline import Broadcaster
from hls.types import BroadcastSpec, KeySpec, PlaylistKind

KEY = KeySpec(epoch=1, key=b"sixteen byte key", iv=bytes(range(16)), uri="enc.key")


def spec(
    room: str = "blue",
    *,
    version: int = 1,
    key: KeySpec = KEY,
    base_tick: int = 1000,
    on_air: bool = True,
) -> BroadcastSpec:
    """Return a room on air since `base_tick`."""
    return BroadcastSpec(room, version, (key,), base_tick, 1_700_000_000.0, on_air)


@dataclass(frozen=True)
class Playlist:
    first_msn: int
    discontinuity_sequence: int
    init: str
    names: list[str]
    key_uris: list[str]
    starts_unix_s: float

    @property
    def last_msn(self) -> int:
        return self.first_msn + len(self.names) - 1


def read(text: str | None) -> Playlist:
    """Parse a playlist that must be there."""
    assert text is not None
    names: list[str] = []
    key_uris: list[str] = []
    uri = ""
    for line in text.splitlines():
        if line.startswith("#EXT-X-KEY:METHOD=AES"):
            uri = line.split('"')[1]
        elif not line.startswith("#"):
            names.append(line)
            key_uris.append(uri)
    date = re.search(r"DATE-TIME:(\S+)", text)
    init = re.search(r'MAP:URI="([^"]+)"', text)
    assert date is not None
    assert init is not None
    return Playlist(
        _number(text, "MEDIA-SEQUENCE"),
        _number(text, "DISCONTINUITY-SEQUENCE"),
        init[1],
        names,
        key_uris,
        datetime.fromisoformat(date[1]).timestamp(),
    )


def decrypt(data: bytes | None, key: KeySpec = KEY) -> bytes:
    """Decrypt a segment that must be there."""
    assert data is not None
    decryptor = Cipher(algorithms.AES128(key.key), modes.CBC(key.iv)).decryptor()
    unpadder = PKCS7(128).unpadder()
    return unpadder.update(decryptor.update(data) + decryptor.finalize()) + unpadder.finalize()


def decode(init: bytes, segments: list[bytes], channel: int = 0) -> NDArray[np.float32]:
    """Return what a player hears, -1..1, from the first sample of the first segment on."""
    with av.open(BytesIO(init + b"".join(segments)), format="mp4") as container:
        assert isinstance(container, InputContainer)
        planes = [frame.to_ndarray()[channel] for frame in container.decode(audio=0)]
    return np.concatenate(planes).astype(np.float32)


def hear(
    broadcaster: Broadcaster, now_tick: int, room: str = "blue"
) -> tuple[Playlist, NDArray[np.float32]]:
    """Return the playlist and its sound."""
    playlist = read(broadcaster.playlist(room, "", PlaylistKind.CLASSIC, now_tick))
    clear = [decrypt(broadcaster.fetch(room, "", name, now_tick)) for name in playlist.names]
    init = broadcaster.fetch(room, "", playlist.init, now_tick)
    assert init is not None
    return playlist, decode(init, clear)


def tone(ticks: int, *, hertz: float = 1000.0, amplitude: float = 0.25) -> NDArray[np.int16]:
    """Return a sine of `ticks` ticks, shape (ticks, 960)."""
    time_s = np.arange(ticks * 960) / 48_000
    wave = amplitude * 32767 * np.sin(2 * np.pi * hertz * time_s)
    return wave.round().astype(np.int16).reshape(ticks, 960)


def level_db(samples: NDArray[np.float32] | NDArray[np.float64]) -> float:
    """Return the RMS level; a full-scale sine has -3 dB."""
    return float(10 * np.log10(np.mean(np.square(samples, dtype=np.float64)) + 1e-12))


def _number(text: str, tag: str) -> int:
    found = re.search(rf"^#EXT-X-{tag}:(\d+)$", text, re.MULTILINE)
    assert found is not None
    return int(found[1])
