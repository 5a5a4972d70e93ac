"""AES-128 as HLS has it."""

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES128
from cryptography.hazmat.primitives.ciphers.modes import CBC

_BLOCK = 16


def encrypt(key: bytes, iv: bytes, data: bytes) -> bytes:
    """Encrypt a whole part or segment: AES-128-CBC, PKCS #7 padding (RFC 8216 §4.3.2.4).

    `key` and `iv` are 16 bytes each.
    """
    missing = _BLOCK - len(data) % _BLOCK
    encryptor = Cipher(AES128(key), CBC(iv)).encryptor()
    return encryptor.update(data + bytes([missing]) * missing) + encryptor.finalize()


def decrypt(key: bytes, iv: bytes, data: bytes) -> bytes:
    """Return what was encrypted. Raises ValueError if it was not, or not with that key."""
    if not data or len(data) % _BLOCK:
        raise ValueError("not a number of whole blocks")
    decryptor = Cipher(AES128(key), CBC(iv)).decryptor()
    padded = decryptor.update(data) + decryptor.finalize()
    missing = padded[-1]
    if not 1 <= missing <= _BLOCK or padded[-missing:] != bytes([missing]) * missing:
        raise ValueError("wrongly padded")
    return padded[:-missing]
