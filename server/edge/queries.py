"""What callers say in an address: queries, and the parts of a path."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from server.domain.announcement import PlayState
from server.domain.grants import Role
from server.domain.people import Status

# In an address; of what a JWT, an invite or a key is made of.
Secret = Annotated[str, StringConstraints(max_length=2048, pattern=r"^[A-Za-z0-9._~+/=-]*$")]


class Query(BaseModel):
    """Fields of an address: all of them are text."""

    model_config = ConfigDict(hide_input_in_errors=True)


Flag = Literal["true", "false"]


class PageQuery(Query):
    """Which part of a list."""

    limit: Annotated[int, Field(ge=1, le=1000)] | None = None
    cursor: Secret = ""


class RoomsQuery(PageQuery):
    """`GET /api/rooms`; `name` is a part of it, in any case of letters."""

    name: Annotated[str, StringConstraints(max_length=80)] = ""
    state: Literal["onair", "removing"] = "onair"
    locked: Flag | None = None
    broadcast: Flag | None = None
    occupied: Flag | None = None


class PeopleQuery(PageQuery):
    """`GET /api/rooms/{id}/participants`; `name` is a part of it, in any case of letters."""

    name: Annotated[str, StringConstraints(max_length=80)] = ""
    role: Role | None = None
    status: Status | None = None
    muted: Flag | None = None


class PlayedQuery(PageQuery):
    """`GET /api/rooms/{id}/announcements`."""

    state: PlayState | None = None


class InviteQuery(Query):
    """`GET /api/rooms/{id}`."""

    invite: Secret = ""


class KickQuery(Query):
    """`DELETE /api/rooms/{id}/participants/{userId}`."""

    ban: Literal["true", "false"] = "false"


class RemovalQuery(Query):
    """`DELETE /api/rooms/{id}/recordings/{name}`."""

    force: Flag = "false"


class RevokeQuery(Query):
    """`DELETE /api/rooms/{id}/listeners/{userId}`."""

    renew: Literal["true", "false"] = "false"


class TokenQuery(Query):
    """Where a header cannot be sent, the token stands in the address."""

    token: Secret = ""


class PlaylistQuery(TokenQuery):
    """Delivery directives (RFC 8216bis §6.2.5), as `server.domain.reload` reads them."""

    msn: Annotated[int | None, Field(alias="_HLS_msn", ge=0, lt=10**15)] = None
    part: Annotated[int | None, Field(alias="_HLS_part", ge=0, lt=10**15)] = None
    skip: Annotated[str, Field(alias="_HLS_skip", examples=["YES"])] = ""


class ModulePath(BaseModel):
    """Which module, in the words of the system we replace."""

    model_config = ConfigDict(hide_input_in_errors=True)

    moduleType: Literal["mixers", "januses"]  # noqa: N815
    moduleId: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]{3,32}$")]  # noqa: N815


def fits(wanted: str | None, *, has: bool) -> bool:
    """Whether something that has it (or has not) is among what a Flag of a query asks for."""
    return wanted is None or (wanted == "true") == has
