"""Frozen dataclasses from plain data and back: strict about names and types, the same for TOML, JSON and ``--set``."""

import dataclasses
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from caloforge.errors import ConfigError, FileFormatError, UnknownNameError

__all__ = ["from_mapping", "to_mapping", "apply_settings", "read_toml"]


def read_toml(path: Path) -> dict[str, Any]:
    """Parse a TOML file.

    Raises:
        FileFormatError: The file is missing, unreadable or no TOML; the message has line and column.
    """
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as err:
        raise FileFormatError(path, f"is not valid TOML: {err}.") from err
    except OSError as err:
        raise FileFormatError(path, f"cannot be read: {err.strerror}.") from err


T = TypeVar("T")


def from_mapping(cls: type[T], data: Mapping[str, Any], *, where: str = "") -> T:
    """Build the dataclass ``cls`` from ``data``, recursing into nested dataclasses.

    Args:
        cls: A dataclass.
        data: Keys are field names; a missing key takes the field's default.
        where: Dotted name of ``data`` in the whole, for messages.

    Raises:
        UnknownNameError: A key is no field.
        ConfigError: A value has the wrong type, a field without default is missing, or the
            dataclass itself refuses its values.
    """
    hints = typing.get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for key, value in data.items():
        if key not in fields:
            raise UnknownNameError(f"setting in {where!r}" if where else "setting", key, fields)
        values[key] = _convert(hints[key], value, where=f"{where}.{key}" if where else key)
    missing = [
        name
        for name, f in fields.items()
        if name not in values
        and f.default is dataclasses.MISSING
        and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ConfigError(f"Missing setting {'.'.join(filter(None, [where, missing[0]]))!r}.")
    return cls(**values)


def to_mapping(config: Any) -> dict[str, Any]:
    """Plain data of a dataclass; tuples become lists, ``None`` is left out (TOML has none)."""
    return {
        f.name: _plain(value)
        for f in dataclasses.fields(config)
        if (value := getattr(config, f.name)) is not None
    }


def apply_settings(data: Mapping[str, Any], settings: Sequence[str]) -> dict[str, Any]:
    """Apply ``--set`` assignments such as ``training.shape.epochs=20`` to nested plain data.

    Only keys are created or replaced here; :func:`from_mapping` checks afterwards whether they exist.

    Raises:
        ConfigError: An assignment has no ``=``, or its path runs through something that is no table.
    """
    result = _copy(data)
    for setting in settings:
        path, equals, text = setting.partition("=")
        keys = [key.strip() for key in path.split(".")]
        if not equals or not all(keys):
            raise ConfigError(f"--set {setting!r} is not of the form section.key=value.")
        table = result
        for key in keys[:-1]:
            table = table.setdefault(key, {})
            if not isinstance(table, dict):
                raise ConfigError(f"--set {setting!r}: {key!r} is a value, not a section.")
        table[keys[-1]] = _literal(text.strip())
    return result


def _literal(text: str) -> Any:
    """A TOML value; what is no TOML value is a string, so that shells need no double quoting."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _copy(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _copy(value) if isinstance(value, Mapping) else value for key, value in data.items()}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return to_mapping(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return value


def _convert(hint: Any, value: Any, *, where: str) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if dataclasses.is_dataclass(hint) and isinstance(value, Mapping):
        return from_mapping(typing.cast("type[Any]", hint), value, where=where)
    if origin in (types.UnionType, typing.Union):
        return _convert_union(args, value, where=where)
    if origin is typing.Literal:
        if value in args:
            return value
        raise UnknownNameError(f"value of {where!r}", str(value), map(str, args))
    if origin is tuple and isinstance(value, (list, tuple)):
        return tuple(_convert(args[0], item, where=f"{where}[{k}]") for k, item in enumerate(value))
    if origin is dict and isinstance(value, Mapping):
        return {str(key): _convert(args[1], item, where=f"{where}.{key}") for key, item in value.items()}
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError as err:
            raise ConfigError(f"{where} is too large a number.") from err
    if isinstance(hint, type) and isinstance(value, hint) and (hint is bool or not isinstance(value, bool)):
        return value
    name = getattr(hint, "__name__", None) if origin is None else None
    raise ConfigError(f"{where} = {value!r} ({type(value).__name__}) must be {name or hint}.")


def _convert_union(args: tuple[Any, ...], value: Any, *, where: str) -> Any:
    if value is None and type(None) in args:
        return None
    problems = []
    for arg in args:
        if arg is type(None):
            continue
        try:
            return _convert(arg, value, where=where)
        except (ConfigError, UnknownNameError) as err:
            problems.append(str(err))
    raise ConfigError(problems[-1])
