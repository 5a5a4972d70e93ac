import numpy as np
import pytest
from numpy.typing import NDArray

from hls import encoder as module
from hls.core.fmp4 import init_segment, media_segment
from hls.core.timeline import LOOKAHEAD_FRAMES
from hls.encoder import AacEncoder, GatedEncoder, silent_frame
from hls.errors import EncoderLost
from tests.hls.listener import decode, level_db

FRAMES = 40


def click_track(at_sample: int) -> NDArray[np.int16]:
    """Return silence with a short click, shape (FRAMES, 1024)."""
    track = np.zeros(FRAMES * 1024, np.int16)
    track[at_sample : at_sample + 32] = 20_000
    return track.reshape(FRAMES, 1024)


def noise(seed: int) -> NDArray[np.int16]:
    """Return room noise with speech-like gaps, shape (FRAMES, 1024)."""
    rng = np.random.default_rng(seed)
    track = rng.normal(0, 3000, (FRAMES, 1024)).astype(np.int16)
    track[10:20] = 0
    track[30:] = 0
    return track


def play(frames: list[bytes]) -> NDArray[np.float32]:
    """Decode frames that begin at time zero."""
    return decode(init_segment(AacEncoder().format), [media_segment(1, 0, frames)])


def run_always(track: NDArray[np.int16]) -> list[bytes]:
    """Encode without ever sleeping."""
    encoder = AacEncoder()
    tail = np.zeros((LOOKAHEAD_FRAMES, 1024), np.int16)
    return [encoder.encode(samples) for samples in (*track, *tail)][LOOKAHEAD_FRAMES:]


def run_gated(track: NDArray[np.int16], encoder: GatedEncoder) -> dict[int, bytes]:
    """Encode the sounding frames only."""
    done: dict[int, bytes] = {}
    for index, samples in enumerate(track):
        if samples.any():
            done.update(encoder.push(index, samples))
    done.update(encoder.advance(len(track) + LOOKAHEAD_FRAMES))
    return done


def filled(done: dict[int, bytes]) -> list[bytes]:
    """Put the silent frame where the gate gave none."""
    silent = silent_frame()
    return [done.get(index, silent) for index in range(FRAMES)]


@pytest.mark.parametrize("at_sample", [10_240, 10_241, 15_000, 20_479])
def test_timing(at_sample: int) -> None:
    """Frame i of the encoder is sample 1024 · i of the player: no priming is left in."""
    heard = play(run_always(click_track(at_sample)))
    assert abs(int(np.argmax(np.abs(heard))) - at_sample - 16) <= 24


@pytest.mark.parametrize(("bit_rate", "channels"), [(32_000, 1), (64_000, 1), (128_000, 2)])
def test_the_short_way_into_libavcodec(bit_rate: int, channels: int) -> None:
    """PyAV's private way past its filter graph is there, and gives the same frames to the bit."""
    short, whole = AacEncoder(bit_rate, channels), AacEncoder(bit_rate, channels)
    assert short._send == short._context._send_frame_and_recv  # type: ignore[attr-defined]
    whole._send = whole._context.encode
    rng = np.random.default_rng(1)
    for _ in range(FRAMES):
        samples = rng.normal(0, 3000, 1024 * channels).astype(np.int16)
        assert short.encode(samples) == whole.encode(samples)


def test_silent_frame() -> None:
    """The silent frame decodes to exact zeros and is a few bytes long."""
    assert not play([silent_frame()] * FRAMES).any()
    assert len(silent_frame()) < 16


def test_format() -> None:
    """The AudioSpecificConfig says AAC-LC, 48 kHz, mono (14496-3 §1.6.2.1)."""
    config = int.from_bytes(AacEncoder().format.config[:2], "big")
    assert (config >> 11, config >> 7 & 15, config >> 3 & 15) == (2, 3, 1)


