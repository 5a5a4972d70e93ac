import shutil
import struct

import numpy as np
import pytest

from bench.ear import Ear, hear, split_red
from bench.material import Clip, chirp, encoder, make_clip, room_noise, speech, with_red
from bench.plan import Part, Store, make_plan
from bench.settings import Uplink
from mixer.opus import Decoder
from tests.support.netem import Network


def _rtp(number: int, payload: bytes, *, payload_type: int = 111, paused: int = 0) -> bytes:
    sequence = (65_530 + number) & 0xFFFF
    timestamp = (4_294_960_000 + (number + paused) * 960) & 0xFFFFFFFF
    head = struct.pack("!BBHII", 0x90, payload_type, sequence, timestamp, 7)
    return head + struct.pack("!HHBBH", 0xBEDE, 1, 0x10, 30, 0) + payload


def _clip(seconds: float = 0.6) -> list[bytes]:
    tone = 8000 * np.sin(2 * np.pi * 440 * np.arange(int(48_000 * seconds)) / 48_000)
    return list(make_clip(tone.astype(np.int16), encoder(Uplink(), expected_loss=20)).packets)


def test_what_arrived_is_heard_as_sent() -> None:
    """Without loss, across both wraps, an ear hears what a decoder makes of the packets."""
    packets, decoder = _clip(), Decoder()
    expected = np.concatenate([decoder.decode(packet) for packet in packets])
    arrived = [(10 + 0.02 * n, _rtp(n, packet)) for n, packet in enumerate(packets)]
    heard = hear(arrived)
    np.testing.assert_array_equal(heard.pcm, expected)
    assert heard.origin_s == pytest.approx(10)


def test_order_does_not_matter() -> None:
    """A packet that was overtaken is played in its place."""
    packets = _clip()
    arrived = [(0.02 * n, _rtp(n, packet)) for n, packet in enumerate(packets)]
    swapped = arrived.copy()
    swapped[5], swapped[6] = swapped[6], swapped[5]
    np.testing.assert_array_equal(hear(swapped).pcm, hear(arrived).pcm)


def test_a_loss_is_repaired() -> None:
    """A lost packet leaves a frame that sounds, and its arrival is unknown."""
    packets = _clip()
    arrived = [(0.02 * n, _rtp(n, packet)) for n, packet in enumerate(packets) if n != 12]
    heard = hear(arrived)
    assert np.flatnonzero(np.isnan(heard.arrivals_s)).tolist() == [12]
    assert np.abs(heard.pcm[12 * 960 : 13 * 960]).max() > 2000


def test_a_pause_is_silent() -> None:
    """A gap of time without a gap of numbers is a pause: nothing is made up."""
    packets = _clip()
    arrived = [(0.02 * n, _rtp(n, p, paused=5 * (n >= 12))) for n, p in enumerate(packets)]
    heard = hear(arrived)
    assert len(heard.pcm) == (len(packets) + 5) * 960
    assert not heard.pcm[12 * 960 : 17 * 960].any()


def test_red_fills_a_loss() -> None:
    """A packet that was lost is played from the redundancy of the next one, bit by bit."""
    packets, decoder = _clip(), Decoder()
    arrived = []
    for n, packet in enumerate(packets[1:], start=1):
        before = packets[n - 1]
        head = struct.pack("!I", 1 << 31 | 111 << 24 | 960 << 10 | len(before))
        body = head + bytes([111]) + before + packet
        arrived.append((0.02 * n, _rtp(n, body, payload_type=63)))
    lossy = [arrived[0], *arrived[2:]]
    expected = np.concatenate([decoder.decode(packet) for packet in packets[1:]])
    np.testing.assert_array_equal(hear(lossy).pcm, expected)


def test_red_of_nothing() -> None:
    """Cut-off redundancy yields what is there and never raises."""
    assert split_red(b"") == (b"", [])
    assert split_red(b"\x80\x00") == (b"", [])
    assert split_red(bytes([111]) + b"voice") == (b"voice", [])


def test_an_ear_loses_what_it_is_told_to() -> None:
    """Packets whose numbers are not kept are refused and not remembered."""
    ear = Ear({0: 0.0, 2: 0.0})
    taken = [ear(0.0, _rtp(n, b"\xf8")) for n in range(4)]
    assert taken == [True, False, True, False]
    assert len(ear.packets) == 2


