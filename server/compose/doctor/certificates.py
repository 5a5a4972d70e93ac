"""The certificate that browsers will be shown."""

import ipaddress
import ssl
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from cryptography import x509

from server.compose.certificate import Certificate
from server.compose.doctor.finding import Finding, Verdict
from server.config import Settings, option
from server.errors import SetupMistake

SOON: Final = timedelta(days=14)


def check_tls(settings: Settings, addresses: Sequence[str], now: datetime) -> Iterator[Finding]:
    """Look at the files, how long they are good for, and whose names they hold."""
    if settings.tls_cert is not None and settings.tls_key is not None:
        yield from _own(Certificate(settings.tls_cert, settings.tls_key), settings, now)
    elif settings.tls == "self-signed":
        yield Finding("TLS", Verdict.OK, f"a certificate for {', '.join(addresses)} is made")
    elif settings.public_url.startswith("https:"):
        yield Finding("TLS", Verdict.OK, "the proxy's, as public_url says")
    elif settings.is_loopback:
        yield Finding("TLS", Verdict.OK, "none is needed on loopback")
    else:
        yield Finding(
            "TLS", Verdict.WARN, "off: browsers elsewhere give no microphone without HTTPS",
            f"{option('tls')} self-signed, a certificate with {option('tls_cert')}, or a proxy",
        )  # fmt: skip


def _own(certificate: Certificate, settings: Settings, now: datetime) -> Iterator[Finding]:
    try:
        certificate.context()
        chain = _read(certificate.chain)
    except (SetupMistake, ValueError, OSError) as mistake:
        do = f"look at {option('tls_cert')} and {option('tls_key')}"
        yield Finding("TLS files", Verdict.FAIL, str(mistake), do)
        return
    yield Finding("TLS files", Verdict.OK, f"{len(chain)} certificates and their key")
    yield _chain(chain)
    yield _expiry(min(one.not_valid_after_utc for one in chain), chain[0].not_valid_before_utc, now)
    if host := urlsplit(settings.public_url).hostname:
        yield _name(chain[0], host)


def _read(path: Path) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(path.read_bytes())


def _chain(chain: list[x509.Certificate]) -> Finding:
    check = "TLS chain"
    for child, parent in pairwise(chain):
        try:
            child.verify_directly_issued_by(parent)
        except (ValueError, TypeError) as error:
            return Finding(
                check, Verdict.FAIL, f"a certificate is not signed by the next one: {error}",
                "put the server's own first, then each one that signed the one before",
            )  # fmt: skip
        except Exception as error:  # noqa: BLE001 - InvalidSignature, and what keys may raise
            return Finding(check, Verdict.FAIL, f"a signature is wrong: {error!r}", "get it anew")
    last = chain[-1]
    if last.issuer == last.subject:
        if len(chain) == 1:
            return Finding(
                check, Verdict.WARN, "it signed itself: every browser warns",
                "get one from an authority, or let people trust this one",
            )  # fmt: skip
        return Finding(check, Verdict.OK, "complete, with its root")
    known = {root["subject"] for root in _roots()}
    if _plain(last.issuer) in known:
        return Finding(check, Verdict.OK, "complete up to a root this machine knows")
    return Finding(
        check, Verdict.WARN, f"this machine does not know {last.issuer.rfc4514_string()}",
        "append the certificates in between to the file, or let people trust its root",
    )  # fmt: skip


def _roots() -> list[dict[str, tuple[object, ...]]]:
    context = ssl.create_default_context()
    context.load_default_certs()
    return [{"subject": _sorted(dict(root)["subject"])} for root in context.get_ca_certs()]


def _sorted(name: object) -> tuple[object, ...]:
    assert isinstance(name, tuple), "so ssl has names"
    return tuple(sorted(str(part[0][1]) for part in name))


def _plain(name: x509.Name) -> tuple[object, ...]:
    return tuple(sorted(str(attribute.value) for attribute in name))


def _expiry(until: datetime, since: datetime, now: datetime) -> Finding:
    check = "TLS expiry"
    shown = until.date().isoformat()
    if now >= until:
        return Finding(check, Verdict.FAIL, f"it ended on {shown}", "renew it, then SIGHUP")
    if now < since:
        return Finding(check, Verdict.FAIL, f"it begins on {since.date()}", "look at the clock")
    if until - now < SOON:
        return Finding(check, Verdict.WARN, f"it ends on {shown}", "renew it, then SIGHUP")
    return Finding(check, Verdict.OK, f"good until {shown}")


def _name(leaf: x509.Certificate, host: str) -> Finding:
    check = "TLS name"
    try:
        held = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        names: list[str] = []
        numbers: list[str] = []
    else:
        names = [name.lower() for name in held.get_values_for_type(x509.DNSName)]
        numbers = [str(one) for one in held.get_values_for_type(x509.IPAddress)]
    if host.lower() in names or _number(host) in numbers or _wild(host.lower()) in names:
        return Finding(check, Verdict.OK, f"it is for {host}")
    listed = ", ".join([*names, *numbers]) or "nobody"
    return Finding(
        check, Verdict.FAIL, f"it is for {listed}, not for {host}",
        f"get one for {host}, or change {option('public_url')}",
    )  # fmt: skip


def _wild(host: str) -> str:
    return f"*.{host.partition('.')[2]}"


def _number(host: str) -> str:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return ""
