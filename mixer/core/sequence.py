"""Arithmetic on numbers that wrap: RTP sequence numbers (16 bit) and timestamps (32 bit)."""


def distance(a: int, b: int, bits: int = 16) -> int:
    """Return how far `a` lies after `b` on the circle of `2**bits` numbers (RFC 1982, RFC 3550).

    The result is in `[-2**(bits - 1), 2**(bits - 1))`; a number exactly half a circle away counts
    as behind. `a` and `b` may be extended numbers.
    """
    half = 1 << (bits - 1)
    return ((a - b + half) & ((1 << bits) - 1)) - half


def newer(a: int, b: int, bits: int = 16) -> bool:
    """Whether `a` comes after `b`, by the shorter way around the circle."""
    return distance(a, b, bits) > 0


def extend(value: int, reference: int, bits: int = 16) -> int:
    """Return the extended number nearest to `reference` whose low `bits` are `value`."""
    return reference + distance(value, reference, bits)


class Unwrapper:
    """Turns wrapping numbers into ones that do not, by nearness to the highest seen so far.

    The first number keeps its value plus one full circle, so that packets sent before it, which
    may still arrive, have positive numbers too: every result is above zero.
    """

    __slots__ = ("_bits", "highest")

    highest: int | None
    """The highest extended number so far; None before the first."""

    def __init__(self, bits: int = 16) -> None:
        self._bits = bits
        self.highest = None

    def unwrap(self, value: int) -> int:
        """Return the extended number of `value`: at most half a circle away from the highest."""
        if self.highest is None:
            self.highest = value + (1 << self._bits)
            return self.highest
        extended = extend(value, self.highest, self._bits)
        self.highest = max(self.highest, extended)
        return extended