def test_nothing_heard() -> None:
    """An ear that nothing reached heard nothing."""
    assert len(hear([]).pcm) == 0


def test_a_plan_is_in_order_of_time() -> None:
    """Everybody's packets leave in order of time, numbered per client; pauses have none."""
    talk = make_clip(room_noise(0.2), encoder(Uplink()))
    pausing = type(talk)([talk.packets[0], b"", talk.packets[2]], talk.levels[:3])
    store = Store.of([talk, pausing])
    plan = make_plan(store, [Part(0, talk, 3, 0.005, at=8), Part(1, pausing, 3)])
    assert plan.client.tolist() == [1, 0, 0, 1, 0]
    assert plan.number.tolist() == [0, 0, 1, 1, 2]
    assert plan.tick.tolist() == [0, 0, 1, 2, 2]
    assert plan.packet.tolist() == [10, 8, 9, 12, 0]
    assert plan.totals == {0: (3, 3), 1: (2, 3)}


def test_a_road_loses_packets_of_a_plan() -> None:
    """What the road loses never leaves; the numbers go on, so that it is missed."""
    talk = make_clip(room_noise(0.2), encoder(Uplink()))
    road = Network(seed=3, loss=0.5, delay_s=0.0)
    plan = make_plan(Store.of([talk]), [Part(0, talk, 100, road=road)])
    assert 30 < len(plan.number) < 70
    assert plan.totals[0] == (100, 100)


def test_levels_are_true() -> None:
    """A clip's levels are those of its sound in dBov; silence is -127."""
    assert set(make_clip(room_noise(0.5), encoder(Uplink())).levels) <= {-64, -65, -66}
    assert make_clip(np.zeros(960, np.int16), encoder(Uplink())).levels == [-127]


def test_chirps_can_be_told_apart() -> None:
    """A rising chirp correlates with itself far more than with a falling one."""
    up, down = (chirp(rising=r).astype(float) for r in (True, False))
    assert np.abs(np.correlate(up, down, "full")).max() < 0.3 * float(up @ up)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_scores_of_known_material() -> None:
    """Untouched speech scores at the top with its exact lag; noise takes a point and more off."""
    from bench.speech_score import score  # noqa: PLC0415 - its warnings are expected here only

    said = speech()[: 48_000 * 3]
    late = np.concatenate((np.zeros(1234, np.int16), said))
    clean = score(said, late, 1000)
    assert clean.pesq > 4.5
    assert clean.stoi > 0.999
    assert set(clean.lags) == {1234}
    noise = np.random.default_rng(1).standard_normal(len(late)) * 1500
    noisy = score(said, (late + noise).astype(np.int16), 1000)
    assert noisy.pesq < clean.pesq - 1
    assert score(said, np.zeros_like(late), 0).pesq == 1.0


def test_red_of_a_clip_is_what_chrome_sends() -> None:
    """Each frame with the one before, round and round; the ear makes the same of it."""
    clip = Clip(_clip(), [-20] * len(_clip()))
    packed = with_red(clip, 111)
    assert packed.is_red
    assert split_red(packed.packets[0])[1] == [(960, clip.packets[-1])]
    assert split_red(packed.packets[3]) == (clip.packets[3], [(960, clip.packets[2])])
    store = Store.of([clip, packed])
    assert store.is_red.tolist() == [False] * len(clip.packets) + [True] * len(clip.packets)


def test_a_bad_way_out_loses_and_delays() -> None:
    """By the number of the packet; across the wrap of sequence numbers too."""
    ear = Ear({0: 0.0, 1: 0.04, 3: 0.01})
    taken = [ear(10.0 + 0.02 * n, _rtp(n, b"\xf8")) for n in range(5)]
    assert taken == [True, True, False, True, False]
    assert [at for at, _ in ear.packets] == pytest.approx([10.0, 10.06, 10.07])


def test_patience_has_an_end() -> None:
    """What comes later than that is as good as lost; who is patient hears it."""
    packets = _clip()
    arrived = [(0.02 * n + 0.1 * (n == 12), _rtp(n, packet)) for n, packet in enumerate(packets)]
    lost = np.flatnonzero(np.isnan(hear(arrived, patience_s=0.08).arrivals_s))
    assert lost.tolist() == [12]
    assert not np.isnan(hear(arrived).arrivals_s).any()
