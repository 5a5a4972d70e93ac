"""Offers read and answers written."""

import dataclasses
import re
from pathlib import Path
from random import Random

import pytest
from aiortc.sdp import SessionDescription
from hypothesis import given
from hypothesis import strategies as st

from mixer.errors import ClientMistake
from mixer.rtc.ice import Credentials
from mixer.rtc.sdp import MAX_OFFER_CHARACTERS, Answerer, Offer, read_offer, write_answer

OFFERS = {
    path.stem: path.read_bytes().decode()
    for path in sorted((Path(__file__).parent / "offers").glob("*.sdp"))
}
CHROMIUM = OFFERS["chromium-audio"]
OURS = Answerer(
    credentials=Credentials("oursfrag", "ours" * 6),
    fingerprint_sha256=":".join(["AB"] * 32),
    addresses=("192.0.2.1", "2001:db8::1"),
    port=10_000,
    ssrc=4711,
    cname="roomtone",
    session_id=42,
)
LINES = re.compile(
    r"[vost]=.*|m=(audio|video|application) \d+ [A-Z/]+ [\w .-]+|c=IN IP[46] [\da-f.:]+"
    r"|a=(ice-lite|end-of-candidates|rtcp-mux|sendrecv|sendonly|recvonly|inactive)"
    r"|a=(group|msid-semantic|rtcp|candidate|ice-ufrag|ice-pwd|fingerprint|setup|mid|extmap|rtpmap"
    r"|fmtp|ptime|maxptime|msid|ssrc):.*"
)


def without(text: str, start: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith(start))


def replaced(pattern: str, by: str, text: str = CHROMIUM) -> str:
    changed, count = re.subn(pattern, by, text, flags=re.MULTILINE)
    assert count, "the pattern stands for something"
    return changed


def answer_lines(offer: Offer) -> list[str]:
    text = write_answer(offer, OURS)
    assert text.endswith("\r\n")
    return text.removesuffix("\r\n").split("\r\n")


@pytest.mark.parametrize(
    ("name", "payload_type", "level_id", "direction"),
    [
        ("chromium-audio", 111, 1, "sendrecv"),
        ("chromium-all", 111, 1, "sendrecv"),
        ("chromium-recvonly", 111, 1, "recvonly"),
        ("firefox-audio", 109, 1, "sendrecv"),
        ("aiortc", 96, 2, "sendrecv"),
    ],
)
def test_real_offers_are_read(name: str, payload_type: int, level_id: int, direction: str) -> None:
    """Opus, the level extension and the direction of what real clients send."""
    offer = read_offer(OFFERS[name])
    assert (offer.payload_type, offer.level_id, offer.direction) == (
        payload_type,
        level_id,
        direction,
    )
    assert offer.setup == "actpass"
    assert "sha-256" in {fingerprint.algorithm for fingerprint in offer.fingerprints}


@pytest.mark.parametrize("name", sorted(OFFERS))
def test_every_media_line_is_answered_in_its_place(name: str) -> None:
    """One audio is accepted; video, data and the rest are refused with port 0, mids kept."""
    asked = SessionDescription.parse(OFFERS[name]).media
    given_ = SessionDescription.parse(write_answer(read_offer(OFFERS[name]), OURS)).media
    assert [(m.kind, m.rtp.muxId) for m in asked] == [(m.kind, m.rtp.muxId) for m in given_]
    assert [m.port for m in given_] == [10_000] + [0] * (len(asked) - 1)


def test_audio_behind_video_is_found() -> None:
    """The m-line we take need not be the first."""
    session, audio, video, data = re.split("(?=m=)", OFFERS["chromium-all"])
    offer = read_offer(session + video + audio + data)
    assert offer.chosen == 1
    assert [m.port for m in SessionDescription.parse(write_answer(offer, OURS)).media] == [
        0,
        10_000,
        0,
    ]


def test_an_answer_says_what_the_peer_needs() -> None:
    """ICE-lite, candidates in order of preference, passive DTLS, levels, DTX and FEC."""
    lines = answer_lines(read_offer(CHROMIUM))
    assert {
        "a=ice-lite",
        "a=group:BUNDLE 0",
        "a=candidate:1 1 udp 2130706175 192.0.2.1 10000 typ host",
        "a=candidate:2 1 udp 2130705919 2001:db8::1 10000 typ host",
        "a=setup:passive",
        "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level",
        "a=fmtp:111 minptime=10;useinbandfec=1;usedtx=1",
        "a=rtcp-mux",
        "a=ssrc:4711 cname:roomtone",
    } <= set(lines)


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("sendrecv", "sendrecv"),
        ("sendonly", "recvonly"),
        ("recvonly", "sendonly"),
        ("inactive", "inactive"),
    ],
)
def test_directions_are_mirrored(asked: str, answered: str) -> None:
    """Who only sends is only received; who takes nothing is told of no stream."""
    offer = read_offer(replaced("^a=sendrecv", f"a={asked}"))
    lines = answer_lines(offer)
    assert f"a={answered}" in lines
    assert any(line.startswith("a=ssrc:") for line in lines) == offer.hears
    assert offer.speaks == (asked in ("sendrecv", "sendonly"))


