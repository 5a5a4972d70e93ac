"""A certificate this machine makes for itself, so that browsers in the LAN allow microphones."""

import ipaddress
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from server.errors import SetupMistake
from server.services.keyring import write_private

VALID: Final = timedelta(days=397)  # what browsers accept at most
RENEW_BEFORE: Final = timedelta(days=14)


@dataclass(frozen=True, slots=True)
class Certificate:
    """Where chain and key are; `fingerprint` is the SHA-256 browsers show, None for your own."""

    chain: Path
    key: Path
    fingerprint: str | None = None

    def context(self) -> ssl.SSLContext:
        """Return what a server needs. Raises SetupMistake."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            context.load_cert_chain(self.chain, self.key)
        except OSError as error:  # ssl.SSLError is one
            raise SetupMistake(
                f"The certificate {self.chain} with the key {self.key} cannot be used: {error}"
            ) from None
        return context


def self_signed(folder: Path, addresses: Sequence[str], now: datetime) -> Certificate:
    """Return the certificate kept in `folder`, made anew when it no longer fits.

    That is: when an address of this machine is not in it, or it ends within two weeks of `now`.
    Raises SetupMistake.
    """
    certificate = Certificate(folder / "self-signed.crt", folder / "self-signed.key")
    names = _names(addresses)
    found = _read(certificate)
    if found is None or not _fits(found, names, now):
        found = _make(certificate, names, now)
    return Certificate(certificate.chain, certificate.key, _fingerprint(found))


def _names(addresses: Sequence[str]) -> list[x509.GeneralName]:
    host = socket.gethostname()
    texts = dict.fromkeys(("localhost", *((host,) if host.isascii() and host else ())))
    numbers = dict.fromkeys(ipaddress.ip_address(text) for text in ("127.0.0.1", "::1", *addresses))
    return [*(x509.DNSName(text) for text in texts), *(x509.IPAddress(one) for one in numbers)]


def _read(certificate: Certificate) -> x509.Certificate | None:
    try:
        found = x509.load_pem_x509_certificate(certificate.chain.read_bytes())
        certificate.context()  # the key is there and belongs to it
    except (OSError, ValueError, SetupMistake):
        return None
    return found


def _fits(found: x509.Certificate, names: list[x509.GeneralName], now: datetime) -> bool:
    held = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    is_fresh = found.not_valid_before_utc <= now < found.not_valid_after_utc - RENEW_BEFORE
    return is_fresh and set(names) <= set(held)


def _make(
    certificate: Certificate, names: list[x509.GeneralName], now: datetime
) -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Roomtone on this machine")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))  # a phone's clock may be behind
        .not_valid_after(now + VALID)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_private(certificate.key, private.decode("ascii"))
    write_private(certificate.chain, made.public_bytes(pem).decode("ascii"))
    return made


def _fingerprint(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()
