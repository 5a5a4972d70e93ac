"""A room that is there for good, as the configuration names it."""

from typing import Annotated, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)

from mixer.types import FLOOR, Profile
from server.domain.air import (
    LABEL_PATTERN,
    LANGUAGE_PATTERN,
    MAX_AIR_BUSES,
    MAX_WINDOW_S,
    MIN_WINDOW_S,
    Air,
    AirBus,
    air_mistake,
)
from server.domain.captions import MAX_LANGUAGES
from server.domain.recording import Automatic

_PRINTABLE = r"^[^\x00-\x1f\x7f]*$"
BusName = Annotated[str, StringConstraints(min_length=1, max_length=32, pattern=_PRINTABLE)]


class ConfiguredAirBus(BaseModel):
    """A bus that listeners can choose."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bus: BusName
    language: Annotated[str, StringConstraints(pattern=LANGUAGE_PATTERN)] = ""
    label: Annotated[str, StringConstraints(max_length=80, pattern=LABEL_PATTERN)] = ""


class ConfiguredRoom(BaseModel):
    """A room that is there for good."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{3,32}$")]
    name: Annotated[str, StringConstraints(max_length=80, pattern=_PRINTABLE)] = ""
    pin: Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9]{6})?$")] = ""
    max_anchors: Annotated[int, Field(ge=1, le=10_000)] | None = None
    profile: Profile = Profile.VOICE
    loudest: Annotated[int, Field(ge=0, le=1000)] = 0
    automix: bool = False
    buses: Annotated[tuple[BusName, ...], Field(max_length=32)] = ()
    broadcast: bool = True
    radio: bool = True
    upload: bool = True
    locked: bool = False
    broadcast_buses: Annotated[tuple[ConfiguredAirBus, ...], Field(max_length=MAX_AIR_BUSES)] = ()
    dvr_seconds: Annotated[int, Field(ge=MIN_WINDOW_S, le=MAX_WINDOW_S)] | None = None
    captions: Annotated[tuple[str, ...], Field(max_length=MAX_LANGUAGES)] = ()
    record: Automatic | None = None
    hold_music: (
        Annotated[str, StringConstraints(max_length=255, pattern=r"^([^./\\][^/\\]*)?$")] | None
    ) = None

    @field_validator("buses")
    @classmethod
    def _names_of_their_own(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if FLOOR in value or len(set(value)) < len(value):
            raise ValueError("buses have names of their own, and the floor is there anyway")
        return value

    @model_validator(mode="after")
    def _are_there(self) -> Self:
        mistake = air_mistake(self.air, self.buses)
        if mistake:
            raise ValueError(mistake)
        return self

    @property
    def air(self) -> Air:
        """What listeners hear."""
        buses = (AirBus(one.bus, one.language, one.label) for one in self.broadcast_buses)
        return Air(tuple(buses), self.dvr_seconds, captions=self.captions, hold=self.hold_music)
