"""A person's first ten minutes: the link on the terminal, a room, two invites, a phone."""

import re
import signal
import ssl
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509

from tests.support.chromium import chromium, join, wait_for_state, write_tone
from tests.support.program import Program, running

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


def first_run_link(program: Program) -> str:
    found = re.search(r"https?://\S+/#admin=[\w-]+", program.output)
    assert found is not None, program.output
    return found[0]


async def test_from_the_first_link_to_a_call(tmp_path: Path) -> None:
    """The printed link makes an admin, whose new room's two links work in other browsers."""
    microphone = write_tone(tmp_path / "tone.wav", 500.0)
    async with (
        running(tmp_path / "state", terminal=True) as program,
        chromium() as office,
        chromium(microphone) as home,
    ):
        admin = await office.new_page()
        await admin.goto(first_run_link(program))
        await admin.fill("#room-name", "Friday talk")
        await admin.click("#new-room button")
        links = admin.locator("article.room a[data-part=open]")
        await links.first.wait_for()
        join_link, listen_link = [await links.nth(i).get_attribute("href") or "" for i in (0, 1)]

        guest = await home.new_page()
        await join(guest, join_link, "Grace")
        listener = await home.new_page()
        await listener.goto(listen_link)
        await listener.click("#play")
        await wait_for_state(listener, "live")
        assert "admin=" not in admin.url


async def test_the_first_link_works_once(tmp_path: Path) -> None:
    """Who finds the link later in the terminal's history gets nothing by it."""
    async with running(tmp_path / "state", terminal=True) as program:
        secret = first_run_link(program).partition("#admin=")[2]
        session = f"{program.url}/api/session"
        async with program.http.post(session, json={"secret": secret}) as first:
            assert first.status == 200
        async with program.http.post(session, json={"secret": secret}) as second:
            assert second.status == 401


async def test_the_admin_key_is_shown_on_the_first_run_only(tmp_path: Path) -> None:
    """The second start prints no secret, and no log ever does."""
    program = Program(tmp_path / "state", terminal=True)
    await program.start()
    key = program.admin_key
    await program.stop(signal.SIGINT)
    shown = program.output
    program.log.unlink()
    await program.start()
    await program.stop(signal.SIGINT)
    assert key in shown
    assert key not in program.output


async def test_a_phone_in_the_lan_gets_https(tmp_path: Path) -> None:
    """`--tls self-signed` serves HTTPS with a certificate that names the address it prints."""
    program = Program(tmp_path / "state", "--tls", "self-signed", terminal=True)
    program.url = program.url.replace("http:", "https:")
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    program.use(aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusting)))
    try:
        await program.start()
        addresses = re.findall(r"https://([\d.]+):\d+", program.output)
        certificate = ssl.get_server_certificate(("127.0.0.1", program.port))
    finally:
        await program.stop()
    names = x509.load_pem_x509_certificate(certificate.encode()).extensions
    alternatives = names.get_extension_for_class(x509.SubjectAlternativeName).value
    covered = {str(ip) for ip in alternatives.get_values_for_type(x509.IPAddress)}
    assert addresses
    assert set(addresses) <= covered
