from hypothesis import given
from hypothesis import strategies as st

from server.domain.media import Media
from server.media.segment_cache import SegmentCache


def test_the_least_recently_used_goes_first() -> None:
    """A get counts as use."""
    cache = SegmentCache(max_bytes=2)
    cache.put("r", "a", Media(b"1"))
    cache.put("r", "b", Media(b"2"))
    assert cache.get("r", "a") == Media(b"1")
    cache.put("r", "c", Media(b"3"))
    assert [cache.get("r", name) for name in "abc"] == [Media(b"1"), None, Media(b"3")]
    assert (cache.hits, cache.misses) == (3, 1)


def test_what_is_larger_than_all_is_not_held() -> None:
    """One huge segment does not throw out the others."""
    cache = SegmentCache(max_bytes=2)
    cache.put("r", "a", Media(b"1"))
    cache.put("r", "b", Media(b"234"))
    assert cache.get("r", "a") == Media(b"1")
    assert cache.get("r", "b") is None


def test_a_room_can_be_forgotten() -> None:
    """Only that room's segments go."""
    cache = SegmentCache()
    cache.put("r", "a", Media(b"1"))
    cache.put("s", "a", Media(b"2"))
    cache.forget("r")
    assert (cache.get("r", "a"), cache.get("s", "a"), cache.held_bytes) == (None, Media(b"2"), 1)


@given(st.lists(st.tuples(st.sampled_from("rs"), st.sampled_from("abc"), st.binary(max_size=6))))
def test_the_bound_holds_whatever_is_put(puts: list[tuple[str, str, bytes]]) -> None:
    """`held_bytes` is what is held, and never above the bound."""
    cache = SegmentCache(max_bytes=10)
    for room, name, data in puts:
        cache.put(room, name, Media(data))
    held = [cache.get(room, name) or Media(b"") for room in "rs" for name in "abc"]
    assert cache.held_bytes == sum(len(one.data) for one in held) <= 10
