"""A room's plain RTP as it is stored."""

import json

import pytest

from mixer.types import ForwarderSpec, PeerId, RtcpMode, RtpCodec, RtpParticipantSpec
from server.domain.lines import Line, Lines, decode_lines, encode_lines
from server.errors import BadRecord

FORWARDER = ForwarderSpec(
    "f1", "192.0.2.1", 5004, 7, RtpCodec.PCMA, 8, always_on=True, rtcp=RtcpMode.OFF
)
LINE = Line(
    RtpParticipantSpec(
        PeerId("ann"),
        RtpCodec.PCMU,
        0,
        None,
        ("10.0.0.0/8", "::1/128"),
        "10.0.0.1",
        5006,
        muted=True,
        gain_db=-3.5,
        pan=0.25,
        rtcp=RtcpMode.NEXT_PORT,
    ),
    "Änn",
)


def test_lines_come_back() -> None:
    """Everything but who is live, which is not stored."""
    lines = Lines().with_forwarder(FORWARDER).with_person(LINE)
    assert decode_lines("k", encode_lines(lines)) == lines
    live = lines.with_person(Line(LINE.spec, LINE.display_name, is_live=True))
    assert decode_lines("k", encode_lines(live)) == lines


def test_records_from_before_rtcp_are_read() -> None:
    """What they do not name is as it was by itself."""
    stored = json.loads(encode_lines(Lines().with_forwarder(FORWARDER).with_person(LINE)))
    for record in (*stored["forwarders"], *stored["people"]):
        for name in ("rtcp", "gain_db", "pan"):
            record.pop(name, None)
    lines = decode_lines("k", json.dumps(stored).encode())
    assert lines.forwarders["f1"].rtcp is RtcpMode.MUX
    spec = lines.people[LINE.user].spec
    assert (spec.rtcp, spec.gain_db, spec.pan) == (RtcpMode.MUX, 0.0, 0.0)


def test_lines_go() -> None:
    """One at a time."""
    lines = Lines().with_forwarder(FORWARDER).with_person(LINE)
    assert lines.without_forwarder("f1").without_person(LINE.user) == Lines()
    assert lines.without_forwarder("f2") == lines


def test_a_live_line_is_on_air() -> None:
    """The others are idle."""
    assert LINE.entry() == {
        "userId": "ann",
        "role": "guest",
        "status": "idle",
        "displayName": "Änn",
        "muted": True,
    }
    assert Line(LINE.spec, is_live=True).entry()["status"] == "onair"


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"[]",
        b"{}",
        encode_lines(Lines()).replace(b'"version":1', b'"version":2'),
        encode_lines(Lines().with_forwarder(FORWARDER)).replace(b"5004", b"70000"),
        encode_lines(Lines().with_person(LINE)).replace(b"pcmu", b"mp3"),
    ],
)
def test_a_damaged_record_is_refused(value: bytes) -> None:
    """With its key, not its content."""
    with pytest.raises(BadRecord, match="/rooms/x/lines"):
        decode_lines("/rooms/x/lines", value)


def test_the_record_is_json() -> None:
    """With a version."""
    assert json.loads(encode_lines(Lines())) == {"forwarders": [], "people": [], "version": 1}
