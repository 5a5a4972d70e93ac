"""An ICE-lite agent's answers, apart from any port."""

import pytest
from aioice import stun
from hypothesis import given
from hypothesis import strategies as st

from mixer.rtc.ice import (
    MAX_CHECK_BYTES,
    Check,
    CheckRefusal,
    Credentials,
    answer,
    make_credentials,
    read_check,
)

OURS = Credentials("ours", "o" * 24)
ADDRESS = ("192.0.2.7", 4242)


def request(
    *,
    username: str | None = "ours:theirs",
    password: str = OURS.password,
    **attributes: object,
) -> bytes:
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    if username is not None:
        message.attributes["USERNAME"] = username
    message.attributes["ICE-CONTROLLING"] = 7
    message.attributes.update({name.replace("_", "-"): value for name, value in attributes.items()})
    message.add_message_integrity(password.encode())
    return bytes(message)


def check(datagram: bytes) -> Check:
    read = read_check(datagram)
    assert isinstance(read, Check)
    return read


def test_a_check_names_both_sides() -> None:
    """The USERNAME is our ufrag, a colon and theirs (RFC 8445 §7.2.2)."""
    read = check(request())
    assert (read.local_ufrag, read.remote_ufrag) == ("ours", "theirs")


def test_integrity_is_checked_with_our_password() -> None:
    """A check made with another password, or none, is not authentic."""
    unsigned = stun.Message(stun.Method.BINDING, stun.Class.REQUEST)
    unsigned.attributes["USERNAME"] = "ours:theirs"
    assert check(request()).is_authentic(OURS)
    assert not check(request(password="x" * 24)).is_authentic(OURS)
    assert not check(bytes(unsigned)).is_authentic(OURS)


def test_a_nomination_behind_the_integrity_does_not_count() -> None:
    """What MESSAGE-INTEGRITY does not cover may be anybody's (RFC 8489 §9)."""
    signed = bytearray(request())
    signed += b"\x00\x25\x00\x00"
    signed[2:4] = (len(signed) - 20).to_bytes(2, "big")
    read = read_check(bytes(signed))
    assert read is CheckRefusal.MALFORMED or not check(bytes(signed)).is_nomination
    assert check(request(USE_CANDIDATE=None)).is_nomination


def test_the_answer_is_signed_and_maps_the_address() -> None:
    """A success response carries XOR-MAPPED-ADDRESS, integrity and the transaction's id."""
    read = check(request())
    reply = stun.parse_message(answer(read, OURS, ADDRESS))
    assert reply.message_class is stun.Class.RESPONSE
    assert reply.transaction_id == read.message.transaction_id
    assert reply.attributes["XOR-MAPPED-ADDRESS"] == ADDRESS
    assert reply.check_message_integrity(OURS.password.encode())


def test_an_ipv6_address_is_mapped_too() -> None:
    """The answer to a check over IPv6."""
    reply = stun.parse_message(answer(check(request()), OURS, ("2001:db8::7", 9)))
    assert reply.attributes["XOR-MAPPED-ADDRESS"] == ("2001:db8::7", 9)


def test_a_role_conflict_is_told() -> None:
    """A controlled peer is answered 487, signed; a lite agent never controls."""
    reply = stun.parse_message(answer(check(request(ICE_CONTROLLED=1)), OURS, ADDRESS))
    assert reply.attributes["ERROR-CODE"] == (487, "Role Conflict")
    assert reply.check_message_integrity(OURS.password.encode())


@pytest.mark.parametrize(
    ("datagram", "refusal"),
    [
        (b"", CheckRefusal.MALFORMED),
        (b"\0" * 20, CheckRefusal.MALFORMED),
        (request()[:-1], CheckRefusal.MALFORMED),
        (request() + b"\0" * MAX_CHECK_BYTES, CheckRefusal.MALFORMED),
        (request(username=None), CheckRefusal.UNKNOWN_UFRAG),
        (request(username="ours"), CheckRefusal.UNKNOWN_UFRAG),
        (
            bytes(stun.Message(stun.Method.BINDING, stun.Class.RESPONSE)),
            CheckRefusal.NOT_A_CHECK,
        ),
        (
            bytes(stun.Message(stun.Method.ALLOCATE, stun.Class.REQUEST)),
            CheckRefusal.NOT_A_CHECK,
        ),
    ],
    ids=["empty", "zeros", "cut", "long", "no name", "no colon", "response", "allocate"],
)
def test_what_is_no_check_is_refused(datagram: bytes, refusal: CheckRefusal) -> None:
    """Each for its reason, which is a counter."""
    assert read_check(datagram) is refusal


def test_credentials_are_long_and_fresh() -> None:
    """RFC 8445 §5.3: at least 24 bits of ufrag and 128 bits of password, none twice."""
    made = [make_credentials() for _ in range(50)]
    assert len({(c.ufrag, c.password) for c in made}) == 50
    assert all(len(c.ufrag) >= 4 and len(c.password) >= 22 for c in made)


GOOD = request(USE_CANDIDATE=None, PRIORITY=1)


@given(st.binary(max_size=600))
def test_any_bytes_are_read_or_refused(datagram: bytes) -> None:
    """No datagram makes the parser raise."""
    assert isinstance(read_check(datagram), (Check, CheckRefusal))


@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), max_size=8))
def test_any_change_of_a_check_is_noticed(edits: list[tuple[int, int]]) -> None:
    """A check with other bytes is refused, or not authentic."""
    changed = bytearray(GOOD)
    for at, value in edits:
        changed[at] = value
    read = read_check(bytes(changed))
    if isinstance(read, Check) and read.is_authentic(OURS):
        assert bytes(changed)[:-8] == GOOD[:-8]


@given(
    kind=st.integers(0, 0xFFFF),
    claimed=st.integers(0, 0xFFFF),
    value=st.binary(max_size=40),
    header=st.sampled_from([b"\0\1", b"\1\1", b"\0\3"]),
)
def test_any_attribute_is_read_or_refused(
    kind: int, claimed: int, value: bytes, header: bytes
) -> None:
    """Short, long and unknown attributes in an otherwise well-formed message."""
    body = kind.to_bytes(2, "big") + claimed.to_bytes(2, "big") + value
    body += b"\0" * (-len(body) % 4)
    datagram = header + len(body).to_bytes(2, "big") + b"\x21\x12\xa4\x42" + b"t" * 12 + body
    assert isinstance(read_check(datagram), (Check, CheckRefusal))
