"""`roomtone recordings merge`, run right and wrong."""

import json
from pathlib import Path

from click.testing import CliRunner

from server.client.errors import Exit
from server.compose.cli import cli

MERGE = ("recordings", "merge")


def test_pieces_are_merged(tmp_path: Path) -> None:
    """Two servers' playlists become one that names both where they are; never over a file."""
    head = "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:{}\n#EXT-X-PROGRAM-DATE-TIME:{}\n"
    for name, msn, moment in (("a", 5, "00:00.000"), ("b", 8, "00:05.760")):
        (tmp_path / name).mkdir()
        text = head.format(msn, f"2026-01-01T00:{moment}Z") + f"#EXTINF:1.92,\nseg-{msn}.m4s\n"
        (tmp_path / name / "all.m3u8").write_text(text)
    pieces, out = [str(tmp_path / one / "all.m3u8") for one in "ab"], tmp_path / "c d.m3u8"
    result = CliRunner().invoke(cli, [*MERGE, *pieces, "--out", str(out), "--json"])
    assert json.loads(result.output) == {"file": str(out), "segments": 4, "gaps": 2}
    named = [line for line in out.read_text().splitlines() if not line.startswith("#")]
    assert named == ["a/seg-5.m4s", "a/seg-6.m4s", "a/seg-7.m4s", "b/seg-8.m4s"]
    for words, status, why in (
        ([*pieces, "--out", str(out)], Exit.MISTAKE, "is there already"),
        ([*pieces, "--out", "/nope/x"], Exit.FAILED, "No such file"),
        (["/etc/hostname", "--out", str(tmp_path / "x")], Exit.MISTAKE, "no playlist"),
        (["/nope", "--out", str(tmp_path / "x")], Exit.MISTAKE, "does not exist"),
    ):
        result = CliRunner().invoke(cli, [*MERGE, *words])
        assert (result.exit_code, why in result.output) == (status, True)
    assert not (tmp_path / "x").exists()
