from pathlib import Path

import pytest

from bench.errors import BenchMistake
from bench.scenarios.cpu import Size, parse_size
from bench.settings import Settings, read_settings

SHIPPED = Path(__file__).resolve().parents[2] / "bench" / "settings.toml"


def test_the_shipped_file_holds_the_defaults() -> None:
    """bench/settings.toml names every setting with the value it has anyway."""
    assert read_settings(SHIPPED) == Settings()


def test_a_file_may_hold_little(tmp_path: Path) -> None:
    """What a file does not name keeps its default; whole numbers pass for seconds."""
    path = tmp_path / "my.toml"
    path.write_text("[measure]\nseconds = 3\n[mix]\nloudest = 2\n")
    found = read_settings(path)
    assert (found.measure.seconds, found.mix.loudest) == (3.0, 2)
    assert found.uplink == Settings().uplink


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[mix]\nbitrat = 1\n", "unknown key: bitrat. Known: bitrate_bps"),
        ("[mixx]\n", "unknown key: mixx"),
        ("[mix]\nbitrate_bps = 'much'\n", "must be of type int"),
        ("[mix]\nloudest = true\n", "must be of type int"),
        ("[measure]\nseconds = -1\n", "must not be negative"),
        ("[sizes]\ncpu = []\n", "must be a list"),
        ("mix = 3\n", "must be a table"),
        ("[mix\n", "is no TOML"),
    ],
)
def test_mistakes_are_refused(tmp_path: Path, text: str, said: str) -> None:
    """A wrong file is refused with a sentence that names the place."""
    path = tmp_path / "my.toml"
    path.write_text(text)
    with pytest.raises(BenchMistake, match=said):
        read_settings(path)


def test_a_missing_file(tmp_path: Path) -> None:
    """A file that is not there is named."""
    with pytest.raises(BenchMistake, match=r"none\.toml cannot be read"):
        read_settings(tmp_path / "none.toml")


def test_sizes() -> None:
    """Sizes are read as they are written."""
    assert parse_size("40/3") == Size(40, 3)
    assert parse_size("20x3/1") == Size(3, 1, 20)
    assert (str(parse_size("20x3/1")), parse_size("20x3/1").anchors) == ("20x3/1", 60)


@pytest.mark.parametrize("text", ["40", "3/4", "0/0", "0x3/1", "a/b", "40/3 "])
def test_wrong_sizes(text: str) -> None:
    """What is no size, or has more speakers than people, is refused with an example."""
    with pytest.raises(BenchMistake, match="Write 40/3"):
        parse_size(text)


def test_shrinking() -> None:
    """A rival that falls behind gets three quarters: fewer people, or fewer rooms, then none."""
    assert Size(40, 3).smaller() == Size(30, 3)
    assert Size(20, 20).smaller() == Size(15, 15)
    assert Size(3, 1, 20).smaller() == Size(3, 1, 15)
    assert Size(6, 3).smaller() is None
