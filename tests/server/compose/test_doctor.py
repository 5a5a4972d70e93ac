"""What the doctor says of this machine and of broken ones."""

import json
import os
import resource
import socket
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mixer.errors import SetupError
from server.compose import cli
from server.compose.doctor import capacity, machine, network
from server.compose.doctor.capacity import Crowd, Speed, check_codec, check_cpu, measure
from server.compose.doctor.certificates import check_tls
from server.compose.doctor.finding import Finding, Verdict, worst
from server.config import Settings
from tests.support.program import free_port

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OK, WARN, FAIL = Verdict


def settings(folder: Path, **options: Any) -> Settings:
    return Settings(state_dir=folder / "state", **options)


def verdicts(findings: Sequence[Finding]) -> dict[str, Verdict]:
    return {one.check: one.verdict for one in findings}


def test_command(tmp_path: Path) -> None:
    """It ends with 0 where nothing fails and 1 where something does, and names what to do."""
    arguments = ["doctor", "--state-dir", str(tmp_path), "--mixers", "1"]
    arguments += ["--port", str(free_port()), "--udp-port", str(free_port(socket.SOCK_DGRAM))]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    assert "people" in result.output
    with socket.create_server(("127.0.0.1", 0)) as taken:
        arguments[arguments.index("--port") + 1] = str(taken.getsockname()[1])
        result = CliRunner().invoke(cli, [*arguments, "--json"])
    told = json.loads(result.output)
    assert (result.exit_code, told["verdict"]) == (1, "fail")
    (failed,) = [one for one in told["findings"] if one["verdict"] == "fail"]
    assert "--port" in failed["do"]


def test_wrong_settings() -> None:
    """Settings that cannot be are a mistake of the command, with its status."""
    result = CliRunner().invoke(cli, ["doctor", "--tls-cert", "/c"])
    assert (result.exit_code, "give both" in result.output) == (2, True)


def test_udp_ports(tmp_path: Path) -> None:
    """A port that another program holds is named; our own server's is well."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("", 0))
        port = taken.getsockname()[1]
        given = settings(tmp_path, port=free_port(), udp_port=port, mixers=1, tcp_port=0)
        found = [*network.check_ports(given, None)]
        ours = [*network.check_ports(given, f"http://127.0.0.1:{given.port}")]
    assert verdicts(found)[f"UDP port {port}"] is FAIL
    assert str(port) in found[1].found
    assert verdicts(ours)[f"UDP port {port}"] is OK


def test_tcp_ports_are_left_out(tmp_path: Path) -> None:
    """A TCP port for voices that was not asked for is only left out if it is taken."""
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        for tcp_port, verdict in ((None, WARN), (port, FAIL)):
            given = settings(tmp_path, port=0, udp_port=port, mixers=1, tcp_port=tcp_port)
            assert verdicts([*network.check_ports(given, None)])[f"TCP port {port}"] is verdict


def test_datagrams() -> None:
    """A datagram to loopback arrives; an address that is not ours cannot be heard at."""
    assert [one.verdict for one in network.check_loop(["127.0.0.1", "192.0.2.77"])] == [OK, WARN]


@pytest.mark.parametrize(
    ("options", "addresses", "verdict"),
    [
        ({}, ["192.168.1.2"], OK),
        ({"host": "0.0.0.0"}, ["192.168.1.2"], WARN),
        ({"host": "0.0.0.0"}, ["8.8.8.8"], OK),
        ({"host": "0.0.0.0", "public_ip": ("8.8.8.8",)}, ["192.168.1.2"], OK),
        ({"host": "0.0.0.0", "public_ip": ("10.0.0.1",)}, ["192.168.1.2"], WARN),
        ({"public_ip": ("127.0.0.1",)}, ["192.168.1.2"], FAIL),
        ({"public_ip": ("224.0.0.1",)}, ["192.168.1.2"], FAIL),
    ],
)
def test_public(
    tmp_path: Path, options: dict[str, Any], addresses: list[str], verdict: Verdict
) -> None:
    """What browsers are told must be reachable from where they are."""
    assert network.check_public(settings(tmp_path, **options), addresses).verdict is verdict


def certificate(
    folder: Path, *, names: Sequence[str] = ("a.example",), days: tuple[int, int] = (-1, 90)
) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW + timedelta(days=days[0]))
        .not_valid_after(NOW + timedelta(days=days[1]))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "c.pem").write_bytes(made.public_bytes(pem))
    (folder / "k.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "c.pem", folder / "k.pem"


@pytest.mark.parametrize(
    ("names", "days", "check", "verdict"),
    [
        (["a.example"], (-1, 90), "TLS name", OK),
        (["*.example"], (-1, 90), "TLS name", OK),
        (["b.example"], (-1, 90), "TLS name", FAIL),
        (["a.example"], (-1, 90), "TLS expiry", OK),
        (["a.example"], (-1, 5), "TLS expiry", WARN),
        (["a.example"], (-9, -1), "TLS expiry", FAIL),
        (["a.example"], (1, 90), "TLS expiry", FAIL),
        (["a.example"], (-1, 90), "TLS chain", WARN),
    ],
)
def test_certificate(
    tmp_path: Path, names: list[str], days: tuple[int, int], check: str, verdict: Verdict
) -> None:
    """Names, dates and chain of one's own certificate are looked at."""
    cert, key = certificate(tmp_path, names=names, days=days)
    given = settings(tmp_path, tls_cert=cert, tls_key=key, public_url="https://a.example")
    assert verdicts([*check_tls(given, [], NOW)])[check] is verdict


