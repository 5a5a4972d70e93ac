"""Decoders by codec; what G.711 sounds like, and what its gaps do."""

import numpy as np
import pytest

from mixer.core import g711
from mixer.core.resample import Decimator
from mixer.opus import Decoder, OpusError
from mixer.room.decoders import G711Decoder, make_decoder
from mixer.types import Int16Frame, RtpCodec
from tests.support.webrtc_client import level_db, tone

LAWS = [RtpCodec.PCMU, RtpCodec.PCMA]


def packets(codec: RtpCodec, hertz: float, count: int) -> list[bytes]:
    source, down = tone(hertz), Decimator()
    made = [g711.wrap(g711.encode(down.push(source(n)), codec)) for n in range(count)]
    return [packet for packet in made if packet is not None]


def steps(pcm: Int16Frame, hertz: float) -> float:
    """The largest step between samples, in multiples of the tone's own largest."""
    own = 2 * np.pi * hertz / 48_000 * 0.3 * 32_767
    return float(np.abs(np.diff(pcm.astype(np.int32))).max() / own)


def test_opus_has_libopus() -> None:
    """And G.711 its own."""
    assert isinstance(make_decoder(RtpCodec.OPUS), Decoder)
    assert isinstance(make_decoder(RtpCodec.PCMA), G711Decoder)


@pytest.mark.parametrize("codec", LAWS)
def test_a_tone_comes_through(codec: RtpCodec) -> None:
    """At its level, and quantisation 30 dB below it."""
    decoder = make_decoder(codec)
    pcm = np.concatenate([decoder.decode(packet) for packet in packets(codec, 1000, 50)])[9600:]
    assert level_db(pcm, 1000) == pytest.approx(20 * np.log10(0.3), abs=0.3)
    assert max(level_db(pcm, hertz) for hertz in (500, 2000, 3000, 7000, 9000)) < -45


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_a_gap_is_bridged_without_a_click(lost: int) -> None:
    """By the last pitch period, led over into what follows."""
    decoder, made = make_decoder(RtpCodec.PCMU), packets(RtpCodec.PCMU, 300, 40)
    heard = [decoder.decode(packet) for packet in made[:20]]
    heard += [decoder.conceal(960) for _ in range(lost)]
    heard += [decoder.decode(packet) for packet in made[20 + lost :]]
    pcm = np.concatenate(heard)
    assert steps(pcm[4800:], 300) < 2.5
    assert np.abs(pcm[20 * 960 + 200 : 20 * 960 + 480]).max() > 0.25 * 32_767


def test_a_long_gap_fades_out() -> None:
    """60 ms after its beginning nothing is left but the filter's tail."""
    decoder = make_decoder(RtpCodec.PCMA)
    for packet in packets(RtpCodec.PCMA, 300, 20):
        decoder.decode(packet)
    made = np.concatenate([decoder.conceal(960) for _ in range(5)])
    assert np.abs(made[:480]).max() > 3000
    assert not made[3 * 960 + 144 :].any()
    assert len(decoder.conceal(120)) == 120


def test_before_the_first_packet_a_gap_is_silence() -> None:
    """There is nothing to repeat."""
    assert not make_decoder(RtpCodec.PCMU).conceal(960).any()


def test_what_is_no_g711_is_refused() -> None:
    """As the Opus decoder refuses, and the next packet is decoded."""
    decoder = make_decoder(RtpCodec.PCMU)
    for bad in (b"", b"\xf8", b"\xf8" + bytes(160)):
        with pytest.raises(OpusError):
            decoder.decode(bad)
    assert len(decoder.decode(packets(RtpCodec.PCMU, 300, 1)[0])) == 960
