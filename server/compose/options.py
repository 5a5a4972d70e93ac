"""Command line options made from the settings, so that none can lack its variable or its help."""

from collections.abc import Callable
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import click
from annotated_types import Ge, Le
from pydantic.fields import FieldInfo

from server.config import Settings, option, variable

Command = TypeVar("Command", bound=Callable[..., Any])


def with_settings(command: Command) -> Command:
    """Give a click command one option for each key of Settings."""
    for key, field in reversed(Settings.model_fields.items()):
        command = click.option(*_names(key, field), **_attributes(key, field))(command)
    return command


def given(context: click.Context) -> dict[str, Any]:
    """Return the settings that were given on the command line."""
    return {
        key: value
        for key, value in context.params.items()
        if key in Settings.model_fields
        and context.get_parameter_source(key) is click.core.ParameterSource.COMMANDLINE
    }


def _names(key: str, field: FieldInfo) -> tuple[str, ...]:
    name = option(key)
    return (f"{name}/--no-{name[2:]}" if field.annotation is bool else name, key)


def _attributes(key: str, field: FieldInfo) -> dict[str, Any]:
    notes = [variable(key)]
    if field.default_factory is None and field.default not in (None, (), ""):
        notes.append(f"default: {_shown(field.default)}")
    attributes: dict[str, Any] = {"help": f"{field.description} [{'; '.join(notes)}]"}
    kind = _kind(field.annotation)
    if get_origin(kind) is Literal:
        attributes["type"] = click.Choice(get_args(kind))
    elif kind is bool:
        attributes["default"] = None
    elif kind is int:
        attributes["type"] = _range(field)
    elif kind is Path:
        attributes["type"] = click.Path(path_type=Path)
    elif get_origin(kind) is tuple:
        attributes["multiple"] = True
    return attributes


def _kind(annotation: Any) -> Any:
    """Return the type without `| None`."""
    if get_origin(annotation) in (Union, UnionType):
        return next(part for part in get_args(annotation) if part is not type(None))
    return annotation


def _range(field: FieldInfo) -> click.IntRange:
    lowest, highest = None, None
    for rule in field.metadata:
        if isinstance(rule, Ge) and isinstance(rule.ge, int):
            lowest = rule.ge
        if isinstance(rule, Le) and isinstance(rule.le, int):
            highest = rule.le
    return click.IntRange(lowest, highest)


def _shown(default: object) -> str:
    if isinstance(default, tuple):
        return ", ".join(default)
    return {True: "on", False: "off"}.get(default, "") if default in (True, False) else str(default)
