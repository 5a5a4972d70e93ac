from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from hls.encryption import decrypt as ours
from hls.encryption import encrypt
from tests.hls.listener import KEY, decrypt


def test_known_answer() -> None:
    """The cipher is AES-128-CBC: the first vector of NIST SP 800-38A F.2.1."""
    data = encrypt(
        bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c"),
        bytes.fromhex("000102030405060708090a0b0c0d0e0f"),
        bytes.fromhex("6bc1bee22e409f96e93d7e117393172a"),
    )
    assert data[:16].hex() == "7649abac8119b246cee98e9b12e9197d"
    assert len(data) == 32


@given(st.binary(max_size=100))
def test_padding(clear: bytes) -> None:
    """PKCS #7: any length comes back, always padded."""
    data = encrypt(KEY.key, KEY.iv, clear)
    assert len(data) == (len(clear) // 16 + 1) * 16
    assert decrypt(data) == clear


@given(st.binary(max_size=100))
def test_there_and_back(clear: bytes) -> None:
    """What was encrypted comes back."""
    assert ours(KEY.key, KEY.iv, encrypt(KEY.key, KEY.iv, clear)) == clear


@given(st.binary(max_size=64))
def test_other_bytes(data: bytes) -> None:
    """What was not is a ValueError, or by chance something else; nothing worse."""
    with suppress(ValueError):
        assert len(ours(KEY.key, KEY.iv, data)) < len(data)
