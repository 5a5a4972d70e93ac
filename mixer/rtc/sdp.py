"""Offers read and answers written (RFC 8829), for one Opus stream."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from mixer.errors import ClientMistake
from mixer.rtc.aiortc_parts import SessionDescription
from mixer.rtc.codecs import Codecs, describe, read_codecs
from mixer.rtc.dtls import Fingerprint
from mixer.rtc.ice import Credentials
from mixer.types import OpusParameters

LEVEL_URI = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"  # RFC 6464

MAX_OFFER_CHARACTERS = 24 * 1024  # a browser's audio offer is 2 KiB, with video and data 7
MAX_MEDIA = 16

# The lines we read. Others (candidates, feedback, SSRCs) can be many, and aiortc's parser takes
# time in their square.
_READ = re.compile(
    r"[vost]=|m=|a=(?:group|mid|setup|fingerprint|ice-ufrag|ice-pwd|rtpmap|extmap):"
    r"|a=(?:sendrecv|sendonly|recvonly|inactive)$"
)
_OURS = re.compile(r"a=(?:fmtp|ptime|tls-id|bundle-only)")  # what aiortc does not read, or slowly
_MAX_OURS = 64  # such lines of one m-line
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+\-.^_`{|}~]{1,64}")  # RFC 8866 token
_ICE = re.compile(r"[A-Za-z0-9+/]{4,256}")
_DIGEST_BYTES = {"sha-256": 32, "sha-384": 48, "sha-512": 64}  # what aiortc compares
_ANSWERED = {
    "sendrecv": "sendrecv",
    "sendonly": "recvonly",
    "recvonly": "sendonly",
    "inactive": "inactive",
}
# What we ask the peer to send: in-band FEC where there is loss, nothing while silent.
WISH = OpusParameters(fec=True, dtx=True, min_ptime=10)
# Of music rooms: both channels, all of the time.
MUSIC_WISH = replace(WISH, dtx=False, stereo=True, sprop_stereo=True, max_average_bitrate=128_000)


@dataclass(frozen=True, slots=True)
class _Media:
    kind: str
    profile: str
    formats: str
    mid: str  # "": not offered


@dataclass(frozen=True, slots=True)
class Offer:
    """What we need to know of an offer. `setup` is the peer's; `media` are all its m-lines.

    `session` is its `o=` line without the version: one RTCPeerConnection keeps it for life
    (RFC 8866 §5.2, RFC 8829 §5.2.1).
    """

    session: str
    remote: Credentials
    fingerprints: tuple[Fingerprint, ...]
    tls_id: str  # RFC 8842 §4; "": not said
    setup: str
    codecs: Codecs
    level_id: int  # 0: RFC 6464 levels were not offered
    direction: str
    is_bundled: bool
    media: tuple[_Media, ...]
    chosen: int

    @property
    def payload_type(self) -> int:
        """The payload type of Opus."""
        return self.codecs.opus

    def continued_by(self, later: "Offer") -> "Offer | None":
        """Return what a later offer makes of the connection, None if it means another one.

        The same session, m-line, certificate and `tls-id`, and a `setup` that leaves the DTLS roles
        as they are, keep the DTLS association (RFC 8842 §4); credentials, direction and codecs may
        be others.
        """
        role = "passive" if self.setup == "passive" else "active"
        if (
            self.session != later.session
            or self.fingerprints != later.fingerprints
            or self.tls_id != later.tls_id
            or self.media[self.chosen].mid != later.media[later.chosen].mid
            or later.setup not in ("actpass", role)
        ):
            return None
        return replace(later, setup=role)

    def unheard(self) -> "Offer":
        """Return the offer of somebody who may hear, and of whom nothing is taken."""
        return replace(self, direction="recvonly" if self.hears else "inactive")

    @property
    def speaks(self) -> bool:
        """Whether the peer sends audio."""
        return self.direction in ("sendrecv", "sendonly")

    @property
    def hears(self) -> bool:
        """Whether the peer takes audio."""
        return self.direction in ("sendrecv", "recvonly")


@dataclass(frozen=True, slots=True)
class Answerer:
    """Our side of an answer."""

    credentials: Credentials
    fingerprint_sha256: str
    addresses: tuple[str, ...]
    port: int
    ssrc: int
    cname: str
    session_id: int
    session_version: int = 1
    tcp_port: int = 0  # 0: no ICE over TCP
    wish: OpusParameters = WISH


def read_offer(text: str) -> Offer:
    """Parse an SDP offer.

    Raises:
        ClientMistake: `bad_sdp`, `no_audio` (no Opus m-line that is not rejected) or
            `bad_fingerprint` (none we can check, or malformed).
    """
    if len(text) > MAX_OFFER_CHARACTERS:
        raise ClientMistake("bad_sdp", "The SDP offer is too large.")
    lines = text.splitlines()
    try:
        session = SessionDescription.parse("\r\n".join(line for line in lines if _READ.match(line)))
    except Exception as error:
        raise ClientMistake("bad_sdp", "The SDP offer cannot be read.") from error
    if not 0 < len(session.media) <= MAX_MEDIA:
        raise ClientMistake(
            "no_audio", "The SDP offer has no audio: add a microphone track to the connection."
        )
    media = tuple(_read_media(entry) for entry in session.media)
    of_session, *of_media = _sections(lines)
    chosen, codecs = _choose(session, of_media)
    entry = session.media[chosen]
    if entry.ice is None or not (
        _ICE.fullmatch(entry.ice.usernameFragment or "")
        and _ICE.fullmatch(entry.ice.password or "")
    ):
        raise ClientMistake("bad_sdp", "The SDP offer has no usable ice-ufrag and ice-pwd.")
    return Offer(
        session=_session_id(session.origin),
        tls_id=_tls_id((*of_media[chosen], *of_session)),
        remote=Credentials(entry.ice.usernameFragment, entry.ice.password),
        fingerprints=_read_fingerprints(entry),
        setup={"auto": "actpass", "client": "active", "server": "passive"}[entry.dtls.role],
        codecs=codecs,
        level_id=_extension_id(entry, LEVEL_URI),
        direction=entry.direction or "sendrecv",
        is_bundled=any(
            group.semantic == "BUNDLE" and media[chosen].mid in group.items
            for group in session.group
        ),
        media=media,
        chosen=chosen,
    )


def _read_media(entry: Any) -> _Media:
    mid = entry.rtp.muxId
    formats = " ".join(str(value) for value in entry.fmt)
    if not (
        (not mid or _TOKEN.fullmatch(mid))
        and _TOKEN.fullmatch(entry.kind)
        and re.fullmatch(r"[A-Za-z0-9 ._-]{1,512}", formats)
    ):
        raise ClientMistake("bad_sdp", "The SDP offer has an m-line or mid that is not a token.")
    return _Media(entry.kind, entry.profile, formats, mid)


def _sections(lines: Sequence[str]) -> list[list[str]]:
    """Return the lines only we read: of the session, then of each m-line."""
    sections: list[list[str]] = [[]]
    for line in lines:
        if line.startswith("m="):
            sections.append([])
        elif _OURS.match(line) and len(sections[-1]) < _MAX_OURS:
            sections[-1].append(line)
    return sections


def _session_id(origin: str | None) -> str:
    """Return an `o=` line without its version, the third field."""
    fields = (origin or "").split(" ")
    return " ".join((*fields[:2], *fields[3:]))


def _tls_id(lines: Sequence[str]) -> str:
    return next((line[9:].strip() for line in lines if line.startswith("a=tls-id:")), "")


def _choose(session: Any, of_media: Sequence[Sequence[str]]) -> tuple[int, Codecs]:
    """Return the first audio m-line with Opus that is not rejected, and its codecs.

    Port 0 rejects, except where it says that the transport is another m-line's (RFC 9143 §6).
    """
    for index, (entry, lines) in enumerate(zip(session.media, of_media, strict=True)):
        is_offered = entry.port != 0 or any(line.strip() == "a=bundle-only" for line in lines)
        if entry.kind == "audio" and is_offered:
            codecs = read_codecs(entry, lines)
            if codecs is not None:
                return index, codecs
    raise ClientMistake(
        "no_audio",
        "The SDP offer has no audio with Opus: add a microphone track to the connection.",
    )


def _read_fingerprints(entry: Any) -> tuple[Fingerprint, ...]:
    if entry.dtls is None:
        raise ClientMistake("bad_sdp", "The SDP offer has no a=setup.")
    prints = [
        Fingerprint(f.algorithm.lower(), f.value)
        for f in entry.dtls.fingerprints
        if f.algorithm.lower() in _DIGEST_BYTES
    ]
    for fingerprint in prints:
        pairs = _DIGEST_BYTES[fingerprint.algorithm]
        if not re.fullmatch(
            rf"[0-9A-Fa-f]{{2}}(:[0-9A-Fa-f]{{2}}){{{pairs - 1}}}", fingerprint.value
        ):
            raise ClientMistake(
                "bad_fingerprint", "The certificate fingerprint in the SDP offer is malformed."
            )
    if not prints:
        raise ClientMistake(
            "bad_fingerprint",
            "The SDP offer has no certificate fingerprint we can check (sha-256).",
        )
    return tuple(prints)


def _extension_id(entry: Any, uri: str) -> int:
    for extension in entry.rtp.headerExtensions:
        if extension.uri == uri and 1 <= extension.id <= 14:  # RFC 8285 §4.2: one-byte ids
            return int(extension.id)
    return 0


def write_answer(offer: Offer, ours: Answerer) -> str:
    """Return the SDP answer: one Opus stream, every other m-line refused (port 0)."""
    lines = [
        "v=0",
        f"o=- {ours.session_id} {ours.session_version} IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=ice-lite",
        *([f"a=group:BUNDLE {offer.media[offer.chosen].mid}"] if offer.is_bundled else []),
        "a=msid-semantic: WMS *",
    ]
    for index, media in enumerate(offer.media):
        lines += _accepted(offer, media, ours) if index == offer.chosen else _refused(media)
    return "\r\n".join(lines) + "\r\n"


def _refused(media: _Media) -> list[str]:
    return [
        f"m={media.kind} 0 {media.profile} {media.formats}",
        "c=IN IP4 0.0.0.0",
        "a=inactive",
        *_mid(media),
    ]


def _mid(media: _Media) -> list[str]:
    return [f"a=mid:{media.mid}"] if media.mid else []


def _accepted(offer: Offer, media: _Media, ours: Answerer) -> list[str]:
    codecs = offer.codecs
    formats = f"{codecs.red} {codecs.opus}" if codecs.red else str(codecs.opus)
    lines = [
        f"m=audio {ours.port} {media.profile} {formats}",
        _connection(ours.addresses[0]),
        "a=rtcp:9 IN IP4 0.0.0.0",
        *_candidates(ours),
        "a=end-of-candidates",
        f"a=ice-ufrag:{ours.credentials.ufrag}",
        f"a=ice-pwd:{ours.credentials.password}",
        f"a=fingerprint:sha-256 {ours.fingerprint_sha256}",
        f"a=setup:{'active' if offer.setup == 'passive' else 'passive'}",
        *_mid(media),
    ]
    if offer.level_id:
        lines.append(f"a=extmap:{offer.level_id} {LEVEL_URI}")
    direction = _ANSWERED[offer.direction]
    lines += [
        f"a={direction}",
        "a=rtcp-mux",
        *describe(codecs, ours.wish),
    ]
    if direction in ("sendrecv", "sendonly"):
        lines += [f"a=msid:{ours.cname} mix", f"a=ssrc:{ours.ssrc} cname:{ours.cname}"]
    return lines


def _connection(address: str) -> str:
    return f"c=IN IP{6 if ':' in address else 4} {address}"


def _candidates(ours: Answerer) -> list[str]:
    """Return the host candidates of each address, UDP before TCP, the first address preferred."""
    udp = [
        f"1 udp {_udp_priority(index)} {address} {ours.port} typ host"
        for index, address in enumerate(ours.addresses, start=1)
    ]
    tcp = [
        f"1 tcp {_tcp_priority(index)} {address} {ours.tcp_port} typ host tcptype passive"
        for index, address in enumerate(ours.addresses, start=1)
        if ours.tcp_port
    ]
    return [f"a=candidate:{index} {text}" for index, text in enumerate((*udp, *tcp), start=1)]


def _udp_priority(index: int) -> int:
    """RFC 8445 §5.1.2.1."""
    return (126 << 24) | ((65535 - index) << 8) | 255


def _tcp_priority(index: int) -> int:
    """RFC 6544 §4.2: a type preference below UDP's, and 4 for the direction "passive"."""
    return (90 << 24) | ((4 << 13) + 8191 - index << 8) | 255
