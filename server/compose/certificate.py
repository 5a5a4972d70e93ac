"""The certificate a server shows: yours, or one of this machine's own authority."""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from server.compose.authority import PEM, RENEW_BEFORE, Authority, Name, names_of
from server.errors import SetupMistake
from server.services.keyring import write_private


@dataclass(frozen=True, slots=True)
class Certificate:
    """Where chain and key are.

    `fingerprint` is the SHA-256 browsers show and `authority` that of who signed it; both are
    None for your own.
    """

    chain: Path
    key: Path
    fingerprint: str | None = None
    authority: str | None = None

    def context(self) -> ssl.SSLContext:
        """Return what a server needs. Raises SetupMistake."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            # Without a password of our own OpenSSL would ask for one on the terminal.
            context.load_cert_chain(self.chain, self.key, password="")
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise SetupMistake(
                f"The certificate {self.chain} with the key {self.key} cannot be used: {error}"
            ) from None
        return context


def self_signed(folder: Path, addresses: Sequence[str], now: datetime) -> Certificate:
    """Return the certificate kept in `folder`, made anew when it no longer fits.

    That is: when an address of this machine is not in it, or it ends within a month of `now`. Its
    authority stays, so that nobody must trust anything anew. Raises SetupMistake.
    """
    certificate = Certificate(folder / "self-signed.crt", folder / "self-signed.key")
    names = names_of(addresses)
    authority = Authority.open(folder, names, now)
    found = _read(certificate)
    if found is None or not _fits(found, names, now) or not authority.has_signed(found):
        found = _make(certificate, authority, names, now)
    return Certificate(
        certificate.chain,
        certificate.key,
        fingerprint(found),
        fingerprint(authority.certificate),
    )


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of a certificate as browsers show it."""
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()


def _read(certificate: Certificate) -> x509.Certificate | None:
    try:
        found = x509.load_pem_x509_certificate(certificate.chain.read_bytes())
        certificate.context()  # the key is there and belongs to it
    except (OSError, ValueError, SetupMistake):
        return None
    return found


def _fits(found: x509.Certificate, names: Sequence[Name], now: datetime) -> bool:
    held = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    is_fresh = found.not_valid_before_utc <= now < found.not_valid_after_utc - RENEW_BEFORE
    return is_fresh and set(names) <= set(held)


def _make(
    certificate: Certificate, authority: Authority, names: Sequence[Name], now: datetime
) -> x509.Certificate:
    made, key = authority.sign(names, now)
    private = key.private_bytes(
        PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_private(certificate.key, private.decode("ascii"))
    write_private(certificate.chain, (made.public_bytes(PEM) + authority.pem).decode("ascii"))
    return made
