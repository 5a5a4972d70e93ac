"""Whether a room's spec can be mixed: ranges and names."""

from collections.abc import Iterable

from mixer.errors import ClientMistake
from mixer.types import FLOOR, AnchorSpec, RoomSpec, RtpParticipantSpec

GAIN_DB = (-60.0, 20.0)  # below -60 dB nothing is left of speech; above 20 dB only its noise gains
PAN = (-1.0, 1.0)
AGC_DBOV = (-40.0, -6.0)  # a full-scale tone is at -3 dBov; speech peaks 12 dB above its level
MAX_LOUDEST = 1000
MAX_BUSES = 32
MAX_BUS_CHARACTERS = 32
MAX_FOR_ME = 1000


def check_spec(spec: RoomSpec) -> None:
    """Return if every value of `spec` is within its range and every bus it names is there.

    Raises:
        ClientMistake: `bad_spec`; the sentence names the person, the field and the range.
    """
    if not 0 <= spec.loudest <= MAX_LOUDEST:
        _refuse(f"loudest is 0 to {MAX_LOUDEST}, not {spec.loudest}")
    if len(spec.buses) > MAX_BUSES:
        _refuse(f"a room has at most {MAX_BUSES} buses")
    for bus in spec.buses:
        if not 1 <= len(bus) <= MAX_BUS_CHARACTERS:
            _refuse(f"a bus has a name of 1 to {MAX_BUS_CHARACTERS} characters")
    buses = frozenset((FLOOR, *spec.buses))
    for bus in spec.air_buses:
        if bus not in buses:
            _refuse(f"on air: there is no bus {bus[:MAX_BUS_CHARACTERS]!r}")
    _check_lines(spec, buses)
    for anchor in spec.anchors:
        _check_voice(anchor)
        _check_ears(anchor)
        for bus in (*anchor.speaks, *anchor.hears):
            if bus not in buses:
                _refuse(f"{anchor.peer}: there is no bus {bus[:MAX_BUS_CHARACTERS]!r}")


def check_gain(gain_db: float) -> None:
    """Return if a gain may be asked for. Raises ClientMistake, `bad_gain`."""
    low, high = GAIN_DB
    if not low <= gain_db <= high:
        raise ClientMistake("bad_gain", f"a gain is {low:g} to {high:g} dB, not {gain_db:g}")


def _check_lines(spec: RoomSpec, buses: frozenset[str]) -> None:
    for forwarder in spec.forwarders:
        if forwarder.bus not in buses:
            _refuse(f"a forwarder: there is no bus {forwarder.bus[:MAX_BUS_CHARACTERS]!r}")
    for person in spec.rtp:
        _check_range(person, "gain_db", (person.gain_db,), GAIN_DB)
        _check_range(person, "pan", (person.pan,), PAN)


def _check_voice(anchor: AnchorSpec) -> None:
    _check_range(anchor, "gain_db", (anchor.gain_db,), GAIN_DB)
    _check_range(anchor, "pan", (anchor.pan,), PAN)
    if anchor.agc_target_dbov is not None:
        _check_range(anchor, "agc_target_dbov", (anchor.agc_target_dbov,), AGC_DBOV)


def _check_ears(anchor: AnchorSpec) -> None:
    if len(anchor.for_me) > MAX_FOR_ME:
        _refuse(f"{anchor.peer}: for_me has at most {MAX_FOR_ME} people")
    gains = [gain for gain in anchor.for_me.values() if gain is not None]
    _check_range(anchor, "for_me", gains, GAIN_DB)
    _check_range(anchor, "hears", anchor.hears.values(), GAIN_DB)


def _check_range(
    anchor: AnchorSpec | RtpParticipantSpec,
    name: str,
    values: Iterable[float],
    bounds: tuple[float, float],
) -> None:
    low, high = bounds
    for value in values:
        if not low <= value <= high:  # not a number is not in it
            _refuse(f"{anchor.peer}: {name} is {low:g} to {high:g}, not {value:g}")


def _refuse(sentence: str) -> None:
    raise ClientMistake("bad_spec", sentence)
