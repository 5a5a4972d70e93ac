import pytest

from hls.types import BroadcastSpec, CaptionsSpec, KeySpec, PlaylistKind, Position
from server.domain.reload import Parts, PlaylistAsk, read_directives
from server.errors import BadInput

KEY = KeySpec(0, bytes(16), bytes(16), "enc.key")
CAPTIONS = (CaptionsSpec("en-cc", "en"),)
PARTS = Parts(BroadcastSpec("demo", 1, (KEY,), 0, 0.0, captions=CAPTIONS))  # six of 320 ms


def at(msn: int, part: int) -> int:
    return PARTS.index(Position(msn, part))


def test_parts_are_one_row() -> None:
    """After the last part of a segment comes the first of the next."""
    assert (PARTS.count, PARTS.seconds) == (6, 0.32)
    assert at(7, 5) + 1 == at(8, 0) == at(7, 6) == at(7, 1000)
    assert [PARTS.msn(at(7, part)) for part in (0, 5, 6)] == [7, 7, 8]


@pytest.mark.parametrize(
    ("ask", "wanted"),
    [
        (PlaylistAsk(), None),
        (PlaylistAsk(kind=PlaylistKind.MULTIVARIANT, msn=7), None),
        (PlaylistAsk(msn=7), at(7, 5)),
        (PlaylistAsk(msn=7, part=2), at(7, 2)),
        (PlaylistAsk(msn=7, part=6), at(8, 0)),
        (PlaylistAsk(kind=PlaylistKind.CLASSIC, msn=7, part=2), at(7, 5)),
        (PlaylistAsk("en-cc", msn=7), at(6, 5)),  # which are listed when they begin
        (PlaylistAsk("en-cc", PlaylistKind.CLASSIC, msn=7, part=2), at(6, 5)),
        (PlaylistAsk("en-cc", msn=0), -1),
    ],
)
def test_what_is_waited_for(ask: PlaylistAsk, wanted: int | None) -> None:
    """A segment is waited for as a whole, a part by itself; the list of renditions has neither."""
    assert PARTS.wanted(ask) == wanted


@pytest.mark.parametrize(
    ("ask", "is_too_far"),
    [
        (PlaylistAsk(), False),
        (PlaylistAsk(msn=0), False),
        (PlaylistAsk(msn=7, part=3), False),  # the next one
        (PlaylistAsk(msn=8), False),
        (PlaylistAsk(msn=9), True),  # 6 is the last whole segment
        (PlaylistAsk(msn=8, part=0), False),
        (PlaylistAsk(msn=8, part=5), False),
        (PlaylistAsk(msn=8, part=6), True),
        (PlaylistAsk(msn=10**14, part=0), True),
        (PlaylistAsk("en-cc", msn=9), False),  # 7 is the last that is listed
        (PlaylistAsk("en-cc", msn=9, part=5), False),
        (PlaylistAsk("en-cc", msn=10), True),
    ],
)
def test_how_far_ahead(ask: PlaylistAsk, is_too_far: bool) -> None:  # noqa: FBT001
    """Two segments after the last whole one may be asked for, and three seconds of parts."""
    assert PARTS.is_too_far(ask, at(7, 3)) is is_too_far


def test_captions_are_of_one_kind() -> None:
    """They have no parts: both kinds are one text, which is never a delta update."""
    for kind in (PlaylistKind.LOW_LATENCY, PlaylistKind.CLASSIC):
        ask = PlaylistAsk("en-cc", kind, skip=True)
        assert PARTS.kind(ask) is PlaylistKind.CLASSIC
        assert not PARTS.may_skip(ask)
        assert PARTS.kind(PlaylistAsk(kind=kind)) is kind
    assert PARTS.may_skip(PlaylistAsk(skip=True))


def test_parts_that_are_too_far_within_a_segment() -> None:
    """Three seconds of parts may be less than two segments."""
    parts = Parts(BroadcastSpec("demo", 1, (KEY,), 0, 0.0, part_frames=3))  # 64 ms each
    position = parts.index(Position(7, 0))
    assert not parts.is_too_far(PlaylistAsk(msn=8, part=16), position)
    assert parts.is_too_far(PlaylistAsk(msn=8, part=17), position)


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("seg-7.2.m4s", at(7, 2)),
        ("seg-7.m4s", None),
        ("seg-7.6.m4s", None),
        ("seg-07.2.m4s", None),
        ("seg-7.02.m4s", None),
        ("seg-7.2.m4s.gz", None),
        ("seg-\u0667.2.m4s", None),
        ("init-1.mp4", None),
    ],
)
def test_names_of_parts(name: str, index: int | None) -> None:
    """A part has one name, and nothing else is one."""
    assert PARTS.named(name) == index


def test_delta_updates() -> None:
    """Only the playlist of low latency has any."""
    assert PARTS.may_skip(PlaylistAsk(skip=True))
    assert not PARTS.may_skip(PlaylistAsk())
    assert not PARTS.may_skip(PlaylistAsk(skip=True, kind=PlaylistKind.CLASSIC))


@pytest.mark.parametrize(
    ("query", "read"),
    [
        ([], (None, None, False)),
        ([("_HLS_msn", "7")], (7, None, False)),
        ([("_HLS_part", "0"), ("_HLS_msn", "7"), ("token", "x")], (7, 0, False)),
        ([("_HLS_skip", "YES")], (None, None, True)),
        ([("_HLS_skip", "v2")], (None, None, False)),
        ([("_HLS_msn", "9" * 15), ("_HLS_of_later", "-1")], (10**15 - 1, None, False)),
        ([("token", "x"), ("token", "y")], (None, None, False)),
    ],
)
def test_directives(
    query: list[tuple[str, str]], read: tuple[int | None, int | None, bool]
) -> None:
    """Those of ours are read, whatever stands beside them."""
    assert read_directives(query) == read


@pytest.mark.parametrize(
    "value", ["", "-1", "+1", "1.0", "1e3", "01", " 1", "\u0667", "9" * 16, "x"]
)
@pytest.mark.parametrize("name", ["_HLS_msn", "_HLS_part"])
def test_no_numbers(name: str, value: str) -> None:
    """What is no decimal integer is refused, and named."""
    with pytest.raises(BadInput) as caught:
        read_directives(tuple({"_HLS_msn": "7", name: value}.items()))
    assert caught.value.fields is not None
    assert caught.value.fields[0].field == name


@pytest.mark.parametrize(
    "query",
    [
        [("_HLS_part", "1")],
        [("_HLS_msn", "7"), ("_HLS_msn", "7")],
        [("_HLS_msn", "7"), ("_HLS_part", "1"), ("_HLS_part", "2")],
        [("_HLS_skip", "YES"), ("_HLS_skip", "YES")],
    ],
)
def test_directives_that_contradict(query: list[tuple[str, str]]) -> None:
    """A part needs its segment, and nothing is said twice."""
    with pytest.raises(BadInput):
        read_directives(query)


def test_positions() -> None:
    """Where a part of the row is, is its segment and which of it."""
    assert PARTS.position(PARTS.index(Position(7, 5))) == Position(7, 5)
