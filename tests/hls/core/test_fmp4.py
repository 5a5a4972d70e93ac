import pytest
from hypothesis import given
from hypothesis import strategies as st

from hls.core.fmp4 import AacFormat, init_segment, media_segment
from tests.hls.boxes import boxes, samples

MONO = AacFormat(config=bytes.fromhex("118856e500"), channels=1, bit_rate=96_000)
STEREO = AacFormat(config=bytes.fromhex("119056e500"), channels=2, bit_rate=128_000)

GOLDEN_SEGMENT = bytes.fromhex(
    "00000018" "73747970" "6d736468" "00000000" "6d736468" "636d6673"  # styp msdh: msdh cmfs
    "00000060" "6d6f6f66"  # moof
    "00000010" "6d666864" "00000000" "00000007"  # mfhd: fragment 7
    "00000048" "74726166"  # traf
    "00000010" "74666864" "00020000" "00000001"  # tfhd: default base is moof, track 1
    "00000014" "74666474" "01000000" "0000000100000000"  # tfdt: version 1, 2**32
    "0000001c" "7472756e" "00000201" "00000002" "00000068"  # trun: 2 samples, at 104
    "00000003" "00000002"  # their sizes
    "0000000d" "6d646174" "6162636465"  # mdat
)  # fmt: skip


def test_media_segment() -> None:
    """A media segment is, byte for byte, what ISO/IEC 14496-12 says."""
    assert media_segment(7, 2**32, [b"abc", b"de"]) == GOLDEN_SEGMENT


def test_init_order() -> None:
    """The init segment holds the boxes of one audio track in the customary order."""
    assert list(boxes(init_segment(MONO))) == [
        "ftyp",
        "moov",
        "moov/mvhd",
        "moov/trak",
        "moov/trak/tkhd",
        "moov/trak/mdia",
        "moov/trak/mdia/mdhd",
        "moov/trak/mdia/hdlr",
        "moov/trak/mdia/minf",
        "moov/trak/mdia/minf/smhd",
        "moov/trak/mdia/minf/dinf",
        "moov/trak/mdia/minf/dinf/dref",
        "moov/trak/mdia/minf/stbl",
        "moov/trak/mdia/minf/stbl/stsd",
        "moov/trak/mdia/minf/stbl/stts",
        "moov/trak/mdia/minf/stbl/stsc",
        "moov/trak/mdia/minf/stbl/stco",
        "moov/trak/mdia/minf/stbl/stsz",
        "moov/mvex",
        "moov/mvex/trex",
    ]


@pytest.mark.parametrize(
    ("path", "size"),
    [
        ("moov/mvhd", 100),
        ("moov/trak/tkhd", 84),
        ("moov/trak/mdia/mdhd", 24),
        ("moov/trak/mdia/minf/stbl/stsz", 12),
        ("moov/mvex/trex", 24),
    ],
)
def test_fixed_sizes(path: str, size: int) -> None:
    """Boxes of fixed size have the size that the standard gives them."""
    assert len(boxes(init_segment(MONO))[path].payload) == size


def test_timescale() -> None:
    """Movie and media count in samples."""
    found = boxes(init_segment(MONO))
    assert found["moov/mvhd"].u32(12) == found["moov/trak/mdia/mdhd"].u32(12) == 48_000


def test_default_sample() -> None:
    """Every sample is a sync sample of 1024 units unless told otherwise."""
    trex = boxes(init_segment(MONO))["moov/mvex/trex"]
    assert [trex.u32(offset) for offset in range(4, 24, 4)] == [1, 1, 1024, 0, 0x02000000]


@pytest.mark.parametrize("audio", [MONO, STEREO])
def test_sample_entry(audio: AacFormat) -> None:
    """The sample entry carries channels, rate and the AudioSpecificConfig in its descriptors."""
    entry = boxes(init_segment(audio))["moov/trak/mdia/minf/stbl/stsd"].payload[8:]
    assert entry[4:8] == b"mp4a"
    assert int.from_bytes(entry[24:26], "big") == audio.channels
    assert int.from_bytes(entry[32:34], "big") == 48_000
    esds = entry[36 + 8 + 4 :]
    assert esds == bytes.fromhex(
        "0380808025000100" "0480808017" "4015000000"
        + f"{audio.bit_rate:08x}" * 2 + "0580808005" + audio.config.hex() + "06808080" "0102"
    )  # fmt: skip


@given(
    st.integers(0, 2**40),
    st.integers(0, 2**63),
    st.lists(st.binary(min_size=1, max_size=400), min_size=1, max_size=90),
)
def test_samples_come_back(sequence: int, decode_time: int, frames: list[bytes]) -> None:
    """An independent reader finds every frame, its number and its time again."""
    segment = media_segment(sequence, decode_time, frames)
    assert samples(segment) == frames
    assert boxes(segment)["moof/mfhd"].u32(4) == sequence % 2**32
    assert boxes(segment)["moof/traf/tfdt"].u64(4) == decode_time
