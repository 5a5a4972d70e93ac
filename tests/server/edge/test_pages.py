"""The pages and what they load."""

from pathlib import Path

import pytest

from server.edge.pages import static_folder
from tests.server.edge.conftest import Edge, Serve


@pytest.mark.parametrize("path", ["/", "/join/demo", "/listen/demo"])
async def test_pages(edge: Edge, path: str) -> None:
    """Every page is there, also for a room that is not: the page itself says so."""
    async with edge.http.get(path) as answer:
        assert (answer.status, answer.content_type) == (200, "text/html")
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("css/base.css", "text/css"),
        ("js/join.js", "/javascript"),
        ("img/mark.svg", "image/svg+xml"),
    ],
)
async def test_assets(edge: Edge, path: str, kind: str) -> None:
    """What pages load has the type browsers insist on."""
    async with edge.http.get(f"/static/{path}") as answer:
        assert answer.status == 200
        assert answer.content_type.endswith(kind)


@pytest.mark.parametrize(
    "path",
    [
        "build.py",
        "package.json",
        "node_modules/x.js",
        ".hidden.js",
        "js/../../pyproject.toml",
        "..%2f..%2fpyproject.toml",
        "%2e%2e/server/config.py",
        "/etc/passwd",
        "js",
        "js/",
        "%00.js",
    ],
)
async def test_nothing_else(edge: Edge, path: str) -> None:
    """Nothing else of the folder is served, and nothing outside it."""
    async with edge.http.get(f"/static/{path}") as answer:
        assert answer.status == 404


def test_folder() -> None:
    """In a checkout the pages are found beside the packages."""
    assert static_folder() == Path.cwd() / "static"


async def test_authority(serve: Serve, tmp_path: Path) -> None:
    """The page of the authority is there where this machine makes certificates, and not elsewhere.

    The certificate is what lies in the state folder, and its key is at no address.
    """
    edge = await serve(tls="self-signed")
    async with edge.http.get("/ca.crt") as answer:
        assert answer.status == 404  # not made yet
    (tmp_path / "ca.crt").write_bytes(b"the certificate")
    async with edge.http.get("/ca.crt") as answer:
        assert (await answer.read(), answer.content_type) == (
            b"the certificate",
            "application/x-x509-ca-cert",
        )
    async with edge.http.get("/ca") as answer:
        assert "Trust this server" in await answer.text()
    async with edge.http.get("/ca.key") as answer:
        assert answer.status == 404


@pytest.mark.parametrize("path", ["/ca", "/ca.crt"])
async def test_no_authority(edge: Edge, path: str) -> None:
    """Without a certificate of its own there is nothing to trust."""
    assert (await edge.ask("GET", path))[0] == 404
