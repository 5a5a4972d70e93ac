"""The lines of SDP that WHIP and WHEP turn on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.domain.sdp import (
    MAX_CANDIDATES,
    Fragment,
    answer_fragment,
    credentials,
    directed,
    read_fragment,
    restarted,
)

CANDIDATE = "a=candidate:1 1 udp 1 192.0.2.1 5000 typ host"
ICE = "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n"
OFFER = (
    f"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n{ICE}"
    f"{CANDIDATE}\r\na=mid:0\r\na=sendrecv\r\n"
)


def test_a_fragment_of_candidates() -> None:
    """With or without credentials; what we do not know is passed over."""
    text = f"{ICE}m=audio 9 RTP/AVP 0\r\na=mid:0\r\n{CANDIDATE}\r\na=end-of-candidates\r\n"
    found = read_fragment(text)
    assert found == Fragment("abcd", "0123456789012345678901", (CANDIDATE[2:],))
    assert read_fragment(f"{CANDIDATE}\n\na=new:thing\n") == Fragment(candidates=(CANDIDATE[2:],))
    assert read_fragment("a=end-of-candidates") == Fragment()


@pytest.mark.parametrize(
    "text",
    [
        *("", "\r\n", "hello", "a=mid:0\r\n", "a=ice-ufrag:abcd\r\n", "a=ice-pwd:abcd\r\n"),
        *(ICE.replace("abcd", "a"), ICE.replace("0123", "ü"), ICE.replace("abcd", "ab cd")),
        *(f"{CANDIDATE}\r\n" * (MAX_CANDIDATES + 1), f"{CANDIDATE}\x00", "a=candidate:\t1"),
    ],
)
def test_no_fragment(text: str) -> None:
    """Nothing in it, half of it, too much, or something that is no SDP."""
    assert read_fragment(text) is None


@given(st.text() | st.lists(st.sampled_from([ICE, CANDIDATE, "a=", "m=x", "\x85"])).map("\n".join))
def test_fragments_are_read_or_refused(text: str) -> None:
    """Whatever is sent."""
    found = read_fragment(text)
    assert found is None or bool(found.ufrag) == bool(found.password)


def test_a_restart_is_the_offer_with_other_credentials() -> None:
    """And without the candidates of before; nothing else changes."""
    changed = restarted(OFFER, Fragment("wxyz", "passwordpassword"))
    assert credentials(changed) == ("wxyz", "passwordpassword")
    assert "a=candidate" not in changed
    kept = [line for line in OFFER.splitlines() if "ice-" not in line and "candidate" not in line]
    assert [line for line in changed.splitlines() if "ice-" not in line] == kept


def test_an_answer_as_a_fragment() -> None:
    """Credentials first, then candidates below a pseudo m-line with their mid."""
    answer = f"v=0\r\nm=audio 5 X 1\r\n{ICE}a=mid:0\r\n{CANDIDATE}\r\na=end-of-candidates\r\n"
    answer += "m=video 0 X 2\r\na=mid:1\r\na=inactive\r\n"
    assert answer_fragment(answer) == (
        f"{ICE}m=audio 9 RTP/AVP 0\r\na=mid:0\r\n{CANDIDATE}\r\na=end-of-candidates\r\n"
    )
    assert answer_fragment("v=0") == "a=ice-ufrag:\r\na=ice-pwd:\r\n"


@pytest.mark.parametrize(
    ("said", "wanted", "is_right"),
    [
        ("sendrecv", "sendonly", True),
        ("sendonly", "sendonly", True),
        ("recvonly", "sendonly", False),
        ("inactive", "sendonly", False),
        ("sendrecv", "recvonly", True),
        ("recvonly", "recvonly", True),
        ("sendonly", "recvonly", False),
    ],
)
def test_directions(said: str, wanted: str, is_right: bool) -> None:  # noqa: FBT001 - a row
    """An offer goes one way from then on, if it could; also where the session says it for all."""
    offer = OFFER.replace("a=sendrecv", f"a={said}")
    of_session = OFFER.replace("a=sendrecv\r\n", "").replace("t=0 0\r\n", f"t=0 0\r\na={said}\r\n")
    for text in (offer, of_session):
        turned = directed(text, wanted)
        assert (turned is not None) == is_right
        if turned is not None:
            assert [x for x in turned.splitlines() if x[2:] in (said, wanted)] == [f"a={wanted}"]


def test_directions_of_nothing() -> None:
    """Without a word it is both ways; without audio there is none, without m-lines no SDP."""
    bare = OFFER.replace("a=sendrecv\r\n", "")
    assert (directed(bare, "sendonly") or "").endswith("a=sendonly\r\n")
    assert directed(OFFER.replace("m=audio", "m=video"), "sendonly") is None
    assert directed("hello", "sendonly") == "hello\r\n"


@given(st.text() | st.lists(st.sampled_from(OFFER.split("\r\n"))).map("\r\n".join))
def test_any_text_is_turned(text: str) -> None:
    """Whatever is offered: no error, and no direction that was not asked for."""
    turned = directed(text, "recvonly")
    assert turned is None or "a=sendrecv" not in turned.splitlines()
    _ = restarted(text, Fragment("abcd", "abcd")), answer_fragment(text), credentials(text)
