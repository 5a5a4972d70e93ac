"""What we use of aiortc, aioice and pylibsrtp beyond their public interface.

A failure here after an upgrade means: read the new source, then adapt `mixer/rtc` or the pin.
"""

import importlib.metadata
import inspect
import subprocess
import sys

import aioice.stun
import aiortc
import pylibsrtp
import pytest
from aiortc.rtcdtlstransport import RTCDtlsTransport
from pylibsrtp import Policy, Session
from pylibsrtp._binding import ffi, lib

from mixer.rtc import aiortc_parts
from mixer.rtc.srtp import MAX_TRAILER_BYTES


@pytest.mark.parametrize(
    ("package", "version"), [("aiortc", "1.16.0"), ("aioice", "0.13."), ("pylibsrtp", "1.0.0")]
)
def test_the_pins_hold(package: str, version: str) -> None:
    """The versions whose insides we know."""
    assert importlib.metadata.version(package).startswith(version)


def run(code: str) -> str:
    """Run code in a fresh interpreter; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_mixer_imports_no_av() -> None:
    """PyAV and its threads stay out of a process that only mixes."""
    code = "import sys, mixer.plane; print([m for m in sys.modules if m.split('.')[0] == 'av'])"
    assert run(code) == "[]"


def test_the_mixer_starts_no_thread() -> None:
    """One Python thread: a second one, busy, makes encodes a hundred times slower."""
    code = (
        "import threading, mixer.plane; from mixer.rtc.dtls import Certificate; Certificate();"
        "print(threading.active_count())"
    )
    assert run(code) == "1"


def test_aiortc_is_whole_for_whoever_imports_it_later() -> None:
    """Our partial import leaves no trace in sys.modules."""
    code = (
        "import sys, mixer.plane;"
        "assert not [m for m in sys.modules if m.split('.')[0] == 'aiortc'];"
        "import aiortc, av;"
        "print(aiortc.RTCPeerConnection.__name__, av.AudioFrame.__name__)"
    )
    assert run(code) == "RTCPeerConnection AudioFrame"


def test_aiortc_is_left_as_it_was_for_whoever_imported_it_before() -> None:
    """The other way round, and our copy is not theirs."""
    code = (
        "import aiortc; before = aiortc.rtcdtlstransport; import mixer.plane, sys;"
        "from mixer.rtc.aiortc_parts import RTCDtlsTransport;"
        "assert sys.modules['aiortc'] is aiortc;"
        "print(sys.modules['aiortc.rtcdtlstransport'] is before,"
        " before.RTCDtlsTransport is RTCDtlsTransport)"
    )
    assert run(code) == "True False"


class Ice:
    """The whole of what aiortc's DTLS transport asks of an ICE transport."""

    role, state = "controlled", "completed"

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    async def _recv(self) -> bytes:
        raise ConnectionError

    async def _send(self, data: bytes) -> None:
        self.sent.append(data)


@pytest.fixture
def transport() -> RTCDtlsTransport:
    certificate = aiortc_parts.RTCCertificate.generateCertificate()
    return aiortc_parts.RTCDtlsTransport(Ice(), [certificate])  # type: ignore[no-any-return]


async def test_the_role_is_set_beforehand(transport: RTCDtlsTransport) -> None:
    """`_set_role` decides who calls: a client's first flight leaves with `start`."""
    parameters = aiortc_parts.RTCDtlsParameters(
        fingerprints=[aiortc_parts.RTCDtlsFingerprint(algorithm="sha-256", value="00")]
    )
    transport._set_role("client")
    await transport.start(parameters)
    assert transport.transport.sent[0][0] == 22  # type: ignore[attr-defined]
    assert transport.state == "failed"


async def test_states_are_told_by_an_event(transport: RTCDtlsTransport) -> None:
    """`statechange` comes after `state` has changed; the names are lower-case."""
    seen: list[str] = []
    transport.on("statechange", lambda: seen.append(transport.state))
    for state in type(transport)._set_state.__globals__["State"]:
        transport._set_state(state)
    assert seen == ["connecting", "connected", "closed", "failed"]


def test_keys_are_two_srtp_sessions(transport: RTCDtlsTransport) -> None:
    """`_rx_srtp` and `_tx_srtp` are there before the handshake, as None."""
    assert vars(transport).items() >= {"_rx_srtp": None, "_tx_srtp": None}.items()


def test_a_lost_connection_is_a_connection_error() -> None:
    """`_recv` ends both the handshake and the reading by raising ConnectionError."""
    for name in ("_do_handshake", "_RTCDtlsTransport__run"):
        assert "except ConnectionError" in inspect.getsource(getattr(RTCDtlsTransport, name))


def test_a_session_holds_its_native_handle() -> None:
    """`_srtp[0]` is what libsrtp's functions take."""
    session = Session(Policy(key=b"k" * 30, ssrc_type=Policy.SSRC_ANY_OUTBOUND))
    packet = bytearray(b"\x80\x60\0\1\0\0\0\1\0\0\0\1payload" + bytes(MAX_TRAILER_BYTES))
    length = ffi.new("int *", 19)
    data = ffi.from_buffer("char[]", packet)
    assert lib.srtp_protect(session._srtp[0], data, length) == 0
    assert length[0] == 29
    assert packet[12:19] != b"payload"


def test_protection_writes_a_known_trailer_at_most() -> None:
    """Rows leave that much room behind a packet."""
    assert pylibsrtp.SRTP_MAX_TRAILER_LEN == MAX_TRAILER_BYTES


def test_rtcp_sessions_take_1500_bytes() -> None:
    """Longer is a ValueError, which we catch."""
    session = Session(Policy(key=b"k" * 30, ssrc_type=Policy.SSRC_ANY_INBOUND))
    with pytest.raises(ValueError, match="too long"):
        session.unprotect_rtcp(b"\x80\xc9" + b"\0" * 1499)


def test_stun_checks_what_it_says() -> None:
    """Integrity is verified apart from parsing; without it, it fails."""
    message = aioice.stun.Message(aioice.stun.Method.BINDING, aioice.stun.Class.REQUEST)
    assert not message.check_message_integrity(b"key")
    message.add_message_integrity(b"key")
    assert aioice.stun.parse_message(bytes(message)).check_message_integrity(b"key")


def test_certificates_have_a_sha_256_fingerprint() -> None:
    """And no digest that SDP checks do not know."""
    certificate = aiortc.RTCCertificate.generateCertificate()
    algorithms = {fingerprint.algorithm for fingerprint in certificate.getFingerprints()}
    assert algorithms == {"sha-256", "sha-384", "sha-512"}


def test_the_wire_is_asked_again_after_a_timer() -> None:
    """OpenSSL's timer cancels `_recv`; nothing may be lost by that."""
    source = inspect.getsource(RTCDtlsTransport._recv_next)
    assert "asyncio.wait_for(self.transport._recv(), timeout=timeout)" in source
