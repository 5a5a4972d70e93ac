"""The door to libopus (RFC 6716), through ctypes.

The library is loaded as `PyDLL`, which keeps the GIL: a call lasts 30 to 100 µs, and with one busy
Python thread beside it, giving the GIL up and taking it back made 20 encodes cost 106 ms instead
of 0.9. PyAV's own codec reaches neither concealment nor FEC nor DTX.
"""

import ctypes
import ctypes.util
import functools
import importlib.util
import sys
import weakref
from enum import IntEnum
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mixer.core.toc import MAX_SAMPLES
from mixer.errors import MixerError, SetupError
from mixer.types import FRAME_SAMPLES, SAMPLE_RATE, Int16Frame

MAX_PACKET_BYTES = 1276  # RFC 6716 §3.4: a frame of 1275 bytes behind its TOC byte

_OK = 0
_SET_BITRATE, _SET_COMPLEXITY, _SET_INBAND_FEC = 4002, 4010, 4012
_SET_PACKET_LOSS_PERC, _SET_DTX, _RESET_STATE = 4014, 4016, 4028


class OpusError(MixerError):
    """libopus refused a packet or a setting."""


class Application(IntEnum):
    """What an encoder is for (opus_defines.h)."""

    VOIP = 2048
    AUDIO = 2049
    RESTRICTED_LOWDELAY = 2051  # CELT alone: 2.5 ms of look-ahead, not 6.5, and a third of the work


def find_library() -> str:
    """Return where libopus is: the one the av wheel carries, else the system's.

    The wheel is found by its path and not imported: the mixer must not start PyAV.

    Raises:
        SetupError: it is nowhere.
    """
    for folder in _wheel_folders():
        for path in sorted(folder.glob("libopus*.so*")) + sorted(folder.glob("libopus*.dylib")):
            return str(path)
    system = ctypes.util.find_library("opus")
    if system is None:
        raise SetupError(
            "libopus was found neither in the av package nor on the system: "
            "pip install av, or apt install libopus0"
        )
    return system


def _wheel_folders() -> list[Path]:
    folders = []
    spec = importlib.util.find_spec("av")
    if spec is not None and spec.origin is not None:
        package = Path(spec.origin).parent
        folders += [package.parent / "av.libs", package / ".dylibs"]
    if bundle := getattr(sys, "_MEIPASS", None):  # a frozen one-file binary unpacks itself here
        folders += [Path(bundle) / "av.libs", Path(bundle)]
    return folders


@functools.cache
def _library() -> Any:
    path = find_library()
    try:
        lib: Any = ctypes.PyDLL(path)
    except OSError as error:
        raise SetupError(f"libopus at {path} cannot be loaded: {error}") from error
    pointer, integer = ctypes.c_void_p, ctypes.c_int
    lib.opus_get_version_string.restype = ctypes.c_char_p
    lib.opus_strerror.restype = ctypes.c_char_p
    lib.opus_encoder_create.restype = lib.opus_decoder_create.restype = pointer
    lib.opus_encoder_create.argtypes = (ctypes.c_int32, integer, integer, pointer)
    lib.opus_decoder_create.argtypes = (ctypes.c_int32, integer, pointer)
    lib.opus_encoder_get_size.argtypes = (integer,)
    lib.opus_encode.argtypes = (pointer, pointer, integer, pointer, ctypes.c_int32)
    lib.opus_decode.argtypes = (pointer, pointer, ctypes.c_int32, pointer, integer, integer)
    for destroy in (lib.opus_encoder_destroy, lib.opus_decoder_destroy):
        destroy.argtypes, destroy.restype = (pointer,), None
    return lib


def version() -> str:
    """Return libopus's own version string.

    Raises:
        SetupError: libopus is missing.
    """
    return str(_library().opus_get_version_string().decode())


def _check(status: int) -> int:
    if status < _OK:
        raise OpusError(_library().opus_strerror(status).decode())
    return status