@pytest.mark.parametrize(
    ("asked", "answered"), [("actpass", "passive"), ("active", "passive"), ("passive", "active")]
)
def test_we_are_the_dtls_server_if_we_may(asked: str, answered: str) -> None:
    """Only a peer that insists on being the server makes us the client."""
    offer = read_offer(replaced("^a=setup:actpass", f"a=setup:{asked}"))
    assert f"a=setup:{answered}" in answer_lines(offer)


def test_what_was_not_offered_is_not_answered() -> None:
    """No group, mid or level extension in the offer: none in the answer (RFC 9143, RFC 8285)."""
    bare = without(without(without(CHROMIUM, "a=group"), "a=mid"), "a=extmap")
    text = write_answer(read_offer(bare), OURS)
    assert not re.search("a=(group|mid|extmap)", text)


def test_unread_lines_may_be_anything() -> None:
    """Candidates, feedback, SSRCs and attributes yet to be invented are not looked at."""
    odd = CHROMIUM + "a=candidate:odd\r\na=ssrc:x\r\na=rtcp-fb:\r\na=fmtp:1\r\na=ptime:\r\nz=?\r\n"
    assert read_offer(odd) == read_offer(CHROMIUM)


def test_redundancy_is_answered_first() -> None:
    """Browsers send the first format of the answer: with RED in front they send it (RFC 2198)."""
    lines = answer_lines(read_offer(CHROMIUM))
    assert "m=audio 10000 UDP/TLS/RTP/SAVPF 63 111" in lines
    assert {"a=rtpmap:63 red/48000/2", "a=fmtp:63 111/111"} <= set(lines)
    plain = answer_lines(read_offer(without(CHROMIUM, "a=fmtp:63")))
    assert "m=audio 10000 UDP/TLS/RTP/SAVPF 111" in plain
    assert not any("red/48000" in line for line in plain)


def test_candidates_over_tcp_come_behind_those_over_udp() -> None:
    """RFC 6544: passive, with lower priorities than every UDP candidate; none without a port."""
    text = write_answer(read_offer(CHROMIUM), dataclasses.replace(OURS, tcp_port=443))
    lines = [line for line in text.split("\r\n") if line.startswith("a=candidate")]
    assert lines[2:] == [
        "a=candidate:3 1 tcp 1520434943 192.0.2.1 443 typ host tcptype passive",
        "a=candidate:4 1 tcp 1520434687 2001:db8::1 443 typ host tcptype passive",
    ]
    priorities = [int(line.split()[3]) for line in lines]
    assert priorities == sorted(priorities, reverse=True)
    assert " tcp " not in write_answer(read_offer(CHROMIUM), OURS)


def test_audio_that_is_bundle_only_is_taken() -> None:
    """Port 0 with a=bundle-only rejects nothing: the transport is another m-line's (RFC 9143)."""
    text = replaced("^m=audio [0-9]+(.*)", r"m=audio 0\1\na=bundle-only")
    assert read_offer(text).payload_type == 111
    assert read_offer(text.replace("\n", "\r\n")).chosen == 0


def test_a_restart_continues_its_connection() -> None:
    """Another ufrag, password, version, direction or payload type: the same DTLS association."""
    earlier = read_offer(CHROMIUM)
    changed = replaced("^a=ice-ufrag:.*", "a=ice-ufrag:another")
    changed = replaced("^o=- (\\d+) 2", r"o=- \1 3", changed)
    changed = replaced("^a=sendrecv", "a=recvonly", changed)
    later = earlier.continued_by(read_offer(changed))
    assert later is not None
    assert (later.remote.ufrag, later.direction, later.setup) == ("another", "recvonly", "active")
    assert "a=setup:passive" in answer_lines(later)


@pytest.mark.parametrize(
    ("pattern", "by"),
    [
        ("^o=- ", "o=- 1"),
        ("^(a=fingerprint:sha-256) ..", r"\1 FF"),
        ("^a=setup:actpass", "a=setup:passive"),
        ("^a=setup:actpass", "a=tls-id:another\r\na=setup:actpass"),
        ("^a=mid:0", "a=mid:1"),
    ],
)
def test_another_association_is_another_connection(pattern: str, by: str) -> None:
    """Session, certificate, DTLS role, tls-id and mid are the connection (RFC 8842 §4)."""
    assert read_offer(CHROMIUM).continued_by(read_offer(replaced(pattern, by))) is None


