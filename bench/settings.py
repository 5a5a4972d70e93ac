"""The settings of a measurement, read from TOML."""

import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from bench.errors import BenchMistake

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Measure:
    """How long and how often."""

    rounds: int = 3
    seconds: float = 4.0
    warm_up_s: float = 1.5
    seeds: int = 10


@dataclass(frozen=True, slots=True)
class MixSettings:
    """What a server sends to each person."""

    bitrate_bps: int = 96_000
    complexity: int = 0
    complexity_rival: int = 1
    expected_loss: int = 0
    loudest: int = 0
    jitter_percentile: float = 0.0
    pass_through: bool = True


@dataclass(frozen=True, slots=True)
class Uplink:
    """What the clients send."""

    bitrate_bps: int = 32_000
    complexity: int = 9
    fec: bool = True


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many of everything."""

    cpu: tuple[str, ...] = ("40/3", "100/3", "20/20", "20x3/1", "100x3/1")
    listeners: tuple[int, ...] = (200, 600)
    listeners_rival: tuple[int, ...] = (20, 40)
    idle_rooms: int = 1000
    idle_rooms_rival: int = 100
    marker_senders: int = 20
    joins: int = 20
    sockets: int = 2000
    joins_a_second: int = 200
    people_a_room: int = 20
    storm: int = 100
    hls_rate: int = 500
    hls_blocked: int = 1000
    hls_listeners: int = 2000
    broadcast_rooms: int = 8


@dataclass(frozen=True, slots=True)
class Settings:
    """All of it, by table of the file."""

    measure: Measure = field(default_factory=Measure)
    mix: MixSettings = field(default_factory=MixSettings)
    uplink: Uplink = field(default_factory=Uplink)
    sizes: Sizes = field(default_factory=Sizes)


def read_settings(path: Path) -> Settings:
    """Read a settings file; what it does not name keeps its default.

    Raises:
        BenchMistake: the file cannot be read, is no TOML, or has a key or a type we do not know.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BenchMistake(f"{path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BenchMistake(f"{path} is no TOML: {error}.") from error
    known = {"measure": Measure, "mix": MixSettings, "uplink": Uplink, "sizes": Sizes}
    _refuse_unknown(tables, known, f"{path}")
    return Settings(
        **{name: _table(kind, tables.get(name, {}), f"[{name}]") for name, kind in known.items()}
    )


def _table(kind: type[T], given: Any, where: str) -> T:
    if not isinstance(given, dict):
        raise BenchMistake(f"{where} must be a table.")
    defaults = kind()
    names = {entry.name for entry in fields(kind)}  # type: ignore[arg-type]  # ours are dataclasses
    _refuse_unknown(given, names, where)
    return kind(
        **{
            key: _value(value, getattr(defaults, key), f"{where} {key}")
            for key, value in given.items()
        }
    )


def _value(value: Any, default: Any, where: str) -> Any:
    if isinstance(default, tuple):
        if not isinstance(value, list) or not value:
            raise BenchMistake(f"{where} must be a list with something in it.")
        return tuple(_value(entry, default[0], where) for entry in value)
    if isinstance(default, float) and type(value) is int:
        value = float(value)
    if type(value) is not type(default):
        raise BenchMistake(f"{where} must be of type {type(default).__name__}, like {default!r}.")
    if isinstance(value, int | float) and value < 0:
        raise BenchMistake(f"{where} must not be negative.")
    return value


def _refuse_unknown(given: Any, known: Any, where: str) -> None:
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise BenchMistake(
            f"{where} has an unknown key: {', '.join(unknown)}. Known: {', '.join(sorted(known))}."
        )
