"""`--tls self-signed`: a browser that trusts this machine's authority once warns no more."""

import os
import signal
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from playwright.async_api import Browser, async_playwright
from playwright.async_api import Error as BrowserError

from server.compose.tls_command import steps
from tests.support.chromium import ARGUMENTS, EXECUTABLE
from tests.support.program import Program, roomtone

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


@asynccontextmanager
async def secure(state_dir: Path) -> AsyncIterator[Program]:
    """A server with a certificate of its own, and a client that trusts its authority."""
    program = Program(state_dir, "--tls", "self-signed")
    program.url = program.url.replace("http:", "https:")
    unseen = ssl.create_default_context()
    unseen.check_hostname, unseen.verify_mode = False, ssl.CERT_NONE
    program.use(aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=unseen)))
    try:
        await program.start()
        yield program
    finally:
        await program.stop()


def trusting(state_dir: Path) -> aiohttp.TCPConnector:
    context = ssl.create_default_context(cafile=str(state_dir / "ca.crt"))
    return aiohttp.TCPConnector(ssl=context)


@asynccontextmanager
async def browser_of(home: Path) -> AsyncIterator[Browser]:
    """A browser of somebody whose home is there."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=EXECUTABLE,
            args=list(ARGUMENTS),
            env={**os.environ, "HOME": str(home)},
        )
        yield browser
        await browser.close()


def trust(certificate: Path, home: Path) -> None:
    """Do what `roomtone tls trust` says, but for what needs root."""
    for step in steps("linux", certificate, home):
        if "root" not in step.why:
            subprocess.run(step.command, check=True)


async def test_chromium(tmp_path: Path) -> None:
    """Chromium refuses at first, and after `tls trust` opens the page, by name and by address."""
    state_dir = tmp_path / "state"
    for name in ("stranger", "friend"):
        (tmp_path / name).mkdir()
    async with secure(state_dir) as program:
        trust(state_dir / "ca.crt", tmp_path / "friend")
        async with browser_of(tmp_path / "stranger") as browser:
            page = await browser.new_page()
            with pytest.raises(BrowserError, match="ERR_CERT_AUTHORITY_INVALID"):
                await page.goto(program.url)
        async with browser_of(tmp_path / "friend") as browser:
            page = await browser.new_page()
            for host in ("127.0.0.1", "localhost"):
                await page.goto(f"https://{host}:{program.port}/ca")
                assert await page.title() == "Trust this server · Roomtone"
                assert await page.evaluate("isSecureContext && !!navigator.mediaDevices")


async def test_the_page_gives_the_authority(tmp_path: Path) -> None:
    """What a phone downloads from /ca is the authority that signed what the server shows."""
    state_dir = tmp_path / "state"
    async with secure(state_dir) as program:
        async with program.http.get(f"{program.url}/ca.crt") as answer:
            assert answer.content_type == "application/x-x509-ca-cert"
            given = await answer.read()
        printed = roomtone("tls", "ca", "--state-dir", str(state_dir)).stdout
        assert given.decode() == printed == (state_dir / "ca.crt").read_text()
        assert b"PRIVATE" not in given
        async with (
            aiohttp.ClientSession(connector=trusting(state_dir)) as http,
            http.get(f"{program.url}/health") as answer,
        ):
            assert answer.status == 200


async def test_hangup_reloads(tmp_path: Path) -> None:
    """SIGHUP makes the server look at its certificate at once; nobody is disconnected."""
    state_dir = tmp_path / "state"
    async with secure(state_dir) as program:
        room = await program.new_room()
        _, user = await program.call("POST", f"/api/rooms/{room['roomId']}/users", {})
        socket = f"{program.url}/ws?token={user['token']}"
        async with program.http.ws_connect(socket) as inside:
            before = ssl.get_server_certificate(("127.0.0.1", program.port))
            (state_dir / "self-signed.crt").unlink()
            os.kill(program.pid, signal.SIGHUP)
            while ssl.get_server_certificate(("127.0.0.1", program.port)) == before:
                assert "certificate_kept" not in program.output
            await inside.send_json(
                {"jsonrpc": "2.0", "id": 1, "method": "keepalive", "params": {"status": "idle"}}
            )
            assert (await inside.receive_json())["id"] == 1
