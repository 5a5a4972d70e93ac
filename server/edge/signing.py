"""The signing server: the only process that holds private keys; it knows no rooms."""

from typing import Annotated, Final, Literal, TypeVar

import structlog
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mixer.types import RoomId
from server.edge.errors import errors
from server.edge.pace import whole_body
from server.edge.rights import bearer
from server.errors import BadInput, Forbidden, Unauthorized
from server.services.clock import Clock
from server.services.keyring import is_same
from server.services.signing_keys import LONGEST_TOKEN_S, LocalSigner
from server.services.tokens import CLOCK_SKEW_S
from server.services.verifying import Audience

log = structlog.get_logger(__name__)

MAX_REQUEST_BYTES: Final = 8 * 1024
SIGNER: Final = web.AppKey("signer", LocalSigner)
KEY: Final = web.AppKey("key", str)
CLOCK: Final = web.AppKey("clock", Clock)

_RoomIdText = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{3,32}$")]
_Short = Annotated[str, Field(max_length=80)]
_Request = TypeVar("_Request", bound=BaseModel)


class _Claims(BaseModel):
    """What may be signed, and nothing beside it."""

    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)

    aud: Literal["join", "listen"]
    iat: int
    exp: int
    jti: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    roomId: _RoomIdText  # noqa: N815 - the claim's name
    userId: Annotated[str, Field(pattern=r"^[0-9a-f-]{36}$")]  # noqa: N815
    role: _Short
    pin: bool = False
    session: _Short = ""
    displayName: _Short = ""  # noqa: N815
    made: _Short = ""
    once: bool = False
    grants: Annotated[list[_Short], Field(max_length=64)] | None = None

    @model_validator(mode="after")
    def _lives_no_longer(self) -> "_Claims":
        if not 0 < self.exp - self.iat <= LONGEST_TOKEN_S:
            raise ValueError("too long")
        return self


class _StreamKey(BaseModel):
    """Which broadcast a key is for."""

    model_config = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)

    roomId: _RoomIdText  # noqa: N815 - the wire's name
    epoch: Annotated[int, Field(ge=0)]
    salt: Annotated[str, Field(min_length=16, max_length=64)]


async def sign_token(request: web.Request) -> web.Response:
    """`POST /signing/tokens`."""
    claims = await _read(request, _Claims)
    if abs(claims.iat - request.app[CLOCK].unix()) > CLOCK_SKEW_S:
        raise Forbidden("The clocks of the two servers differ by more than a minute")
    said = claims.model_dump(exclude_defaults=True)
    token = await request.app[SIGNER].sign(Audience(claims.aud), said)
    log.info("token_signed", audience=claims.aud, room=claims.roomId, user=claims.userId)
    return web.json_response({"token": token})


async def make_stream_key(request: web.Request) -> web.Response:
    """`POST /signing/stream-keys`."""
    wanted = await _read(request, _StreamKey)
    key = await request.app[SIGNER].stream_key(RoomId(wanted.roomId), wanted.epoch, wanted.salt)
    log.info("stream_key_made", room=wanted.roomId, epoch=wanted.epoch)
    return web.json_response({"key": key.hex()})


async def rotate(request: web.Request) -> web.Response:
    """`POST /signing/rotate`."""
    _check_key(request)
    await request.app[SIGNER].rotate()
    log.info("signing_keys_rotated")
    return web.json_response({"success": True})


async def get_jwks(request: web.Request) -> web.Response:
    """`GET /.well-known/jwks.json`."""
    return web.json_response(
        request.app[SIGNER].verifying.jwks(), headers={"Cache-Control": "public, max-age=60"}
    )


async def health(_request: web.Request) -> web.Response:
    """`GET /health` and `GET /ready`: who can answer can sign."""
    return web.json_response({"status": "ok", "ready": True, "service": "roomtone-signing"})


ROUTES: Final = (
    web.post("/signing/tokens", sign_token),
    web.post("/signing/stream-keys", make_stream_key),
    web.post("/signing/rotate", rotate),
    web.get("/.well-known/jwks.json", get_jwks),
    web.get("/health", health),
    web.get("/ready", health),
)


def create_signing_app(signer: LocalSigner, key: str, clock: Clock) -> web.Application:
    """Return the application of the signing role; who shows `key` may have things signed."""
    app = web.Application(middlewares=[errors], client_max_size=MAX_REQUEST_BYTES)
    app[SIGNER], app[KEY], app[CLOCK] = signer, key, clock
    app.add_routes(ROUTES)
    app.on_response_prepare.append(_add_headers)
    return app


async def _add_headers(_request: web.Request, answer: web.StreamResponse) -> None:
    answer.headers.setdefault("Cache-Control", "no-store")
    answer.headers["X-Content-Type-Options"] = "nosniff"
    answer.headers["Server"] = "roomtone"


def _check_key(request: web.Request) -> None:
    shown = bearer(request)
    if not shown:
        raise Unauthorized("This needs the key of the signing server")
    if not is_same(shown, request.app[KEY]):
        raise Forbidden("This is not the key of the signing server")


async def _read(request: web.Request, model: type[_Request]) -> _Request:
    _check_key(request)  # before a byte of it is looked at
    raw = await whole_body(request)
    try:
        return model.model_validate_json(raw)
    except ValidationError:
        raise BadInput from None
