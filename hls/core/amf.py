"""AMF0, the values in RTMP's commands, as far as publishing needs them (Adobe, AMF 0, 2007)."""

import struct
from collections.abc import Mapping
from typing import Final

Value = float | bool | str | None | Mapping[str, "Value"]

_NUMBER, _BOOLEAN, _STRING, _OBJECT, _NULL, _UNDEFINED, _ARRAY, _END = 0, 1, 2, 3, 5, 6, 8, 9
_DEEPEST: Final = 8
_DOUBLE: Final = struct.Struct(">d")
_SHORT: Final = struct.Struct(">H")


class BadAmf(Exception):  # noqa: N818 - what it is
    """Bytes that are no AMF0, or more of it than anybody needs."""


def encode(*values: Value) -> bytes:
    """Return values one after the other."""
    return b"".join(map(_encoded, values))


def decode(data: bytes) -> list[Value]:
    """Return all values of a message. Raises BadAmf."""
    reader = _Reader(data)
    found: list[Value] = []
    try:
        while reader.at < len(data):
            found.append(reader.value(0))
    except (struct.error, IndexError, UnicodeDecodeError):
        raise BadAmf("it ends too early, or is no text") from None
    return found


def _encoded(value: Value) -> bytes:
    match value:
        case None:
            return bytes([_NULL])
        case bool():
            return bytes([_BOOLEAN, value])
        case float() | int():
            return bytes([_NUMBER]) + _DOUBLE.pack(value)
        case str():
            return bytes([_STRING]) + _text(value)
        case _:
            pairs = b"".join(_text(name) + _encoded(one) for name, one in value.items())
            return bytes([_OBJECT]) + pairs + bytes([0, 0, _END])


def _text(value: str) -> bytes:
    data = value.encode()
    return _SHORT.pack(len(data)) + data


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def value(self, depth: int) -> Value:
        kind = self._data[self.at]
        self.at += 1
        match kind:
            case 0:
                (number,) = _DOUBLE.unpack_from(self._data, self.at)
                self.at += _DOUBLE.size
                return float(number)
            case 1:
                self.at += 1
                return bool(self._data[self.at - 1])
            case 2:
                return self._text()
            case 3 | 8:
                if depth >= _DEEPEST:
                    raise BadAmf("it is too deep")
                self.at += 4 if kind == _ARRAY else 0
                return self._pairs(depth)
            case 5 | 6:
                return None
            case _:
                raise BadAmf(f"there is no value of kind {kind}")

    def _pairs(self, depth: int) -> dict[str, Value]:
        found: dict[str, Value] = {}
        while True:
            name = self._text()
            if not name and self._data[self.at] == _END:
                self.at += 1
                return found
            found[name] = self.value(depth + 1)

    def _text(self) -> str:
        (size,) = _SHORT.unpack_from(self._data, self.at)
        self.at += _SHORT.size + size
        if self.at > len(self._data):
            raise BadAmf("a text ends too early")
        return self._data[self.at - size : self.at].decode()
