import pytest

from server.domain.byte_range import read_range
from server.errors import RangeNotThere


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("", None),
        ("bytes=0-4", range(5)),
        ("bytes=5-", range(5, 10)),
        ("bytes=5-999", range(5, 10)),
        ("bytes=-3", range(7, 10)),
        ("bytes=-30", range(10)),
        (" Bytes=9-9 ", range(9, 10)),
        ("bytes=-", None),
        ("bytes=4-3", None),
        ("bytes=0-1,3-4", None),
        ("bytes=x-4", None),
        ("bytes=\u0663-4", None),
        ("seconds=0-4", None),
        (f"bytes=0-{'9' * 400}", None),
    ],
)
def test_a_range(header: str, wanted: range | None) -> None:
    """One range is read; what is none, or several, is as if it were not there."""
    assert read_range(header, 10) == wanted


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-20", "bytes=-0"])
def test_beyond_the_end(header: str) -> None:
    """A range of which nothing is there is refused with the size."""
    with pytest.raises(RangeNotThere) as caught:
        read_range(header, 10)
    assert caught.value.size == 10
