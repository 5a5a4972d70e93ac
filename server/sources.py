"""Where the settings come from: options, variables, a TOML file, defaults, in this order."""

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from server.config import PREFIX, Settings, option, variable
from server.errors import SetupMistake

CONFIG: Final = f"{PREFIX}CONFIG"
# Not settings of a server, but ours: where the file is, and what the other verbs talk to.
OTHER_VARIABLES: Final = frozenset({CONFIG, f"{PREFIX}URL", f"{PREFIX}KEY", f"{PREFIX}KEY_FILE"})
MAX_FILE_BYTES: Final = 1 << 20
_NAMES_A_FILE: Final = "_FILE"


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, and of each key that is not left at its default, who said so."""

    settings: Settings
    origins: Mapping[str, str]
    path: Path | None = None

    def origin(self, key: str) -> str:
        """Return who gave this key its value, `default` if nobody did."""
        return self.origins.get(key, "default")


@dataclass(frozen=True, slots=True)
class _File:
    """What a configuration file says, and where."""

    path: Path
    values: Mapping[str, Any] = field(default_factory=dict)
    lines: Mapping[str, int] = field(default_factory=dict)

    def place(self, key: str) -> str:
        line = self.lines.get(key)
        return f"{self.path}" if line is None else f"{self.path}:{line}"


def load(options: Mapping[str, Any], environment: Mapping[str, str]) -> Settings:
    """Read the settings as `read` does, and nothing beside them. Raises SetupMistake."""
    return read(options, environment).settings


def read(
    options: Mapping[str, Any],
    environment: Mapping[str, str],
    path: Path | None = None,
) -> Loaded:
    """Read the settings: an option beats its variable, that the file, that the default.

    `path` is the file that was asked for; without it the one of ROOMTONE_CONFIG is read, else the
    first of `default_places` that exists. Values of variables come from the process's own
    environment; `environment` says which there are.

    Raises:
        SetupMistake: a key or variable nobody knows, a file that cannot be read, or a value that
            cannot be; the sentence names the place.
    """
    variables = _variables(environment)
    found = _file(path, environment)
    by_file = {} if found is None else _by_variable_or_file(found, variables)
    contents = {key: _content(name, environment[name]) for key, name in _named_files(variables)}
    origins = {key: found.place(key) for key in by_file} if found is not None else {}
    origins |= variables
    origins |= {key: option(key) for key in options}
    # A value that comes from a variable itself is left to pydantic, which knows its type.
    try:
        settings = Settings(**(by_file | contents | dict(options)))
    except ValidationError as error:
        told = "; ".join(_sentence(detail, origins) for detail in error.errors())
        raise SetupMistake(told) from None
    return Loaded(settings, origins, None if found is None else found.path)


def check_file(path: Path) -> Settings:
    """Return the settings a file alone would give. Raises SetupMistake."""
    found = _read_file(path)
    origins = {key: found.place(key) for key in found.values}
    alone: dict[str, Any] = {"_env_prefix": "-"}  # no variable of this shell has a say
    try:
        return Settings(**(dict(found.values) | alone))
    except ValidationError as error:
        told = "; ".join(_sentence(detail, origins) for detail in error.errors())
        raise SetupMistake(told) from None


def default_places(environment: Mapping[str, str]) -> tuple[Path, ...]:
    """Return where a configuration file is looked for, in this order."""
    base = environment.get("XDG_CONFIG_HOME", "")
    home = Path(base) if Path(base).is_absolute() else Path.home() / ".config"
    return (home / "roomtone" / "roomtone.toml", Path("/etc/roomtone/roomtone.toml"))


def nearest(name: str, known: frozenset[str] | set[str]) -> str:
    """Return the known name that is most like this one, else nothing."""
    near = difflib.get_close_matches(name, sorted(known), n=1)
    return near[0] if near else ""


# Variables


def _variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variable that gives each key, by key. Raises SetupMistake for unknown ones."""
    known = {variable(key): key for key in _fields()}
    found: dict[str, str] = {}
    for name in sorted(environment):
        upper = name.upper()
        if not upper.startswith(PREFIX) or upper in OTHER_VARIABLES:
            continue
        key = known.get(upper) or known.get(upper.removesuffix(_NAMES_A_FILE))
        if key is None:
            raise SetupMistake(_unknown_variable(name, set(known)))
        if not environment[name]:
            continue
        if key in found:
            raise SetupMistake(f"{found[key]} and {name} are both set: leave one out")
        found[key] = name
    return found


