"""How much audio an Opus packet holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixer.core.toc import MAX_SAMPLES, opus_duration


@pytest.mark.parametrize(
    ("configuration", "milliseconds"),
    [
        *((first + step, ms) for first in (0, 4, 8) for step, ms in enumerate((10, 20, 40, 60))),
        *((first + step, ms) for first in (12, 14) for step, ms in enumerate((10, 20))),
        *(
            (first + step, ms)
            for first in range(16, 32, 4)
            for step, ms in enumerate((2.5, 5, 10, 20))
        ),
    ],
)
def test_every_configuration_has_its_duration(configuration: int, milliseconds: float) -> None:
    """RFC 6716 table 2, for one frame and for two."""
    assert opus_duration(bytes([configuration << 3])) == milliseconds * 48
    assert opus_duration(bytes([configuration << 3 | 1, 0])) == milliseconds * 96
    assert opus_duration(bytes([configuration << 3 | 6, 0])) == milliseconds * 96


@pytest.mark.parametrize(
    ("payload", "samples"),
    [
        (b"", 0),
        (b"\xfb", 0),  # code 3 without its count
        (b"\xfb\x00", 0),  # no frames
        (b"\xfb\x06", 5760),
        (b"\xfb\x07", 0),  # 140 ms
        (b"\xfb\xc3", 2880),  # flags beside the count
    ],
)
def test_a_count_of_frames_is_believed_up_to_120_ms(payload: bytes, samples: int) -> None:
    """Code 3 holds its own number of frames, at most 120 ms."""
    assert opus_duration(payload) == samples


@given(st.binary(max_size=4))
def test_any_bytes_have_a_duration(payload: bytes) -> None:
    """Random bytes are 0 to 120 ms long, in steps of 2.5 ms."""
    samples = opus_duration(payload)
    assert 0 <= samples <= MAX_SAMPLES
    assert samples % 120 == 0
