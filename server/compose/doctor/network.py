"""Ports and addresses."""

import errno
import ipaddress
import secrets
import socket
from collections.abc import Iterator, Sequence
from typing import Final

from server.compose.doctor.finding import Finding, Verdict
from server.config import Settings, option

HEAR_S: Final = 1.0  # a datagram to an address of one's own needs no time at all


def check_ports(settings: Settings, own_url: str | None) -> Iterator[Finding]:
    """Look whether each port can be had; where our own server has them, that is well."""
    is_ours = own_url is not None and own_url.endswith(f":{settings.port}")
    yield _page_port(settings, own_url if is_ours else None)
    yield _range("UDP", settings.udp_ports, socket.SOCK_DGRAM, is_ours=is_ours)
    if settings.tcp_ports:
        found = _range("TCP", settings.tcp_ports, socket.SOCK_STREAM, is_ours=is_ours)
        if found.verdict is Verdict.FAIL and not settings.tcp_port:  # not asked for: left out
            found = Finding(found.check, Verdict.WARN, found.found, found.do)
        yield found


def _page_port(settings: Settings, own_url: str | None) -> Finding:
    check = f"TCP port {settings.port}"
    try:
        family = socket.AF_INET6 if ":" in settings.bind_host else socket.AF_INET
        socket.create_server((settings.bind_host, settings.port), family=family).close()
    except OSError as error:
        if own_url is not None and error.errno == errno.EADDRINUSE:
            return Finding(check, Verdict.OK, f"our server has it: {own_url}")
        do = f"choose another with {option('port')}"
        if error.errno == errno.EACCES:
            do = f"choose one above 1023 with {option('port')}, and put a proxy in front"
        elif error.errno != errno.EADDRINUSE:
            do = f"choose another address with {option('host')}"
        return Finding(check, Verdict.FAIL, f"it cannot be had: {error.strerror}", do)
    return Finding(check, Verdict.OK, "free")


def _range(kind: str, ports: range, of: socket.SocketKind, *, is_ours: bool) -> Finding:
    shown = str(ports[0]) if len(ports) == 1 else f"{ports[0]}-{ports[-1]}"
    check = f"{kind} port {shown}"
    taken = [port for port in ports if not _is_free(port, of)]
    if not taken:
        return Finding(check, Verdict.OK, "free")
    if is_ours:
        return Finding(check, Verdict.OK, "our server has it")
    key = "udp_port" if of is socket.SOCK_DGRAM else "tcp_port"
    numbers = ", ".join(map(str, taken))
    do = f"choose others with {option(key)}, or fewer with {option('mixers')}"
    return Finding(check, Verdict.FAIL, f"in use by another program: {numbers}", do)


def _is_free(port: int, kind: socket.SocketKind) -> bool:
    try:
        with socket.socket(socket.AF_INET, kind) as sock:
            if kind is socket.SOCK_STREAM:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("", port))
    except OSError:
        return False
    return True


def check_loop(addresses: Sequence[str]) -> Iterator[Finding]:
    """Send a datagram to each address of this machine: what a firewall eats here, it eats."""
    for address in addresses:
        check = f"UDP to {address}"
        try:
            heard = _hears_itself(address)
        except OSError as error:
            yield Finding(check, Verdict.WARN, f"it cannot be sent: {error.strerror}", _FIREWALL)
            continue
        if heard:
            yield Finding(check, Verdict.OK, "a datagram to ourselves arrives")
        else:
            yield Finding(check, Verdict.FAIL, "a datagram to ourselves is lost", _FIREWALL)


_FIREWALL: Final = "look at this machine's firewall (nft list ruleset) and its routes"


def _hears_itself(address: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    word = secrets.token_bytes(16)
    with (
        socket.socket(family, socket.SOCK_DGRAM) as ear,
        socket.socket(family, socket.SOCK_DGRAM) as mouth,
    ):
        ear.bind((address, 0))
        ear.settimeout(HEAR_S)
        mouth.sendto(word, ear.getsockname())
        try:
            return ear.recv(64) == word
        except TimeoutError:
            return False


def check_public(settings: Settings, addresses: Sequence[str]) -> Finding:
    """Look whether what browsers are told can be reached from where they are."""
    check = "public address"
    told = [ipaddress.ip_address(text) for text in settings.public_ip]
    own = [ipaddress.ip_address(text) for text in addresses]
    for one in told:
        if one.is_unspecified or one.is_multicast or one.is_loopback or one.is_link_local:
            return Finding(
                check, Verdict.FAIL, f"{one} is nobody's address",
                f"give {option('public_ip')} the one people reach this machine at",
            )  # fmt: skip
    behind = [one for one in told if one.is_private and one not in own]
    if behind:
        return Finding(
            check, Verdict.WARN, f"{behind[0]} is private and not this machine's",
            "only people of that network can reach it: is it the address outside the NAT?",
        )  # fmt: skip
    if told:
        return Finding(check, Verdict.OK, ", ".join(map(str, told)))
    if settings.is_loopback and not settings.public_url:
        return Finding(check, Verdict.OK, "none is needed: this machine only is served")
    outside = [one for one in own if one.is_global]
    if outside:
        return Finding(check, Verdict.OK, f"{outside[0]} is this machine's own")
    return Finding(
        check, Verdict.WARN, "all of this machine's addresses are private",
        "people in its network can talk; for others forward the ports and give"
        f" {option('public_ip')} the address outside",
    )  # fmt: skip
