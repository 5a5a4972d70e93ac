import pytest

from hls.core.speccheck import MAX_RENDITIONS, check_spec
from hls.types import BroadcastSpec, Container
from mixer.types import RoomId
from server.domain.air import (
    MAX_AIR_BUSES,
    MAX_BIT_RATES,
    PARTS_MS,
    Air,
    AirBus,
    Studio,
    air_mistake,
    part_frames,
)
from tests.server.domain.test_stream import STREAM

FLOOR_ONLY = (AirBus("floor"),)


def test_parts() -> None:
    """The first of the lengths is the one of a BroadcastSpec, and each fits a segment."""
    assert [part_frames(one) for one in PARTS_MS] == [15, 9]
    assert BroadcastSpec("demo", 1, (), 0, 0.0).part_frames == part_frames(PARTS_MS[0])


def test_as_usual() -> None:
    """Without a word about it the floor is on air as a BroadcastSpec has it."""
    assert Air().within(()) == FLOOR_ONLY
    spec = BroadcastSpec("demo", 1, (), 0, 0.0)
    studio = Studio()
    assert studio.renditions(FLOOR_ONLY) == spec.renditions
    assert (studio.part_frames, studio.container) == (spec.part_frames, spec.container)


def test_languages() -> None:
    """Each bus has each bit rate; the first is played unasked and has the shortest names."""
    on_air = (AirBus("fr", "fr", "Français"), AirBus("floor"))
    made = Studio(bit_rates=(96_000, 48_000)).renditions(on_air)
    assert [(one.name, one.bus, one.bit_rate, one.language, one.label) for one in made] == [
        ("96k", "fr", 96_000, "fr", "Français"),
        ("48k", "fr", 48_000, "fr", "Français"),
        ("floor-96k", "floor", 96_000, "", ""),
        ("floor-48k", "floor", 48_000, "", ""),
    ]


def test_names() -> None:
    """Whatever a bus is called, a broadcast can have it, and no two have the same name."""
    buses = ["floor", "Régie 1", "régie 1", "日本語", "ü", "x" * 32, "x" * 31 + "y", "a b"]
    assert len(buses) == MAX_AIR_BUSES
    studio = Studio(bit_rates=(288_000, 128_000, 64_000, 16_000))
    renditions = studio.renditions(tuple(AirBus(one) for one in buses))
    assert len(renditions) == MAX_AIR_BUSES * MAX_BIT_RATES == MAX_RENDITIONS
    keys = STREAM.spec(RoomId("demo"), 1).keys
    check_spec(BroadcastSpec("demo", 1, keys, 0, 0.0, renditions=renditions))


def test_a_bus_that_went() -> None:
    """It is not on air until it is there again; if nothing is left, the floor is."""
    air = Air((AirBus("fr", "fr"), AirBus("de", "de")))
    assert air.within(["fr", "de"]) == air.buses
    assert air.within(["de"]) == (AirBus("de", "de"),)
    assert air.within([]) == FLOOR_ONLY


def test_how_far_back() -> None:
    """The room's word counts, else the server's."""
    studio = Studio(window_s=60.0, container=Container.TS)
    assert [studio.window_of(Air(dvr_s=one)) for one in (None, 15, 3600)] == [60.0, 15.0, 3600.0]


@pytest.mark.parametrize(
    ("buses", "sentence"),
    [
        (["floor", "fr"], ""),
        ([], ""),
        (["fr", "fr"], "a bus is on air once"),
        (["de"], "there is no bus 'de' in this room"),
    ],
)
def test_mistakes(buses: list[str], sentence: str) -> None:
    """What is on air is there, and once."""
    assert air_mistake(Air(tuple(AirBus(one) for one in buses)), ["fr"]) == sentence