def test_a_peer_that_was_called_is_the_server_for_good() -> None:
    """Roles stay where the first answer put them, whatever a later offer leaves open."""
    earlier = read_offer(replaced("^a=setup:actpass", "a=setup:passive"))
    later = earlier.continued_by(read_offer(CHROMIUM))
    assert later is not None
    assert "a=setup:active" in answer_lines(later)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "no_audio"),
        ("hello", "no_audio"),
        (replaced("^a=mid:0", "a=mid:\ud800"), "bad_sdp"),
        (without(CHROMIUM, "m="), "no_audio"),
        (replaced("^m=audio", "m=video"), "no_audio"),
        (replaced("^m=audio [0-9]+", "m=audio 0"), "no_audio"),
        (replaced("^a=rtpmap:111 opus", "a=rtpmap:111 speex"), "no_audio"),
        (replaced("opus/48000", "opus/16000"), "no_audio"),
        (replaced("SAVPF 111", "SAVPF 112"), "no_audio"),
        (replaced("^m=audio", "m=\u00e4udio"), "bad_sdp"),
        (replaced("^m=.*$", "m=audio nine"), "bad_sdp"),
        (CHROMIUM + "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n" * 16, "no_audio"),
        (without(CHROMIUM, "a=fingerprint"), "bad_fingerprint"),
        (replaced("^a=fingerprint:sha-256", "a=fingerprint:sha-1"), "bad_fingerprint"),
        (replaced("^a=fingerprint:sha-256", "a=fingerprint:sha-512"), "bad_fingerprint"),
        (replaced("^a=fingerprint:sha-256 ..", "a=fingerprint:sha-256 XY"), "bad_fingerprint"),
        (replaced("(^a=fingerprint.*):..", r"\1"), "bad_fingerprint"),
        (replaced("^a=fingerprint.*", "a=fingerprint:sha-256"), "bad_sdp"),
        (without(CHROMIUM, "a=setup"), "bad_sdp"),
        (replaced("^a=setup:.*", "a=setup:holdconn"), "bad_sdp"),
        (without(CHROMIUM, "a=ice-ufrag"), "bad_sdp"),
        (replaced("^a=ice-pwd:.*", "a=ice-pwd:p w"), "bad_sdp"),
        (replaced("^a=mid:0", "a=mid:a b"), "bad_sdp"),
        (replaced("^a=rtpmap:111", "a=rtpmap:" + "1" * 5000), "bad_sdp"),
        (CHROMIUM + "a=x\r\n" * MAX_OFFER_CHARACTERS, "bad_sdp"),
    ],
)
def test_a_bad_offer_is_the_clients_mistake(text: str, code: str) -> None:
    """Each with the code the contract names."""
    with pytest.raises(ClientMistake) as caught:
        read_offer(text)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "line", ["a=rtcp-fb:* x\r\n", "a=ssrc:{} a:b\r\n", "a=rtpmap:{} a/1\r\n", "a=fmtp:{} a\r\n"]
)
def test_a_long_offer_is_no_work(line: str) -> None:
    """What the parser would go through again and again does not reach it."""
    lines = "".join(line.format(number) for number in range(1200))
    text = (CHROMIUM + lines)[:MAX_OFFER_CHARACTERS]
    assert read_offer(text[: text.rindex("\r\n")]) == read_offer(CHROMIUM)


ATTRIBUTES = ("mid:", "group:", "setup:", "fingerprint:", "ice-ufrag:", "ice-pwd:", "extmap:")


@given(
    name=st.sampled_from(sorted(OFFERS)),
    seed=st.integers(0, 2**32),
    edits=st.lists(
        st.tuples(
            st.sampled_from(("cut", "insert", "double", "swap", "attribute")),
            st.text(max_size=12) | st.sampled_from(["\r\n", "a=", "m=audio 9 X 1", "\u2028", ":"]),
        ),
        max_size=6,
    ),
)
def test_any_offer_is_read_or_refused(name: str, seed: int, edits: list[tuple[str, str]]) -> None:
    """A mutated offer gives an Offer or ClientMistake, and an answer without a foreign line."""
    lines = OFFERS[name].splitlines()
    random = Random(seed)
    for kind, text in edits:
        at = random.randrange(len(lines))
        match kind:
            case "cut":
                lines[at] = lines[at][: random.randrange(len(lines[at]) + 1)]
            case "insert":
                split = random.randrange(len(lines[at]) + 1)
                lines[at] = lines[at][:split] + text + lines[at][split:]
            case "double":
                lines.insert(at, lines[random.randrange(len(lines))])
            case "swap":
                lines[at], lines[0] = lines[0], lines[at]
            case _:
                lines.insert(at, f"a={random.choice(ATTRIBUTES)}{text}")
    try:
        offer = read_offer("\r\n".join(lines))
    except ClientMistake:
        return
    answered = answer_lines(offer)
    assert all(LINES.fullmatch(line) for line in answered)
    assert sum(line.startswith("a=candidate") for line in answered) == len(OURS.addresses)
    session = SessionDescription.parse("\r\n".join(answered) + "\r\n")
    assert len(session.media) == len(offer.media)


@given(st.text(max_size=300))
def test_any_text_is_refused(text: str) -> None:
    """Text that is no offer is a mistake and nothing else."""
    with pytest.raises(ClientMistake):
        read_offer(text)
