"""The fMP4 (CMAF) writer for one AAC-LC track: an init segment, and media segments of AAC frames.

Boxes after ISO/IEC 14496-12 (the section stands at each), the audio sample entry after 14496-14,
brands after 23000-19 (CMAF). No edit list: the caller has already taken the encoder's delay out.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from hls.core.timeline import AAC_SAMPLES, SAMPLE_RATE

TRACK_ID = 1
_UNITY_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_SYNC_SAMPLE = 0x02000000  # sample_depends_on = 2: every AAC frame decodes by itself
_DEFAULT_BASE_IS_MOOF = 0x020000
_TRUN_DATA_OFFSET_AND_SIZES = 0x000201
_ENABLED_IN_MOVIE = 0x000003
_SELF_CONTAINED = 0x000001


@dataclass(frozen=True, slots=True)
class AacFormat:
    """What a decoder must know: `config` is the AudioSpecificConfig (14496-3 §1.6.2.1)."""

    config: bytes
    channels: int
    bit_rate: int
    sample_rate: int = SAMPLE_RATE


def init_segment(audio: AacFormat) -> bytes:
    """Return ftyp and moov of a track whose samples all come in fragments."""
    return _ftyp() + _moov(audio)


def media_segment(sequence: int, decode_time: int, frames: Sequence[bytes]) -> bytes:
    """Return styp, moof and mdat of consecutive AAC frames.

    `sequence` numbers the fragment, `decode_time` is the media time of the first frame in samples
    (64 bits: a stream may run for ever).
    """
    # The offset of the data counts from the start of the moof, whose size does not depend on it.
    size = len(_moof(sequence, decode_time, frames, data_offset=0))
    moof = _moof(sequence, decode_time, frames, data_offset=size + 8)
    return _styp() + moof + _box(b"mdat", *frames)


def _box(kind: bytes, *parts: bytes) -> bytes:
    payload = b"".join(parts)
    return struct.pack(">I4s", 8 + len(payload), kind) + payload


def _full_box(kind: bytes, version: int, flags: int, *parts: bytes) -> bytes:
    return _box(kind, struct.pack(">I", version << 24 | flags), *parts)


def _ftyp() -> bytes:  # §4.3
    return _box(b"ftyp", b"iso6", bytes(4), b"iso6", b"mp41", b"cmfc", b"caac")


def _styp() -> bytes:  # §8.16.2
    return _box(b"styp", b"msdh", bytes(4), b"msdh", b"cmfs")


def _moov(audio: AacFormat) -> bytes:  # §8.2.1
    return _box(b"moov", _mvhd(audio), _trak(audio), _box(b"mvex", _trex()))


def _mvhd(audio: AacFormat) -> bytes:  # §8.2.2: times, duration 0, rate 1.0, volume 1.0
    times = struct.pack(">4I", 0, 0, audio.sample_rate, 0)
    rate_and_volume = struct.pack(">IH10x", 0x10000, 0x100)
    next_track = struct.pack(">I", TRACK_ID + 1)
    return _full_box(b"mvhd", 0, 0, times, rate_and_volume, _UNITY_MATRIX, bytes(24), next_track)


def _trex() -> bytes:  # §8.8.3
    defaults = (TRACK_ID, 1, AAC_SAMPLES, 0, _SYNC_SAMPLE)
    return _full_box(b"trex", 0, 0, struct.pack(">5I", *defaults))


def _trak(audio: AacFormat) -> bytes:  # §8.3.1
    return _box(b"trak", _tkhd(), _box(b"mdia", _mdhd(audio), _hdlr(), _minf(audio)))


def _tkhd() -> bytes:  # §8.3.2: times, track, duration 0, layer, group, volume 1.0, no picture
    head = struct.pack(">5I8x", 0, 0, TRACK_ID, 0, 0)
    mixing = struct.pack(">hhHH", 0, 0, 0x100, 0)
    return _full_box(b"tkhd", 0, _ENABLED_IN_MOVIE, head, mixing, _UNITY_MATRIX, bytes(8))


def _mdhd(audio: AacFormat) -> bytes:  # §8.4.2
    undetermined = 0x55C4  # ISO 639-2 "und" in three times five bits
    return _full_box(
        b"mdhd", 0, 0, struct.pack(">4IHH", 0, 0, audio.sample_rate, 0, undetermined, 0)
    )


def _hdlr() -> bytes:  # §8.4.3
    return _full_box(b"hdlr", 0, 0, bytes(4), b"soun", bytes(12), b"Roomtone\0")


def _minf(audio: AacFormat) -> bytes:  # §8.4.4
    here = _full_box(b"url ", 0, _SELF_CONTAINED)
    dref = _full_box(b"dref", 0, 0, struct.pack(">I", 1), here)
    return _box(b"minf", _full_box(b"smhd", 0, 0, bytes(4)), _box(b"dinf", dref), _stbl(audio))


def _stbl(audio: AacFormat) -> bytes:  # §8.5.1: empty tables, for all samples are in fragments
    stsd = _full_box(b"stsd", 0, 0, struct.pack(">I", 1), _mp4a(audio))
    empty = [_full_box(kind, 0, 0, bytes(4)) for kind in (b"stts", b"stsc", b"stco")]
    return _box(b"stbl", stsd, *empty, _full_box(b"stsz", 0, 0, bytes(8)))


def _mp4a(audio: AacFormat) -> bytes:  # §12.2.3: data reference 1, 16 bits, rate as 16.16
    entry = struct.pack(
        ">6xH8xHHHHI", 1, audio.channels, 16, 0, 0, (audio.sample_rate << 16) & 0xFFFFFFFF
    )
    return _box(b"mp4a", entry, _esds(audio))


def _esds(audio: AacFormat) -> bytes:  # 14496-14 §5.6, descriptors after 14496-1 §7.2.6
    specific = _descriptor(0x05, audio.config)
    # object type 0x40 = MPEG-4 audio; stream type 5 = audio, upstream 0, reserved 1
    head = struct.pack(">BBxHII", 0x40, 5 << 2 | 1, 0, audio.bit_rate, audio.bit_rate)
    decoder = _descriptor(0x04, head + specific)
    sync = _descriptor(0x06, b"\x02")  # predefined: the one for MP4 files
    stream = _descriptor(0x03, struct.pack(">HB", TRACK_ID, 0) + decoder + sync)
    return _full_box(b"esds", 0, 0, stream)


def _descriptor(tag: int, payload: bytes) -> bytes:
    # The length is a base-128 number; always written in four bytes, as everybody does.
    size = len(payload)
    length = bytes((size >> shift & 0x7F) | (0x80 if shift else 0) for shift in (21, 14, 7, 0))
    return bytes([tag]) + length + payload


def _moof(sequence: int, decode_time: int, frames: Sequence[bytes], *, data_offset: int) -> bytes:
    mfhd = _full_box(b"mfhd", 0, 0, struct.pack(">I", sequence & 0xFFFFFFFF))  # §8.8.5
    tfhd = _full_box(b"tfhd", 0, _DEFAULT_BASE_IS_MOOF, struct.pack(">I", TRACK_ID))  # §8.8.7
    tfdt = _full_box(b"tfdt", 1, 0, struct.pack(">Q", decode_time))  # §8.8.12
    return _box(b"moof", mfhd, _box(b"traf", tfhd, tfdt, _trun(frames, data_offset)))


def _trun(frames: Sequence[bytes], data_offset: int) -> bytes:  # §8.8.8
    sizes = struct.pack(f">{len(frames)}I", *map(len, frames))
    head = struct.pack(">Ii", len(frames), data_offset)
    return _full_box(b"trun", 0, _TRUN_DATA_OFFSET_AND_SIZES, head, sizes)
