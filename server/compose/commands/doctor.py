"""`roomtone doctor`: looks at this machine as a server started like this would need it."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click

from mixer.rtc.addresses import detect_addresses
from server.client.errors import ClientError, Exit
from server.compose.address import noted_address
from server.compose.commands.settings import config_option
from server.compose.commands.target import Console, as_json
from server.compose.doctor.bucket import check_bucket
from server.compose.doctor.capacity import check_codec, check_cpu
from server.compose.doctor.certificates import check_tls
from server.compose.doctor.finding import Finding, Verdict, worst
from server.compose.doctor.machine import (
    check_buffers,
    check_descriptors,
    check_peer_clock,
    check_state,
    check_store_clock,
)
from server.compose.doctor.network import check_loop, check_ports, check_public
from server.compose.options import given, with_settings
from server.config import Settings, default_mixers
from server.errors import SetupMistake
from server.services.clock import system_clock
from server.sources import read

_COLOURS: Final = {Verdict.OK: "green", Verdict.WARN: "yellow", Verdict.FAIL: "red"}


@click.command()
@with_settings
@config_option
@click.option("--peer", help="Address of another server, whose clock is compared.")
@as_json
@click.pass_context
def doctor(
    context: click.Context,
    /,
    config_path: Path | None,
    peer: str | None,
    *,
    is_json: bool,
    **_options: Any,
) -> None:
    """Check ports, addresses, TLS, clock, limits, disk, bucket, codec; say how many people fit.

    It takes the options of `serve`, and starts nothing. It ends with 1 if something fails.
    """
    console = Console(is_json)
    try:
        settings = read(given(context), os.environ, config_path).settings
    except SetupMistake as mistake:
        console.fail(ClientError(str(mistake), Exit.MISTAKE, mistake.code))
    findings = [*examine(settings)]
    if peer is not None:
        findings.append(asyncio.run(check_peer_clock(peer, system_clock().now())))
    verdict = worst(findings)
    told = {"verdict": verdict.value, "findings": [one.as_json() for one in findings]}
    console.tell(told, _lines(findings))
    if verdict is Verdict.FAIL:
        context.exit(int(Exit.FAILED))


def examine(settings: Settings) -> Iterator[Finding]:
    """Look at everything, in the order in which a start would meet it."""
    clock = system_clock()
    addresses = detect_addresses("")
    yield from check_state(settings)
    yield from check_ports(settings, noted_address(settings.state_dir))
    yield from check_loop(addresses)
    yield check_public(settings, addresses)
    yield from check_tls(settings, addresses, clock.now())
    yield check_store_clock(settings.state_dir, clock.unix())
    yield from asyncio.run(check_bucket(settings, clock.unix))
    yield check_descriptors()
    yield check_buffers()
    yield check_cpu()
    yield from check_codec(default_mixers(), settings.mixers)


def _lines(findings: list[Finding]) -> Iterator[str]:
    width = max(len(one.check) for one in findings)
    for one in findings:
        mark = click.style(f"{one.verdict.value:<4}", fg=_COLOURS[one.verdict])
        yield f"{mark}  {one.check.ljust(width)}  {one.found}"
        if one.do:
            yield f"      {' ' * width}  → {one.do}"
