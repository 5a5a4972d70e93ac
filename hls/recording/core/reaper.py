"""A recording as a project for Reaper: a track for the mix and for each person."""

from collections.abc import Iterable, Iterator

from hls.recording.core.labels import names, one_line, title
from hls.recording.core.manifest import FileKind, Manifest, RecordedFile

_SOURCES = {"ogg": "OPUS", "flac": "FLAC", "wav": "WAVE"}


def reaper(manifest: Manifest) -> str:
    """Return the project: every file stands where it belongs, what happened are markers.

    The mix is muted, for it is the sum of the others; without others it is heard. So is what stands
    there twice, as packets and as samples.
    """
    lines = ['<REAPER_PROJECT 0.1 "6.0"', "  SAMPLERATE 48000 0 0"]
    for number, event in enumerate(sorted(manifest.events, key=lambda one: one.at_s), 1):
        lines.append(f"  MARKER {number} {event.at_s:.6f} {_quoted(title(event))} 0")
    for name, is_muted, files in _tracks(manifest):
        lines += ["  <TRACK", f"    NAME {_quoted(name)}", f"    MUTESOLO {int(is_muted)} 0 0"]
        for file in files:
            lines += _item(file)
        lines.append("  >")
    return "\n".join([*lines, ">"]) + "\n"


def _tracks(manifest: Manifest) -> Iterator[tuple[str, bool, Iterable[RecordedFile]]]:
    kinds = {kind: [one for one in manifest.files if one.kind is kind] for kind in FileKind}
    if kinds[FileKind.MIX]:
        others = bool(kinds[FileKind.TRACK] or kinds[FileKind.EXACT])
        yield "Mix", others, kinds[FileKind.MIX]
    called = names(manifest)
    for kind, is_muted in (
        (FileKind.EXACT, False),
        (FileKind.TRACK, bool(kinds[FileKind.EXACT])),
    ):
        for peer in dict.fromkeys(one.peer for one in kinds[kind]):
            name = called.get(peer or "", peer) or "Played"
            suffix = " (packets)" if is_muted else ""
            yield name + suffix, is_muted, [one for one in kinds[kind] if one.peer == peer]


def _item(file: RecordedFile) -> list[str]:
    source = _SOURCES[file.path.rpartition(".")[2]]
    return [
        "    <ITEM",
        f"      POSITION {file.offset_s:.6f}",
        f"      LENGTH {file.seconds:.6f}",
        f"      NAME {_quoted(file.path.rpartition('/')[2])}",
        f"      <SOURCE {source}",
        f"        FILE {_quoted(file.path)}",
        "      >",
        "    >",
    ]


def _quoted(text: str) -> str:
    """Return text in the first kind of quotes that it does not hold."""
    text = one_line(text)
    for quote in ('"', "'", "`"):
        if quote not in text:
            return f"{quote}{text}{quote}"
    return "`" + text.replace("`", "'") + "`"
