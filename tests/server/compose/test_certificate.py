"""The certificate this machine makes for itself."""

import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from server.compose.certificate import Certificate, self_signed
from server.errors import SetupMistake

NOW = datetime(2026, 1, 2, tzinfo=UTC)
LAN = ("192.0.2.5", "2001:db8::5")


def names(certificate: Certificate) -> set[str]:
    found = x509.load_pem_x509_certificate(certificate.chain.read_bytes())
    held = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(name.value) for name in held}


def test_made(tmp_path: Path) -> None:
    """It names this machine and all its addresses, and can be used."""
    certificate = self_signed(tmp_path, LAN, NOW)
    assert {"localhost", "127.0.0.1", "::1", *LAN} <= names(certificate)
    assert isinstance(certificate.context(), ssl.SSLContext)
    assert len((certificate.fingerprint or "").split(":")) == 32


def test_private(tmp_path: Path) -> None:
    """Nobody else can read the key."""
    certificate = self_signed(tmp_path, LAN, NOW)
    assert stat.S_IMODE(certificate.key.stat().st_mode) == 0o600


@pytest.mark.parametrize("addresses", [LAN, LAN[:1]])
def test_kept(tmp_path: Path, addresses: tuple[str, ...]) -> None:
    """It stays the same while it fits, so that a phone asks once."""
    first = self_signed(tmp_path, LAN, NOW)
    assert self_signed(tmp_path, addresses, NOW + timedelta(days=300)) == first


@pytest.mark.parametrize(
    ("addresses", "days"), [((*LAN, "198.51.100.1"), 0), (LAN, 368), (LAN, -30)]
)
def test_renewed(tmp_path: Path, addresses: tuple[str, ...], days: int) -> None:
    """A new address, its end, or a clock that was wrong makes a new one."""
    first = self_signed(tmp_path, LAN, NOW)
    again = self_signed(tmp_path, addresses, NOW + timedelta(days=days))
    assert again.fingerprint != first.fingerprint
    assert set(addresses) <= names(again)


@pytest.mark.parametrize("name", ["chain", "key"])
@pytest.mark.parametrize("content", ["", "garbage"])
def test_damaged(tmp_path: Path, name: str, content: str) -> None:
    """A damaged or foreign file is replaced."""
    certificate = self_signed(tmp_path, LAN, NOW)
    getattr(certificate, name).write_text(content)
    assert isinstance(self_signed(tmp_path, LAN, NOW).context(), ssl.SSLContext)


def test_your_own(tmp_path: Path) -> None:
    """A certificate of your own that cannot be used is named."""
    with pytest.raises(SetupMistake, match=r"chain\.pem.*cannot be used"):
        Certificate(tmp_path / "chain.pem", tmp_path / "key.pem").context()
