"""A broadcast's clock and keys."""

import json
import re
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixer.types import RoomId
from server.domain.stream import Stream, StreamKey, decode_stream, epoch_of, key_path
from server.errors import BadRecord

DEMO = RoomId("demo")
FRESH = b"f" * 32
FIRST = StreamKey(3, b"k" * 16, b"i" * 16)
SECOND = StreamKey(4, b"l" * 16, b"j" * 16, 100)
STREAM = Stream("boot", 1000, 5000.0, (FIRST, SECOND), b"s" * 32)
BYTES = st.binary(min_size=16, max_size=16)
KEYS = st.lists(
    st.tuples(st.integers(1, 99), BYTES, BYTES, st.integers(1, 9999)), min_size=1, max_size=5
)


def _keys(drawn: list[tuple[int, bytes, bytes, int]]) -> tuple[StreamKey, ...]:
    """Let each follow the one before by that many epochs and segments."""
    keys, epoch, msn = [], 0, 0
    for more_epochs, key, iv, more_msn in drawn:
        keys.append(StreamKey(epoch, key, iv, msn))
        epoch, msn = epoch + more_epochs, msn + more_msn
    return tuple(keys)


STREAMS = st.builds(
    Stream,
    boot=st.text(st.characters(codec="utf-8")),
    base_tick=st.integers(-(2**40), 2**40),
    base_unix_s=st.floats(0, 1e10),
    keys=st.builds(_keys, KEYS),
    secret=st.binary(min_size=32, max_size=32),
)


@given(STREAMS)
def test_round_trip(stream: Stream) -> None:
    """A stream is the same after it was stored and read, whatever lies beside it."""
    records = {"meta": b"{}", **stream.records(), "revoked/ada": b"1"}
    assert decode_stream(DEMO, records, FRESH) == stream


@given(st.dictionaries(st.sampled_from(["stream", "keys/0", "keys/x"]), st.binary(max_size=200)))
def test_any_bytes(records: dict[str, bytes]) -> None:
    """Whatever lies in the store is a stream or a BadRecord."""
    with suppress(BadRecord):
        decode_stream(DEMO, records, FRESH)


@given(STREAMS, st.integers(0, 10**9))
def test_id(stream: Stream, later_s: int) -> None:
    """A stream's id is eight letters and digits, and outlives reboots and keys."""
    assert re.fullmatch("[a-z2-7]{8}", stream.id)
    assert stream.spec(DEMO, 1).stream == stream.id
    rebooted = stream.continued("another", 7, stream.base_unix_s + later_s)
    assert replace(rebooted, keys=(SECOND,)).id == stream.id


def test_id_of_another_stream() -> None:
    """A room made anew has another id, and so has one whose media time begins anew."""
    anew = STREAM.continued("another", 7, STREAM.base_unix_s - 1)
    assert len({STREAM.id, anew.id, replace(STREAM, secret=FRESH).id}) == 3


def test_key_paths() -> None:
    """The address of a key tells its epoch; no other does."""
    assert epoch_of(key_path(DEMO, 41)) == 41
    for path in (
        "",
        "/hls/rooms/demo/enc.key",
        "/hls/rooms/demo/x/enc.key",
        key_path(DEMO, 4) + "?",
    ):
        assert epoch_of(path) is None


def test_end_of_an_epoch() -> None:
    """An epoch ends where the next one that is known begins."""
    assert [STREAM.end_of(epoch) for epoch in (0, 3, 4)] == [0, 100, None]


def test_record_of_one_key() -> None:
    """A record from before rotation holds the only key, which is in force from the beginning."""
    old = {
        "epoch": 3,
        "key": FIRST.key.hex(),
        "iv": FIRST.iv.hex(),
        "boot": "boot",
        "baseTick": 1000,
        "baseUnix": 5000.0,
    }
    read = decode_stream(DEMO, {"stream": json.dumps(old).encode()}, FRESH)
    assert read == replace(STREAM, keys=(FIRST,), secret=FRESH)


