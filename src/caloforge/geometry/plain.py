"""Reading plain data (from TOML or JSON) value by value, with errors that say where and what was expected."""

import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any

from caloforge.errors import ConfigError, UnknownNameError

__all__ = ["check_keys", "flag", "integer", "number", "sequence", "table", "text"]


def _wrong(where: str, expected: str, value: object) -> ConfigError:
    shown = repr(value)
    return ConfigError(
        f"{where} must be {expected}, got {shown if len(shown) <= 60 else shown[:57] + '...'}."
    )


def table(value: object, where: str) -> Mapping[str, Any]:
    """A mapping."""
    if not isinstance(value, Mapping):
        raise _wrong(where, "a table of keys and values", value)
    return value


def check_keys(
    data: Mapping[str, Any], where: str, *, allowed: Iterable[str], required: Iterable[str]
) -> None:
    """Raise for keys that are not allowed and for required ones that are missing."""
    known = set(allowed)
    for key in data:
        if key not in known:
            raise UnknownNameError(f"key in {where}", str(key), known)
    if missing := sorted(set(required) - set(data)):
        raise ConfigError(f"{where} misses the key{'s' * (len(missing) > 1)} {', '.join(missing)}.")


def text(value: object, where: str) -> str:
    """A string that is not empty."""
    if not isinstance(value, str) or not value:
        raise _wrong(where, "a text that is not empty", value)
    return value


def flag(value: object, where: str) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise _wrong(where, "true or false", value)
    return value


def number(value: object, where: str) -> float:
    """A finite number; booleans and texts are none."""
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise _wrong(where, "a finite number", value)
    return float(value)


def integer(value: object, where: str, *, low: int, high: int) -> int:
    """A whole number from ``low`` to ``high``."""
    found = None if isinstance(value, bool) or not isinstance(value, Integral) else int(value)
    if found is None or not low <= found <= high:
        raise _wrong(where, f"a whole number from {low} to {high}", value)
    return found


def sequence(value: object, where: str, *, length: int | None = None) -> Sequence[Any]:
    """A list or tuple, of the given length if any."""
    if not isinstance(value, (list, tuple)) or (length is not None and len(value) != length):
        raise _wrong(where, "a list" if length is None else f"a list of {length}", value)
    return value
