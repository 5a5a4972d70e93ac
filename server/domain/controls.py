"""What those who run a room decided about one person in it, as it is stored."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mixer.core.speccheck import AGC_DBOV, GAIN_DB, PAN
from mixer.types import FLOOR, AnchorSpec, PeerId, Profile
from server.domain.grants import Role
from server.errors import BadRecord

RECORD_VERSION = 1  # of the JSON below; a reader refuses what is above it


def _floor() -> dict[str, float]:
    return {FLOOR: 0.0}


@dataclass(frozen=True, slots=True)
class Controls:
    """How one person is mixed, whatever they do themselves; the fields are AnchorSpec's.

    `role` is what they are in the room instead of what their token says; None: what it says.
    """

    muted: bool = False
    gain_db: float = 0.0
    pan: float = 0.0
    agc_target_dbov: float | None = None
    speaks: tuple[str, ...] = (FLOOR,)
    hears: Mapping[str, float] = field(default_factory=_floor)
    profile: Profile | None = None
    role: Role | None = None

    def within(self, buses: Collection[str]) -> Self:
        """Return the controls without the buses that a room with these (and the floor) has not."""
        if self is PLAIN:  # most people, at every change of a room
            return self
        known = {FLOOR, *buses}
        if known.issuperset(self.speaks) and known.issuperset(self.hears):
            return self
        hears = {bus: gain_db for bus, gain_db in self.hears.items() if bus in known}
        return replace(self, speaks=tuple(b for b in self.speaks if b in known), hears=hears)

    def anchor(
        self, peer: PeerId, *, muted: bool, for_me: Mapping[PeerId, float | None]
    ) -> AnchorSpec:
        """Return what the mixer needs to know; `muted` and `for_me` are the person's own wishes."""
        return AnchorSpec(
            peer,
            muted=muted or self.muted,
            gain_db=self.gain_db,
            pan=self.pan,
            agc_target_dbov=self.agc_target_dbov,
            hears=self.hears,
            speaks=self.speaks,
            for_me=for_me,
            profile=self.profile,
        )


PLAIN = Controls()
"""Of whom nothing was decided."""

_GainDb = Annotated[float, Field(ge=GAIN_DB[0], le=GAIN_DB[1])]


class _Stored(BaseModel):
    """`/rooms/<id>/people/<user>`."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    muted: bool
    gain_db: _GainDb
    pan: Annotated[float, Field(ge=PAN[0], le=PAN[1])]
    agc_target_dbov: Annotated[float, Field(ge=AGC_DBOV[0], le=AGC_DBOV[1])] | None
    speaks: Annotated[tuple[str, ...], Field(strict=False)]
    hears: dict[str, _GainDb]
    profile: Annotated[Profile, Field(strict=False)] | None = None
    role: Annotated[Role, Field(strict=False)] | None = None
    version: int = RECORD_VERSION


def encode_controls(controls: Controls) -> bytes:
    """Return the JSON that is stored."""
    stored = _Stored(
        muted=controls.muted,
        gain_db=controls.gain_db,
        pan=controls.pan,
        agc_target_dbov=controls.agc_target_dbov,
        speaks=controls.speaks,
        hears=dict(controls.hears),
        profile=controls.profile,
        role=controls.role,
    )
    return stored.model_dump_json().encode()


def decode_controls(key: str, value: bytes) -> Controls:
    """Read what `encode_controls` wrote at `key`. Raises BadRecord."""
    try:
        stored = _Stored.model_validate_json(value)
    except ValidationError as error:
        raise BadRecord(key, f"{error.error_count()} wrong fields") from None
    if stored.version > RECORD_VERSION:
        raise BadRecord(key, f"it is of version {stored.version}, this server knows 1")
    return Controls(**stored.model_dump(exclude={"version"}))
