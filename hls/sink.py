"""Where finished segments go: encrypted, into a bounded window of memory."""

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES128
from cryptography.hazmat.primitives.ciphers.modes import CBC

_BLOCK = 16


def encrypt(key: bytes, iv: bytes, data: bytes) -> bytes:
    """Encrypt a whole segment: AES-128-CBC, PKCS #7 padding (RFC 8216 §4.3.2.4).

    `key` and `iv` are 16 bytes each.
    """
    missing = _BLOCK - len(data) % _BLOCK
    encryptor = Cipher(AES128(key), CBC(iv)).encryptor()
    return encryptor.update(data + bytes([missing]) * missing) + encryptor.finalize()


class MemoryWindow:
    """The newest `capacity` encrypted segments by media sequence number; the oldest go."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._segments: dict[int, bytes] = {}

    def __len__(self) -> int:
        return len(self._segments)

    def put(self, msn: int, data: bytes) -> None:
        """Keep a segment; a number that is already there is replaced."""
        self._segments[msn] = data
        while len(self._segments) > self._capacity:
            del self._segments[min(self._segments)]

    def drop_before(self, msn: int) -> None:
        """Forget the segments below `msn`."""
        self._segments = {kept: data for kept, data in self._segments.items() if kept >= msn}

    def get(self, msn: int) -> bytes | None:
        """Return a segment, None if it is not (or no longer) here."""
        return self._segments.get(msn)
