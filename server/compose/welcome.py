"""What the server says when it is ready: on a terminal with its secrets, else without."""

import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import click
import structlog

from server.compose.version import VERSION
from server.config import Settings
from server.services.keyring import Keyring

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Serving:
    """Where the server can be reached."""

    port: int
    udp_ports: range  # one for each mixer; the first is bound, the others when they are needed
    tcp_ports: range  # the same; empty: none
    addresses: Sequence[str]  # this machine's, loopback last
    fingerprint: str | None = None
    reload: Callable[[], None] = lambda: None  # look for new certificates now


def welcome(settings: Settings, keyring: Keyring, serving: Serving) -> None:
    """Say where to go, what each port is for, and where everything is kept."""
    is_terminal = sys.stdout.isatty()
    if is_terminal:
        click.echo("\n".join(_lines(settings, keyring, serving)))
    log.log(
        logging.DEBUG if is_terminal else logging.INFO,
        "serving",
        version=VERSION,
        urls=list(urls(settings, serving)),
        udp_ports=_shown(serving.udp_ports),
        tcp_ports=_shown(serving.tcp_ports),
        state_dir=str(settings.state_dir),
        admin_key_in=str(keyring.admin_key_path),
    )


def urls(settings: Settings, serving: Serving) -> Iterator[str]:
    """Yield the addresses to open, the one for the most people first."""
    scheme = "https" if settings.is_tls else "http"
    if settings.public_url:
        yield settings.public_url
    if settings.bind_host not in ("0.0.0.0", "::", ""):  # noqa: S104 - compared, not bound
        hosts: Sequence[str] = (settings.bind_host,)
    elif settings.bind_host == "0.0.0.0":  # noqa: S104 - the same; it hears IPv4 only
        hosts = [address for address in serving.addresses if ":" not in address]
    else:
        hosts = serving.addresses
    for host in hosts:
        yield f"{scheme}://{f'[{host}]' if ':' in host else host}:{serving.port}"


def _lines(settings: Settings, keyring: Keyring, serving: Serving) -> Iterator[str]:
    bold = {"bold": True}
    yield ""
    yield "  " + click.style(f"Roomtone {VERSION}", **bold)
    yield ""
    fragment = f"/#admin={keyring.first_run}" if keyring.first_run else "/"
    for url in urls(settings, serving):
        yield _line("Open", click.style(url + fragment, fg="cyan"))
    if keyring.first_run:
        yield _line("", "This link makes the browser that opens it the admin; it works once.")
    if keyring.is_new:
        yield _line("Admin key", click.style(keyring.admin_key, **bold))
        yield _line("", f"Shown this once; it is kept in {keyring.admin_key_path}")
    if serving.fingerprint:
        yield _line("Certificate", "made by this machine: browsers warn once. Its SHA-256 is")
        yield _line("", serving.fingerprint)
        yield _line("", f"To be rid of the warning: {next(urls(settings, serving))}/ca on a phone,")
        yield _line("", "roomtone tls trust on a computer.")
    yield ""
    yield _line("Ports", f"{serving.port}/tcp   pages, API, signalling, broadcast")
    yield _line("", f"{_shown(serving.udp_ports)}/udp  voices (WebRTC)")
    if serving.tcp_ports:
        yield _line("", f"{_shown(serving.tcp_ports)}/tcp  voices where no UDP gets through")
    yield _line("State", str(settings.state_dir))
    yield ""
    yield "  Ctrl-C stops it."
    yield ""


def _shown(ports: range) -> str:
    if not ports:
        return "none"
    return str(ports[0]) if len(ports) == 1 else f"{ports[0]}-{ports[-1]}"


def _line(label: str, text: str) -> str:
    return f"  {label:<12} {text}"
