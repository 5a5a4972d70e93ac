"""Whether a spec can be mixed."""

from dataclasses import replace
from typing import Any

import pytest

from mixer.core.speccheck import check_gain, check_spec
from mixer.errors import ClientMistake
from mixer.types import (
    AnchorSpec,
    ForwarderSpec,
    PeerId,
    Profile,
    RoomId,
    RoomSpec,
    RtpParticipantSpec,
)

ANN = PeerId("ann")
NAN = float("nan")
ROOM = RoomSpec(RoomId("hall"), 1, (AnchorSpec(ANN),))
FULL = RoomSpec(
    RoomId("hall"),
    1,
    (
        AnchorSpec(
            ANN,
            gain_db=20.0,
            pan=-1.0,
            agc_target_dbov=-20.0,
            hears={"fr": 0.0, "floor": -60.0},
            speaks=("fr", "floor"),
            for_me={PeerId("bob"): None, PeerId("cyd"): -60.0},
        ),
    ),
    profile=Profile.MUSIC,
    loudest=3,
    automix=True,
    buses=("fr",),
    air_buses=("fr",),
)


@pytest.mark.parametrize("spec", [ROOM, FULL, RoomSpec(RoomId("hall"), 1)])
def test_what_can_be_mixed_passes(spec: RoomSpec) -> None:
    """Defaults, and the ends of all ranges."""
    check_spec(spec)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("gain_db", 20.1, "ann: gain_db is -60 to 20, not 20.1"),
        ("gain_db", NAN, "gain_db"),
        ("pan", -1.5, "ann: pan is -1 to 1"),
        ("agc_target_dbov", 0.0, "agc_target_dbov is -40 to -6"),
        ("hears", {"floor": float("inf")}, "hears is -60 to 20"),
        ("hears", {"de": 0.0}, "ann: there is no bus 'de'"),
        ("speaks", ("floor", "x" * 999), f"no bus '{'x' * 32}'"),
        ("for_me", {"bob": -99.0}, "for_me is -60 to 20"),
        ("for_me", {str(number): None for number in range(1001)}, "at most 1000"),
    ],
)
def test_a_person_out_of_range_is_named(field: str, value: Any, said: str) -> None:
    """Who, what and which range, in one sentence."""
    spec = replace(ROOM, anchors=(replace(ROOM.anchors[0], **{field: value}),))
    with pytest.raises(ClientMistake, match=said) as caught:
        check_spec(spec)
    assert caught.value.code == "bad_spec"


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("loudest", -1, "loudest is 0 to 1000, not -1"),
        ("loudest", 1001, "loudest"),
        ("buses", ("",), "name of 1 to 32"),
        ("buses", ("x" * 33,), "name of 1 to 32"),
        ("buses", tuple(map(str, range(33))), "at most 32 buses"),
        ("air_buses", ("floor", "fr"), "on air: there is no bus 'fr'"),
    ],
)
def test_a_room_out_of_range_is_told(field: str, value: Any, said: str) -> None:
    """What and which range."""
    with pytest.raises(ClientMistake, match=said):
        check_spec(replace(ROOM, **{field: value}))


@pytest.mark.parametrize("gain_db", [-60.5, 21.0, NAN])
def test_a_gain_has_a_range(gain_db: float) -> None:
    """The same for what is played."""
    check_gain(0.0)
    with pytest.raises(ClientMistake, match="-60 to 20 dB"):
        check_gain(gain_db)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [("gain_db", -61.0, "trunk: gain_db is -60 to 20"), ("pan", 2.0, "trunk: pan is -1 to 1")],
)
def test_plain_rtp_out_of_range_is_told(field: str, value: float, said: str) -> None:
    """As of anybody else."""
    trunk = RtpParticipantSpec(PeerId("trunk"))
    check_spec(replace(ROOM, rtp=(trunk,)))
    with pytest.raises(ClientMistake, match=said):
        check_spec(replace(ROOM, rtp=(replace(trunk, **{field: value}),)))  # type: ignore[arg-type]


def test_a_forwarder_hears_a_bus_that_is_there() -> None:
    """The floor is; others are named by the room."""
    studio = ForwarderSpec("f", "192.0.2.1", 5004, 1, bus="fr")
    check_spec(replace(ROOM, forwarders=(replace(studio, bus="floor"),)))
    check_spec(replace(ROOM, forwarders=(studio,), buses=("fr",)))
    with pytest.raises(ClientMistake, match="a forwarder: there is no bus 'fr'"):
        check_spec(replace(ROOM, forwarders=(studio,)))
