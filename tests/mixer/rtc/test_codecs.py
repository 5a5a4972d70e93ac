"""Opus and redundancy in an m-line."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixer.rtc.codecs import Codecs, describe
from mixer.rtc.sdp import read_offer
from mixer.types import OpusParameters

OFFERS = Path(__file__).parent / "offers"
CHROMIUM = (OFFERS / "chromium-audio.sdp").read_bytes().decode()
WISH = OpusParameters(fec=True, dtx=True, min_ptime=10)


def parameters(format_: str, more: str = "") -> OpusParameters:
    text, count = re.subn(r"a=fmtp:111 .*", f"a=fmtp:111 {format_}\r{more}", CHROMIUM)
    assert count == 1
    return read_offer(text).codecs.parameters


def test_a_browsers_wishes_are_read() -> None:
    """Chromium takes in-band FEC and redundancy, and does not ask for DTX or stereo."""
    codecs = read_offer(CHROMIUM).codecs
    assert codecs == Codecs(111, 63, OpusParameters(fec=True, min_ptime=10))


def test_every_parameter_has_its_field() -> None:
    """RFC 7587's, with the packet time that stands beside them."""
    read = parameters(
        "maxplaybackrate=16000; sprop-stereo=1;STEREO=1;useinbandfec=1;usedtx=1;"
        "maxaveragebitrate=20000;minptime=20",
        more="\na=ptime:40\r",
    )
    assert read == OpusParameters(
        fec=True,
        dtx=True,
        stereo=True,
        sprop_stereo=True,
        max_average_bitrate=20_000,
        max_playback_rate=16_000,
        min_ptime=20,
        ptime=40,
    )


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("maxaveragebitrate=1", 6_000),
        ("maxaveragebitrate=999999999", 510_000),
        ("maxaveragebitrate=-5", 0),
        ("maxaveragebitrate=\u0663", 0),
        ("maxaveragebitrate", 0),
        ("useinbandfec=1", 0),
    ],
)
def test_a_bitrate_is_put_within_what_opus_can(said: str, read: int) -> None:
    """RFC 7587 §6.1: 6 to 510 kbit/s; what is no number says nothing."""
    assert parameters(said).max_average_bitrate == read


@given(st.text(st.characters(exclude_characters="\r\n\v\f\x1c\x1d\x1e\x85\u2028\u2029\\")))
def test_any_format_is_read(text: str) -> None:
    """Whatever stands behind a=fmtp gives parameters within their bounds."""
    read = parameters(text)
    assert 8_000 <= read.max_playback_rate <= 48_000
    assert 3 <= read.min_ptime <= 120


@pytest.mark.parametrize("around", ["111/9", "0/111", "", "111/111/9", "x"])
def test_redundancy_around_something_else_is_not_taken(around: str) -> None:
    """Its blocks must all be the Opus we take."""
    text = CHROMIUM.replace("a=fmtp:63 111/111", f"a=fmtp:63 {around}")
    assert read_offer(text).codecs.red == 0


def test_deeper_redundancy_is_taken() -> None:
    """Firefox offers two blocks of redundancy."""
    text = CHROMIUM.replace("a=fmtp:63 111/111", "a=fmtp:63 111/111/111")
    assert read_offer(text).codecs.red == 63


def test_our_wishes_are_said() -> None:
    """Stereo and a bit rate where they are wished for."""
    codecs = Codecs(111, 0, OpusParameters())
    music = replace(WISH, dtx=False, stereo=True, max_average_bitrate=128_000)
    assert describe(codecs, WISH)[1] == "a=fmtp:111 minptime=10;useinbandfec=1;usedtx=1"
    assert describe(codecs, music)[1] == (
        "a=fmtp:111 minptime=10;useinbandfec=1;stereo=1;maxaveragebitrate=128000"
    )


def test_stereo_is_announced_to_those_who_want_it() -> None:
    """sprop-stereo answers their stereo=1."""
    wish = replace(WISH, sprop_stereo=True)
    wants = Codecs(111, 0, OpusParameters(stereo=True))
    assert "sprop-stereo=1" in describe(wants, wish)[1]
    assert "sprop-stereo" not in describe(replace(wants, parameters=OpusParameters()), wish)[1]