class Encoder:
    """Encodes 20 ms frames of 48 kHz audio. The defaults are those of a room's mix."""

    def __init__(
        self,
        *,
        channels: int = 1,
        application: Application = Application.RESTRICTED_LOWDELAY,
        bitrate_bps: int = 96_000,
        complexity: int = 0,
    ) -> None:
        lib, status = _library(), ctypes.c_int()
        self._state = lib.opus_encoder_create(
            SAMPLE_RATE, channels, application, ctypes.byref(status)
        )
        _check(status.value)
        weakref.finalize(self, lib.opus_encoder_destroy, self._state)
        self._encode = lib.opus_encode
        self._ctl = lib.opus_encoder_ctl
        # Kept with their addresses: asking numpy for an address costs more than copying a frame.
        self._pcm: NDArray[np.int16] = np.zeros(FRAME_SAMPLES * channels, np.int16)
        self._pcm_address = self._pcm.ctypes.data
        self._packet: NDArray[np.uint8] = np.zeros(MAX_PACKET_BYTES, np.uint8)
        self._packet_address = self._packet.ctypes.data
        self._ceiling_bps: int | None = None
        self._channels, self._application = channels, application
        self.set_bitrate(bitrate_bps)
        self.set_complexity(complexity)

    def clone(self) -> "Encoder":
        """Return an encoder that goes on from here: fed the same, it returns the same packets.

        An encoder's state is position independent and can be copied (opus.h, OpusEncoder).
        """
        clone = Encoder(channels=self._channels, application=self._application)
        size = _library().opus_encoder_get_size(self._channels)
        ctypes.memmove(clone._state, self._state, size)
        clone._bitrate_bps, clone._ceiling_bps = self._bitrate_bps, self._ceiling_bps
        return clone

    def encode(self, pcm: NDArray[np.int16]) -> bytes:
        """Return the packet of 20 ms: int16[960] mono, int16[960, channels] interleaved."""
        assert pcm.size == len(self._pcm), "a tick is 20 ms"
        self._pcm[:] = pcm.reshape(-1)
        length = self._encode(
            self._state, self._pcm_address, FRAME_SAMPLES, self._packet_address, MAX_PACKET_BYTES
        )
        return self._packet[: _check(length)].tobytes()

    def set_bitrate(self, bits_per_second: int) -> None:
        """Set the target, 500 to 512,000 b/s."""
        self._bitrate_bps = bits_per_second
        self._set(_SET_BITRATE, min(bits_per_second, self._ceiling_bps or bits_per_second))

    def limit_bitrate(self, ceiling_bps: int | None) -> None:
        """Spend no more than that, whatever the target is; None lifts the limit."""
        if ceiling_bps != self._ceiling_bps:
            self._ceiling_bps = ceiling_bps
            self.set_bitrate(self._bitrate_bps)

    def set_complexity(self, complexity: int) -> None:
        """Set how much work to spend, 0 to 10."""
        self._set(_SET_COMPLEXITY, complexity)

    def set_fec(self, *, enabled: bool) -> None:
        """Have packets carry the one before (SILK modes only)."""
        self._set(_SET_INBAND_FEC, int(enabled))

    def set_expected_loss(self, percent: int) -> None:
        """Say how much is lost, 0 to 100: FEC is weighed by it."""
        self._set(_SET_PACKET_LOSS_PERC, percent)

    def set_dtx(self, *, enabled: bool) -> None:
        """Send next to nothing while silent."""
        self._set(_SET_DTX, int(enabled))

    def reset(self) -> None:
        """Forget the past, keep the settings."""
        _check(self._ctl(ctypes.c_void_p(self._state), _RESET_STATE))

    def _set(self, request: int, value: int) -> None:
        _check(self._ctl(ctypes.c_void_p(self._state), request, ctypes.c_int32(value)))


class FrameDecoder(Protocol):
    """What a voice needs of a decoder; `Decoder` is the one of Opus."""

    def decode(self, payload: bytes) -> Int16Frame:
        """Return a packet's audio: int16[n], mono, 48 kHz. Raises OpusError: it is corrupt."""

    def conceal(self, samples: int) -> Int16Frame:
        """Return a likely continuation: int16[samples]."""


class Decoder:
    """Decodes one stream of packets to 48 kHz audio."""

    def __init__(self, *, channels: int = 1) -> None:
        lib, status = _library(), ctypes.c_int()
        self._channels = channels
        self._state = lib.opus_decoder_create(SAMPLE_RATE, channels, ctypes.byref(status))
        _check(status.value)
        weakref.finalize(self, lib.opus_decoder_destroy, self._state)
        self._decode = lib.opus_decode
        self._ctl = lib.opus_decoder_ctl
        self._pcm: NDArray[np.int16] = np.zeros(MAX_SAMPLES * channels, np.int16)
        self._pcm_address = self._pcm.ctypes.data  # asking numpy for it costs more than the copy

    def decode(self, payload: bytes, *, max_samples: int = MAX_SAMPLES) -> Int16Frame:
        """Return a packet's audio: int16[n] mono, int16[n, channels] otherwise, n up to 5,760.

        A stereo packet is mixed down by a mono decoder.

        Raises:
            OpusError: the packet is corrupt or longer than `max_samples`. The decoder goes on with
                the next one.
        """
        if not payload:  # libopus would conceal
            raise OpusError("an empty payload is no packet")
        return self._take(payload, min(max_samples, MAX_SAMPLES), fec=False)

    def conceal(self, samples: int = FRAME_SAMPLES) -> Int16Frame:
        """Return a likely continuation, fading with repetition.

        `samples` is a multiple of 120 up to 5,760.

        Raises:
            OpusError: it is not.
        """
        return self._take(None, samples, fec=False)

    def decode_fec(self, next_payload: bytes, samples: int = FRAME_SAMPLES) -> Int16Frame:
        """Return the lost frame before `next_payload` from its in-band FEC, else concealment.

        Raises:
            OpusError: the packet is corrupt, or `samples` is not a multiple of 120 up to 5,760.
        """
        return self._take(next_payload, samples, fec=True)

    def reset(self) -> None:
        """Forget the past."""
        _check(self._ctl(ctypes.c_void_p(self._state), _RESET_STATE))

    def _take(self, payload: bytes | None, samples: int, *, fec: bool) -> Int16Frame:
        if samples > MAX_SAMPLES:
            raise OpusError(f"{samples} samples are more than a packet can hold")
        length = 0 if payload is None else len(payload)
        count = self._decode(self._state, payload, length, self._pcm_address, samples, int(fec))
        taken: Int16Frame = self._pcm[: _check(count) * self._channels].copy()
        return taken if self._channels == 1 else taken.reshape(-1, self._channels)
