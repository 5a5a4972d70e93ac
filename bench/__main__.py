"""`python -m bench`: CPU per anchor of Roomtone's mixer beside a plain aiortc mixer, A B A B."""

import argparse
import asyncio
import itertools
import os
import platform
import statistics
import subprocess
import tempfile
import wave
from pathlib import Path

import numpy as np
from aiortc import RTCCertificate

from bench.lines import Server
from bench.raw_client import Clip, RawClient, make_clip, stream
from mixer.opus import Application, Encoder

SERVERS = {"Roomtone": "bench.server_roomtone", "plain aiortc": "bench.server_aiortc"}
WARM_UP_S = 2.0
SPEECH = (
    "The quick brown fox jumps over the lazy dog. She sells sea shells by the sea shore. "
    "Each person hears everybody but themselves, and the rain in Spain stays in the plain."
)


def speech() -> np.ndarray:
    """Return a sentence of synthetic speech, mono 48 kHz int16."""
    with tempfile.TemporaryDirectory() as folder:
        spoken, out = Path(folder) / "spoken.wav", Path(folder) / "speech.wav"
        subprocess.run(["espeak-ng", "-w", spoken, SPEECH], check=True)
        subprocess.run(
            ["sox", spoken, "-r", "48000", "-c", "1", out, "gain", "-n", "-6"], check=True
        )
        with wave.open(str(out)) as file:
            return np.frombuffer(file.readframes(file.getnframes()), np.int16)


def clips() -> tuple[Clip, Clip]:
    """Return a speaker's packets and a silent person's: coded room noise at -65 dBov, 32 kb/s."""
    noise = np.random.default_rng(1).standard_normal(48_000 * 4) * 32768 * 10 ** (-65 / 20)

    def encode(pcm: np.ndarray) -> Clip:
        encoder = Encoder(application=Application.VOIP, bitrate_bps=32_000, complexity=5)
        return make_clip(pcm, encoder.encode)

    return encode(speech()), encode(noise.astype(np.int16))


def cpu_seconds(pid: int) -> float:
    """Return user and system time of a process (its threads included)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measure(
    module: str, options: argparse.Namespace, talk: Clip, noise: Clip
) -> tuple[float, float]:
    """Return percent of a core per anchor, and the packets a second each anchor received."""
    server = await Server.start(module)
    certificate = RTCCertificate.generateCertificate()
    clients = []
    for index in range(options.anchors):
        client = RawClient(talk if index < options.speaking else noise, certificate)
        answer = await server.answer("bench", f"p{index}", client.offer())
        await client.connect(answer, host=options.host)
        clients.append(client)
    await stream(clients, WARM_UP_S)
    before, received = cpu_seconds(server.process.pid), sum(c.received for c in clients)
    await stream(clients, options.seconds)
    spent = cpu_seconds(server.process.pid) - before
    packets = sum(c.received for c in clients) - received
    await server.stop()
    for client in clients:
        await client.close()
    share = options.seconds * options.anchors
    return 100 * spent / share, packets / share


async def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--anchors", type=int, default=10, help="people in the room")
    parser.add_argument("--speaking", type=int, default=3, help="how many of them speak")
    parser.add_argument("--seconds", type=float, default=10, help="length of each measurement")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each, interleaved")
    parser.add_argument("--host", default="127.0.0.1", help="address the clients send to")
    options = parser.parse_args()
    talk, noise = clips()
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in SERVERS}
    for turn, name in itertools.product(range(options.rounds), SERVERS):
        print(f"round {turn + 1} of {options.rounds}: {name} …", flush=True)
        found[name].append(await measure(SERVERS[name], options, talk, noise))
    print(
        f"\n{options.anchors} in a room, {options.speaking} speaking; {platform.machine()}, "
        f"{os.cpu_count()} cores, Python {platform.python_version()}\n"
    )
    print(f"{'':<14}{'% of a core per anchor':>24}{'spread':>16}{'packets/s each':>16}")
    medians = {}
    for name, rows in found.items():
        cpu = [row[0] for row in rows]
        medians[name] = statistics.median(cpu)
        spread = f"{min(cpu):.2f}-{max(cpu):.2f}"
        packets = statistics.median(row[1] for row in rows)
        print(f"{name:<14}{medians[name]:>24.2f}{spread:>16}{packets:>16.1f}")
    first, second = medians.values()
    print(f"\nRoomtone costs 1/{second / first:.1f} of the plain mixer.")


if __name__ == "__main__":
    asyncio.run(main())