def test_keys_beside_the_old_record() -> None:
    """Stored keys are believed, not the one of an old record that was left behind."""
    stored = json.loads(STREAM.records()["stream"])
    old = stored | {"epoch": 0, "key": "0" * 32, "iv": "0" * 32}
    records = STREAM.records() | {"stream": json.dumps(old).encode()}
    assert decode_stream(DEMO, records, FRESH) == STREAM


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("stream", {"secret": "ab"}, "1 wrong fields"),
        ("stream", {"baseUnix": float("inf")}, "1 wrong fields"),
        ("stream", {"key": "g" * 32}, "1 wrong fields"),
        ("keys/3", {"key": "ab"}, "1 wrong fields"),
        ("keys/3", {"iv": "g" * 32}, "1 wrong fields"),
        ("keys/3", {"firstMsn": -1}, "1 wrong fields"),
        ("keys/3", {"firstMsn": 100}, "its keys do not follow each other"),
    ],
)
def test_wrong_record(name: str, change: dict[str, object], said: str) -> None:
    """A key or time that cannot be is refused, and not shown."""
    records = STREAM.records()
    records[name] = json.dumps(json.loads(records[name]) | change).encode()
    with pytest.raises(BadRecord, match=said) as caught:
        decode_stream(DEMO, records, FRESH)
    assert FIRST.key.hex() not in str(caught.value)


@pytest.mark.parametrize("epoch", ["", "x", "-1", "1" * 17, "१"])
def test_wrong_name(epoch: str) -> None:
    """An epoch is a number."""
    records = STREAM.records() | {f"keys/{epoch}": STREAM.records()["keys/3"]}
    with pytest.raises(BadRecord, match="its name is no number"):
        decode_stream(DEMO, records, FRESH)


def test_no_key() -> None:
    """Without any key there is no broadcast."""
    with pytest.raises(BadRecord, match="there is no key"):
        decode_stream(DEMO, {"stream": STREAM.records()["stream"]}, FRESH)


def test_nothing_secret_shows() -> None:
    """Keys and secrets are in no repr, so in no log."""
    shown = repr(STREAM)
    assert not any(secret in shown for secret in ("kkkk", "iiii", "llll", "ssss"))


def test_same_boot() -> None:
    """In the same boot the clock goes on, whatever was done to the wall clock."""
    assert STREAM.continued("boot", 9999, 0.0) is STREAM


def test_other_boot() -> None:
    """After another boot the wall clock says how much time went by; keys stay."""
    again = STREAM.continued("other", 200, 5010.0)
    assert again == replace(STREAM, boot="other", base_tick=200 - 500)


def test_wall_clock_behind() -> None:
    """If the wall clock runs behind its own past, all starts anew with the newest key."""
    again = STREAM.continued("other", 200, 4000.0)
    assert (again.base_tick, again.base_unix_s) == (200, 4000.0)
    assert again.keys == (replace(SECOND, first_msn=0),)


def test_segments() -> None:
    """Segments of 96 ticks are counted from five before the base; before that there is none."""
    origin = 1000 - 5 * 96
    assert [STREAM.msn(tick) for tick in (0, origin, origin + 95, origin + 96, 1000)] == [
        *(0, 0, 0, 1, 5)
    ]


def test_key_in_force() -> None:
    """A key holds until the next one's first segment; the first also before its own."""
    late = replace(STREAM, keys=(replace(FIRST, first_msn=50), SECOND))
    assert [late.key_at(msn).epoch for msn in (0, 50, 99, 100, 999)] == [3, 3, 3, 4, 4]
    assert (late.key_of(4), late.key_of(5)) == (SECOND, None)


def test_spec() -> None:
    """The plane gets every key with the address where it is served and where it begins."""
    spec = STREAM.spec(DEMO, 9)
    assert [(key.uri, key.first_msn) for key in spec.keys] == [
        ("/hls/rooms/demo/3/enc.key", 0),
        (key_path(DEMO, 4), 100),
    ]
    assert (spec.version, spec.base_tick, spec.on_air) == (9, 1000, True)