def test_certificate_files(tmp_path: Path) -> None:
    """A key that belongs to another certificate, or no file, is a failure with a sentence."""
    cert, _ = certificate(tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    _, key = certificate(other)
    for broken in (key, tmp_path / "gone"):
        (found,) = check_tls(settings(tmp_path, tls_cert=cert, tls_key=broken), [], NOW)
        assert found.verdict is FAIL


@pytest.mark.parametrize(
    ("options", "verdict"),
    [
        ({}, OK),
        ({"host": "0.0.0.0"}, WARN),
        ({"host": "0.0.0.0", "public_url": "https://a.example"}, OK),
        ({"tls": "self-signed"}, OK),
    ],
)
def test_no_certificate(tmp_path: Path, options: dict[str, Any], verdict: Verdict) -> None:
    """Without TLS off loopback there is no microphone."""
    (found,) = check_tls(settings(tmp_path, **options), ["192.0.2.1"], NOW)
    assert found.verdict is verdict


def test_state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder others may read is named, a full disk too, and one that cannot be made."""
    folder = tmp_path / "state"
    assert [one.verdict for one in machine.check_state(settings(tmp_path))] == [OK, OK]
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    found, _ = machine.check_state(settings(tmp_path))
    assert (found.verdict, found.do) == (WARN, f"chmod 700 {folder}")
    assert not list(folder.iterdir())
    assert [machine._disk(size).verdict for size in (10, 1 << 29, 1 << 40)] == [FAIL, WARN, OK]
    monkeypatch.setattr(os, "access", lambda *_: False)
    (found,) = machine.check_state(Settings(state_dir=tmp_path / "no" / "where"))
    assert found.verdict is FAIL


def test_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit of descriptors that few people reach is named with what raises it."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 524_288))
    found = machine.check_descriptors()
    assert (found.verdict, "ulimit -n 65536" in found.do) == (WARN, True)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY,) * 2)
    assert machine.check_descriptors().verdict is OK


def test_kernel(tmp_path: Path) -> None:
    """The UDP buffer and the processor are read from where Linux has them."""
    file = tmp_path / "file"
    assert machine.check_buffers(file).verdict is WARN
    assert check_cpu(file).verdict is WARN
    file.write_text("212992\n")
    assert "sysctl -w" in machine.check_buffers(file).do
    file.write_text("4194304\n")
    assert machine.check_buffers(file).verdict is OK
    file.write_text("flags : fpu avx2 sse4_1\n")
    assert check_cpu(file).found == "avx2, sse4_1"
    file.write_text("flags : fpu\n")
    assert check_cpu(file).verdict is WARN


def test_store_clock(tmp_path: Path) -> None:
    """A file system whose clock is another is found out."""
    now = datetime.now(UTC).timestamp()
    assert machine.check_store_clock(tmp_path / "gone", now).verdict is OK
    assert machine.check_store_clock(tmp_path, now).verdict is OK
    assert machine.check_store_clock(tmp_path, now - 60).verdict is FAIL
    assert not list(tmp_path.iterdir())


async def test_peer_clock() -> None:
    """The Date of another server is compared; one that cannot be asked is no failure."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(headers={"Date": "Thu, 01 Jan 2026 00:00:00 GMT"})

    app = web.Application()
    app.router.add_get("/", answer)
    async with TestServer(app) as server:
        url = str(server.make_url("/"))
        assert (await machine.check_peer_clock(url, NOW)).verdict is OK
        late = await machine.check_peer_clock(url, NOW + timedelta(seconds=30))
    assert (late.verdict, "-30.0 s" in late.found) == (FAIL, True)
    assert (await machine.check_peer_clock(url, NOW)).verdict is WARN
    assert (await machine.check_peer_clock("nonsense", NOW)).verdict is WARN


def test_codec(monkeypatch: pytest.MonkeyPatch) -> None:
    """The measurement is a real one; without libopus there is a failure instead."""
    speed = measure()
    assert 1e-6 < speed.decode_s < 0.02
    assert 1e-6 < speed.encode_s < 0.02
    assert 1e-7 < speed.protect_s < 0.02
    assert 1e-7 < speed.unprotect_s < 0.02
    assert [one.check for one in check_codec(2, 1)] == ["codec", "people"]

    def refuse() -> str:
        raise SetupError("libopus was found nowhere")

    monkeypatch.setattr(capacity, "version", refuse)
    (found,) = check_codec(2, 1)
    assert found.verdict is FAIL


def test_people() -> None:
    """Twice the cores carry twice the people, half the speed half of them; who is silent is cheap.

    With everybody speaking there is a mix for each; else one more, which the silent ones share.
    """
    speed = Speed(50e-6, 40e-6, 5e-6, 4e-6)
    assert Crowd(10, 10, 1.0).cost_s(speed) == pytest.approx(99e-6)
    assert Crowd(10, 1, 2.0).cost_s(speed) == pytest.approx(2 * (100 + 44 + 50) / 10 * 1e-6)
    assert [speed.people(cores, Crowd(10, 10, 1.0)) for cores in (1, 2)] == [101, 202]
    assert Speed(100e-6, 80e-6, 10e-6, 8e-6).people(1, Crowd(10, 10, 1.0)) == 50


def test_worst() -> None:
    """One failure is worse than any number of warnings."""
    made = [Finding("a", verdict, "") for verdict in (WARN, FAIL, OK)]
    assert (worst(made), worst(made[::2]), worst([])) == (FAIL, WARN, OK)
