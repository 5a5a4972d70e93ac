from collections.abc import Iterable
from itertools import pairwise

import pytest

from hls.recording.core.clock import MediaClock
from hls.recording.core.codecs import FILLERS
from hls.recording.core.heard import Codec, HeardPacket
from hls.recording.core.track import HOLD, Laid, Track
from tests.hls.recording.core.senders import TRANSIT, Sender

HOUR = 3600 * 50  # frames
BEGIN = 48_000_000
FIRST_TICK = BEGIN // 960
MS = 48


def lay(track: Track, packets: Iterable[HeardPacket]) -> Laid:
    """Give a track what arrives, in the order in which it does, and let it write every second."""
    laid: Laid = []
    written = 0
    for packet in sorted(packets, key=lambda one: one.arrival):
        if packet.arrival - written >= 48_000:
            written = packet.arrival
            laid += track.advance(written)
        track.push(packet)
    return laid + track.advance(written + 10 * 48_000)


def errors(track: Track, laid: Laid, sender: Sender) -> list[float]:
    """Return by how many ms each packet is off from where it was in truth."""
    assert track.first is not None
    at, off = BEGIN + track.first, []
    for payload, samples in laid:
        if payload in sender.truth:
            off.append((at - sender.truth[payload]) / MS)
        at += samples
    assert at == BEGIN + track.first + track.samples
    return off


