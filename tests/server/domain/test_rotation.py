"""When keys change."""

from hypothesis import given
from hypothesis import strategies as st

from server.domain.rotation import AHEAD, EARLY, MARGIN, Rotation, early_by, needed
from server.domain.stream import StreamKey


def key(epoch: int, first_msn: int) -> StreamKey:
    return StreamKey(epoch, b"k" * 16, b"i" * 16, first_msn)


def test_two_epochs_ahead() -> None:
    """Who has the first key finds two more planned, at whole multiples."""
    assert Rotation(20).planned(key(0, 0), heard=0, now_msn=5) == (20, 40)


def test_one_more_a_rotation() -> None:
    """As the next key is given out, another one is planned."""
    assert Rotation(20).planned(key(2, 40), heard=1, now_msn=18) == (60,)
    assert Rotation(20).planned(key(3, 60), heard=1, now_msn=19) == ()


def test_nobody_listens() -> None:
    """Where nobody has the newest keys, nothing follows them, however long it lasts."""
    assert Rotation(20).planned(key(4, 80), heard=2, now_msn=10**9) == ()
    assert Rotation(20).planned(key(0, 0), heard=-1, now_msn=10**9) == ()


def test_after_sleep() -> None:
    """Hours later there are two new keys, not thousands: the old epoch was longer."""
    assert Rotation(20).planned(key(7, 140), heard=7, now_msn=10_001) == (10_020, 10_040)


def test_never() -> None:
    """Zero means one key for good."""
    assert Rotation(0).planned(key(0, 0), heard=0, now_msn=99) == ()


@given(
    every=st.integers(5, 1000),
    first=st.integers(0, 10**6),
    now=st.integers(0, 10**7),
    heard=st.integers(-1, 12),
)
def test_in_time(every: int, first: int, now: int, heard: int) -> None:
    """No epoch begins where its key could come too late, and all begin on the grid."""
    last = key(10, first)
    begins = Rotation(every).planned(last, heard, now)
    assert len(begins) == max(0, min(heard, 10) + AHEAD - 10)
    for before, msn in zip((first, *begins), begins, strict=False):
        assert msn % every == 0
        assert msn > before
        assert msn >= now + MARGIN > now + EARLY
    if begins and first >= now + MARGIN:
        assert begins[0] == Rotation(every).next_after(first) <= first + every


def test_what_is_needed() -> None:
    """A key is needed until the next one covers everything that is."""
    keys = (key(0, 0), key(1, 20), key(2, 40))
    found = {oldest: [one.epoch for one in needed(keys, oldest)] for oldest in (-5, 19, 20, 99)}
    assert found == {-5: [0, 1, 2], 19: [0, 1, 2], 20: [1, 2], 99: [2]}


def test_when_it_may_be_had() -> None:
    """A key may be had two segments before it is in force."""
    assert [early_by(key(1, 20), now) for now in (0, 17, 18, 20, 99)] == [18, 1, 0, 0, 0]
