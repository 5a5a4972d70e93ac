import pytest
from hypothesis import given
from hypothesis import strategies as st

from hls.sink import MemoryWindow, encrypt
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


def test_bound() -> None:
    """The window keeps the newest segments and no more."""
    window = MemoryWindow(3)
    for msn in (7, 5, 8, 6, 9):
        window.put(msn, b"%d" % msn)
    assert len(window) == 3
    assert [window.get(msn) for msn in range(5, 10)] == [None, None, b"7", b"8", b"9"]


@pytest.mark.parametrize("data", [b"", b"new"])
def test_replace(data: bytes) -> None:
    """Putting a number again replaces what was there."""
    window = MemoryWindow(2)
    window.put(1, b"old")
    window.put(1, data)
    assert window.get(1) == data


def test_drop() -> None:
    """What fell out of the playlist is forgotten even if nothing new comes."""
    window = MemoryWindow(5)
    for msn in range(5):
        window.put(msn, b"x")
    window.drop_before(3)
    assert [window.get(msn) for msn in range(5)] == [None, None, None, b"x", b"x"]
