"""What an offered audio m-line says of its codecs: Opus, and redundancy (RFC 2198) around it."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mixer.types import SAMPLE_RATE, OpusParameters

_FORMAT = re.compile(r"a=fmtp:(\d{1,3}) (.{1,512})")
_PTIME = re.compile(r"a=ptime:(\d{1,3})$")
_RATES = (6_000, 510_000)  # RFC 7587 §6.1: maxaveragebitrate
_PTIMES = (3, 120)  # ms
_NUMBER = re.compile(r"\d{1,9}")


@dataclass(frozen=True, slots=True)
class Codecs:
    """Payload types of an m-line; `red` is 0 where redundancy was not offered."""

    opus: int
    red: int
    parameters: OpusParameters


def read_codecs(entry: Any, lines: Sequence[str]) -> Codecs | None:
    """Read a parsed m-line (aiortc's) and its raw `lines`; None if it offers no Opus at 48 kHz."""
    opus = _payload_type(entry, "audio/opus")
    if opus is None:
        return None
    formats = dict(_formats(lines))
    red = _payload_type(entry, "audio/red")
    # RFC 2198 §5: every block of a redundant packet must be the Opus we take.
    around = set(formats.get(red or 0, "").split("/"))
    if around != {str(opus)}:
        red = None
    return Codecs(opus, red or 0, _read_parameters(formats.get(opus, ""), lines))


def _payload_type(entry: Any, mime_type: str) -> int | None:
    for codec in entry.rtp.codecs:
        if (
            codec.mimeType.lower() == mime_type
            and codec.clockRate == SAMPLE_RATE
            and codec.payloadType in entry.fmt
            and 0 < codec.payloadType < 128
        ):
            return int(codec.payloadType)
    return None


def _formats(lines: Sequence[str]) -> Iterable[tuple[int, str]]:
    for line in lines:
        if (found := _FORMAT.match(line)) is not None:
            yield int(found[1]), found[2].strip()


def _read_parameters(text: str, lines: Sequence[str]) -> OpusParameters:
    pairs = (part.partition("=") for part in text.split(";"))
    said = {name.strip().lower(): value.strip() for name, _, value in pairs}
    ptimes = [found[1] for line in lines if (found := _PTIME.match(line)) is not None]
    return OpusParameters(
        fec=said.get("useinbandfec") == "1",
        dtx=said.get("usedtx") == "1",
        stereo=said.get("stereo") == "1",
        sprop_stereo=said.get("sprop-stereo") == "1",
        max_average_bitrate=_number(said, "maxaveragebitrate", _RATES, 0),
        max_playback_rate=_number(said, "maxplaybackrate", (8_000, SAMPLE_RATE), SAMPLE_RATE),
        min_ptime=_number(said, "minptime", _PTIMES, 3),
        ptime=_number({"ptime": ptimes[0] if ptimes else ""}, "ptime", _PTIMES, 20),
    )


def _number(said: Mapping[str, str], name: str, bounds: tuple[int, int], missing: int) -> int:
    """Return a number put within its bounds, `missing` where there is none."""
    text = said.get(name, "")
    if not (text.isascii() and _NUMBER.fullmatch(text)):
        return missing
    return min(max(int(text), bounds[0]), bounds[1])


def describe(codecs: Codecs, wish: OpusParameters) -> list[str]:
    """Return the attributes of our side: redundancy first, for what is first is sent.

    `wish` is what we would like to get and give; what needs the other side's consent is left out
    where it has not given it.
    """
    opus = codecs.opus
    said = [f"minptime={wish.min_ptime}"]
    said += ["useinbandfec=1"] if wish.fec else []
    said += ["usedtx=1"] if wish.dtx else []
    said += ["stereo=1"] if wish.stereo else []
    said += ["sprop-stereo=1"] if wish.sprop_stereo and codecs.parameters.stereo else []
    said += [f"maxaveragebitrate={wish.max_average_bitrate}"] if wish.max_average_bitrate else []
    lines = [f"a=rtpmap:{opus} opus/48000/2", f"a=fmtp:{opus} {';'.join(said)}"]
    if codecs.red:
        lines = [
            f"a=rtpmap:{codecs.red} red/48000/2",
            f"a=fmtp:{codecs.red} {opus}/{opus}",
            *lines,
        ]
    return [*lines, f"a=ptime:{wish.ptime}", "a=maxptime:60"]