@pytest.mark.slow
@pytest.mark.timeout(120)  # 90,000 packets, also where lines are counted
@pytest.mark.parametrize("ppm", [-300.0, 300.0])
def test_an_hour_of_talk_is_never_off_by_20_ms(ppm: float) -> None:
    """With drift, pauses, mutes, losses, jumps, another SSRC, and an hour of each second talk."""
    sender = Sender(seed=5, ppm=ppm, loss=0.02)
    packets: list[HeardPacket] = []
    for turn in range(HOUR // 3000):
        packets += sender.talk(1500)
        sender.rest(500 + 7 * turn)
        packets += sender.talk(3, is_silent=True)
        sender.rest(997 - 7 * turn)
        if turn % 7 == 3:
            sender.jump(123_456_789 * (turn - 20))
        if turn % 11 == 5:
            sender.change_ssrc()
    track = Track(MediaClock(FIRST_TICK))
    laid = lay(track, packets)
    off = errors(track, laid, sender)
    assert len(off) >= 0.995 * len(packets)
    assert -20 <= min(off) <= max(off) <= 20
    assert track.samples == pytest.approx(HOUR * 960, rel=0.02)


@pytest.mark.parametrize("ppm", [-300.0, 300.0])
def test_sound_without_any_pause_follows_the_clock(ppm: float) -> None:
    """Ten minutes of music, 0.18 s of drift: corrected by less than two packets a minute."""
    sender = Sender(seed=6, ppm=ppm)
    packets = list(sender.talk(HOUR // 6))
    track = Track(MediaClock(FIRST_TICK))
    laid = lay(track, packets)
    off = errors(track, laid, sender)
    assert -20 <= min(off) <= max(off) <= 20
    assert len(packets) - len(off) <= 20
    assert sum(payload not in sender.truth for payload, _ in laid) <= 10 * 12


def test_a_steady_sender_is_passed_through_untouched() -> None:
    """Without drift or loss every packet is there once, in order, with nothing between."""
    sender = Sender(seed=7)
    track = Track(MediaClock(FIRST_TICK))
    laid = lay(track, sender.talk(3000))
    assert [payload for payload, _ in laid] == list(sender.truth)
    assert abs(max(errors(track, laid, sender), key=abs)) < 2
    assert track.dropped == 0


def test_copies_fill_what_was_lost_and_nothing_else() -> None:
    """Redundancy takes the place of a lost packet; the original, if it comes, goes first."""
    sender = Sender(seed=8, jitter=0.001)
    sent = list(sender.talk(20))
    copies = [
        two._replace(timestamp=one.timestamp, payload=one.payload, is_copy=True)
        for one, two in pairwise(sent)
    ]
    track = Track(MediaClock(FIRST_TICK))
    lost = [*sent[:5], *sent[6:]]
    laid = lay(
        track, [copies[0], *(one for pair in zip(lost, copies, strict=True) for one in pair)]
    )
    assert [payload for payload, _ in laid] == list(sender.truth)


def test_a_loss_is_concealed_a_pause_is_silence() -> None:
    """Decoders are told to make up 40 ms, not two seconds."""
    sender = Sender(seed=9, jitter=0.001)
    sent = list(sender.talk(20))
    sender.rest(100)
    sent += sender.talk(20)
    laid = lay(track := Track(MediaClock(FIRST_TICK)), [*sent[:5], *sent[7:]])
    fillers = [(payload, samples) for payload, samples in laid if payload not in sender.truth]
    assert fillers[:2] == [(b"\x78", 960)] * 2
    assert sum(samples for _, samples in fillers[2:]) == pytest.approx(96_000, abs=240)
    assert all(payload.endswith(b"\xff\xfe") for payload, _ in fillers[2:])
    assert abs(max(errors(track, laid, sender), key=abs)) < 3


def test_stragglers_are_put_in_order_and_copies_left_out() -> None:
    """What is up to half a second late is still in its place; twice is once."""
    sender = Sender(seed=10, jitter=0.0001)
    sent = list(sender.talk(100))
    late = sent[40]._replace(arrival=sent[40].arrival + HOLD * 8 // 10)
    track = Track(MediaClock(FIRST_TICK))
    laid = lay(track, [*sent[:40], late, sent[50], *sent[41:]])
    assert [payload for payload, _ in laid] == list(sender.truth)
    assert track.dropped == 1


def test_what_is_said_in_a_pause_of_the_recording_is_left_out() -> None:
    """The pause has no length in the file, and what follows stands where it ended."""
    sender = Sender(seed=11, jitter=0.001)
    sent = list(sender.talk(500))
    clock = MediaClock(FIRST_TICK)
    clock.pause(FIRST_TICK + 100)
    clock.resume(FIRST_TICK + 300)
    track = Track(clock)
    laid = lay(track, sent)
    assert track.first == pytest.approx(TRANSIT, abs=96)
    assert len(laid) == pytest.approx(300, abs=2)
    assert track.samples == pytest.approx(300 * 960, abs=960)


def test_a_sequence_that_begins_anew_is_another_stretch() -> None:
    """A sender that starts again under the same number is laid by its new timestamps."""
    sender = Sender(seed=12, jitter=0.001)
    first = list(sender.talk(100))
    sender.change_ssrc()
    second = [
        one._replace(stream=1, sequence=(first[0].sequence + 30_000 + at) & 0xFFFF)
        for at, one in enumerate(sender.talk(100))
    ]
    track = Track(MediaClock(FIRST_TICK))
    laid = lay(track, [*first, *second])
    assert len(laid) == pytest.approx(200, abs=1)
    assert abs(max(errors(track, laid, sender), key=abs)) < 5


@pytest.mark.parametrize("behind", [1, 500, 30_000])
def test_another_mixer_counts_streams_anew(behind: int) -> None:
    """The same number for another stream, its sequence near the old one's: the times tell."""
    sender = Sender(seed=19, jitter=0.001)
    first = list(sender.talk(100))
    sender.change_ssrc()
    second = [
        one._replace(stream=1, sequence=(first[-1].sequence - behind + at) & 0xFFFF)
        for at, one in enumerate(sender.talk(100))
    ]
    track = Track(MediaClock(FIRST_TICK))
    laid = lay(track, [*first, *second])
    assert len([one for one in laid if one[0] in sender.truth]) >= 199


def test_what_comes_after_its_place_was_filled_is_left_out() -> None:
    """A straggler's place is gone; a copy of what is there was never missing."""
    sender = Sender(seed=16, jitter=0.0001)
    sent = list(sender.talk(50))
    track = Track(MediaClock(FIRST_TICK))
    laid = lay(track, [*sent[:30], *sent[31:]])
    assert len(laid) == 50
    track.push(sent[45]._replace(is_copy=True))
    assert track.dropped == 0
    track.push(sent[30])
    assert not track.advance(BEGIN + 960_000)
    assert track.dropped == 1


def test_a_stream_that_begins_before_the_other_ends_waits_its_turn() -> None:
    """Over another network the same person is 60 ms earlier: what overlaps is left out."""
    sender = Sender(seed=17, jitter=0.0001)
    sent = list(sender.talk(50))
    sender.change_ssrc()
    sooner = [
        one._replace(arrival=one.arrival - 60 * MS - (one.arrival - sent[-1].arrival) % 3)
        for one in sender.talk(50)
    ]
    track = Track(MediaClock(FIRST_TICK))
    laid = lay(track, [*sent, *sooner])
    assert track.dropped == 3
    assert len(laid) == 97
    assert len(laid) * 960 == track.samples


def test_softness_is_the_place_for_corrections() -> None:
    """Where somebody is silent the clock is followed to 5 ms, else to 10."""
    worst = []
    for is_silent in (True, False):
        sender = Sender(seed=18, ppm=300.0, jitter=0.0001)
        packets = list(sender.talk(5000, is_silent=is_silent))
        track = Track(MediaClock(FIRST_TICK))
        worst.append(max(errors(track, lay(track, packets), sender)))
    assert 4 < worst[0] < 6
    assert 9 < worst[1] < 11


def test_what_is_no_packet_of_the_track_is_dropped() -> None:
    """Malformed payloads, another codec, a copy of nothing."""
    sent = next(Sender(seed=13).talk(1))
    track = Track(MediaClock(FIRST_TICK))
    for wrong in (
        sent._replace(payload=b"\x7b"),
        sent._replace(payload=b"\x7b\x3f"),
        sent._replace(codec=Codec.PCMU),
    ):
        track.push(wrong)
    track.push(sent._replace(is_copy=True))
    assert track.dropped == 3
    assert not track.advance(BEGIN + 480_000)
    assert track.first is None


def test_a_flood_is_bounded() -> None:
    """However many packets and streams somebody sends, what waits for its time does not grow."""
    sent = next(Sender(seed=14).talk(1))
    track = Track(MediaClock(FIRST_TICK))
    for number in range(5000):
        stamp = (sent.timestamp + 120 * number) & 0xFFFFFFFF
        track.push(sent._replace(sequence=number & 0xFFFF, timestamp=stamp, payload=b"\xe0x"))
    assert sum(len(stretch.waiting) for stretch in track._stretches) <= 1100
    for number in range(5000):
        track.push(sent._replace(stream=number))
    assert len(track._stretches) <= 1100


@pytest.mark.parametrize("codec", [Codec.PCMU, Codec.PCMA])
def test_g711_is_laid_to_the_sample_of_its_clock(codec: Codec) -> None:
    """A track of plain RTP with G.711: a byte is six samples."""
    sender = Sender(seed=15, ppm=100.0, jitter=0.001)
    made = list(sender.talk(50))
    sender.rest(1000)
    made += sender.talk(50)
    packets = [one._replace(payload=one.payload.ljust(160, b"\x55"), codec=codec) for one in made]
    sender.truth = {key.ljust(160, b"\x55"): value for key, value in sender.truth.items()}
    track = Track(MediaClock(FIRST_TICK), codec)
    laid = lay(track, packets)
    assert abs(max(errors(track, laid, sender), key=abs)) < 3
    assert {samples - 6 * len(payload) for payload, samples in laid} == {0}
    lost = FILLERS[codec].conceal(b"", 960)
    assert list(lost) == [(FILLERS[codec].silence(960).__next__()[0], 960)]


@pytest.mark.parametrize(
    ("payload", "samples"),
    [
        (b"\x78x", 960),
        (b"\x79xx", 1920),
        (b"\x7a\x01xx", 1920),
        (b"\x7b\x03xxx", 2880),
        (b"\x7b\x07xxx", 0),
        (b"\x7b", 0),
        (b"\x18x", 2880),
        (b"\xe0x", 120),
    ],
)
def test_the_length_of_a_packet(payload: bytes, samples: int) -> None:
    """RFC 6716 §3.1 and §3.2: by configuration and number of frames, 120 ms at most."""
    assert FILLERS[Codec.OPUS].duration(payload) == samples


def test_concealment_has_the_length_it_should() -> None:
    """Frames as the last packet's, the rest in the shortest there are, in its channels."""
    made = list(FILLERS[Codec.OPUS].conceal(b"\x7cx", 2160))
    assert made == [(b"\x7c", 960)] * 2 + [(b"\xe4", 120)] * 2
