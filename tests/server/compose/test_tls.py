"""Certificates that are exchanged while somebody is connected."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from server.compose.authority import Authority, names_of
from server.compose.certificate import Certificate, self_signed
from server.compose.tls import HotTls

NOW = datetime.now(UTC)  # OpenSSL has a clock of its own


def renew(folder: Path) -> Certificate:
    """Make another certificate of the same authority."""
    for name in ("self-signed.crt", "self-signed.key"):
        (folder / name).unlink(missing_ok=True)
    return self_signed(folder, (), NOW)


def own(folder: Path) -> Certificate:
    """The files as an operator's own: nobody renews them but the operator."""
    made = renew(folder)
    return Certificate(made.chain, made.key)


class Caller:
    """Somebody connected, and what certificate they were shown."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        digest = x509.load_der_x509_certificate(shown).fingerprint(hashes.SHA256())
        self.fingerprint = digest.hex(":").upper()

    async def echo(self, text: bytes) -> bytes:
        self.writer.write(text)
        return await self.reader.readexactly(len(text))


class Place:
    """A server that says what it hears, and those connected to it."""

    def __init__(self, port: int, folder: Path) -> None:
        self.port = port
        self.folder = folder
        self.callers: list[Caller] = []

    async def call(self, host: str = "127.0.0.1") -> Caller:
        """Connect as one who trusts the authority and nobody else, and looks at the name."""
        trusting = ssl.create_default_context(cafile=str(self.folder / "ca.crt"))
        pair = await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=trusting, server_hostname=host
        )
        self.callers.append(Caller(*pair))
        return self.callers[-1]


@asynccontextmanager
async def serving(tls: HotTls, folder: Path) -> AsyncIterator[Place]:
    heard: set[asyncio.StreamWriter] = set()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.add(writer)
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=tls.context)
    async with server:
        place = Place(server.sockets[0].getsockname()[1], folder)
        yield place
        for writer in (*(caller.writer for caller in place.callers), *heard):
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


def damage(path: Path, content: bytes | None) -> None:
    """Write that into a file, or remove it (None)."""
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)


def hot(folder: Path) -> HotTls:
    made = own(folder)
    return HotTls(lambda: made)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_exchanged(tmp_path: Path, host: str) -> None:
    """New connections, by name and by address, get the new certificate; old ones go on."""
    tls = hot(tmp_path)
    async with serving(tls, tmp_path) as place:
        before = await place.call(host)
        made = renew(tmp_path)
        assert (await place.call(host)).fingerprint == before.fingerprint
        assert tls.reload()
        after = await place.call(host)
        assert after.fingerprint == made.fingerprint != before.fingerprint
        assert await before.echo(b"still here") == b"still here"


@pytest.mark.parametrize("name", ["chain", "key"])
@pytest.mark.parametrize("content", [None, b"", b"garbage", b"\xff\x00"])
async def test_broken(tmp_path: Path, name: str, content: bytes | None) -> None:
    """A broken new file keeps the old certificate, and the log says which file and why."""
    tls = hot(tmp_path)
    path: Path = getattr(tls.certificate, name)
    async with serving(tls, tmp_path) as place:
        before = await place.call()
        damage(path, content)
        with structlog.testing.capture_logs() as logged:
            assert not tls.reload()
        assert [entry["event"] for entry in logged] == ["certificate_kept"]
        assert str(path) in logged[0]["reason"]
        assert (await place.call()).fingerprint == before.fingerprint
        made = renew(tmp_path)
        assert tls.reload()
        assert (await place.call()).fingerprint == made.fingerprint


async def test_a_key_of_another(tmp_path: Path) -> None:
    """Chain and key that do not belong together, as in the middle of an exchange, are refused."""
    tls = hot(tmp_path)
    (tmp_path / "other").mkdir()
    renew(tmp_path / "other").key.replace(tls.certificate.key)
    assert not tls.reload()


async def test_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exchanged file is noticed without being told, and a broken one is told of once."""
    monkeypatch.setattr("server.compose.tls.LOOK_S", 0.01)
    tls = hot(tmp_path)
    reloads: list[bool] = []
    happened = asyncio.Event()
    reload = tls.reload
    loop = asyncio.get_running_loop()

    def note() -> bool:
        reloads.append(reload())
        loop.call_soon_threadsafe(happened.set)
        return reloads[-1]

    monkeypatch.setattr(tls, "reload", note)
    watching = asyncio.create_task(tls.watch())
    tls.certificate.chain.write_text("broken")
    await happened.wait()
    happened.clear()
    await asyncio.to_thread(renew, tmp_path)
    while not reloads[-1]:
        await happened.wait()
        happened.clear()
    tls.reload_soon()
    await happened.wait()
    watching.cancel()
    assert reloads[0] is False
    assert reloads[-1] is True


async def test_own_certificate_follows_the_addresses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A laptop that comes into another network has a certificate for it within a minute."""
    monkeypatch.setattr("server.compose.tls.LOOK_S", 0.001)
    addresses = ["192.168.1.5"]
    tls = HotTls(lambda: self_signed(tmp_path, addresses, NOW))
    first, authority = tls.certificate.fingerprint, tls.certificate.authority
    addresses.append("10.0.0.5")
    watching = asyncio.create_task(tls.watch())
    while tls.certificate.fingerprint == first:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0)
    watching.cancel()
    assert tls.certificate.authority == authority


@pytest.mark.parametrize(
    ("address", "is_kept"), [("192.168.7.7", True), ("fd00::7", True), ("192.0.2.7", False)]
)
def test_authority_is_kept(tmp_path: Path, address: str, is_kept: bool) -> None:  # noqa: FBT001 - a parameter
    """Another private address needs no new authority; a public one does, for it was not allowed."""
    first = self_signed(tmp_path, (), NOW)
    assert (self_signed(tmp_path, (address,), NOW).authority == first.authority) is is_kept


@pytest.mark.parametrize("name", ["ca.crt", "ca.key"])
@pytest.mark.parametrize("content", [b"", b"garbage"])
def test_authority_is_mended(tmp_path: Path, name: str, content: bytes) -> None:
    """A damaged authority is made anew, and the server's certificate with it."""
    first = self_signed(tmp_path, (), NOW)
    (tmp_path / name).write_bytes(content)
    again = self_signed(tmp_path, (), NOW)
    assert again.authority != first.authority
    found = x509.load_pem_x509_certificate(again.chain.read_bytes())
    assert Authority.open(tmp_path, names_of(()), NOW).has_signed(found)


async def test_it_vouches_for_no_site(tmp_path: Path) -> None:
    """With a stolen authority's key nobody can pretend to be a site in the internet."""
    own(tmp_path)
    authority = Authority.open(tmp_path, names_of(()), NOW)
    certificate = Certificate(tmp_path / "site.crt", tmp_path / "site.key")
    made, key = authority.sign([x509.DNSName("example.org")], NOW)
    certificate.chain.write_bytes(made.public_bytes(Encoding.PEM))
    certificate.key.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    async with serving(HotTls(lambda: certificate), tmp_path) as place:
        with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree"):
            await place.call("example.org")
