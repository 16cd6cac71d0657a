"""Results as plain JSON data."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from caloforge.files import atomic_path

__all__ = ["plain", "read_json", "write_json"]

_DIGITS = 7


def plain(value: Any, *, digits: int = _DIGITS) -> Any:
    """Dataclasses, arrays and paths as JSON types; NaN and infinities become null, floats keep ``digits``.

    Example:
        >>> plain({"a": np.array([1.0, np.nan]), "b": (1, 2)})
        {'a': [1.0, None], 'b': [1, 2]}
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name), digits=digits) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(item, digits=digits) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist(), digits=digits)
    if isinstance(value, np.generic):
        return plain(value.item(), digits=digits)
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item, digits=digits) for item in value]
    if isinstance(value, float):
        return float(f"{value:.{digits}g}") if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    return str(value)


def write_json(data: Any, path: Path) -> None:
    """Write whole; one line, as histograms make long ones anyway."""
    with atomic_path(path) as part:
        part.write_text(json.dumps(data, allow_nan=False, separators=(",", ":"), ensure_ascii=True) + "\n")


def read_json(path: Path) -> Any:
    """What :func:`write_json` wrote."""
    return json.loads(path.read_text())
