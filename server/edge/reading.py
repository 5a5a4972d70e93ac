"""Reads what callers send into models, and says which field is wrong."""

from collections.abc import Mapping
from typing import Final, TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from mixer.types import RoomId
from server.domain.identity import UserId, room_id, user_id
from server.edge.pace import whole_body
from server.errors import BadInput, FieldMistake

Model = TypeVar("Model", bound=BaseModel)
MAX_BODY_BYTES: Final = 32 * 1024
_TAGS: Final = {
    "roomId": "roomid",
    "userId": "userid",
    "moduleId": "moduleid",
}  # other fields are their own tag
_FIELDS: Final = {
    "roomId": "RoomID",
    "userId": "UserID",
    "moduleId": "ModuleID",
    "ttl": "TTL",
}  # others: with a capital


async def read_body(request: web.Request, model: type[Model]) -> Model:
    """Read a JSON body.

    Raises BadInput, whose fields are None where it is no JSON object; TooSlow.
    """
    raw = await whole_body(request)
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        raise _bad_input(model, error) from None


def read_fields(fields: Mapping[str, str], model: type[Model]) -> Model:
    """Read a form or a query. Raises BadInput."""
    try:
        return model.model_validate(dict(fields))
    except ValidationError as error:
        raise _bad_input(model, error) from None


def _bad_input(model: type[BaseModel], error: ValidationError) -> BadInput:
    details = error.errors(include_url=False, include_context=False, include_input=False)
    if any(not detail["loc"] for detail in details):
        return BadInput()
    fields = dict.fromkeys(str(detail["loc"][0]) for detail in details)
    return BadInput(fields=tuple(mistake(model.__name__, field) for field in fields))


def mistake(struct: str, name: str) -> FieldMistake:
    """Return a wrong field in the words of the reference system."""
    field = _FIELDS.get(name, name[:1].upper() + name[1:])
    tag = _TAGS.get(name, name)
    return FieldMistake(
        field,
        f"Key: '{struct}.{field}' Error:Field validation for '{field}' failed on the '{tag}' tag",
    )


def path_room(request: web.Request) -> RoomId:
    """Return the room id in the path. Raises BadInput."""
    room = room_id(request.match_info["room"])
    if room is None:
        raise BadInput(fields=(mistake("RoomURI", "roomId"),))
    return room


def path_user(request: web.Request) -> UserId:
    """Return the user id in the path. Raises BadInput."""
    user = user_id(request.match_info["user"])
    if user is None:
        raise BadInput(fields=(mistake("UserURI", "userId"),))
    return user
