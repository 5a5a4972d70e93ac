"""What the tests of the pure core share."""

import pytest

WRAP_STARTS = (
    *(0, 1, 127, 128, 255, 256, 4095, 4096, 16383, 16384, 32766, 32767, 32768, 65533, 65534, 65535),
)


@pytest.fixture(params=WRAP_STARTS)
def wrap_start(request: pytest.FixtureRequest) -> int:
    """Sixteen places for a 16-bit number to start: where bytes, signs and circles wrap."""
    start: int = request.param
    return start
