"""A certificate authority of this machine's own, for phones and computers that trust it once."""

import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from server.services.keyring import write_private

CA_VALID: Final = timedelta(days=3650)
CA_RENEW_BEFORE: Final = timedelta(days=400)  # no certificate of it shall outlive it
VALID: Final = timedelta(days=397)  # what browsers accept at most
RENEW_BEFORE: Final = timedelta(days=30)
SLOW_CLOCK: Final = timedelta(hours=1)  # a phone's may be behind
PEM: Final = serialization.Encoding.PEM

# What it may speak for (RFC 5280, 4.2.1.10): should its key be stolen, it vouches for no site.
_NETWORKS: Final = tuple(
    ipaddress.ip_network(text)
    for text in (
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "127.0.0.0/8"),
        *("fc00::/7", "fe80::/10", "::1/128"),
    )
)
_DOMAINS: Final = ("localhost", "local", "lan", "internal", "home.arpa")

Name = x509.DNSName | x509.IPAddress


@dataclass(frozen=True, slots=True, repr=False)
class Authority:
    """Certificate and private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def open(cls, folder: Path, names: Sequence[Name], now: datetime) -> Self:
        """Return the authority kept in `folder`; a new one if it may not speak for all `names`.

        Raises SetupMistake if it cannot be written.
        """
        paths = (certificate_path(folder), folder / "ca.key")
        found = cls._read(*paths)
        if found is not None and found.is_fit(names, now):
            return found
        made = cls._make(names, now)
        private = made.key.private_bytes(
            PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        write_private(paths[1], private.decode("ascii"))
        write_private(paths[0], made.pem.decode("ascii"))
        return made

    @property
    def pem(self) -> bytes:
        """The certificate, which may be given to anybody."""
        return self.certificate.public_bytes(PEM)

    def is_fit(self, names: Sequence[Name], now: datetime) -> bool:
        """Whether it may speak for all `names`, long enough for another certificate."""
        start, end = self.certificate.not_valid_before_utc, self.certificate.not_valid_after_utc
        if not start <= now < end - CA_RENEW_BEFORE:
            return False
        limits = self.certificate.extensions.get_extension_for_class(x509.NameConstraints).value
        permitted = limits.permitted_subtrees or []
        return all(any(_covers(one, name) for one in permitted) for name in names)

    def has_signed(self, certificate: x509.Certificate) -> bool:
        """Whether a certificate is of this authority."""
        try:
            certificate.verify_directly_issued_by(self.certificate)
        except (ValueError, TypeError, InvalidSignature):
            return False
        return True

    def sign(
        self, names: Sequence[Name], now: datetime
    ) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        """Return a new certificate for a server of these names, and its private key."""
        key = ec.generate_private_key(ec.SECP256R1())
        own = self.key.public_key()
        made = (
            _builder("Roomtone on this machine", now, VALID)
            .issuer_name(self.certificate.subject)
            .public_key(key.public_key())
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(is_authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(own), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        return made, key

    @classmethod
    def _make(cls, names: Sequence[Name], now: datetime) -> Self:
        key = ec.generate_private_key(ec.SECP256R1())
        name = f"Roomtone CA of {socket.gethostname() or 'this machine'}"
        certificate = (
            _builder(name, now, CA_VALID)
            .issuer_name(_subject(name))
            .public_key(key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(is_authority=True), critical=True)
            .add_extension(x509.NameConstraints(_limits(names), None), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .sign(key, hashes.SHA256())
        )
        return cls(certificate, key)

    @classmethod
    def _read(cls, path: Path, key_path: Path) -> Self | None:
        try:
            certificate = x509.load_pem_x509_certificate(path.read_bytes())
            key = serialization.load_pem_private_key(key_path.read_bytes(), None)
        except (OSError, ValueError):
            return None
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            return None
        found = cls(certificate, key)
        is_whole = certificate.public_key() == key.public_key() and found.has_signed(certificate)
        return found if is_whole else None


def certificate_path(folder: Path) -> Path:
    """Return where the authority's certificate is kept."""
    return folder / "ca.crt"


def names_of(addresses: Sequence[str]) -> list[Name]:
    """Return the names of this machine, and `addresses`."""
    host = socket.gethostname()
    texts = dict.fromkeys(("localhost", *((host,) if host.isascii() and host else ())))
    numbers = dict.fromkeys(ipaddress.ip_address(text) for text in ("127.0.0.1", "::1", *addresses))
    return [*(x509.DNSName(text) for text in texts), *(x509.IPAddress(one) for one in numbers)]


def _builder(name: str, now: datetime, valid: timedelta) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_subject(name))
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SLOW_CLOCK)
        .not_valid_after(now + valid)
    )


def _subject(name: str) -> x509.Name:
    # 64 characters is all a common name may have (RFC 5280, A.1).
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _limits(names: Sequence[Name]) -> list[x509.GeneralName]:
    """Return the private networks and domains, and of `names` what lies outside of them."""
    limits: list[x509.GeneralName] = [x509.DNSName(text) for text in _DOMAINS]
    limits += [x509.IPAddress(network) for network in _NETWORKS]
    for name in names:
        if not any(_covers(limit, name) for limit in limits):
            own = name
            if isinstance(name, x509.IPAddress):
                own = x509.IPAddress(ipaddress.ip_network(name.value))
            limits.append(own)
    return limits


def _covers(limit: x509.GeneralName, name: Name) -> bool:
    if isinstance(limit, x509.DNSName) and isinstance(name, x509.DNSName):
        return name.value == limit.value or name.value.endswith("." + limit.value)
    if isinstance(limit, x509.IPAddress) and isinstance(name, x509.IPAddress):
        network, address = limit.value, name.value
        if isinstance(network, ipaddress.IPv4Network | ipaddress.IPv6Network) and isinstance(
            address, ipaddress.IPv4Address | ipaddress.IPv6Address
        ):
            return address in network
    return False
