"""A real relay, Debian's coturn: browsers that reach nothing but it are heard all the same."""

import asyncio
import socket
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from aioice.stun import TransactionFailed
from aioice.turn import create_turn_endpoint

from server.services.ice import IceServers
from tests.support.chromium import chromium, join, write_tone
from tests.support.program import free_port, running
from tests.support.webrtc_client import level_db
from tests.support.whip import Studio, connect

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(90)]

HERTZ, PRESENT_DB = 440.0, -40.0
SECRET = "between the two of us"
AHEAD, BEHIND = 2.1e9, 1e9  # of the machine's clock, by which coturn goes; it reads 31 bits

_RELAY_ONLY = """
const Real = RTCPeerConnection;
window.RTCPeerConnection = class extends Real {
  constructor(config) {
    super({ ...config, iceTransportPolicy: "relay" });
    window.pc = this;
  }
};
"""
_LOCAL_TYPE = """
async () => {
  const all = Object.fromEntries((await pc.getStats()).entries());
  const transport = Object.values(all).find((entry) => entry.type === "transport");
  return all[all[transport.selectedCandidatePairId].localCandidateId].candidateType;
}
"""


@dataclass(frozen=True, slots=True)
class Relay:
    """A coturn on this machine."""

    port: int
    secret_file: Path

    @property
    def url(self) -> str:
        return f"turn:127.0.0.1:{self.port}?transport=udp"

    async def allocate(self, now: float, *, ttl_s: int, secret: str = SECRET) -> None:
        """Ask for a relayed address with what we give out at `now`."""
        (server,) = IceServers((self.url,), secret, ttl_s, lambda: now).give("somebody")
        transport, _ = await create_turn_endpoint(
            asyncio.DatagramProtocol,
            server_addr=("127.0.0.1", self.port),
            username=server.username,
            password=server.credential,
            transport="udp",
        )
        transport.close()


@pytest.fixture
async def relay(tmp_path: Path) -> AsyncIterator[Relay]:
    port = free_port(socket.SOCK_DGRAM)
    secret_file = tmp_path / "turn.secret"
    secret_file.write_text(f"{SECRET}\n")
    coturn = await asyncio.create_subprocess_exec(
        *("turnserver", "-n", "--no-cli", "--no-tls", "--no-dtls", "--no-tcp"),
        *("--allow-loopback-peers", "--min-port", "49152", "--max-port", "65535"),
        *("--listening-ip", "127.0.0.1", "--relay-ip", "127.0.0.1", "--listening-port", str(port)),
        *("--use-auth-secret", "--static-auth-secret", SECRET, "--realm", "roomtone"),
        *("--pidfile", str(tmp_path / "pid"), "--log-file", "stdout"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        made = Relay(port, secret_file)
        await made.allocate(AHEAD, ttl_s=60)  # sent again until coturn is there
        yield made
    finally:
        coturn.kill()
        await coturn.wait()


async def test_a_page_calls_through_the_relay(relay: Relay, tmp_path: Path) -> None:
    """The join page may use nothing else, and is heard; so may a page by WHIP with `Link`."""
    options = ("--ice-servers", relay.url, "--turn-secret-file", str(relay.secret_file))
    async with (
        running(tmp_path / "state", *options) as program,
        chromium(write_tone(tmp_path / "ada.wav", HERTZ)) as browser,
    ):
        studio = Studio(program)
        room = await studio.open()
        ada = await browser.new_page()
        await ada.add_init_script(_RELAY_ONLY)
        await join(ada, room["links"]["join"], "Ada")
        assert await ada.evaluate(_LOCAL_TYPE) == "relay"
        token = await studio.listen_token()
        async with studio.caller("whep", token) as (ear, _):
            assert level_db(await ear.hear(1.0, skip=1.0), HERTZ) > PRESENT_DB
        player = await browser.new_page()
        await player.goto(f"{program.url}/health")
        links = (await connect(player, studio.url("whep"), token))["links"]
        assert links.startswith(f'<{relay.url}>; rel="ice-server"; username="')


async def test_credentials_end(relay: Relay) -> None:
    """Those that were good a moment ago let in; of the past, or of another secret, they do not."""
    for then, secret in ((BEHIND, SECRET), (AHEAD, "another")):
        with pytest.raises(TransactionFailed):
            await relay.allocate(then, ttl_s=60, secret=secret)