def _named_files(variables: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return key and variable where that holds the name of a file instead of the value."""
    return [(key, name) for key, name in variables.items() if name.upper() != variable(key)]


def _content(name: str, path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise SetupMistake(f"{name} names {path}, which is too large for a setting")
        return content.decode().rstrip("\r\n")
    except OSError as error:
        raise SetupMistake(f"{name} names {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SetupMistake(f"{name} names {path}, which is no text") from None


def _unknown_variable(name: str, known: set[str]) -> str:
    tails = {one.removeprefix(PREFIX) for one in known | OTHER_VARIABLES}  # the rest is all alike
    near = nearest(name.upper().removeprefix(PREFIX), tails)
    hint = f": did you mean {PREFIX}{near}?" if near else f"; there are: {', '.join(sorted(known))}"
    return f"{name} is not a setting{hint}"


# The file


def _file(path: Path | None, environment: Mapping[str, str]) -> _File | None:
    if path is not None:
        return _read_file(path)
    if environment.get(CONFIG):
        return _read_file(Path(environment[CONFIG]))
    for place in default_places(environment):
        try:
            is_there = place.is_file()
        except OSError:  # in a folder that is not ours to look into
            continue
        if is_there:
            return _read_file(place)
    return None


def _read_file(path: Path) -> _File:
    path = path.expanduser().absolute()
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise SetupMistake(f"{path} cannot be read: {error.strerror}") from None
    if len(content) > MAX_FILE_BYTES:
        raise SetupMistake(f"{path} is too large for a configuration")
    try:
        text = content.decode()
        said = tomllib.loads(text)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise SetupMistake(f"{path} is no TOML: {error}") from None
    return _known_only(_File(path, said, _lines(text, said)))


def _known_only(found: _File) -> _File:
    fields = _fields()
    for key, value in found.values.items():
        if key not in fields:
            near = nearest(key.lower().replace("-", "_"), set(fields))
            hint = f": did you mean {near}?" if near else "; `roomtone config` prints all there are"
            raise SetupMistake(f"{found.place(key)}: {key} is not a setting{hint}")
        if isinstance(value, bool) and fields[key].annotation is not bool:
            raise SetupMistake(f"{found.place(key)}: {key}: it must not be true or false")
    # As with variables: what may be absent is not set where it is empty.
    values = {
        key: value
        for key, value in found.values.items()
        if not (value == "" and fields[key].get_default(call_default_factory=True) is None)
    }
    return _File(found.path, values, found.lines)


def _lines(text: str, said: Mapping[str, Any]) -> dict[str, int]:
    """Return the line on which each key stands; the parser of Python does not tell."""
    found: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        start = re.match(r"""\s*\[*\s*["']?([\w-]+)""", line)
        if start is not None and start[1] in said:
            found.setdefault(start[1], number)
    return found


def _by_variable_or_file(found: _File, variables: Mapping[str, str]) -> dict[str, Any]:
    return {key: value for key, value in found.values.items() if key not in variables}


def _fields() -> dict[str, Any]:
    return dict(Settings.model_fields)


def _sentence(detail: Any, origins: Mapping[str, str]) -> str:
    said = str(detail["msg"]).removeprefix("Value error, ")
    if not detail["loc"]:
        return said
    key = str(detail["loc"][0])
    origin = origins.get(key, "")
    place = f"{origin}: {key}" if os.sep in origin else f"{option(key)} ({variable(key)})"
    # An address may hold a password where none belongs.
    is_hidden = is_secret(key) or re.search(r"://[^/]*@", str(detail["input"]))
    shown = "[hidden]" if is_hidden else repr(detail["input"])
    return f"{place}: {said}, not {shown}"


def is_secret(key: str) -> bool:
    """Whether a setting's value is not to be shown."""
    known = Settings.model_fields.get(key)
    if known is not None and "Secret" in str(known.annotation):
        return True
    return bool(re.search(r"(^|_)(secret|secrets|password|token|pin)$", key))