@pytest.mark.parametrize("seed", range(4))
def test_gate_cannot_be_heard(seed: int) -> None:
    """Sleeping through silence sounds like encoding it, at both seams."""
    track = noise(seed)
    clear = track.reshape(-1) / 32768
    always = play(run_always(track))[: clear.size] - clear
    gated = play(filled(run_gated(track, GatedEncoder())))[: clear.size] - clear
    for seam in (10, 20, 30):
        near = slice((seam - 2) * 1024, (seam + 3) * 1024)
        assert level_db(gated[near]) < level_db(always[near]) + 1
    assert level_db(gated[12 * 1024 : 19 * 1024]) < -100


def test_stereo() -> None:
    """The AudioSpecificConfig says two channels, and silence is silence of both."""
    config = int.from_bytes(AacEncoder(64_000, 2).format.config[:2], "big")
    assert (config >> 11, config >> 7 & 15, config >> 3 & 15) == (2, 3, 2)
    init = init_segment(AacEncoder(64_000, 2).format)
    quiet = [media_segment(1, 0, [silent_frame(64_000, 2)] * FRAMES)]
    assert not decode(init, quiet, 0).any()
    assert not decode(init, quiet, 1).any()


def test_gate_sleeps() -> None:
    """A gap costs a few frames, however long it is."""
    gate, track = GatedEncoder(), noise(0)
    gate.push(0, track[0])
    assert len(gate.advance(10**12)) == 4
    assert gate.advance(10**12 + 50) == []
    assert [index for index, _ in gate.push(10**12 + 50, track[0])] == [10**12 + 48]


def test_silence_needs_no_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """A room in which nobody spoke has opened no encoder."""
    monkeypatch.setattr(module, "_open", None)
    assert GatedEncoder().advance(10**6) == []


def test_unknown_option(monkeypatch: pytest.MonkeyPatch) -> None:
    """An option that the encoder does not know is noticed, not ignored."""
    monkeypatch.setattr(module, "_OPTIONS", {"aac_coder": "fast", "aac_flavour": "sweet"})
    with pytest.raises(AssertionError, match="nobody understood"):
        AacEncoder()


@pytest.mark.parametrize("bit_rate", [-1, 0, 15_999, 288_001])
def test_bad_bit_rate(bit_rate: int) -> None:
    """A bit rate that cannot be is an EncoderLost."""
    with pytest.raises(EncoderLost):
        AacEncoder(bit_rate)


def test_a_lost_encoder_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """After an error the next sound is encoded by a new encoder."""
    gate, track = GatedEncoder(), noise(1)
    gate.push(0, track[0])
    with monkeypatch.context() as broken:
        broken.setattr(AacEncoder, "_push", _give_up)
        with pytest.raises(EncoderLost):
            gate.push(1, track[1])
    done = {index: frame for i in range(2, 10) for index, frame in gate.push(i, track[i])}
    assert list(done) == [0, *range(1, 8)]
    assert level_db(play(filled(done))[4096:8192]) > -25


def _give_up(_self: AacEncoder, _samples: NDArray[np.int16]) -> list[bytes]:
    raise EncoderLost("on purpose")


def test_libavcodec_refuses() -> None:
    """An error of libavcodec becomes ours: here, sound after the end of the stream."""
    encoder = AacEncoder()
    encoder._context.encode(None)
    with pytest.raises(EncoderLost, match="gave up"):
        encoder.encode(np.zeros(1024, np.int16))


def test_libavcodec_cannot_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """A value that libavcodec does not accept is ours too."""
    monkeypatch.setattr(module, "_OPTIONS", {"aac_coder": "slow"})
    with pytest.raises(EncoderLost, match="cannot be opened"):
        AacEncoder()


def test_no_packet(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that yields no frame is an error, for every later frame would be misplaced."""
    encoder = AacEncoder()
    monkeypatch.setattr(AacEncoder, "_push", lambda *_: [])
    with pytest.raises(EncoderLost, match="0 packets"):
        encoder.encode(np.zeros(1024, np.int16))
