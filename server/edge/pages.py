"""The bundled pages and what they load."""

from pathlib import Path
from typing import Final

from aiohttp import web

from server.edge.context import CONTEXT
from server.edge.reading import path_room
from server.errors import NotFound

_SERVED: Final = frozenset(
    {".css", ".ico", ".js", ".mjs", ".mp3", ".ogg", ".png", ".svg", ".wasm", ".wav"}
    | {".webmanifest", ".woff2"}
)
_BUILD_FILES: Final = frozenset({"node_modules"})  # in a checkout they lie beside the pages


def static_folder() -> Path:
    """Return where the pages are: inside the installed package, else beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "static"
    return installed if installed.is_dir() else package.parent / "static"


async def index(request: web.Request) -> web.StreamResponse:
    """`GET /`."""
    return page(request, "index.html")


async def join(request: web.Request) -> web.StreamResponse:
    """`GET /join/{room}`."""
    path_room(request)
    return page(request, "join.html")


async def listen(request: web.Request) -> web.StreamResponse:
    """`GET /listen/{room}`."""
    path_room(request)
    return page(request, "listen.html")


async def interface(request: web.Request) -> web.StreamResponse:
    """`GET /api`: `/openapi.json` to read and to try."""
    return page(request, "api.html")


async def asset(request: web.Request) -> web.StreamResponse:
    """`GET /static/{path}`."""
    path = Path(request.match_info["path"])
    hidden = any(part.startswith(".") or part in _BUILD_FILES for part in path.parts)
    if path.is_absolute() or hidden or path.suffix not in _SERVED:
        raise NotFound("There is nothing at this address")
    return page(request, str(path))


def page(request: web.Request, name: str) -> web.StreamResponse:
    """Return a file of the pages. Raises NotFound."""
    path = request.app[CONTEXT].static / name
    if not path.is_file():
        raise NotFound("There is nothing at this address")
    # no-cache means: ask whether it changed. A new version of the server is seen at once.
    return web.FileResponse(path, headers={"Cache-Control": "no-cache"})
